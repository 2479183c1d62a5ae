public import Features
public import MarketData

/// One instrument's book and features with the rules of time around them: the same code for live signals, back-tests
/// and the export of training data, so that these cannot differ.
///
/// A new session, the end of a halt and the roll of the day (00:00 UTC of the capture clock) reset book and features.
public struct InstrumentFeatures: ~Copyable {
    /// What a record did.
    public enum Effect: Equatable, Sendable {
        /// Nothing that matters to a signal.
        case none
        /// It completed a tick: `completeTick` is to be called.
        case tick
        /// It is order-by-order data, from which no book is built here.
        case unsupported
    }

    public var extractor: FeatureExtractor
    public let rule: TickRule
    /// `ts_recv` of the last record that had one, in nanoseconds: the clock of the data path.
    public private(set) var captureTimestamp: UInt64 = 0
    /// Ticks completed since the last reset.
    public private(set) var ticksSinceReset = 0
    /// Resets since the start.
    public private(set) var resets = 0
    private var isHalted = false

    public init(tickSize: Int64, rule: TickRule) {
        extractor = FeatureExtractor(tickSize: tickSize)
        self.rule = rule
    }

    public mutating func reset() {
        extractor.reset()
        ticksSinceReset = 0
        resets += 1
    }

    /// Takes the next record of the stream.
    public mutating func apply(_ record: borrowing Record) -> Effect {
        guard record.isTradeOrBook else { return applyOther(record) }
        advanceClock(to: record.captureTimestamp)
        extractor.apply(record)
        return rule.completesTick(record) ? .tick : .none
    }

    /// Writes the feature vector of the tick that `apply` has completed.
    public mutating func completeTick(into features: UnsafeMutablePointer<Float>) {
        unsafe extractor.completeTick(captureTimestamp: captureTimestamp, into: features)
        ticksSinceReset += 1
    }

    /// A record without a capture timestamp takes the last one seen.
    private mutating func advanceClock(to timestamp: UInt64) {
        guard timestamp != Timestamp.undefined, timestamp != 0 else { return }
        let previous = captureTimestamp
        captureTimestamp = timestamp
        guard previous != 0, timestamp > previous else { return }
        if timestamp / Timestamp.nanosecondsPerDay > previous / Timestamp.nanosecondsPerDay { reset() }
    }

    private mutating func applyOther(_ record: borrowing Record) -> Effect {
        if record.type == .mbo { return .unsupported }
        guard record.type == .status, let action = TradingState(record) else { return .none }
        switch action {
        case .halted: isHalted = true
        case .trading:
            if isHalted { reset() }
            isHalted = false
        // Quoting and auctions between a halt and the next trading belong to the halt.
        case .other: break
        }
        return .none
    }
}

/// The trading states that matter here, from the action of a status record (DBN's `StatusAction`).
private enum TradingState {
    case trading
    case halted
    case other

    /// Halt, pause and suspend.
    private static let haltedValues: ClosedRange<UInt16> = 8...10
    private static let tradingValue: UInt16 = 7
    private static let actionOffset = 24
    private static let statusByteCount = 40

    init?(_ record: borrowing Record) {
        guard record.bytes.byteCount >= TradingState.statusByteCount else { return nil }
        let value = record.load(TradingState.actionOffset, as: UInt16.self)
        if TradingState.haltedValues.contains(value) {
            self = .halted
        } else {
            self = value == TradingState.tradingValue ? .trading : .other
        }
    }
}
