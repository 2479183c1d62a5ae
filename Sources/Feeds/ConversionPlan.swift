public import DBN
public import MarketData

/// What a conversion will write, known before its first record: enough for the metadata of a file.
public struct ConversionPlan: Equatable, Sendable {
    public var publisher: Publisher
    /// In order of their ids, from 1.
    public var instruments: [PlannedInstrument]
    /// Capture time of the first and the last line, nanoseconds since the epoch.
    public var startTimestamp: UInt64
    public var endTimestamp: UInt64

    /// Refuses tick and lot sizes that were given for a symbol of none of the inputs.
    public func checkKnows(_ options: ConversionOptions) throws(FeedError) {
        let symbols = instruments.map(\.instrument.symbol)
        for symbol in options.instruments.keys.sorted() where !symbols.contains(symbol) {
            throw .option(
                text: symbol, problem: "no input is of that symbol; they are of \(symbols.joined(separator: ", "))")
        }
    }

    /// Metadata of mixed schemas whose mappings cover the days of the data.
    public var metadata: DBNMetadata {
        let firstDate = CalendarDate.utc(startTimestamp)
        let nextDate = CalendarDate.utc(
            min(endTimestamp, UInt64(Int64.max)) + Timestamp.nanosecondsPerDay)
        return DBNMetadata(
            dataset: publisher.dataset, schema: nil, start: startTimestamp, end: endTimestamp &+ 1,
            symbols: instruments.map(\.instrument.symbol),
            mappings: instruments.map {
                let interval = SymbolMapping.Interval(
                    startDate: firstDate, endDate: nextDate, symbol: String($0.id))
                return SymbolMapping(rawSymbol: $0.instrument.symbol, intervals: [interval])
            })
    }
}

/// An instrument and the number that its records carry.
public struct PlannedInstrument: Equatable, Sendable {
    public var id: UInt32
    public var instrument: Instrument
}

/// A stream of one instrument's events, so that several instruments can be merged by capture time.
protocol ConversionStream: AnyObject {
    /// Capture time of the next event, nil at the end.
    var nextTimestamp: UInt64? { get }
    /// Writes the next event.
    func step<Sink: RecordSink & ~Copyable>(into sink: inout Sink) throws(FeedError)
    /// Compressed bytes read so far.
    var consumedByteCount: UInt64 { get }
    var report: InstrumentConversion { get }
}

/// Runs the streams of a conversion.
enum ConversionRun {
    /// Lines between two calls of the progress closure.
    private static let progressInterval = 16_384

    /// Writes a definition for each planned instrument, then all events in order of capture time, equal times
    /// in order of instrument ids, then for each instrument a remark with what the conversion met.
    static func run<Sink: RecordSink & ~Copyable>(
        _ streams: [some ConversionStream], plan: ConversionPlan, to sink: inout Sink,
        byteCount: UInt64, progress: (_ bytesDone: UInt64, _ bytesTotal: UInt64) -> Void
    ) throws(FeedError) -> ConversionReport {
        for planned in plan.instruments {
            try sink.definition(
                planned.instrument, publisherID: plan.publisher.id, instrumentID: planned.id,
                timestamp: plan.startTimestamp)
        }
        var steps = 0
        // A linear search: there are few instruments, as a rule one.
        while let stream = next(of: streams) {
            try stream.step(into: &sink)
            steps += 1
            if steps % progressInterval == 0 { progress(done(streams), byteCount) }
        }
        progress(byteCount, byteCount)
        let report = ConversionReport(dataset: plan.publisher.dataset, instruments: streams.map(\.report))
        let lastTimestamp = report.instruments.map(\.lastTimestamp).max() ?? 0
        for instrument in report.instruments {
            try sink.remark(
                instrument.remark, publisherID: plan.publisher.id, instrumentID: instrument.instrumentID,
                timestamp: max(plan.startTimestamp, lastTimestamp))
        }
        return report
    }

    private static func next<Stream: ConversionStream>(of streams: [Stream]) -> Stream? {
        if streams.count == 1 { return streams[0].nextTimestamp == nil ? nil : streams[0] }
        var best: (stream: Stream, timestamp: UInt64)?
        for stream in streams {
            guard let timestamp = stream.nextTimestamp else { continue }
            if let known = best, known.timestamp <= timestamp { continue }
            best = (stream, timestamp)
        }
        return best?.stream
    }

    private static func done(_ streams: [some ConversionStream]) -> UInt64 {
        streams.reduce(0) { $0 + $1.consumedByteCount }
    }
}
