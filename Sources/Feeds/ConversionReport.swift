internal import MarketData

/// What a conversion read, wrote and met, per instrument. Printable as text; JSON through `Codable`.
public struct ConversionReport: Codable, Equatable, Sendable, CustomStringConvertible {
    /// The dataset that was written.
    public var dataset: String
    /// In order of instrument ids.
    public var instruments: [InstrumentConversion]

    public init(dataset: String, instruments: [InstrumentConversion]) {
        self.dataset = dataset
        self.instruments = instruments
    }

    /// Ticks written, all instruments together.
    public var tickCount: UInt64 { instruments.reduce(0) { $0 + $1.ticks } }
    /// Lines read, all instruments together.
    public var lineCount: UInt64 { instruments.reduce(0) { $0 + $1.lines } }

    public var description: String {
        instruments.map { "\(dataset) \($0.description)" }.joined(separator: "\n")
    }
}

/// Where something stands in the input.
public struct InputPosition: Codable, Equatable, Sendable, CustomStringConvertible {
    /// The file, and for a zip the entry behind a colon.
    public var file: String
    /// Counted from 1.
    public var line: UInt64

    public init(file: String, line: UInt64) {
        self.file = file
        self.line = line
    }

    /// The file without its folders, and the line.
    public var description: String { "\(file.split(separator: "/").last.map(String.init) ?? file):\(line)" }
}

/// How often something happened, and where first.
public struct Tally: Codable, Equatable, Sendable, CustomStringConvertible {
    /// Positions kept: enough to look at, whatever the count.
    public static let positionCountMax = 8

    public var count: UInt64 = 0
    public var first: [InputPosition] = []

    public init() {}

    mutating func add(_ position: @autoclosure () -> InputPosition) {
        count += 1
        if first.count < Tally.positionCountMax { first.append(position()) }
    }

    public var description: String {
        guard count > 0 else { return "0" }
        let shown = first.prefix(3)
        let places = shown.map(\.description).joined(separator: ", ")
        return "\(count) (\(places)\(count > UInt64(shown.count) ? ", …" : ""))"
    }
}

/// Update identifiers that do not follow each other.
public struct SequenceGap: Codable, Equatable, Sendable, CustomStringConvertible {
    public var position: InputPosition
    /// The identifier that had to come.
    public var expected: UInt64
    /// The one that came.
    public var found: UInt64

    public var description: String { "\(position): expected \(expected), found \(found)" }
}

/// One instrument's part of a conversion.
public struct InstrumentConversion: Codable, Equatable, Sendable, CustomStringConvertible {
    /// Gaps kept with their places.
    public static let gapCountMax = 100

    public var symbol: String
    public var instrumentID: UInt32
    /// In 1e-9.
    public var tickSize: Int64
    public var lotSize: Int64
    /// The inputs, in the order in which they were read.
    public var files: [String] = []

    /// Lines read, empty ones left out.
    public var lines: UInt64 = 0
    /// Ticks written: records with `F_LAST`.
    public var ticks: UInt64 = 0
    public var trades: UInt64 = 0
    public var books: UInt64 = 0
    public var statuses: UInt64 = 0

    /// LOBSTER: executions of hidden orders (a trade, no book) and cross trades among the trades, and halt
    /// rows.
    public var hiddenExecutions: UInt64 = 0
    public var crossTrades: UInt64 = 0
    public var halts = Tally()

    /// Binance: what the book records came from.
    public var snapshots: UInt64 = 0
    public var depthDiffs: UInt64 = 0
    public var bookTickers: UInt64 = 0
    /// Diffs that a snapshot made superfluous: counted here, not ticks.
    public var supersededDiffs: UInt64 = 0
    /// Diffs that came before the snapshot but are newer than it: ticks behind it, at its capture time.
    public var heldDiffs: UInt64 = 0
    /// Diffs older than the newest book ticker, which stayed in force.
    public var lateDiffs: UInt64 = 0
    /// Book tickers not newer than the book: ticks that changed nothing.
    public var olderTickers: UInt64 = 0
    /// Snapshots older than a book without a gap: ticks that changed nothing.
    public var olderSnapshots: UInt64 = 0
    /// Places where diffs are missing; `gapCount` counts all, `gaps` keeps the first.
    public var gapCount: UInt64 = 0
    public var gaps: [SequenceGap] = []
    /// Snapshots that brought back a book that had a gap or no beginning, the first one of a stream not
    /// counted.
    public var resyncs: UInt64 = 0
    /// Trades whose number does not follow the one before.
    public var tradeGaps = Tally()
    /// Ticks flagged `F_MAYBE_BAD_BOOK`.
    public var badBookTicks: UInt64 = 0
    /// Events of other kinds, by name.
    public var ignoredEvents: [String: UInt64] = [:]
    /// Levels farthest from the touch that were forgotten because the book had too many.
    public var droppedLevels: UInt64 = 0

    /// Sizes that are not whole lots: old orders deep in the book.
    public var oddSizes = Tally()
    /// Book records in which such a size was rounded down, never to 0, because it stood among the levels
    /// written.
    public var roundedBooks = Tally()
    /// Lines that could not be read.
    public var malformed = Tally()
    /// Book records whose best bid is at or above the best ask.
    public var crossedBooks = Tally()
    /// Trades at prices that are not multiples of the tick size. Hidden executions at half a tick are real.
    public var offTickTrades = Tally()
    /// Book records with a best price that is not a multiple of the tick size.
    public var offTickBooks = Tally()
    /// Lines captured before their predecessor.
    public var clockReversals = Tally()
    /// Capture time of the first and last record, nanoseconds since the epoch; 0 before there is one.
    public var firstTimestamp: UInt64 = 0
    public var lastTimestamp: UInt64 = 0

    init(symbol: String, instrumentID: UInt32, tickSize: Int64, lotSize: Int64) {
        self.symbol = symbol
        self.instrumentID = instrumentID
        self.tickSize = tickSize
        self.lotSize = lotSize
    }

    mutating func addGap(_ gap: SequenceGap) {
        gapCount += 1
        if gaps.count < InstrumentConversion.gapCountMax { gaps.append(gap) }
    }

    mutating func note(_ timestamp: UInt64) {
        if firstTimestamp == 0 { firstTimestamp = timestamp }
        lastTimestamp = timestamp
    }

    /// What opens the remark that a conversion leaves in its output.
    static let remarkPrefix = "martlet.conversion"

    /// The counts that cannot be told from the output any more, as `martlet.conversion KEY=COUNT …`: the text
    /// of a system record at the end of the output, so that `FeedInspector` can show them.
    public var remark: String {
        let counts: [(String, UInt64)] = [
            ("lines", lines), ("ticks", ticks), ("superseded", supersededDiffs), ("gaps", gapCount),
            ("resyncs", resyncs), ("trade_gaps", tradeGaps.count), ("malformed", malformed.count),
            ("ignored", ignoredEvents.values.reduce(0, +)), ("halts", halts.count),
        ]
        return InstrumentConversion.remarkPrefix + counts.map { " \($0.0)=\($0.1)" }.joined()
    }

    public var description: String {
        var rows = [
            "\(symbol) (id \(instrumentID), tick \(FixedPoint.text(tickSize)), lot \(FixedPoint.text(lotSize)))",
            "  from \(files.joined(separator: ", "))",
            "  \(lines) lines: \(ticks) ticks, \(trades) trades, \(books) books, \(statuses) status records",
        ]
        func row(_ name: String, _ count: UInt64) {
            if count > 0 { rows.append("  \(name): \(count)") }
        }
        func row(_ name: String, _ tally: Tally) {
            if tally.count > 0 { rows.append("  \(name): \(tally)") }
        }
        row("hidden executions", hiddenExecutions)
        row("cross trades", crossTrades)
        row("halts", halts)
        row("snapshots", snapshots)
        row("depth diffs", depthDiffs)
        row("book tickers", bookTickers)
        row("superseded diffs", supersededDiffs)
        row("diffs held for a snapshot", heldDiffs)
        row("diffs older than the newest ticker", lateDiffs)
        row("tickers not newer than the book", olderTickers)
        row("snapshots older than the book", olderSnapshots)
        row("gaps", gapCount)
        rows += gaps.map { "    \($0)" }
        row("resyncs", resyncs)
        row("gaps in trade numbers", tradeGaps)
        row("ticks with a doubtful book", badBookTicks)
        for (name, count) in ignoredEvents.sorted(by: { $0.key < $1.key }) { row("ignored \(name)", count) }
        row("levels dropped", droppedLevels)
        row("sizes of part of a lot", oddSizes)
        row("books with a rounded size", roundedBooks)
        row("malformed lines", malformed)
        row("crossed books", crossedBooks)
        row("trades off the tick grid", offTickTrades)
        row("books off the tick grid", offTickBooks)
        row("capture clock running backwards", clockReversals)
        // Symbols, names of events and of files in an archive come from outside.
        return rows.map(\.singleLine).joined(separator: "\n")
    }
}
