import CPlatform
import Foundation
import Inference
import Pipeline
import Recorder
import Transport
import Wire
import ZeroMQ

/// The process in the middle: the processor, or a forwarder that does nothing but receive and send.
struct BenchMiddle {
    private let node: BenchNodeCommand

    init(_ node: BenchNodeCommand) { self.node = node }

    func run() throws {
        var meter = Meter()
        var result = node.role == .forwarder ? try forward(&meter) : try process(&meter)
        // Sockets and contexts are gone: what they had queued has left.
        result.cpuSeconds = meter.processSeconds()
        try BenchNodeCommand.say(result)
    }

    /// Both kinds of middle have the same sockets: one context each way, as `run` has.
    private func output(_ context: borrowing Context, readiness: String) throws -> PublisherSocket {
        var socket = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: readiness),
            options: BenchNodeCommand.publisherOptions)
        try socket.bind("tcp://127.0.0.1:*")
        try BenchNodeCommand.say(BenchMiddleHello(endpoint: socket.lastEndpoint))
        try BenchWait.untilReady(&socket)
        return socket
    }

    private func input(_ context: borrowing Context) throws -> Socket {
        var socket = try Socket(context, .sub, options: Subscriptions.options)
        // The publisher starts when it sees the ticks' prefix: by then it must know of the other.
        try socket.subscribe("def/")
        try socket.subscribe(Readiness.replayTopic)
        try socket.connect(node.input)
        return socket
    }

    private func forward(_ meter: inout Meter) throws -> BenchMiddleResult {
        let outputContext = try Context()
        let inputContext = try Context()
        var output = try output(outputContext, readiness: Readiness.replayTopic)
        var input = try input(inputContext)
        if node.ownCore >= 0 { _ = martlet_thread_pin(Int32(node.ownCore)) }
        var message = Message()
        var idler = Idler(node.idle)
        var latency = LatencyHistogram()
        var ended = 0
        var sends = 0
        while ended < node.streams {
            guard case .received = try input.receive(into: &message) else {
                idler.idle(work: 0)
                continue
            }
            let received = martlet_monotonic_ns()
            meter.start()
            if BenchFeed.endsSession(message) { ended += 1 }
            while try output.send(&message) == .wouldBlock { idler.idle(work: 0) }
            latency.record(martlet_monotonic_ns() - received)
            idler.idle(work: 1)
            sends += 1
            if sends % 256 == 0 { _ = try output.pollSubscriptions() }
        }
        return BenchMiddle.result(latency, meter.threadSeconds())
    }

    private func process(_ meter: inout Meter) throws -> BenchMiddleResult {
        let loaded = try LoadedModel(path: node.model, name: nil)
        let outputContext = try Context()
        let inputContext = try Context()
        let sink = ZeroMQSink(
            try output(outputContext, readiness: Readiness.signalsTopic(model: loaded.name)))
        let source = MeteredSource(ZeroMQSource(try input(inputContext)))
        guard node.role == .observed else { return run(source, sink, loaded, &meter) }
        let evaluation = Evaluation(
            horizons: loaded.model.metadata.horizons.compactMap(Evaluation.Horizon.init), part: .all)
        return run(source, ObservedSink(sink, digest: nil, evaluation: evaluation), loaded, &meter)
    }

    private func run(
        _ source: consuming MeteredSource, _ sink: consuming some SignalSink & ~Copyable,
        _ loaded: LoadedModel,
        _ meter: inout Meter
    ) -> BenchMiddleResult {
        var pipeline = Pipeline(
            source: source, sink: sink, model: loaded.model, options: BenchMiddle.options(node, loaded))
        var threadSeconds: Double?
        if node.role == .threaded {
            pipeline = pipeline.runThreaded { _ in }
        } else {
            pipeline.runInline()
            threadSeconds = pipeline.ingest.source.meter.threadSeconds()
        }
        meter = pipeline.ingest.source.meter
        var result = BenchMiddle.result(pipeline.publisher.latency, threadSeconds)
        result.lost = Int(clamping: pipeline.counters[.recordsLost])
        return result
    }

    static func options(_ node: BenchNodeCommand, _ loaded: LoadedModel) -> PipelineOptions {
        var options = PipelineOptions()
        options.modelName = loaded.name
        options.modelID = loaded.id
        options.idle = node.idle
        if node.ownCore >= 0 { options.cores = [node.ownCore] }
        options.heartbeatNanoseconds = 0
        options.stopsAtEndOfSessions = true
        options.stageInterval = node.role == .observed ? Publications.stageInterval : 0
        // One message in, one message out: as many sends as the forwarder has.
        if node.role == .unbatched { options.messagesPerStep = 1 }
        return options
    }

    private static func result(_ latency: LatencyHistogram, _ threadSeconds: Double?) -> BenchMiddleResult {
        var result = BenchMiddleResult()
        result.threadSeconds = threadSeconds
        result.p50 = Double(latency.quantile(0.5))
        result.p99 = Double(latency.quantile(0.99))
        result.p999 = Double(latency.quantile(0.999))
        return result
    }
}

/// CPU time from the first message on.
struct Meter {
    private var processStart = 0.0
    private var threadStart: UInt64 = 0
    private(set) var hasStarted = false

    /// Does its work at the first call.
    mutating func start() {
        guard !hasStarted else { return }
        hasStarted = true
        processStart = Meter.processNow()
        threadStart = martlet_thread_cpu_ns()
    }

    /// Of all threads, libzmq's included.
    func processSeconds() -> Double { hasStarted ? Meter.processNow() - processStart : 0 }

    /// Of the calling thread, which is the one that started it.
    func threadSeconds() -> Double { hasStarted ? Double(martlet_thread_cpu_ns() - threadStart) / 1e9 : 0 }

    private static func processNow() -> Double {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }
}

/// A source whose first message starts the meter.
struct MeteredSource: ~Copyable, TickSource {
    private var base: ZeroMQSource
    private(set) var meter = Meter()

    init(_ base: consuming ZeroMQSource) { self.base = base }

    var isExhausted: Bool { base.isExhausted }

    mutating func next() -> UnsafeRawBufferPointer? {
        guard let message = base.next() else { return nil }
        meter.start()
        return message
    }
}
