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
    /// Ticks whose signals found no room, and gaps that found none: a run of input sequences that the next gap record
    /// names.
    private(set) var unwritten = MissingRange.none
    private(set) var unwrittenSession: UInt64 = 0
    /// An incident has been reported for this instrument already: order-by-order data.
    var hasReportedUnsupported = false

    init(tickSize: Int64, rule: TickRule, model: Model) {
        features = InstrumentFeatures(tickSize: tickSize, rule: rule)
        modelState = model.makeState()
    }

    /// The records between the last one taken and the envelope's, which newer values have replaced.
    func skipped(before envelope: TickEnvelope) -> MissingRange {
        let reason = UInt32(GapReason.conflated.rawValue)
        if nextSequence > 0, session != envelope.session {
            // How many the old session still had is not known.
            return MissingRange(first: envelope.firstSequence, count: GapRecord.unknownCount, reason: reason)
        }
        let next = nextSequence > 0 ? nextSequence : envelope.firstSequence
        guard envelope.sequence > next else { return .none }
        return MissingRange(first: next, count: GapRecord.count(envelope.sequence - next), reason: reason)
    }

    /// Adds to the run of what found no room in the signal ring. A run over two sessions has a count that cannot be
    /// known.
    mutating func leaveUnwritten(_ range: MissingRange, session: UInt64) {
        defer { unwrittenSession = session }
        guard unwritten.count > 0 else {
            unwritten = range
            return
        }
        let isSameSession = unwrittenSession == session
        let first = isSameSession ? unwritten.first : range.first
        let isUnknown = unwritten.isUnknown || range.isUnknown || !isSameSession
        unwritten = MissingRange(
            first: first,
            count: isUnknown ? GapRecord.unknownCount : GapRecord.count(range.first &+ UInt64(range.count) &- first),
            reason: UInt32(GapReason.droppedOnOutput.rawValue))
    }

    mutating func tellUnwritten() { unwritten = .none }

    /// Takes over what the subscribers are still to be told from the state before a new definition.
    mutating func goOn(from old: borrowing InstrumentState) {
        session = old.session
        nextSequence = old.nextSequence
        unwritten = old.unwritten
        unwrittenSession = old.unwrittenSession
        ticksSinceGap = old.ticksSinceGap
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
