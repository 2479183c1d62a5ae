import ArgumentParser
import CPlatform
import Foundation
import Inference
import Pipeline
import Recorder
import Transport
import Wire
import ZeroMQ

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "The processor: subscribes to ticks, runs the model on each, and publishes the signals.",
        discussion: """
            It runs until SIGINT or SIGTERM, or with --once until every stream has ended its session; then it takes nothing \
            more, publishes what it holds, and says what it did.

              martlet run --model models/default.onnx --input tcp://127.0.0.1:5556 --output tcp://127.0.0.1:5557
            """)

    @OptionGroup var shared: PipelineArguments

    @Option(help: "Where ticks come from. May be repeated. Default: tcp://127.0.0.1:5556, connected.")
    var input: [String] = []

    @Option(help: "Topic prefix of the ticks. Default: md/ (everything).")
    var topic: String?

    @Option(help: "Where signals go. Default: tcp://127.0.0.1:5557, bound.")
    var output: String?

    @Option(
        help: "Wait for so many subscribers to sig/NAME/, and then for the slowest of them. Default: 0, publish live.")
    var subscribers: Int?

    @Option(
        help:
            "When a tick ring is full: block, drop and publish the gap, or conflate (level data alone). Default: block."
    )
    var inputPolicy: OverloadPolicy?

    @Option(help: "When a signal ring is full: block, or drop or conflate and publish the gap. Default: block.")
    var signalPolicy: OverloadPolicy?

    @Option(help: "How an idle thread waits: spin, yield or backoff. Default: backoff on up to two cores, else yield.")
    var idle: IdleStrategy?

    @Option(help: "Cores to pin ingest, publisher and workers to, such as 0,1,2; with --inline one. Default: none.")
    var cores: String?

    @Flag(help: "Run all agents on one thread.")
    var inline = false

    @Flag(help: "End when every stream has ended its session, as a replay does.")
    var once = false

    @Option(help: "Stop after so many seconds without a message; 0 waits for ever. Default: 0.")
    var timeout: Double?

    @Flag(help: "Print the digest of the signals at the end.")
    var digest = false

    @Option(help: "Ticks that count in the metrics: from a time on, or from 'training-end'. Default: all.")
    var evaluateFrom: String?

    @Option(help: "Tells this publisher from others of the same topics, 0 to 4294967295. Default: 1.")
    var publisherID: UInt32?

    @Option(help: "Seconds between heartbeats; 0 for none. Default: 1.")
    var heartbeat: Double?

    @Flag(help: "Print one JSON object at the end.")
    var json = false

    @OptionGroup var configuration: ConfigurationOption

    mutating func run() async throws {
        let settings = try await Settings(Self.self, path: configuration.config)
        let modelPath = try settings.value(shared.model, "model", default: "models/default.onnx")
        let loaded = try LoadedModel(path: modelPath, name: settings.value(shared.name, "name"))
        let options = try options(settings, loaded)
        let wantsDigest = try settings.flag(digest, "digest")
        let isJSON = try settings.flag(json, "json")
        let isInline = try settings.flag(inline, "inline")
        let timeout = try silenceSeconds(settings, timeout)
        let (part, boundary) = try evaluatedPart(settings, loaded)
        Interruption.install()
        do {
            let source = ZeroMQSource(try subscriber(settings))
            let sink = ZeroMQSink(try publisher(settings, loaded.name))
            let evaluation = Evaluation(
                horizons: loaded.model.metadata.horizons.compactMap(Evaluation.Horizon.init), part: part)
            let observed = ObservedSink(sink, digest: wantsDigest ? SignalDigest() : nil, evaluation: evaluation)
            let pipeline = Pipeline(
                source: source, sink: observed, model: loaded.model, options: options, control: Interruption.control)
            let stop = WaitNotice(
                "stopping: a subscriber has to take what is queued; an interrupt gives it up",
                begins: { Interruption.control.isStopRequested })
            let silence = timeout.map { SilenceWatch(pipeline.counters.ingest, seconds: $0) }
            let finished = run(pipeline, isInline: isInline)
            stop.end()
            let isSilent = silence?.end() ?? false
            try finish(finished, loaded, boundary, isJSON: isJSON, isSilent: isSilent)
        } catch let error as ZeroMQError {
            throw CommandError(.unavailable, "\(error)")
        }
    }

    private func options(_ settings: Settings, _ loaded: LoadedModel) throws -> PipelineOptions {
        var options = try shared.options(settings)
        options.modelName = loaded.name
        options.modelID = loaded.id
        options.inputPolicy = try settings.value(inputPolicy, "input-policy", default: .block)
        options.signalPolicy = try settings.value(signalPolicy, "signal-policy", default: .block)
        let fallback: IdleStrategy = ProcessInfo.processInfo.activeProcessorCount <= 2 ? .backoff : .yield
        options.idle = try settings.value(idle, "idle", default: fallback)
        options.stopsAtEndOfSessions = try settings.flag(once, "once")
        options.stageInterval = Publications.stageInterval
        options.publisherID = try settings.value(publisherID, "publisher-id", default: 1)
        let seconds = try settings.value(heartbeat, "heartbeat", default: 1)
        guard (0...3_600).contains(seconds) else {
            throw CommandError(.usage, "--heartbeat \(seconds) is wrong; expected 0 to 3600 seconds")
        }
        options.heartbeatNanoseconds = UInt64(seconds * 1e9)
        if let text = try settings.value(cores, "cores") {
            options.cores = try parseCores(text, max: settings.flag(inline, "inline") ? 1 : 2 + options.workers)
        }
        return options
    }

    /// - Parameter countMax: threads that can be pinned.
    private func parseCores(_ text: String, max countMax: Int) throws -> [Int] {
        func wrong(_ reason: String) -> CommandError { CommandError(.usage, "--cores '\(text)' is wrong; \(reason)") }
        let count = ProcessInfo.processInfo.processorCount
        let cores = try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let core = Int(part), (0..<count).contains(core) else {
                throw wrong("expected numbers of cores from 0 to \(count - 1), such as 0,1")
            }
            guard martlet_cpu_check(Int32(core)) == 0 else { throw wrong("core \(core) is not there for this process") }
            return core
        }
        guard cores.count <= countMax else {
            throw wrong("expected at most \(countMax), one for each thread")
        }
        return cores
    }

    private func subscriber(_ settings: Settings) throws -> Socket {
        let context = try Context()
        var socket = try Socket(context, .sub, options: Subscriptions.options)
        let prefix = try settings.value(topic, "topic", default: "md/")
        guard prefix.hasPrefix("md/") else {
            throw CommandError(.usage, "--topic '\(prefix)' is wrong; expected a prefix that begins with md/")
        }
        // The definitions of the same instruments: their topics differ in the first component only. They come first: a
        // publisher that waits for the ticks' prefix starts when it sees that, and must know of both by then.
        try socket.subscribe("def/" + prefix.dropFirst(3))
        try socket.subscribe(prefix)
        let endpoints = try settings.values(input, "input")
        for text in endpoints.isEmpty ? ["tcp://127.0.0.1:5556"] : endpoints {
            try Endpoint(text, bindsByDefault: false).attach(&socket)
        }
        return socket
    }

    private func publisher(_ settings: Settings, _ model: String) throws -> PublisherSocket {
        let context = try Context()
        let expected = try inRange(settings.value(subscribers, "subscribers", default: 0), "subscribers", 0...1_000)
        let policy: PublisherPolicy =
            expected == 0
            ? .live : .lossless(subscribers: expected, readinessTopic: Readiness.signalsTopic(model: model))
        var socket = try PublisherSocket(context, policy, options: Publications.options(lossless: expected > 0))
        let text = try settings.value(output, "output", default: "tcp://127.0.0.1:5557")
        try Endpoint(text, bindsByDefault: true).attach(&socket)
        try Publications.waitForSubscribers(&socket)
        return socket
    }

    typealias Running = Pipeline<ZeroMQSource, ObservedSink<ZeroMQSink>>

    private func run(_ pipeline: consuming Running, isInline: Bool) -> Running {
        guard isInline else {
            let counters = pipeline.counters
            var progress = ProgressLine()
            let finished = pipeline.runThreaded { seconds in
                progress.show(
                    "\(Format.count(Int(clamping: counters[.ticks]))) ticks, "
                        + "\(Format.count(Int(clamping: counters[.signalsPublished]))) signals, "
                        + "\(counters[.recordsLost]) lost, \(Int(seconds)) s")
            }
            progress.clear()
            return finished
        }
        pipeline.runInline()
        return pipeline
    }

    private func finish(
        _ pipeline: consuming Running, _ loaded: LoadedModel, _ boundary: String, isJSON: Bool, isSilent: Bool
    ) throws {
        var report = report(&pipeline, loaded, boundary)
        let refusals = pipeline.incidents.lines
        var failures = socketFailures(pipeline)
        if isSilent { failures.append("input: nothing came for the seconds of --timeout") }
        // The sockets are closed before anything is claimed of what went through them.
        let isLossless = pipeline.publisher.sink.base.isLossless
        let drain = isLossless ? Drain() : nil
        _ = consume pipeline
        if drain?.isComplete() == false { failures.append("output: \(Drain.failure)") }
        report.incidents += failures
        StandardOutput.print(isJSON ? try report.json() : report.table())
        guard failures.isEmpty else { throw CommandError(.unavailable, failures.joined(separator: "; ")) }
        guard report.ticks > 0 || refusals.isEmpty else {
            throw CommandError(.data, refusals.joined(separator: "; "))
        }
    }

    private func report(_ pipeline: inout Running, _ loaded: LoadedModel, _ boundary: String) -> Report {
        let counters = pipeline.counters
        let observed = pipeline.publisher.sink.evaluation?.results ?? []
        var report = Report(
            loaded.model.metadata, latency: pipeline.publisher.latency, stages: pipeline.stages, horizons: observed)
        report.model = loaded.name
        report.ticks = Int(clamping: counters[.ticks])
        report.signals = Int(clamping: counters[.signalsPublished])
        report.lost = Int(clamping: counters[.recordsLost])
        report.dropped = Int(clamping: counters[.recordsDroppedOnInput])
        report.gaps = Int(clamping: counters[.gapsPublished])
        report.ticksPerSecond = pipeline.ingest.ticksPerSecond(ticks: report.ticks)
        report.evaluated = boundary
        report.counters = Report.unusual(counters)
        report.signalsSha256 = pipeline.publisher.sink.takeDigest()
        report.incidents += pipeline.incidents.lines
        if pipeline.ingest.source.skippedFrames > 0 {
            report.incidents.append("\(pipeline.ingest.source.skippedFrames) frames of multi-part messages skipped")
        }
        return report
    }

    /// What a socket that failed has cost.
    private func socketFailures(_ pipeline: borrowing Running) -> [String] {
        var failures: [String] = []
        if let failure = pipeline.ingest.source.failure { failures.append("input: \(failure)") }
        if let failure = pipeline.publisher.sink.base.failure {
            failures.append("output: \(failure); \(pipeline.publisher.sink.base.messagesLost) messages lost")
        }
        if pipeline.publisher.sink.base.subscribersLeft {
            failures.append("output: a subscriber left before the end: what was published after that it has not got")
        }
        return failures
    }

    /// Which ticks count in the metrics, and that in words.
    private func evaluatedPart(_ settings: Settings, _ loaded: LoadedModel) throws -> (Evaluation.Part, String) {
        guard let text = try settings.value(evaluateFrom, "evaluate-from") else {
            return (.all, "all warmed-up ticks, training data among them if the model was trained on this feed")
        }
        guard text != "training-end" else {
            guard let end = loaded.model.metadata.trainingEndTimestamp else {
                throw CommandError(
                    .usage, "--evaluate-from training-end: the model does not say when its training ended")
            }
            return Score.part(afterTraining: end)
        }
        guard case .time(let time) = try EvaluateFrom.parse(text) else {
            throw CommandError(.usage, "--evaluate-from '\(text)' is wrong; expected 'training-end' or a time")
        }
        return Score.part(from: time)
    }
}
