internal import Inference
internal import MarketData
internal import Wire

/// Everything that a worker keeps for one instrument.
struct InstrumentState: ~Copyable {
    var features: InstrumentFeatures
    var modelState: ModelState
    /// Session of the input stream; 0 before the first packet.
    var session: UInt64 = 0
    /// Sequence behind the last record taken; 0 before the first.
    var nextSequence: UInt64 = 0
    var ticksSinceGap = Int.max
    /// Resets of the features that the model's state has followed.
    var resetsFollowed = 0
    /// Ticks whose signals found no room: a run of input sequences that the next gap record names.
    var unwritten = MissingRange.none
    /// An incident has been reported for this instrument already: order-by-order data.
    var hasReportedUnsupported = false

    init(tickSize: Int64, rule: TickRule, model: Model) {
        features = InstrumentFeatures(tickSize: tickSize, rule: rule)
        modelState = model.makeState()
    }

    /// The records between the last one taken and `sequence`, which newer values have replaced.
    func skipped(before sequence: UInt64) -> MissingRange {
        guard nextSequence > 0, sequence > nextSequence else { return .none }
        return MissingRange(
            first: nextSequence, count: GapRecord.count(sequence - nextSequence),
            reason: UInt32(GapReason.conflated.rawValue))
    }

    /// Resets the model's state if the features were reset. Returns whether they were.
    mutating func followReset() -> Bool {
        guard features.resets != resetsFollowed else { return false }
        resetsFollowed = features.resets
        modelState.reset()
        ticksSinceGap = Int.max
        return true
    }
}
