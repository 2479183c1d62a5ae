/// What is wrong with DBN input, with a record handed to the encoder, or with a file, and where.
///
/// Outside input never traps: everything that a file, a stream or a caller's record can get wrong ends here.
public struct DBNError: Error, Equatable, Sendable {
    /// What was found, and what was expected instead.
    public var reason: Reason
    /// Where: bytes from the start of the decompressed input (decoder) or of the uncompressed output
    /// (encoder) to the item at fault. For `.zstd` the bytes of compressed input read so far.
    public var byteOffset: UInt64
    /// Number of the record at fault, counted from 1; 0 before the first record.
    public var recordNumber: UInt64
    /// The file, where there is one.
    public var path: String?

    public init(_ reason: Reason, byteOffset: UInt64 = 0, recordNumber: UInt64 = 0, path: String? = nil) {
        self.reason = reason
        self.byteOffset = byteOffset
        self.recordNumber = recordNumber
        self.path = path
    }

    /// What went wrong.
    public enum Reason: Equatable, Sendable {
        /// The input ended before its first byte.
        case empty
        /// Neither metadata nor a known record begins the input; the first bytes found.
        case notDBN(found: [UInt8])
        /// A zstd-skippable frame begins the input: the legacy format DBZ, which DBN replaced in 2023.
        case legacyDBZ
        /// Versions 1 to 3 are read.
        case unsupportedVersion(UInt8)
        /// The metadata claim a length outside `minimum...maximum` bytes.
        case metadataLength(found: UInt32, minimum: Int, maximum: Int)
        /// A field or a count runs past the end of the metadata.
        case metadataOverrun(field: MetadataField, needed: UInt64, available: Int)
        /// A symbol field of this length was never published; 22 bytes is the shortest.
        case symbolLength(found: UInt16, minimum: Int)
        /// Schema definitions inside the metadata exist in no published version.
        case schemaDefinition(length: UInt32)
        /// A schema that this version does not know.
        case unknownSchema(UInt16)
        /// Text is not UTF-8.
        case invalidText(field: MetadataField)
        /// Not a calendar date written YYYYMMDD.
        case invalidDate(UInt32)
        /// The record's length byte does not fit its type. `expected` is empty where any length from 16 bytes
        /// would do.
        case recordLength(type: UInt8, found: Int, expected: [Int])
        /// A second metadata header among the records: files were joined. Decode them one by one.
        case secondHeader
        /// The input ended inside an item.
        case truncated(found: Int, expected: Int)
        /// What libzstd says of the compressed input or of its parameters.
        case zstd(String)
        /// More bytes were fed than the decoder may hold; take the records out first.
        case inputTooLarge(found: Int, limit: Int)
        /// Databento's tools refuse files with records of this type, so it is not written.
        case unknownRecordType(UInt8)
        /// Text that DBN's fixed field cannot hold: ASCII of at most `byteCountMax` bytes.
        case unencodableText(String, byteCountMax: Int)
        /// A book record holds at most ten levels.
        case tooManyLevels(found: Int)
        /// The metadata name instrument ids on neither side, so that they cannot resolve ids.
        case symbology(String)
        /// More instruments than the symbol map may hold.
        case tooManyInstruments(limit: Int)
        /// A system call failed.
        case file(operation: String, errno: Int32, message: String)
        /// The destination exists and is not a regular file, so that it cannot be replaced whole.
        case notRegularFile
    }

    /// Parts of the metadata that have no fixed length.
    public enum MetadataField: String, Sendable {
        case dataset
        case symbols
        case partial
        case notFound = "not found"
        case mappings
        case intervals
    }

    func at(path: String) -> DBNError {
        var copy = self
        copy.path = path
        return copy
    }
}

extension DBNError: CustomStringConvertible {
    /// One line: where, what was found, and what would be right.
    public var description: String {
        let file = path.map { "\($0): " } ?? ""
        switch reason {
        case .file, .notRegularFile: return file + reason.description
        default: break
        }
        let record = recordNumber > 0 ? ", record \(recordNumber)" : ""
        return "\(file)byte \(byteOffset)\(record): \(reason)"
    }
}

extension DBNError.Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .empty: "the input is empty"
        case .notDBN(let found): "no DBN here; the first bytes are \(found)"
        case .legacyDBZ: "this is the legacy format DBZ; convert it to DBN first"
        case .unsupportedVersion(let version): "DBN version \(version); versions 1 to 3 are read"
        case .secondHeader: "a second metadata header; joined files are to be decoded one by one"
        case .truncated(let found, let expected): "the input ends after \(found) of \(expected) bytes"
        case .zstd(let message): "zstd: \(message)"
        case .inputTooLarge(let found, let limit): "\(found) bytes held; at most \(limit) may wait"
        case .recordLength(let type, let found, let expected):
            "a record of type \(type) with \(found) bytes; expected "
                + (expected.isEmpty ? "at least 16" : "one of \(expected)")
        case .unknownRecordType(let type): "records of type \(type) are not DBN's"
        case .tooManyLevels(let found): "\(found) book levels; at most 10 fit"
        case .symbology(let text): text
        case .tooManyInstruments(let limit): "more than \(limit) instruments"
        case .file(let operation, _, let message): "\(operation): \(message)"
        case .notRegularFile: "exists and is not a regular file"
        case .unencodableText(let text, let most): "\"\(text)\" is not ASCII text of at most \(most) bytes"
        default: metadataDescription
        }
    }

    private var metadataDescription: String {
        switch self {
        case .metadataLength(let found, let minimum, let maximum):
            "metadata of \(found) bytes; expected \(minimum) to \(maximum)"
        case .metadataOverrun(let field, let needed, let available):
            "the metadata's \(field.rawValue) need \(needed) bytes, \(available) are left"
        case .symbolLength(let found, let minimum):
            "symbol fields of \(found) bytes; expected at least \(minimum)"
        case .schemaDefinition(let length): "a schema definition of \(length) bytes; no version has one"
        case .unknownSchema(let schema): "unknown schema \(schema)"
        case .invalidText(let field): "the metadata's \(field.rawValue) are not UTF-8"
        case .invalidDate(let date): "\(date) is not a date written YYYYMMDD"
        default: ""
        }
    }
}
