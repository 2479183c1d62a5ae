internal import CPlatform
internal import Features
internal import Inference
internal import MarketData
internal import RingBuffer
internal import Wire

extension Worker {
    /// Handles one message of the tick ring.
    ///
    /// - Returns: false if the signal ring is full; the message is then to be given again, and goes on where it
    ///   stopped.
    mutating func process(_ message: UnsafeRawBufferPointer, isFromBeside: Bool) -> Bool {
        guard let base = message.baseAddress, message.count >= TickEnvelope.byteCount else { return true }
        let envelope = unsafe base.load(as: TickEnvelope.self)
        let payload = unsafe UnsafeRawBufferPointer(rebasing: message[TickEnvelope.byteCount...])
        switch envelope.kind {
        case TickEnvelope.Kind.records: return unsafe processRecords(envelope, payload, isFromBeside)
        case TickEnvelope.Kind.definition:
            define(envelope, payload)
            return true
        default: return end()
        }
    }

    private mutating func define(_ envelope: TickEnvelope, _ payload: UnsafeRawBufferPointer) {
        let definition = unsafe payload.load(as: DefinitionCommand.self)
        let rule = TickRule(rawValue: UInt8(truncatingIfNeeded: definition.rule)) ?? .lastFlag
        settle()
        var state = InstrumentState(tickSize: definition.tickSize, rule: rule, model: model)
        if let old = unsafe instruments[Int(envelope.instrument)] { unsafe state.goOn(from: old.pointee) }
        instruments.define(Int(envelope.instrument), state)
    }

    /// Tells the publisher that nothing follows, after what is still to be told of signals that found no room.
    private mutating func end() -> Bool {
        guard output.isDrainedBeside else { return false }
        for index in 0..<registry.count {
            guard let state = unsafe instruments[index] else { continue }
            guard unsafe writeUnwritten(UInt32(index), state) else { return false }
        }
        guard let target = output.ring.tryClaim(byteCount: SignalEnvelope.byteCount) else { return false }
        unsafe target.storeBytes(of: SignalEnvelope(kind: SignalEnvelope.Kind.end), as: SignalEnvelope.self)
        output.commit(byteCount: SignalEnvelope.byteCount)
        isFinished = true
        return true
    }

    private mutating func processRecords(
        _ received: TickEnvelope, _ payload: UnsafeRawBufferPointer, _ isFromBeside: Bool
    ) -> Bool {
        guard let state = unsafe instruments[Int(received.instrument)] else { return true }
        var envelope = received
        if isFromBeside { unsafe envelope.lost = state.pointee.skipped(before: envelope) }
        if !resume.hasBegun {
            guard begin(envelope, state) else { return false }
            resume.hasBegun = true
        }
        while resume.byteOffset < payload.count {
            guard let record = Record(at: unsafe payload.bytes.extracting(droppingFirst: resume.byteOffset)) else {
                break
            }
            guard unsafe take(record, envelope, state) else { return false }
            resume.byteOffset += record.bytes.byteCount
            resume.recordIndex += 1
        }
        resume = Resume()
        unsafe state.pointee.nextSequence = envelope.sequence &+ UInt64(envelope.recordCount)
        return true
    }

    /// What stands in front of a packet's records: gaps, and the start of a session.
    private mutating func begin(_ envelope: TickEnvelope, _ state: UnsafeMutablePointer<InstrumentState>) -> Bool {
        // In the order of their sequences: what was dropped came before what was lost in front of this packet.
        if !resume.droppedIsWritten {
            guard unsafe writeGap(envelope.dropped, envelope.droppedSession, envelope, state) else { return false }
            resume.droppedIsWritten = true
        }
        if !resume.lostIsWritten {
            guard unsafe writeGap(envelope.lost, envelope.session, envelope, state) else { return false }
            resume.lostIsWritten = true
        }
        // Not told by the packet that began it: that one may have been dropped, or replaced beside the ring.
        if unsafe state.pointee.nextSequence > 0, unsafe envelope.session != state.pointee.session {
            unsafe state.pointee.features.reset()
        }
        unsafe state.pointee.session = envelope.session
        return true
    }

    /// Handles one record. Returns false, with nothing changed, if it completes a tick and the signal ring is full.
    private mutating func take(
        _ record: borrowing Record, _ envelope: TickEnvelope, _ state: UnsafeMutablePointer<InstrumentState>
    ) -> Bool {
        var target: UnsafeMutableRawPointer?
        if unsafe state.pointee.features.rule.completesTick(record) {
            let isBeside = policy == .conflate && output.isFreshBeside(Int(envelope.instrument))
            unsafe target = isBeside ? nil : claim(state)
            if unsafe target == nil, policy == .block { return false }
        }
        let start = cycles()
        switch unsafe state.pointee.features.apply(record) {
        case .none: break
        case .tick:
            let sequence = envelope.sequence &+ resume.recordIndex
            unsafe completeTick(record, envelope, sequence, state, target, decodeStart: start)
        case .unsupported: unsafe refuse(envelope, state)
        }
        return true
    }

    private func cycles() -> UInt64 { ticksToTimed == 0 ? martlet_cycles() : 0 }

    /// Room for the gap that is still to be told, and the signals of one tick.
    private mutating func claim(_ state: UnsafeMutablePointer<InstrumentState>) -> UnsafeMutableRawPointer? {
        let gap = unsafe state.pointee.unwritten.count > 0 ? GapRecord.byteCount : 0
        return output.ring.tryClaim(
            byteCount: SignalEnvelope.byteCount + gap + horizons.count * SignalRecord.byteCount)
    }

    private mutating func completeTick(
        _ record: borrowing Record, _ envelope: TickEnvelope, _ sequence: UInt64,
        _ state: UnsafeMutablePointer<InstrumentState>, _ target: UnsafeMutableRawPointer?, decodeStart: UInt64
    ) {
        settle()
        let featureStart = cycles()
        if unsafe state.pointee.followReset() { counters.add(.resets, 1) }
        let isFreshlyReset = unsafe state.pointee.features.ticksSinceReset == 0
        unsafe state.pointee.features.completeTick(into: features.base)
        let modelStart = cycles()
        unsafe engine.predict(features: features.base, state: &state.pointee.modelState)
        unsettled = Int(envelope.instrument)
        let publishStart = cycles()
        counters.add(.ticks, 1)
        if let target = unsafe target {
            unsafe write(record, envelope, sequence, state, target, isFreshlyReset)
        } else {
            unsafe overload(record, envelope, sequence, state, isFreshlyReset)
        }
        if unsafe state.pointee.ticksSinceGap < Int.max { unsafe state.pointee.ticksSinceGap += 1 }
        if ticksToTimed == 0 {
            ticksToTimed = stageInterval
            let end = martlet_cycles()
            stages.decode.record(nanoseconds(decodeStart, featureStart))
            stages.features.record(nanoseconds(featureStart, modelStart))
            stages.model.record(nanoseconds(modelStart, publishStart))
            stages.publish.record(nanoseconds(publishStart, end))
        }
        ticksToTimed -= 1
    }

    private func nanoseconds(_ start: UInt64, _ end: UInt64) -> UInt64 {
        end > start ? UInt64(Double(end - start) / cyclesPerNanosecond) : 0
    }

    /// Writes the tick's signals into claimed ring memory, after the gap that precedes them, if any.
    private mutating func write(
        _ record: borrowing Record, _ envelope: TickEnvelope, _ sequence: UInt64,
        _ state: UnsafeMutablePointer<InstrumentState>, _ target: UnsafeMutableRawPointer, _ isFreshlyReset: Bool
    ) {
        let end = unsafe target + SignalEnvelope.byteCount
        let written = unsafe writeRecords(record, sequence, state, to: end, isFreshlyReset)
        let signals = SignalEnvelope(envelope, sequence, recordCount: written.count)
        unsafe target.storeBytes(of: signals, as: SignalEnvelope.self)
        output.commit(byteCount: unsafe written.end - target)
    }

    /// Writes the gap that precedes the tick, if any, and its signals. Returns the end of what it wrote, and the
    /// number of records.
    private mutating func writeRecords(
        _ record: borrowing Record, _ sequence: UInt64, _ state: UnsafeMutablePointer<InstrumentState>,
        to target: UnsafeMutableRawPointer, _ isFreshlyReset: Bool
    ) -> (end: UnsafeMutableRawPointer, count: Int) {
        var cursor = unsafe target
        var count = horizons.count
        if unsafe state.pointee.unwritten.count > 0 {
            let gap = unsafe Worker.gapRecord(
                state.pointee.unwritten, session: state.pointee.unwrittenSession, publisherID: record.publisherID,
                instrumentID: record.instrumentID)
            unsafe cursor.storeBytes(of: gap, as: GapRecord.self)
            count += 1
            unsafe cursor += GapRecord.byteCount
            unsafe state.pointee.tellUnwritten()
        }
        unsafe writeSignals(commonFields(record, sequence, state, isFreshlyReset), to: cursor)
        return unsafe (cursor + horizons.count * SignalRecord.byteCount, count)
    }

    /// Writes one record for each horizon.
    ///
    /// Mutating, as `commonFields` is, though it changes nothing of the worker: a worker that is only borrowed from an
    /// exclusive access is copied for the call, 650 bytes a time.
    private mutating func writeSignals(_ common: SignalRecord, to target: UnsafeMutableRawPointer) {
        var signal = common
        let outputs = engine.outputs
        for horizon in 0..<horizons.count {
            fill(&signal, horizon, outputs)
            unsafe target.storeBytes(of: signal, toByteOffset: horizon * SignalRecord.byteCount, as: SignalRecord.self)
        }
        counters.add(.signalsComputed, horizons.count)
    }

    /// The signal ring is full: drops the tick's signals, or makes them the instrument's newest beside the ring.
    private mutating func overload(
        _ record: borrowing Record, _ envelope: TickEnvelope, _ sequence: UInt64,
        _ state: UnsafeMutablePointer<InstrumentState>, _ isFreshlyReset: Bool
    ) {
        guard policy == .conflate else {
            unsafe drop(sequence, envelope, state)
            return
        }
        guard let target = unsafe output.slot(Int(envelope.instrument)) else { return }
        // A gap goes with the value; if a newer one replaces it, the publisher's gap record spans it.
        let end = unsafe target + SignalEnvelope.byteCount
        let written = unsafe writeRecords(record, sequence, state, to: end, isFreshlyReset)
        var signals = SignalEnvelope(envelope, sequence, recordCount: written.count)
        signals.ringCount = output.count
        unsafe target.storeBytes(of: signals, as: SignalEnvelope.self)
        if output.publishSlot(Int(envelope.instrument), byteCount: unsafe written.end - target) {
            counters.add(.signalsConflatedOnOutput, horizons.count)
        }
    }

    private static func gapRecord(
        _ range: MissingRange, session: UInt64, publisherID: UInt16, instrumentID: UInt32
    ) -> GapRecord {
        GapRecord(
            publisherID: publisherID, instrumentID: instrumentID, venueTimestamp: 0, inputSession: session,
            firstMissing: range.first, count: range.count,
            reason: GapReason(rawValue: UInt8(truncatingIfNeeded: range.reason)) ?? .lostOnInput)
    }

    private mutating func commonFields(
        _ record: borrowing Record, _ sequence: UInt64, _ state: UnsafeMutablePointer<InstrumentState>,
        _ isFreshlyReset: Bool
    ) -> SignalRecord {
        var signal = SignalRecord()
        signal.publisherID = record.publisherID
        signal.instrumentID = record.instrumentID
        signal.venueTimestamp = record.venueTimestamp
        signal.captureTimestamp = unsafe state.pointee.features.captureTimestamp
        signal.inputSequence = sequence
        signal.modelID = modelID
        unsafe signal.midPrice = state.pointee.features.extractor.book.midPrice
        var flags: SignalFlags = []
        // The tick at hand has been counted.
        if unsafe state.pointee.features.ticksSinceReset <= warmUpTicks { flags.insert(.warmingUp) }
        if unsafe state.pointee.ticksSinceGap < warmUpTicks { flags.insert(.staleAfterGap) }
        if unsafe state.pointee.features.extractor.book.isCrossed { flags.insert(.crossedBook) }
        if signal.midPrice == Price.undefined { flags.insert(.oneSidedBook) }
        if isFreshlyReset { flags.insert(.firstAfterReset) }
        signal.flags = flags.rawValue
        return signal
    }

    /// The predictions for one horizon. Without a mid price they stay absent.
    private func fill(_ signal: inout SignalRecord, _ index: Int, _ outputs: ModelOutputs) {
        signal.horizon = horizons[index].length
        signal.horizonUnit = horizons[index].unit
        guard signal.midPrice != Price.undefined else { return }
        unsafe signal.probabilityDown = outputs.probabilities[3 * index]
        unsafe signal.probabilityFlat = outputs.probabilities[3 * index + 1]
        unsafe signal.probabilityUp = outputs.probabilities[3 * index + 2]
        signal.direction = Worker.direction(of: signal)
        if let values = unsafe outputs.expectedReturn { unsafe signal.expectedReturn = values[index] }
        if let values = unsafe outputs.volatility { unsafe signal.volatility = values[index] }
        if let values = unsafe outputs.valueAtRisk {
            unsafe signal.valueAtRisk95 = values[2 * index]
            unsafe signal.valueAtRisk99 = values[2 * index + 1]
        }
        if let values = unsafe outputs.expectedShortfall {
            unsafe signal.expectedShortfall95 = values[2 * index]
            unsafe signal.expectedShortfall99 = values[2 * index + 1]
        }
        if let values = unsafe outputs.trend {
            unsafe signal.trendDown = values[0]
            unsafe signal.trendFlat = values[1]
            unsafe signal.trendUp = values[2]
        }
        if let values = unsafe outputs.position { unsafe signal.position = values[0] }
    }

    /// The most probable class, the first of equals in the order flat, down, up.
    static func direction(of signal: SignalRecord) -> Int8 {
        var direction: Int8 = 0
        var best = signal.probabilityFlat
        if signal.probabilityDown > best {
            best = signal.probabilityDown
            direction = -1
        }
        if signal.probabilityUp > best { direction = 1 }
        return direction
    }

    /// Counts a tick whose signals found no room, and remembers it for the next gap record.
    private func drop(
        _ sequence: UInt64, _ envelope: TickEnvelope, _ state: UnsafeMutablePointer<InstrumentState>
    ) {
        let tick = MissingRange(first: sequence, count: 1, reason: UInt32(GapReason.droppedOnOutput.rawValue))
        unsafe state.pointee.leaveUnwritten(tick, session: envelope.session)
        counters.add(.signalsDroppedOnOutput, horizons.count)
    }

    /// A gap record for records that did not reach this worker. False if the signal ring is full and the policy waits.
    private mutating func writeGap(
        _ range: MissingRange, _ session: UInt64, _ envelope: TickEnvelope,
        _ state: UnsafeMutablePointer<InstrumentState>
    ) -> Bool {
        guard range.count > 0 else { return true }
        unsafe state.pointee.ticksSinceGap = 0
        // Behind a value beside the ring that is still to be taken, the gap would be told too early.
        let isBeside = policy == .conflate && output.isFreshBeside(Int(envelope.instrument))
        if !isBeside, unsafe writeUnwritten(envelope.instrument, state),
            writeGap(range, session, envelope.instrument)
        {
            return true
        }
        if policy == .block { return false }
        // It is told with the next signals that find room.
        unsafe state.pointee.leaveUnwritten(range, session: session)
        return true
    }

    /// Tells the run of ticks whose signals found no room, if there is one. False if there is none for the gap either.
    private mutating func writeUnwritten(
        _ instrument: UInt32, _ state: UnsafeMutablePointer<InstrumentState>
    ) -> Bool {
        guard unsafe state.pointee.unwritten.count > 0 else { return true }
        guard unsafe writeGap(state.pointee.unwritten, state.pointee.unwrittenSession, instrument) else { return false }
        unsafe state.pointee.tellUnwritten()
        return true
    }

    /// Writes a gap record by itself. False if the signal ring is full.
    private mutating func writeGap(_ range: MissingRange, _ session: UInt64, _ instrument: UInt32) -> Bool {
        let byteCount = SignalEnvelope.byteCount + GapRecord.byteCount
        guard let target = unsafe output.ring.tryClaim(byteCount: byteCount) else { return false }
        var signalEnvelope = SignalEnvelope(kind: SignalEnvelope.Kind.records)
        signalEnvelope.instrument = instrument
        signalEnvelope.recordCount = 1
        unsafe target.storeBytes(of: signalEnvelope, as: SignalEnvelope.self)
        let gap = Worker.gapRecord(range, session: session, publisherID: 0, instrumentID: 0)
        unsafe (target + SignalEnvelope.byteCount).storeBytes(of: gap, as: GapRecord.self)
        output.commit(byteCount: byteCount)
        return true
    }

    /// Order-by-order records are counted, and refused by name once.
    private mutating func refuse(_ envelope: TickEnvelope, _ state: UnsafeMutablePointer<InstrumentState>) {
        counters.add(.recordsUnsupported, 1)
        guard unsafe !state.pointee.hasReportedUnsupported else { return }
        unsafe state.pointee.hasReportedUnsupported = true
        let entry = registry[Int(envelope.instrument)]
        incidents.report(
            "\(entry.dataset) \(entry.symbol): order-by-order (mbo) records are skipped; give mbp-1 or mbp-10 data")
    }
}

/// What a definition envelope carries.
struct DefinitionCommand: BitwiseCopyable {
    static let byteCount = 16

    /// In 1e-9, positive.
    let tickSize: Int64
    /// A raw value of `TickRule`.
    let rule: UInt64
}
