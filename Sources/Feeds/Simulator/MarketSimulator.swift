public import DBN
import MarketData

/// Makes a feed of limit-order books and trades out of a seed: the simulated feed of this project, to be
/// called simulated wherever it appears.
///
/// The model (see `SimulatedMarket`) is a queue-reactive Hawkes process with constants calibrated to GOOG on
/// NASDAQ, 2012-06-21; `SimulatorCalibration` holds the two against each other. Records are those of a
/// converted feed: a definition per instrument, then MBP-10 books with `F_LAST`; a visible execution is a
/// trade and then the book after it, a hidden one a trade with `F_LAST` alone. Both timestamps are the
/// event's time. Arithmetic is integer or IEEE 754 basic operations only, so that a seed gives the same
/// records on every machine, and a shorter run is a prefix of a longer one. A simulator belongs to one thread
/// at a time.
public struct MarketSimulator: ~Copyable {
    public let options: SimulatorOptions
    private var markets: [SimulatedMarket]

    /// Ticks between two calls of `progress`.
    public static let progressTicks: UInt64 = 65_536

    /// Refuses options out of range.
    public init(_ options: SimulatorOptions) throws(SimulatorError) {
        try options.check()
        self.options = options
        var seeds = SplitMix64(state: options.seed)
        markets = (0..<options.instruments).map { _ in SimulatedMarket(seed: seeds.next()) }
    }

    /// The metadata of a file that holds this simulation. Its end is open, since it is not known before the
    /// run.
    public var metadata: DBNMetadata {
        let symbols = (0..<options.instruments).map(SimulatorOptions.symbol)
        let mappings = symbols.enumerated().map { index, symbol in
            SymbolMapping(
                rawSymbol: symbol,
                intervals: [
                    SymbolMapping.Interval(
                        startDate: 2024_01_02, endDate: 2025_01_02, symbol: String(index + 1))
                ])
        }
        return DBNMetadata(
            dataset: SimulatorOptions.dataset, start: SimulatorOptions.sessionStart, symbols: symbols,
            mappings: mappings)
    }

    /// Makes the records: definitions first, then events in order of time, until `options.events` ticks are
    /// made. The last market event may be cut short after one of its ticks. Called once.
    ///
    /// - Parameters:
    ///   - sink: takes each record.
    ///   - progress: called now and then with the ticks made so far.
    /// - Returns: what was made.
    /// - Throws: what the sink throws.
    public mutating func run<Sink: SimulationSink & ~Copyable>(
        into sink: inout Sink, progress: (UInt64) -> Void = { _ in }
    ) throws(DBNError) -> SimulationReport {
        try writeDefinitions(into: &sink)
        var report = SimulationReport()
        report.definitions = UInt64(options.instruments)
        var nextProgress = MarketSimulator.progressTicks
        var event = SimulatedEvent()
        while report.ticks < UInt64(options.events) {
            var next = 0
            for index in markets.indices where markets[index].nextElapsed < markets[next].nextElapsed {
                next = index
            }
            let timestamp = MarketSimulator.timestamp(elapsed: markets[next].nextElapsed)
            event.removeAll()
            markets[next].step(at: timestamp, into: &event)
            try write(event, instrumentID: UInt32(next + 1), into: &sink, &report)
            if report.ticks >= nextProgress {
                progress(report.ticks)
                nextProgress += MarketSimulator.progressTicks
            }
        }
        return report
    }

    /// Nanoseconds of open market to nanoseconds since the epoch: nights are skipped.
    static func timestamp(elapsed: UInt64) -> UInt64 {
        let (session, inside) = elapsed.quotientAndRemainder(dividingBy: SimulatorOptions.sessionNanoseconds)
        return SimulatorOptions.sessionStart + session * Timestamp.nanosecondsPerDay + inside
    }

    private func writeDefinitions<Sink: SimulationSink & ~Copyable>(into sink: inout Sink) throws(DBNError) {
        for index in markets.indices {
            let instrument = Instrument(
                dataset: SimulatorOptions.dataset, symbol: SimulatorOptions.symbol(index),
                tickSize: SimulatorOptions.tickSize, lotSize: SimulatorOptions.lotSize)
            try sink.encodeDefinition(
                instrument, publisherID: SimulatorOptions.publisherID, instrumentID: UInt32(index + 1),
                venueTimestamp: SimulatorOptions.sessionStart,
                captureTimestamp: SimulatorOptions.sessionStart,
                instrumentClass: 0)
        }
    }

    private func write<Sink: SimulationSink & ~Copyable>(
        _ event: borrowing SimulatedEvent, instrumentID: UInt32, into sink: inout Sink,
        _ report: inout SimulationReport
    ) throws(DBNError) {
        var nextLevel = 0
        for message in event.messages where report.ticks < UInt64(options.events) {
            let fields = MarketFields(
                publisherID: SimulatorOptions.publisherID, instrumentID: instrumentID,
                venueTimestamp: message.timestamp, captureTimestamp: message.timestamp, price: message.price,
                size: message.size, action: message.action, side: message.side,
                flags: message.isLast ? .last : [], depth: message.depth, venueSequence: message.sequence)
            if message.hasBook {
                let range = nextLevel..<(nextLevel + OrderBook.depth)
                try sink.encodeBook(fields, levels: event.levels.span.extracting(range))
                nextLevel = range.upperBound
                report.books += 1
            } else {
                try sink.encodeTrade(fields)
                report.trades += 1
                report.tradedLots += UInt64(message.size)
            }
            if report.firstTimestamp == 0 { report.firstTimestamp = message.timestamp }
            report.lastTimestamp = message.timestamp
            if message.isLast { report.ticks += 1 }
        }
    }
}

/// What a simulation made.
public struct SimulationReport: Equatable, Sendable {
    /// Definition records.
    public var definitions: UInt64 = 0
    /// MBP-10 records.
    public var books: UInt64 = 0
    /// Trade records.
    public var trades: UInt64 = 0
    public var ticks: UInt64 = 0
    /// Lots traded, hidden ones included.
    public var tradedLots: UInt64 = 0
    /// Times of the first and last tick, nanoseconds since the epoch.
    public var firstTimestamp: UInt64 = 0
    public var lastTimestamp: UInt64 = 0

    /// Records of all kinds.
    public var records: UInt64 { definitions + books + trades }

    public init() {}
}
