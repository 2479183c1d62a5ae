internal import Features
internal import Inference
internal import MarketData
internal import Wire

/// Everything that a worker keeps for one instrument.
///
/// Reset by a new session, the end of a halt and the roll of the day: book, features and model state start anew, and
/// signals carry the warming-up flag until the warm-up length has passed.
struct InstrumentState: ~Copyable {
    var extractor: FeatureExtractor
    var modelState: ModelState
    var rule: TickRule
    let tickSize: Int64

    /// The clock of the data path: `ts_recv` of the last record that had one, in nanoseconds.
    var captureTimestamp: UInt64 = 0
    var session: UInt64 = 0
    var ticksSinceReset = 0
    var ticksSinceGap = Int.max
    var isHalted = false
    /// The next tick is the first of a new segment.
    var isFreshlyReset = true
    /// Ticks whose signals found no room: a run of input sequences that the next gap record names.
    var unwritten = MissingRange.none
    /// An incident has been reported for this instrument already: order-by-order data.
    var hasReportedUnsupported = false

    init(tickSize: Int64, rule: TickRule, model: Model) {
        self.tickSize = tickSize
        self.rule = rule
        extractor = FeatureExtractor(tickSize: tickSize)
        modelState = model.makeState()
    }

    mutating func reset() {
        extractor.reset()
        modelState.reset()
        ticksSinceReset = 0
        ticksSinceGap = Int.max
        isFreshlyReset = true
    }

    /// Takes over a record's capture timestamp; a record without one takes the last one seen.
    ///
    /// - Returns: whether the day rolled over, at 00:00 UTC of the capture clock.
    mutating func advanceClock(to timestamp: UInt64) -> Bool {
        guard timestamp != Timestamp.undefined, timestamp != 0 else { return false }
        let previous = captureTimestamp
        captureTimestamp = timestamp
        guard previous != 0 else { return false }
        return timestamp / Timestamp.nanosecondsPerDay > previous / Timestamp.nanosecondsPerDay
    }
}
