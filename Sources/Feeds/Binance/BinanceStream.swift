import DBN
import MarketData

/// The captures of one instrument as one stream: the book followed through snapshots, diffs and tickers.
final class BinanceStream: ConversionStream {
    /// Whether the book can be trusted.
    enum State {
        /// A snapshot comes later in the stream: diffs wait for it.
        case waiting
        /// Snapshot and every diff since: the book is right.
        case following
        /// No snapshot comes: the book is built from diffs and may be wrong.
        case rebuilding
    }

    /// A diff that arrived before the snapshot that it follows.
    struct HeldDiff {
        var firstUpdate: UInt64
        var lastUpdate: UInt64
        var previousUpdate: UInt64?
        var venueTimestamp: UInt64
        var bids: [BinanceBook.Change]
        var asks: [BinanceBook.Change]
        var position: InputPosition
    }

    /// Most level changes held for a snapshot (24 MB); beyond it the book is built from them, flagged.
    static let heldChangeCountMax = 1_000_000

    var report: InstrumentConversion
    private(set) var nextTimestamp: UInt64?

    let market: BinanceMarket
    let instrument: Instrument
    let id: UInt32
    private let lots: LotScale

    private let files: [BinanceFile]
    private var nextFile = 0
    private var closedByteCount: UInt64 = 0
    private var stream: ByteStream?
    private var reader: LineReader?
    var message = BinanceMessage()

    var book = BinanceBook()
    var state: State
    var held: [HeldDiff] = []
    private var heldChangeCount = 0
    /// The next diff is the first after a snapshot, which it must straddle.
    private var isAfterSnapshot = false
    private var hasFollowed = false
    /// Identifiers of all snapshots, and how many have been met.
    private let snapshots: [UInt64]
    private var snapshotsMet = 0
    private var lastTradeID: UInt64?
    private var levels = [BookLevel](repeating: BookLevel(), count: OrderBook.depth)

    init(files: [BinanceFile], market: BinanceMarket, instrument: Instrument, id: UInt32) throws(FeedError) {
        self.files = files
        self.market = market
        self.instrument = instrument
        self.id = id
        lots = LotScale(lotSize: instrument.lotSize)
        snapshots = files.flatMap { $0.snapshots.map(\.update) }
        state = snapshots.isEmpty ? .rebuilding : .waiting
        report = InstrumentConversion(
            symbol: instrument.symbol, instrumentID: id, tickSize: instrument.tickSize,
            lotSize: instrument.lotSize)
        report.files = files.map(\.file.path)
        try advance()
    }

    var consumedByteCount: UInt64 { closedByteCount + (stream?.consumedByteCount ?? 0) }

    func step<Sink: RecordSink & ~Copyable>(into sink: inout Sink) throws(FeedError) {
        switch message.kind {
        case .trade: try writeTrade(to: &sink)
        case .ticker: try applyTicker(to: &sink)
        case .depth: try applyDiff(diff(), capturedAt: message.captureTimestamp, to: &sink)
        case .snapshot: try applySnapshot(to: &sink)
        case .other: report.ignoredEvents[ignoredName, default: 0] += 1
        }
        try advance()
    }
}

/// Reading.
extension BinanceStream {
    /// Most kinds of ignored event counted by name, since names come from outside.
    private static let ignoredNameCountMax = 32

    private var ignoredName: String {
        let name = message.eventName.isEmpty ? "message without an event name" : message.eventName.text
        let isKnown = report.ignoredEvents[name] != nil
        return isKnown || report.ignoredEvents.count < BinanceStream.ignoredNameCountMax ? name : "others"
    }

    var position: InputPosition { InputPosition(file: reader?.path ?? "", line: reader?.lineNumber ?? 0) }

    /// Reads lines until one is a message, through the files.
    private func advance() throws(FeedError) {
        let before = nextTimestamp
        nextTimestamp = nil
        while nextTimestamp == nil {
            if reader == nil {
                guard nextFile < files.count else { return }
                let opened = try ByteStream(file: files[nextFile].file)
                stream = opened
                reader = LineReader(path: files[nextFile].file.path, stream: opened)
                nextFile += 1
            }
            guard let reader, try reader.next() else {
                closedByteCount = consumedByteCount
                stream = nil
                reader = nil
                continue
            }
            if reader.line.isEmpty { continue }
            report.lines += 1
            do throws(BinanceMessage.Problem) {
                try message.read(reader.line)
                try checkKind()
            } catch {
                report.malformed.add(position)
                continue
            }
            try checkSymbol()
            nextTimestamp = message.captureTimestamp
        }
        if let before, let now = nextTimestamp, now < before { report.clockReversals.add(position) }
    }

    /// What a message of this market needs beyond what its kind needs.
    private func checkKind() throws(BinanceMessage.Problem) {
        if message.kind == .depth, market != .spot, message.previousUpdate == nil { throw .missing("pu") }
    }

    private func checkSymbol() throws(FeedError) {
        guard !message.symbol.isEmpty, message.symbol.text != instrument.symbol else { return }
        throw .content(
            path: position.file, line: position.line, found: "a message of \(message.symbol.text)",
            expected:
                "\(instrument.symbol) alone, as in the lines before; give each instrument a file of its own")
    }

    /// Venue time of the message; Binance spot tickers and snapshots have none.
    private var venueTimestamp: UInt64 {
        guard let milliseconds = message.transactionMilliseconds ?? message.eventMilliseconds else {
            return Timestamp.undefined
        }
        return milliseconds * 1_000_000
    }

    /// A side's levels; counts sizes that are not whole lots.
    private func changes(_ side: [BinanceMessage.Level]) -> [BinanceBook.Change] {
        for level in side where lots.lots(level.size) == nil { report.oddSizes.add(position) }
        return side
    }

    private func diff() -> HeldDiff {
        HeldDiff(
            firstUpdate: message.firstUpdate ?? 0, lastUpdate: message.lastUpdate ?? 0,
            previousUpdate: message.previousUpdate, venueTimestamp: venueTimestamp,
            bids: changes(message.bids),
            asks: changes(message.asks), position: position)
    }
}

/// Following the book.
extension BinanceStream {
    private func applySnapshot<Sink: RecordSink & ~Copyable>(to sink: inout Sink) throws(FeedError) {
        let update = message.lastUpdate ?? 0
        snapshotsMet += 1
        report.snapshots += 1
        let isOlder = state == .following && update < book.update ?? 0
        if isOlder {
            report.olderSnapshots += 1
        } else {
            book.replace(update: update, bids: changes(message.bids), asks: changes(message.asks))
            if hasFollowed, state != .following { report.resyncs += 1 }
            state = .following
            hasFollowed = true
            isAfterSnapshot = true
        }
        try writeBook(
            venueTimestamp, message.captureTimestamp, update: update, side: Side.none,
            flags: [.snapshot, .aggregated],
            to: &sink)
        // The diffs that came before it take effect now: their own capture times would make the clock run
        // backwards.
        let diffs = held
        held.removeAll()
        heldChangeCount = 0
        for diff in diffs {
            if state == .following { report.heldDiffs += 1 }
            try applyDiff(diff, capturedAt: message.captureTimestamp, to: &sink)
        }
    }

    /// What a diff is to the book, by the rules that Binance documents for local order books.
    private enum Place {
        case next
        case superseded
        case gap(expected: UInt64, found: UInt64)
    }

    private func place(of diff: HeldDiff) -> Place {
        guard let update = book.update else { return .next }
        if isAfterSnapshot {
            if isSuperseded(diff, bySnapshot: update) { return .superseded }
            // Spot: U <= lastUpdateId + 1 <= u. Futures: U <= lastUpdateId <= u, or the diff that follows it
            // directly.
            let straddles = diff.firstUpdate <= (market == .spot ? update + 1 : update)
            return straddles || diff.previousUpdate == update
                ? .next : .gap(expected: update, found: diff.previousUpdate ?? diff.firstUpdate)
        }
        if market == .spot {
            return diff.firstUpdate == update + 1
                ? .next : .gap(expected: update + 1, found: diff.firstUpdate)
        }
        let previous = diff.previousUpdate ?? 0
        return previous == update ? .next : .gap(expected: update, found: previous)
    }

    /// Spot drops `u <= lastUpdateId`, futures `u < lastUpdateId`.
    private func isSuperseded(_ diff: HeldDiff, bySnapshot update: UInt64) -> Bool {
        market == .spot ? diff.lastUpdate <= update : diff.lastUpdate < update
    }

    private func applyDiff<Sink: RecordSink & ~Copyable>(
        _ diff: HeldDiff, capturedAt timestamp: UInt64, to sink: inout Sink
    ) throws(FeedError) {
        if state != .waiting {
            switch place(of: diff) {
            case .next: break
            case .superseded:
                report.supersededDiffs += 1
                return
            case .gap(let expected, let found):
                report.addGap(SequenceGap(position: diff.position, expected: expected, found: found))
                book.reset()
                isAfterSnapshot = false
                state = snapshotsMet < snapshots.count ? .waiting : .rebuilding
            }
        }
        if state == .waiting {
            try hold(diff, to: &sink)
            return
        }
        try write(diff, capturedAt: timestamp, to: &sink)
    }

    /// Keeps a diff for the snapshot that comes, if that will not supersede it.
    private func hold<Sink: RecordSink & ~Copyable>(_ diff: HeldDiff, to sink: inout Sink) throws(FeedError) {
        guard !isSuperseded(diff, bySnapshot: snapshots[snapshotsMet]) else {
            report.supersededDiffs += 1
            return
        }
        held.append(diff)
        heldChangeCount += diff.bids.count + diff.asks.count + 1
        guard heldChangeCount > BinanceStream.heldChangeCountMax else { return }
        state = .rebuilding
        let diffs = held
        held.removeAll()
        heldChangeCount = 0
        for diff in diffs { try write(diff, capturedAt: message.captureTimestamp, to: &sink) }
    }

    private func write<Sink: RecordSink & ~Copyable>(
        _ diff: HeldDiff, capturedAt timestamp: UInt64, to sink: inout Sink
    ) throws(FeedError) {
        isAfterSnapshot = false
        report.depthDiffs += 1
        if book.apply(update: diff.lastUpdate, bids: diff.bids, asks: diff.asks) { report.lateDiffs += 1 }
        report.droppedLevels = book.droppedLevels
        var side = Side.none
        if diff.asks.isEmpty, !diff.bids.isEmpty { side = Side.bid }
        if diff.bids.isEmpty, !diff.asks.isEmpty { side = Side.ask }
        try writeBook(
            diff.venueTimestamp, timestamp, update: diff.lastUpdate, side: side, flags: .aggregated, to: &sink
        )
    }

    private func applyTicker<Sink: RecordSink & ~Copyable>(to sink: inout Sink) throws(FeedError) {
        guard let bid = message.bids.first, let ask = message.asks.first else { return }
        let update = message.lastUpdate ?? 0
        let ticker = BinanceBook.Ticker(update: update, bid: bid, ask: ask)
        report.bookTickers += 1
        if !book.apply(ticker) { report.olderTickers += 1 }
        try writeBook(
            venueTimestamp, message.captureTimestamp, update: update, side: Side.none, flags: .topOfBook,
            to: &sink)
    }
}

/// Writing.
extension BinanceStream {
    private func writeTrade<Sink: RecordSink & ~Copyable>(to sink: inout Sink) throws(FeedError) {
        guard !message.isSpecialTrade else {
            report.ignoredEvents["trade outside the book", default: 0] += 1
            return
        }
        let tradeID = message.tradeID ?? 0
        if let last = lastTradeID, tradeID != last &+ 1 { report.tradeGaps.add(position) }
        lastTradeID = tradeID
        let price = message.price ?? 0
        let quantity = message.quantity ?? 0
        // No trade is ever of part of a lot: here the lot size is wrong.
        guard let count = lots.lots(quantity) else {
            throw .content(
                path: position.file, line: position.line, found: "a trade of \(FixedPoint.text(quantity))",
                expected: "a multiple of the lot size \(FixedPoint.text(instrument.lotSize)); "
                    + "--instrument \(instrument.symbol):lot=SIZE gives another")
        }
        guard let size = LotScale.recordSize(count) else { throw tooManyLots(quantity) }
        if price % instrument.tickSize != 0 { report.offTickTrades.add(position) }
        report.trades += 1
        report.ticks += 1
        report.note(message.captureTimestamp)
        try sink.trade(
            MarketFields(
                publisherID: market.publisher.id, instrumentID: id, venueTimestamp: venueTimestamp,
                captureTimestamp: message.captureTimestamp, price: price, size: size, action: Action.trade,
                // The buyer's order was there first, so the seller started the trade.
                side: message.isBuyerMaker == true ? Side.ask : Side.bid, flags: .last,
                venueSequence: UInt32(truncatingIfNeeded: tradeID)))
    }

    private func writeBook<Sink: RecordSink & ~Copyable>(
        _ venueTimestamp: UInt64, _ captureTimestamp: UInt64, update: UInt64, side: UInt8, flags: RecordFlags,
        to sink: inout Sink
    ) throws(FeedError) {
        do throws(BinanceBook.Unencodable) {
            if try book.fill(&levels, lots: lots) { report.roundedBooks.add(position) }
        } catch {
            throw tooManyLots(error.size)
        }
        var flags = flags.union(.last)
        if state != .following {
            flags.insert(.maybeBadBook)
            report.badBookTicks += 1
        }
        report.books += 1
        report.ticks += 1
        report.note(captureTimestamp)
        let best = levels[0]
        if best.bidPrice != Price.undefined, best.askPrice != Price.undefined, best.bidPrice >= best.askPrice {
            report.crossedBooks.add(position)
        }
        if isOffTick(best.bidPrice) || isOffTick(best.askPrice) { report.offTickBooks.add(position) }
        // A span cannot be taken of a class's property; the local shares its storage.
        let rows = levels
        try sink.book(
            MarketFields(
                publisherID: market.publisher.id, instrumentID: id, venueTimestamp: venueTimestamp,
                captureTimestamp: captureTimestamp, action: Action.modify, side: side, flags: flags,
                venueSequence: UInt32(truncatingIfNeeded: update)),
            levels: rows.span)
    }

    private func isOffTick(_ price: Int64) -> Bool {
        price != Price.undefined && price % instrument.tickSize != 0
    }

    private func tooManyLots(_ size: Int64) -> FeedError {
        .content(
            path: position.file, line: position.line, found: "size \(FixedPoint.text(size))",
            expected:
                "at most 4294967294 lots of \(FixedPoint.text(instrument.lotSize)); "
                + "--instrument \(instrument.symbol):lot=SIZE gives a larger lot"
        )
    }
}
