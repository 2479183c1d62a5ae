public import MarketData

/// A system message (heartbeats, acknowledgements) of version 1 (80 bytes) or later (320), read where it
/// lies.
public struct SystemView: ~Escapable {
    public let record: Record
    private let is1: Bool

    /// nil if `record` is not a system message of a known size.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        let byteCount = record.bytes.byteCount
        guard record.type == .system, byteCount >= RecordLayout.messageByteCount1 else { return nil }
        is1 = byteCount < RecordLayout.messageByteCount2
        self.record = record
    }

    public var message: String { record.text(16, byteCount: is1 ? 64 : 303) }
    /// A value of `Code`; `unset` in version 1, which does not say it.
    public var code: UInt8 { is1 ? Code.unset : record.load(319, as: UInt8.self) }

    /// Kinds of system messages. Values are DBN's.
    public enum Code {
        public static let heartbeat: UInt8 = 0
        public static let subscriptionAcknowledged: UInt8 = 1
        public static let slowReaderWarning: UInt8 = 2
        public static let replayCompleted: UInt8 = 3
        public static let endOfInterval: UInt8 = 4
        public static let unset: UInt8 = 255
    }
}

/// An error message of a live gateway, of version 1 (80 bytes) or later (320), read where it lies.
public struct ErrorView: ~Escapable {
    public let record: Record
    private let is1: Bool

    /// nil if `record` is not an error message of a known size.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        let byteCount = record.bytes.byteCount
        guard record.type == .error, byteCount >= RecordLayout.messageByteCount1 else { return nil }
        is1 = byteCount < RecordLayout.messageByteCount2
        self.record = record
    }

    public var message: String { record.text(16, byteCount: is1 ? 64 : 302) }
    /// A value of `Code`; `unset` in version 1, which does not say it.
    public var code: UInt8 { is1 ? Code.unset : record.load(318, as: UInt8.self) }
    /// 1 for the last of several messages, 0 for the others, 255 where unknown.
    public var isLast: UInt8 { is1 ? .max : record.load(319, as: UInt8.self) }

    /// Kinds of errors. Values are DBN's.
    public enum Code {
        public static let authenticationFailed: UInt8 = 1
        public static let keyDeactivated: UInt8 = 2
        public static let connectionLimit: UInt8 = 3
        public static let symbolResolution: UInt8 = 4
        public static let invalidSubscription: UInt8 = 5
        public static let internalError: UInt8 = 6
        public static let skippedRecords: UInt8 = 7
        public static let unset: UInt8 = 255
    }
}

/// What an instrument id stands for, said inside a live stream, of version 1 (80 bytes) or later (176), read
/// where it lies.
public struct SymbolMappingView: ~Escapable {
    public let record: Record
    private let is1: Bool

    /// nil if `record` is not a symbol mapping of a known size.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        let byteCount = record.bytes.byteCount
        guard record.type == .symbolMapping, byteCount >= RecordLayout.symbolMappingByteCount1 else {
            return nil
        }
        is1 = byteCount < RecordLayout.symbolMappingByteCount2
        self.record = record
    }

    /// DBN's number of the symbology of `symbolIn`; 255 in version 1, which does not say it.
    public var symbolTypeIn: UInt8 { is1 ? .max : record.load(16, as: UInt8.self) }
    /// The symbol that was subscribed.
    public var symbolIn: String { is1 ? record.text(16, byteCount: 22) : record.text(17, byteCount: 71) }
    /// DBN's number of the symbology of `symbolOut`; 255 in version 1, which does not say it.
    public var symbolTypeOut: UInt8 { is1 ? .max : record.load(88, as: UInt8.self) }
    /// What the instrument id of the record stands for.
    public var symbolOut: String { is1 ? record.text(38, byteCount: 22) : record.text(89, byteCount: 71) }
    /// When the mapping begins, nanoseconds since the epoch.
    public var start: UInt64 { record.load(is1 ? 64 : 160, as: UInt64.self) }
    /// When the mapping ends, nanoseconds since the epoch.
    public var end: UInt64 { record.load(is1 ? 72 : 168, as: UInt64.self) }
}
