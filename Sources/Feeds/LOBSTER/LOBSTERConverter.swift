import DBN
import MarketData

/// LOBSTER zips to records.
///
/// Each zip holds, for one or more days, a message file and the order-book file whose row k is the book after
/// message k. `ts_event` and `ts_recv` are the time of the row, exact, as UTC. `sequence` is the number of
/// the row in its day, from 1 and modulo 2^32; trade and book of one execution share it, so that a missing
/// row shows.
///
/// | event | records |
/// |---|---|
/// | 1 submission | book (`A`) |
/// | 2 partial cancellation, 3 deletion | book (`C`) |
/// | 4 execution of a visible order | trade, then book (`F`) with `F_LAST`: one tick |
/// | 5 execution of a hidden order | trade with `F_LAST` |
/// | 6 cross trade | trade with `F_LAST`, without an aggressor |
/// | 7 halt, quoting resumes, trading resumes | status, which is not a tick |
///
/// A trade's side is the aggressor's: the execution of a sell order was started by a buyer. Order counts are
/// not known: 0.
public struct LOBSTERConverter: ~Copyable {
    /// Tick size of every American stock above one dollar (SEC rule 612): a cent. The lot is one share.
    public static let tickSizeDefault: Int64 = 10_000_000
    public static let lotSizeDefault: Int64 = 1_000_000_000

    /// What will be written.
    public let plan: ConversionPlan
    private let streams: [LOBSTERStream]
    private let byteCount: UInt64

    /// Opens the zips, pairs their files by name and reads the first rows.
    public init(zips paths: [String], options: ConversionOptions = ConversionOptions()) throws(FeedError) {
        guard !paths.isEmpty else { throw .inputs("no input is given") }
        var sessions: [LOBSTERSession] = []
        for path in paths { sessions += try LOBSTERSession.sessions(inZip: path) }
        var symbols: [String] = []
        for session in sessions where !symbols.contains(session.name.symbol) {
            symbols.append(session.name.symbol)
        }

        var planned: [PlannedInstrument] = []
        var streams: [LOBSTERStream] = []
        for (index, symbol) in symbols.enumerated() {
            let own = sessions.filter { $0.name.symbol == symbol }.sorted { $0.name.date < $1.name.date }
            for (earlier, later) in zip(own, own.dropFirst()) where earlier.name.date == later.name.date {
                throw .inputs("\(earlier.label) and \(later.label) are the same day of \(symbol)")
            }
            let given = options.instruments[symbol]
            let instrument = Instrument(
                dataset: Publisher.lobster.dataset, symbol: symbol,
                tickSize: given?.tickSize ?? LOBSTERConverter.tickSizeDefault,
                lotSize: given?.lotSize ?? LOBSTERConverter.lotSizeDefault)
            let id = UInt32(index + 1)
            planned.append(PlannedInstrument(id: id, instrument: instrument))
            streams.append(try LOBSTERStream(sessions: own, instrument: instrument, id: id))
        }
        guard let start = streams.compactMap(\.nextTimestamp).min() else {
            throw .inputs("the inputs hold no rows")
        }
        let end =
            sessions.map { $0.name.midnightTimestamp + UInt64($0.name.endMilliseconds) * 1_000_000 }.max()
            ?? start
        plan = ConversionPlan(
            publisher: .lobster, instruments: planned, startTimestamp: start, endTimestamp: max(start, end))
        self.streams = streams
        byteCount = sessions.reduce(0) { $0 + $1.messages.compressedByteCount + $1.books.compressedByteCount }
    }

    /// Writes all records to `sink`. `progress` is told compressed bytes done and in all, now and then.
    public consuming func convert<Sink: RecordSink & ~Copyable>(
        to sink: inout Sink, progress: (_ bytesDone: UInt64, _ bytesTotal: UInt64) -> Void = { _, _ in }
    ) throws(FeedError) -> ConversionReport {
        try ConversionRun.run(streams, plan: plan, to: &sink, byteCount: byteCount, progress: progress)
    }

    /// Opens and converts in one go.
    public static func convert<Sink: RecordSink & ~Copyable>(
        zips paths: [String], options: ConversionOptions = ConversionOptions(), to sink: inout Sink,
        progress: (_ bytesDone: UInt64, _ bytesTotal: UInt64) -> Void = { _, _ in }
    ) throws(FeedError) -> ConversionReport {
        try LOBSTERConverter(zips: paths, options: options).convert(to: &sink, progress: progress)
    }
}

/// One day of one symbol: a message file and its order-book file.
struct LOBSTERSession {
    let file: InputFile
    let name: LOBSTERFileName
    let messages: ZipEntry
    let books: ZipEntry

    /// The zip and its day, for messages.
    var label: String { "\(file.path):\(messages.name)" }

    /// The days in a zip. Other files inside, a readme for example, are passed over.
    static func sessions(inZip path: String) throws(FeedError) -> [LOBSTERSession] {
        let file = try InputFile(path: path)
        let archive = try ZipArchive(file: file)
        var sessions: [LOBSTERSession] = []
        let named = archive.entries.compactMap { entry in
            LOBSTERFileName(entry.name).map { (name: $0, entry: entry) }
        }
        for messages in named where messages.name.kind == .message {
            guard let books = named.first(where: { $0.name.isPartner(of: messages.name) }) else {
                throw .inputs("\(path): \(messages.entry.name) has no order-book file beside it")
            }
            sessions.append(
                LOBSTERSession(file: file, name: messages.name, messages: messages.entry, books: books.entry))
        }
        for books in named where books.name.kind == .orderbook {
            guard named.contains(where: { $0.name.isPartner(of: books.name) }) else {
                throw .inputs("\(path): \(books.entry.name) has no message file beside it")
            }
        }
        guard !sessions.isEmpty else {
            throw .inputs("\(path) holds no file named SYMBOL_YYYY-MM-DD_START_END_message_LEVELS.csv")
        }
        return sessions
    }
}
