import ArgumentParser
import DBN
import Feeds
import MarketData

struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Makes a feed of a simulated limit-order book, calibrated against a recorded day.",
        discussion: """
            The same seed gives the same records on every machine. The table compares the feed with the recorded day; \
            figures outside their bar are marked and named.

              martlet simulate --seed 3 --events 80000 --out sim.dbn.zst
            """)

    @Option(help: "0 to 18446744073709551615; another seed is another day. Default: 1.")
    var seed: UInt64?

    @Option(help: "Ticks to simulate, 1 to 20,000,000. Default: 80000.")
    var events: Int?

    @Option(help: "Instruments, SIM1, SIM2, … Default: 1.")
    var instruments: Int?

    @Option(help: "The DBN file to write; compressed if it ends in .zst.")
    var out: String

    @Flag(help: "Leave the table out.")
    var quiet = false

    @OptionGroup var configuration: ConfigurationOption

    mutating func run() async throws {
        let settings = try await Settings(Self.self, path: configuration.config)
        let events = try settings.value(events, "events", default: 80_000)
        try checkOutput(out)
        let isQuiet = try settings.flag(quiet, "quiet")
        var progress = ProgressLine()
        defer { progress.clear() }
        do {
            let options = SimulatorOptions(
                seed: try settings.value(seed, "seed", default: 1), events: events,
                instruments: try settings.value(instruments, "instruments", default: 1))
            try options.check()
            var simulator = try MarketSimulator(options)
            let compression: DBNEncoder.Compression = out.hasSuffix(".zst") ? .zstd() : .none
            var file = try DBNFileWriter(path: out, metadata: simulator.metadata, compression: compression)
            let total = events
            let unfinished = UnfinishedFile(file.temporaryPath)
            let report = try simulator.run(into: &file) {
                unfinished.endIfInterrupted()
                progress.show("simulating", done: Int($0), total: total)
            }
            try file.finish()
            progress.clear()
            let counts = "\(Format.count(Int(report.ticks))) ticks, \(Format.count(Int(report.records))) records"
            StandardOutput.print("\(counts) → \(out.singleLine)")
            guard !isQuiet else { return }
            let statistics = try FeedStatistics.measure(path: out, tickSize: SimulatorOptions.tickSize)
            StandardOutput.print(SimulatorCalibration.table(simulated: statistics))
        } catch { throw CommandError(error) }
    }
}
