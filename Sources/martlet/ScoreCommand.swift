import ArgumentParser
import Foundation
import Inference
import Pipeline
import Recorder

struct ScoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score",
        abstract: "Runs recorded feeds through the processor as fast as possible, without sockets, and measures it.",
        discussion: """
            The agents of 'run' are stepped on one thread. Separate passes give the rate (from the file and from \
            memory) and the latency, the digest of the signals and the metrics. Files given together are one session.

              martlet score feeds/*.dbn.zst --model models/default.onnx
              martlet score day.dbn.zst --evaluate-from 0.8 --json
            """)

    @Argument(help: "DBN files, plain or zstd, in the order of time.")
    var files: [String]

    @OptionGroup var shared: PipelineArguments
    @OptionGroup var configuration: ConfigurationOption

    @Option(
        help: """
            Ticks that count in the metrics: a fraction from 0 to 1 of the feed to leave out, or a time as ISO 8601 or in \
            nanoseconds. Default: the end of the model's training if it was trained on this feed, else everything.
            """)
    var evaluateFrom: String?

    @Option(help: "Records in one packet, 1 to 4096. Default: 50.")
    var recordsPerPacket: Int?

    @Option(help: "Passes over memory for the rate, whose median counts. Default: 5.")
    var passes: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    mutating func run() async throws {
        let settings = try await Settings(Self.self, path: configuration.config)
        let isJSON = try settings.flag(json, "json")
        try checkFeeds(files)
        let modelPath = try settings.value(shared.model, "model", default: "models/default.onnx")
        let loaded = try LoadedModel(path: modelPath, name: settings.value(shared.name, "name"))
        var options = Score.Options()
        options.paths = files
        options.pipeline = try shared.options(settings)
        options.pipeline.modelName = loaded.name
        options.pipeline.modelID = loaded.id
        options.replay.instruments = try shared.instruments(settings)
        options.replay.recordsPerPacketMax = try inRange(
            settings.value(recordsPerPacket, "records-per-packet", default: 50), "records-per-packet", 1...4_096)
        options.ratePasses = try inRange(settings.value(passes, "passes", default: 5), "passes", 1...1_000)
        if let text = try settings.value(evaluateFrom, "evaluate-from") { options.part = try EvaluateFrom.parse(text) }
        let result = try score(loaded.model, options)
        var report = Report(
            loaded.model.metadata, latency: result.latency, stages: result.stages, horizons: result.horizons)
        report.model = loaded.name
        report.ticks = result.ticks
        report.signals = result.signals
        report.lost = result.lost
        report.ticksPerSecond = result.ticksPerSecond
        report.ticksPerSecondPasses = result.ticksPerSecondAll
        report.fileTicksPerSecond = result.fileTicksPerSecond
        report.evaluated = result.boundary
        report.signalsSha256 = result.digest
        report.incidents += result.incidents
        StandardOutput.print(isJSON ? try report.json() : report.table())
    }

    private func score(_ model: Model, _ options: Score.Options) throws -> Score.Result {
        var progress = ProgressLine()
        defer { progress.clear() }
        do {
            return try Score(model: model, options: options).run { progress.show("scoring \($0)") }
        } catch { throw CommandError(error) }
    }
}

/// What `--evaluate-from` says.
enum EvaluateFrom {
    static func parse(_ text: String) throws -> Score.EvaluatedPart {
        if let fraction = Double(text), (0...1).contains(fraction) { return .fraction(fraction) }
        // A small number is a fraction that is none, and no time: 10^15 ns are 12 days of 1970.
        if let nanoseconds = UInt64(text), nanoseconds >= 1_000_000_000_000_000 { return .time(nanoseconds) }
        let seconds: Double
        do { seconds = try Date(text, strategy: .iso8601).timeIntervalSince1970 } catch { throw wrong(text) }
        // A time beyond the year 2554 does not fit a timestamp.
        guard (0..<18_446_744_073).contains(seconds) else { throw wrong(text) }
        return .time(UInt64(seconds) * 1_000_000_000)
    }

    private static func wrong(_ text: String) -> CommandError {
        CommandError(
            .usage,
            "--evaluate-from '\(text)' is wrong; expected a fraction from 0 to 1, nanoseconds since 1970, or a time such as "
                + "2024-01-02T15:00:00Z")
    }
}
