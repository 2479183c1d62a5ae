public import MarketData

/// What a tick stream is made of, as a file's metadata would say it: one schema, or a mix.
///
/// A definitions topic says it in a DBN System record, `schema=<name>`, behind the definition, so that a live
/// processor knows which records complete a tick exactly as it does from a file. Cold code.
public enum StreamSchema: Hashable, Sendable {
    case one(Schema)
    case mixed

    /// Bytes of the System record (DBN version 3).
    public static var recordByteCount: Int { 320 }

    private static let messageOffset = 16
    private static let codeOffset = 319
    /// DBN's `SystemCode::Unset`: the message is not one of Databento's gateway.
    private static let codeUnset: UInt8 = 255
    private static let prefix = "schema="

    /// The schema of a file's metadata, where nil stands for a mix.
    public init(_ schema: Schema?) { self = schema.map(StreamSchema.one) ?? .mixed }

    /// `trades` for example, or `mixed`.
    public var name: String {
        switch self {
        case .one(let schema): schema.name
        case .mixed: "mixed"
        }
    }

    /// Which records complete a tick in this stream.
    public var tickRule: TickRule {
        switch self {
        case .one(let schema): TickRule(schema: schema)
        case .mixed: TickRule(schema: nil)
        }
    }

    /// The System record that says it, with the instrument of the definition beside it.
    public func record(publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64) -> [UInt8] {
        var record = [UInt8](repeating: 0, count: StreamSchema.recordByteCount)
        record.withUnsafeMutableBytes { bytes in
            unsafe bytes[0] = UInt8(StreamSchema.recordByteCount / 4)
            unsafe bytes[1] = RecordType.system.rawValue
            unsafe bytes.storeBytes(of: publisherID.littleEndian, toByteOffset: 2, as: UInt16.self)
            unsafe bytes.storeBytes(of: instrumentID.littleEndian, toByteOffset: 4, as: UInt32.self)
            unsafe bytes.storeBytes(of: venueTimestamp.littleEndian, toByteOffset: 8, as: UInt64.self)
            unsafe bytes[StreamSchema.codeOffset] = StreamSchema.codeUnset
        }
        let message = Array((StreamSchema.prefix + name).utf8)
        record.replaceSubrange(
            StreamSchema.messageOffset..<StreamSchema.messageOffset + message.count, with: message)
        return record
    }

    /// What `record` says, or nil if it is not such a System record or names no schema of this version.
    public init?(_ record: borrowing Record) {
        guard record.type == .system, record.bytes.byteCount == StreamSchema.recordByteCount else {
            return nil
        }
        let field = record.bytes.extracting(StreamSchema.messageOffset..<StreamSchema.codeOffset)
        let text = field.withUnsafeBytes { bytes in
            String(validating: unsafe bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard let text, text.hasPrefix(StreamSchema.prefix) else { return nil }
        let name = text.dropFirst(StreamSchema.prefix.count)
        if name == "mixed" {
            self = .mixed
        } else if let schema = Schema.allCases.first(where: { $0.name == name }) {
            self = .one(schema)
        } else {
            return nil
        }
    }
}
