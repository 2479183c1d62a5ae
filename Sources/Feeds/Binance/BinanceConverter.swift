import MarketData

/// Binance captures, one `<receive ns> <json>` a line, plain or gzip, to records.
///
/// Market and symbol are those of the messages, never of a file's name. The files of one symbol are one
/// stream, in order of their first capture time; several symbols of one market are merged by capture time.
///
/// | message | record |
/// |---|---|
/// | depth diff | MBP-10 with `F_LAST` and `F_MBP`: the book after it; side where one side alone changed |
/// | book ticker | MBP-10 with `F_LAST` and `F_TOB` |
/// | REST snapshot | MBP-10 with `F_LAST`, `F_MBP` and `F_SNAPSHOT` |
/// | trade | trade with `F_LAST`; the side is the aggressor's |
///
/// `ts_recv` is the capture time in the line. `ts_event` is `T`, or `E` where there is no `T`, or undefined
/// where there is neither (spot tickers, spot snapshots). `sequence` is the trade's number or the last update
/// identifier (`u`), modulo 2^32. Book records state levels, not an order: action `M`, no price, size 0. Order
/// counts are not known: 0.
///
/// The book follows the rules that Binance documents: snapshot, then diffs whose identifiers join. Diffs that
/// a snapshot supersedes are counted and are not ticks; diffs captured before a snapshot but newer than it
/// are ticks behind it, at its capture time. At a gap the book is dropped and waits for the next snapshot;
/// where none comes, or none ever was, it is built from the diffs and flagged `F_MAYBE_BAD_BOOK`, as are
/// tickers before the first snapshot.
public struct BinanceConverter: ~Copyable {
    /// What will be written.
    public let plan: ConversionPlan
    private let streams: [BinanceStream]
    private let byteCount: UInt64

    /// Opens the captures and reads them once, to know their market, symbols, times and snapshots. `progress`
    /// is told compressed bytes done and in all.
    public init(
        captures paths: [String], options: ConversionOptions = ConversionOptions(),
        progress: (_ bytesDone: UInt64, _ bytesTotal: UInt64) -> Void = { _, _ in }
    ) throws(FeedError) {
        guard !paths.isEmpty else { throw .inputs("no input is given") }
        var total: UInt64 = 0
        for path in paths { total += try InputFile(path: path).byteCount }
        var files: [BinanceFile] = []
        var done: UInt64 = 0
        for path in paths {
            let file = try BinanceFile(path: path) { progress(done + $0, total) }
            done += file.file.byteCount
            if let first = files.first, first.market != file.market {
                throw .inputs(
                    "\(first.file.path) is of \(first.market.rawValue), \(path) of \(file.market.rawValue): "
                        + "a file holds one dataset, convert them one by one")
            }
            files.append(file)
        }
        let market = files[0].market
        var symbols: [String] = []
        for file in files where !symbols.contains(file.symbol) { symbols.append(file.symbol) }
        var planned: [PlannedInstrument] = []
        var streams: [BinanceStream] = []
        for (index, symbol) in symbols.enumerated() {
            let instrument = try market.instrument(symbol, options: options)
            let own = files.filter { $0.symbol == symbol }.enumerated().sorted {
                ($0.element.firstTimestamp, $0.offset) < ($1.element.firstTimestamp, $1.offset)
            }
            let id = UInt32(index + 1)
            planned.append(PlannedInstrument(id: id, instrument: instrument))
            streams.append(
                try BinanceStream(files: own.map(\.element), market: market, instrument: instrument, id: id))
        }
        let start = files.map(\.firstTimestamp).min() ?? 0
        plan = ConversionPlan(
            publisher: market.publisher, instruments: planned, startTimestamp: start,
            endTimestamp: max(start, files.map(\.lastTimestamp).max() ?? 0))
        self.streams = streams
        byteCount = total
    }

    /// Writes all records to `sink`. `progress` is told compressed bytes done and in all, now and then.
    public consuming func convert<Sink: RecordSink & ~Copyable>(
        to sink: inout Sink, progress: (_ bytesDone: UInt64, _ bytesTotal: UInt64) -> Void = { _, _ in }
    ) throws(FeedError) -> ConversionReport {
        try ConversionRun.run(streams, plan: plan, to: &sink, byteCount: byteCount, progress: progress)
    }

    /// Opens and converts in one go.
    public static func convert<Sink: RecordSink & ~Copyable>(
        captures paths: [String], options: ConversionOptions = ConversionOptions(), to sink: inout Sink,
        progress: (_ bytesDone: UInt64, _ bytesTotal: UInt64) -> Void = { _, _ in }
    ) throws(FeedError) -> ConversionReport {
        try BinanceConverter(captures: paths, options: options).convert(to: &sink, progress: progress)
    }
}
