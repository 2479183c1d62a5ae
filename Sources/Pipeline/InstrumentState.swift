internal import Inference
internal import MarketData

/// Everything that a worker keeps for one instrument.
struct InstrumentState: ~Copyable {
    var features: InstrumentFeatures
    var modelState: ModelState
    /// Session of the input stream; 0 before the first packet.
    var session: UInt64 = 0
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

    /// Resets the model's state if the features were reset. Returns whether they were.
    mutating func followReset() -> Bool {
        guard features.resets != resetsFollowed else { return false }
        resetsFollowed = features.resets
        modelState.reset()
        ticksSinceGap = Int.max
        return true
    }
}
