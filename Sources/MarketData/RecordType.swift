/// The second byte of a record: which layout follows. Values are DBN's; 0xE0–0xEF are Martlet's own signals.
public struct RecordType: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt8

    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    @inlinable public static var trade: RecordType { RecordType(rawValue: 0x00) }
    @inlinable public static var mbp1: RecordType { RecordType(rawValue: 0x01) }
    @inlinable public static var mbp10: RecordType { RecordType(rawValue: 0x0A) }
    @inlinable public static var ohlcvDeprecated: RecordType { RecordType(rawValue: 0x11) }
    @inlinable public static var status: RecordType { RecordType(rawValue: 0x12) }
    @inlinable public static var definition: RecordType { RecordType(rawValue: 0x13) }
    @inlinable public static var imbalance: RecordType { RecordType(rawValue: 0x14) }
    @inlinable public static var error: RecordType { RecordType(rawValue: 0x15) }
    @inlinable public static var symbolMapping: RecordType { RecordType(rawValue: 0x16) }
    @inlinable public static var system: RecordType { RecordType(rawValue: 0x17) }
    @inlinable public static var statistics: RecordType { RecordType(rawValue: 0x18) }
    @inlinable public static var ohlcv1Second: RecordType { RecordType(rawValue: 0x20) }
    @inlinable public static var ohlcv1Minute: RecordType { RecordType(rawValue: 0x21) }
    @inlinable public static var ohlcv1Hour: RecordType { RecordType(rawValue: 0x22) }
    @inlinable public static var ohlcv1Day: RecordType { RecordType(rawValue: 0x23) }
    @inlinable public static var ohlcvEndOfDay: RecordType { RecordType(rawValue: 0x24) }
    @inlinable public static var mbo: RecordType { RecordType(rawValue: 0xA0) }
    @inlinable public static var cmbp1: RecordType { RecordType(rawValue: 0xB1) }
    @inlinable public static var cbbo1Second: RecordType { RecordType(rawValue: 0xC0) }
    @inlinable public static var cbbo1Minute: RecordType { RecordType(rawValue: 0xC1) }
    @inlinable public static var tcbbo: RecordType { RecordType(rawValue: 0xC2) }
    @inlinable public static var bbo1Second: RecordType { RecordType(rawValue: 0xC3) }
    @inlinable public static var bbo1Minute: RecordType { RecordType(rawValue: 0xC4) }
    @inlinable public static var signal: RecordType { RecordType(rawValue: 0xE0) }
    @inlinable public static var gap: RecordType { RecordType(rawValue: 0xE1) }
}

/// The kinds of data that a DBN file or stream declares in its metadata. Values are DBN's.
public enum Schema: UInt16, CaseIterable, Sendable {
    case mbo = 0
    case mbp1 = 1
    case mbp10 = 2
    case tbbo = 3
    case trades = 4
    case ohlcv1Second = 5
    case ohlcv1Minute = 6
    case ohlcv1Hour = 7
    case ohlcv1Day = 8
    case definition = 9
    case statistics = 10
    case status = 11
    case imbalance = 12
    case ohlcvEndOfDay = 13
    case cmbp1 = 14
    case cbbo1Second = 15
    case cbbo1Minute = 16
    case tcbbo = 17
    case bbo1Second = 18
    case bbo1Minute = 19

    /// DBN's value in the metadata of a file that mixes schemas.
    public static let mixedRawValue: UInt16 = 0xFFFF

    /// Whether a feed of this schema alone states price levels, from which a book can be kept.
    public var statesPriceLevels: Bool {
        switch self {
        case .mbp1, .mbp10, .tbbo: true
        default: false
        }
    }

    /// The name that Databento's tools use, `mbp-10` for example.
    public var name: String {
        switch self {
        case .mbo: "mbo"
        case .mbp1: "mbp-1"
        case .mbp10: "mbp-10"
        case .tbbo: "tbbo"
        case .trades: "trades"
        case .ohlcv1Second: "ohlcv-1s"
        case .ohlcv1Minute: "ohlcv-1m"
        case .ohlcv1Hour: "ohlcv-1h"
        case .ohlcv1Day: "ohlcv-1d"
        case .definition: "definition"
        case .statistics: "statistics"
        case .status: "status"
        case .imbalance: "imbalance"
        case .ohlcvEndOfDay: "ohlcv-eod"
        case .cmbp1: "cmbp-1"
        case .cbbo1Second: "cbbo-1s"
        case .cbbo1Minute: "cbbo-1m"
        case .tcbbo: "tcbbo"
        case .bbo1Second: "bbo-1s"
        case .bbo1Minute: "bbo-1m"
        }
    }
}

/// Bits of a record's `flags` byte. Values are DBN's.
public struct RecordFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt8

    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The last record of an event: the tick is complete.
    @inlinable public static var last: RecordFlags { RecordFlags(rawValue: 128) }
    /// Top-of-book message, not an individual order.
    @inlinable public static var topOfBook: RecordFlags { RecordFlags(rawValue: 64) }
    /// From a replay or a snapshot server.
    @inlinable public static var snapshot: RecordFlags { RecordFlags(rawValue: 32) }
    /// Aggregated price level message, not an individual order.
    @inlinable public static var aggregated: RecordFlags { RecordFlags(rawValue: 16) }
    /// The capture timestamp is known to be wrong.
    @inlinable public static var badCaptureTimestamp: RecordFlags { RecordFlags(rawValue: 8) }
    /// An unrecoverable gap came before: the book may be wrong.
    @inlinable public static var maybeBadBook: RecordFlags { RecordFlags(rawValue: 4) }
    /// Meaning depends on the publisher.
    @inlinable public static var publisherSpecific: RecordFlags { RecordFlags(rawValue: 2) }
}

/// The `action` byte of market records: an ASCII letter. Values are DBN's.
public enum Action {
    @inlinable public static var add: UInt8 { UInt8(ascii: "A") }
    @inlinable public static var cancel: UInt8 { UInt8(ascii: "C") }
    @inlinable public static var modify: UInt8 { UInt8(ascii: "M") }
    @inlinable public static var clear: UInt8 { UInt8(ascii: "R") }
    @inlinable public static var trade: UInt8 { UInt8(ascii: "T") }
    @inlinable public static var fill: UInt8 { UInt8(ascii: "F") }
    @inlinable public static var none: UInt8 { UInt8(ascii: "N") }
}

/// The `side` byte of market records: the resting side for orders, the aggressor's side for trades.
public enum Side {
    /// A sell order; for a trade, a seller hit the bid.
    @inlinable public static var ask: UInt8 { UInt8(ascii: "A") }
    /// A buy order; for a trade, a buyer lifted the ask.
    @inlinable public static var bid: UInt8 { UInt8(ascii: "B") }
    @inlinable public static var none: UInt8 { UInt8(ascii: "N") }
}
