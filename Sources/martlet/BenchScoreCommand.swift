import ArgumentParser
import Foundation
import Pipeline
import Recorder

/// The rate from memory.
struct BenchScoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score",
        abstract: "Ticks a second from memory on one core, without sockets, over many passes.",
        discussion: "  martlet bench score feeds/*.dbn.zst --passes 21")

    @OptionGroup var arguments: BenchArguments

    @Option(help: "Passes over memory.")
    var passes = 21

    private struct Report: Encodable {
        let machine: MachineDescription
        let ticks: Int
        let ticksPerSecond: Spread
        let ticksPerSecondPasses: [Double]
        let fileTicksPerSecond: Double
        let signalsSha256: String
    }

    mutating func run() throws {
        try arguments.check()
        _ = try inRange(passes, "passes", 1...10_000)
        let machine = MachineDescription()
        let loaded = try LoadedModel(path: arguments.model, name: nil)
        var options = Score.Options()
        options.paths = arguments.files
        options.replay.ticksMax = arguments.ticks > 0 ? arguments.ticks : nil
        options.pipeline.modelName = loaded.name
        options.pipeline.modelID = loaded.id
        options.ratePasses = passes
        var progress = ProgressLine()
        defer { progress.clear() }
        let result: Score.Result
        do {
            result = try Score(model: loaded.model, options: options).run { progress.show($0) }
        } catch { throw CommandError(error) }
        progress.clear()
        guard !result.ticksPerSecondAll.isEmpty else {
            throw CommandError(.data, "the feed does not fit into memory; give --ticks")
        }
        let report = Report(
            machine: machine, ticks: result.ticks, ticksPerSecond: Spread(result.ticksPerSecondAll),
            ticksPerSecondPasses: result.ticksPerSecondAll, fileTicksPerSecond: result.fileTicksPerSecond,
            signalsSha256: result.digest)
        guard !arguments.json else { return try StandardOutput.print(json: report) }
        StandardOutput.print(
            """
            \(machine)
            method   \(passes) passes over packets of 50 records in memory, agents stepped on one thread; \
            median [lowest … highest]
            feed     \(Format.count(report.ticks)) ticks, signals sha256 \(report.signalsSha256)
            rate     \(report.ticksPerSecond.text(Format.rate)) ticks/s; from the file \
            \(Format.rate(report.fileTicksPerSecond))
            """)
    }
}
