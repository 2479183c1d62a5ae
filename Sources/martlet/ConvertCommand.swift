import ArgumentParser
import DBN
import Feeds
import MarketData

struct ConvertCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Makes DBN files of recorded market data in other formats.",
        discussion: """
            LOBSTER zips (message and order-book files of any level count) and Binance captures (gzip, one \
            '<receive ns> <json>' a line: depth diffs, book tickers, trades, REST snapshots). Several inputs of one \
            instrument become one stream in order. What was superseded, missing or malformed is counted and shown.

              martlet convert --from lobster GOOG_2012-06-21_10.zip --out goog.dbn.zst
              martlet convert --from binance day1.gz day2.gz --out btcusdt.dbn.zst
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case lobster, binance
    }

    @Option(help: "The inputs' format: lobster or binance.")
    var from: Format

    @Argument(help: "Files to convert.")
    var inputs: [String]

    @Option(help: "The DBN file to write; compressed if it ends in .zst.")
    var out: String

    @Option(help: "Tick and lot size of a symbol, as SYMBOL:tick=0.1,lot=0.001. May be repeated.")
    var instrument: [String] = []

    @Flag(help: "Print the report as one JSON object.")
    var json = false

    @OptionGroup var configuration: ConfigurationOption

    mutating func run() async throws {
        let settings = try await Settings(Self.self, path: configuration.config)
        let isJSON = try settings.flag(json, "json")
        try checkFeeds(inputs)
        try checkOutput(out)
        let target = FileIdentity(out)
        for input in inputs where FileIdentity(input) == target {
            throw CommandError(.usage, "--out \(out) is one of the inputs, which it would replace")
        }
        let texts = try settings.values(instrument, "instrument")
        let report = try convert(texts)
        guard isJSON else { return StandardOutput.print("\(report)\n→ \(out.singleLine)") }
        try StandardOutput.print(json: report)
    }

    private func convert(_ instrumentTexts: [String]) throws -> ConversionReport {
        var progress = ProgressLine()
        defer { progress.clear() }
        let kind = from.rawValue
        do {
            let options = try ConversionOptions(instrumentTexts: instrumentTexts)
            switch from {
            case .lobster:
                let converter = try LOBSTERConverter(zips: inputs, options: options)
                try converter.plan.checkKnows(options)
                var file = try DBNFileWriter(path: out, metadata: converter.plan.metadata, compression: compression)
                let unfinished = UnfinishedFile(file.temporaryPath)
                let report = try converter.convert(to: &file) {
                    unfinished.endIfInterrupted()
                    progress.show("converting \(kind)", done: Int($0), total: Int($1))
                }
                try file.finish()
                return report
            case .binance:
                let converter = try BinanceConverter(captures: inputs, options: options) {
                    progress.show("reading \(kind)", done: Int($0), total: Int($1))
                }
                try converter.plan.checkKnows(options)
                var file = try DBNFileWriter(path: out, metadata: converter.plan.metadata, compression: compression)
                let unfinished = UnfinishedFile(file.temporaryPath)
                let report = try converter.convert(to: &file) {
                    unfinished.endIfInterrupted()
                    progress.show("converting \(kind)", done: Int($0), total: Int($1))
                }
                try file.finish()
                return report
            }
        } catch { throw CommandError(error) }
    }

    private var compression: DBNEncoder.Compression { out.hasSuffix(".zst") ? .zstd() : .none }
}
