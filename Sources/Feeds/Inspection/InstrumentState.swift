import DBN
import MarketData

/// What the inspector remembers of one instrument between two records.
struct InstrumentState {
    var inspection: InstrumentInspection
    var typeCounts = [UInt64](repeating: 0, count: 256)
    private var lastSequence: UInt32?
    private var lastSequenceDay: UInt64 = 0
    private var lastVenueTimestamp: UInt64?

    init(publisherID: UInt16, instrumentID: UInt32) {
        inspection = InstrumentInspection(publisherID: publisherID, instrumentID: instrumentID)
        inspection.sequenceRule = Publisher.sequenceRule(id: publisherID)
    }

    mutating func add(_ record: Record, isTick: Bool, captureTimestamp: UInt64?) {
        inspection.records += 1
        if isTick { inspection.ticks += 1 }
        typeCounts[Int(record.type.rawValue)] += 1
        if let definition = DefinitionView(record) {
            inspection.tickSize = InstrumentState.size(definition.tickSize)
            inspection.lotSize = InstrumentState.size(definition.unitOfMeasureQuantity)
        }
        if let captureTimestamp {
            noteClocks(captureTimestamp, venue: record.venueTimestamp)
        }
        if let view = MBOView(record) {
            noteFlags(view.flags)
            if view.price == Price.undefined { inspection.undefinedPrices += 1 }
        } else if record.isTradeOrBook {
            noteFlags(record.flags)
            noteSequence(record, day: (captureTimestamp ?? 0) / Timestamp.nanosecondsPerDay)
            if record.levelCount > 0 {
                let best = record.level(0)
                noteTouch(bid: best.bidPrice, ask: best.askPrice)
            } else if record.price == Price.undefined {
                inspection.undefinedPrices += 1
            }
        } else if let view = BBOView(record) {
            noteFlags(view.flags)
            noteTouch(bid: view.level.bidPrice, ask: view.level.askPrice)
        } else if let view = CMBP1View(record) {
            noteFlags(view.flags)
            noteTouch(bid: view.bidPrice, ask: view.askPrice)
        }
    }

    private static func size(_ value: Int64) -> Int64? {
        value > 0 && value != Price.undefined ? value : nil
    }

    private mutating func noteClocks(_ capture: UInt64, venue: UInt64) {
        if let last = inspection.lastTimestamp, capture < last { inspection.captureReversals += 1 }
        inspection.firstTimestamp = inspection.firstTimestamp ?? capture
        inspection.lastTimestamp = capture
        guard venue != Timestamp.undefined else { return }
        if let last = lastVenueTimestamp, venue < last { inspection.venueReversals += 1 }
        lastVenueTimestamp = venue
    }

    private mutating func noteFlags(_ flags: RecordFlags) {
        if flags.contains(.maybeBadBook) { inspection.doubtfulBooks += 1 }
        if flags.contains(.badCaptureTimestamp) { inspection.badCaptureTimestamps += 1 }
        if flags.contains(.snapshot) { inspection.snapshotRecords += 1 }
    }

    private mutating func noteTouch(bid: Int64, ask: Int64) {
        guard bid != Price.undefined, ask != Price.undefined else {
            inspection.oneSidedBooks += 1
            return
        }
        if bid >= ask { inspection.crossedBooks += 1 }
    }

    private mutating func noteSequence(_ record: Record, day: UInt64) {
        let isTrade = record.type == .trade
        switch inspection.sequenceRule {
        case .unknown: return
        case .consecutiveTrades: guard isTrade else { return }
        case .consecutiveRecords: break
        }
        let sequence = record.venueSequence
        defer {
            lastSequence = sequence
            lastSequenceDay = day
        }
        guard let last = lastSequence else { return }
        let step = sequence &- last
        let mayRepeat = inspection.sequenceRule == .consecutiveRecords
        if step == 1 || (step == 0 && mayRepeat) { return }
        // Rows are numbered from 1 again each day.
        if mayRepeat, sequence == 1, day != lastSequenceDay { return }
        inspection.sequenceGaps += 1
        // A step of more than half the circle is one backwards.
        if step < 1 << 31, step > 0 { inspection.sequencesMissing += UInt64(step - 1) }
    }
}
