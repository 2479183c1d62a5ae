public import MarketData

/// One prediction: what the model said for one horizon after one tick. 112 bytes, no padding that is not
/// zero.
///
/// Byte by byte in `docs/WIRE.md`. What a model does not output is NaN with the bits 0x7FC00000. The record
/// holds no session and no wall clock, so that a replay gives the same bytes.
@frozen
public struct SignalRecord: BitwiseCopyable, Sendable {
    @inlinable public static var byteCount: Int { 112 }

    /// DBN's record header: length in words of 4 bytes, type, publisher and instrument of the tick's last
    /// record.
    public var length: UInt8
    public var type: UInt8
    public var publisherID: UInt16
    public var instrumentID: UInt32
    /// `ts_event` of the tick's last record.
    public var venueTimestamp: UInt64
    /// `ts_recv` of the tick's last record, or the last one seen where that record has none.
    public var captureTimestamp: UInt64
    /// Sequence of the tick's last record in its input topic.
    public var inputSequence: UInt64
    /// First 8 bytes of the SHA-256 of the model file, in file order.
    public var modelID: UInt64
    /// Length of the horizon in `horizonUnit`.
    public var horizon: UInt32
    /// A value of `HorizonUnit`.
    public var horizonUnit: UInt8
    /// -1 down, 0 flat, 1 up: the most probable class, the first of equals in the order flat, down, up.
    public var direction: Int8
    /// Bits of `SignalFlags`.
    public var flags: UInt16
    public var probabilityDown: Float
    public var probabilityFlat: Float
    public var probabilityUp: Float
    /// Expected return over the horizon, as a fraction of the mid price.
    public var expectedReturn: Float
    /// Standard deviation of the return over the horizon.
    public var volatility: Float
    /// Losses as positive fractions of the mid price.
    public var valueAtRisk95: Float
    public var valueAtRisk99: Float
    public var expectedShortfall95: Float
    public var expectedShortfall99: Float
    public var trendDown: Float
    public var trendFlat: Float
    public var trendUp: Float
    /// Target position, -1 to 1.
    public var position: Float
    public var reserved: UInt32
    /// Mid price after the tick in 1e-9, rounded down; `Price.undefined` without two sides.
    public var midPrice: Int64

    /// A record whose predictions are all absent.
    @inlinable
    public init() {
        let absent = Float(bitPattern: 0x7FC0_0000)
        length = UInt8(SignalRecord.byteCount / 4)
        type = RecordType.signal.rawValue
        publisherID = 0
        instrumentID = 0
        venueTimestamp = 0
        captureTimestamp = 0
        inputSequence = 0
        modelID = 0
        horizon = 0
        horizonUnit = 0
        direction = 0
        flags = 0
        probabilityDown = absent
        probabilityFlat = absent
        probabilityUp = absent
        expectedReturn = absent
        volatility = absent
        valueAtRisk95 = absent
        valueAtRisk99 = absent
        expectedShortfall95 = absent
        expectedShortfall99 = absent
        trendDown = absent
        trendFlat = absent
        trendUp = absent
        position = absent
        reserved = 0
        midPrice = Price.undefined
    }

    /// The signal that `record` is, or nil if it is another record.
    @inlinable
    public init?(_ record: borrowing Record) {
        guard record.type == .signal, record.bytes.byteCount == SignalRecord.byteCount else { return nil }
        self = unsafe record.bytes.unsafeLoadUnaligned(as: SignalRecord.self)
    }
}

/// In what a signal's horizon is counted.
public enum HorizonUnit: UInt8, Sendable {
    case ticks = 0
    case milliseconds = 1
}

/// Bits of a signal's `flags`.
public struct SignalFlags: OptionSet, Sendable, BitwiseCopyable {
    public var rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Fewer ticks than the model's warm-up length since the last reset.
    @inlinable public static var warmingUp: SignalFlags { SignalFlags(rawValue: 1) }
    /// Input was lost fewer than the model's warm-up length of ticks ago.
    @inlinable public static var staleAfterGap: SignalFlags { SignalFlags(rawValue: 2) }
    /// Best bid at or above best ask.
    @inlinable public static var crossedBook: SignalFlags { SignalFlags(rawValue: 4) }
    /// A side of the book is empty: there is no mid price and no prediction.
    @inlinable public static var oneSidedBook: SignalFlags { SignalFlags(rawValue: 8) }
    /// The first tick after a reset (new session, a halt's end, a day's roll): nothing before it bears on it.
    @inlinable public static var firstAfterReset: SignalFlags { SignalFlags(rawValue: 16) }
}

/// Records that are missing, in the place where they would have stood. 48 bytes.
@frozen
public struct GapRecord: BitwiseCopyable, Equatable, Sendable {
    @inlinable public static var byteCount: Int { 48 }

    public var length: UInt8
    public var type: UInt8
    public var publisherID: UInt16
    public var instrumentID: UInt32
    /// `ts_event` of the last record before the gap, or 0.
    public var venueTimestamp: UInt64
    /// Session of the input stream.
    public var inputSession: UInt64
    /// Sequence of the first missing record.
    public var firstMissing: UInt64
    /// Missing records, or `unknownCount`. More than a u32 holds is unknown too.
    public var count: UInt32
    /// A value of `GapReason`.
    public var reason: UInt8
    public var reserved0: UInt8
    public var reserved1: UInt16
    public var reserved2: UInt64

    /// Stands for a number of records that cannot be known, when a publisher restarted for example.
    @inlinable public static var unknownCount: UInt32 { .max }

    @inlinable
    public init(
        publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64, inputSession: UInt64,
        firstMissing: UInt64,
        count: UInt32, reason: GapReason
    ) {
        self.length = UInt8(GapRecord.byteCount / 4)
        self.type = RecordType.gap.rawValue
        self.publisherID = publisherID
        self.instrumentID = instrumentID
        self.venueTimestamp = venueTimestamp
        self.inputSession = inputSession
        self.firstMissing = firstMissing
        self.count = count
        self.reason = reason.rawValue
        self.reserved0 = 0
        self.reserved1 = 0
        self.reserved2 = 0
    }

    /// The gap that `record` is, or nil if it is another record.
    @inlinable
    public init?(_ record: borrowing Record) {
        guard record.type == .gap, record.bytes.byteCount == GapRecord.byteCount else { return nil }
        self = unsafe record.bytes.unsafeLoadUnaligned(as: GapRecord.self)
    }

    /// `count` as the record's field holds it.
    @inlinable
    public static func count(_ count: UInt64) -> UInt32 { UInt32(exactly: count) ?? unknownCount }
}

/// Why records are missing.
public enum GapReason: UInt8, Sendable {
    /// Lost between the publisher and this process: the input sequence jumped.
    case lostOnInput = 1
    /// Dropped by this process, because a ring was full and the policy is `drop`.
    case droppedByOverload = 2
    /// Replaced by newer values, because a ring was full and the policy is `conflate`.
    case conflated = 3
    /// Signals that the publisher of this stream could not write.
    case droppedOnOutput = 4
    /// The packet was malformed and its records were refused.
    case malformed = 5
}
