import Glibc
import Inference
import Recorder
import Synchronization
import TestSupport
import Testing
import Transport
import Wire
import ZeroMQ

@testable import Pipeline

/// A replay publisher, a processor and a subscriber, joined by real sockets on loopback TCP.
enum Loopback {
    /// What a wait may last before the test fails; the machine may be busy.
    private static let patience = Duration.seconds(60)

    /// What the other threads found.
    private final class Notes: Sendable {
        let published = Mutex<[[UInt8]]>([])
        let problem = Mutex<String?>(nil)
        let isDone = Atomic<Bool>(false)

        func fail(_ text: String) { problem.withLock { $0 = $0 ?? text } }
    }

    private static let context: Result<SharedContext, ZeroMQError> = Result { () throws(ZeroMQError) in
        SharedContext(try Context())
    }

    /// Sockets keep the context's memory; the context itself stays for all tests.
    private final class SharedContext: Sendable {
        let context: Context
        init(_ context: consuming Context) { self.context = context }
    }

    /// Waits until `isReady`, reading subscriptions meanwhile.
    private static func awaitSubscriber(_ socket: inout PublisherSocket) throws {
        let deadline = ContinuousClock.now + patience
        while !socket.isReady {
            try socket.pollSubscriptions()
            sched_yield()
            guard ContinuousClock.now < deadline else { throw Trouble(text: "no subscriber came") }
        }
    }

    struct Trouble: Error { let text: String }

    /// Plays the files losslessly, runs the pipeline over them, and takes the digest of what a subscriber received.
    static func run(_ paths: [String], cut: Int, model: Model, isThreaded: Bool) throws -> Digested {
        let shared = try context.get()
        let notes = Notes()
        var output = try PublisherSocket(shared.context, .lossless(subscribers: 1, readinessTopic: "sig/m/"))
        try output.bind("tcp://127.0.0.1:*")
        let collector = collect(notes, try subscriber(shared, output.lastEndpoint, ["sig/"]))
        try awaitSubscriber(&output)
        var input = try PublisherSocket(shared.context, .lossless(subscribers: 1, readinessTopic: "md/"))
        try input.bind("tcp://127.0.0.1:*")
        let source = ZeroMQSource(try subscriber(shared, input.lastEndpoint, ["def/", "md/"]))
        let player = play(notes, input, paths, cut)
        let options = testOptions {
            $0.ringBytes = 1 << 20
            $0.stopsAtEndOfSessions = true
            $0.idle = .backoff
        }
        var pipeline = Pipeline(source: source, sink: ZeroMQSink(output), model: model, options: options)
        if isThreaded {
            pipeline = pipeline.runThreaded { _ in }
        } else {
            pipeline.runInline()
        }
        player.join()
        collector.join()
        #expect(notes.problem.withLock { $0 } == nil)
        let failures = [pipeline.ingest.source.failure, pipeline.publisher.sink.failure].compactMap { $0 }
        #expect(failures.isEmpty)
        return Digested(
            digest: notes.published.withLock { SignalStream.digest(of: $0) }, ticks: pipeline.counters[.ticks],
            lost: pipeline.counters[.recordsLost])
    }

    private static func subscriber(_ shared: SharedContext, _ endpoint: String, _ prefixes: [String]) throws -> Socket {
        var socket = try Socket(shared.context, .sub, options: SocketOptions())
        for prefix in prefixes { try socket.subscribe(prefix) }
        try socket.connect(endpoint)
        return socket
    }

    /// Plays the files on a thread of their own, waiting for the slowest subscriber.
    private static func play(
        _ notes: Notes, _ socket: consuming PublisherSocket, _ paths: [String], _ cut: Int
    ) -> TestThread {
        let handover = Handover(socket)
        return TestThread {
            var socket = handover.take()
            var replay = FeedReplay(paths: paths, options: replayOptions { $0.recordsPerPacketMax = cut })
            let deadline = ContinuousClock.now + patience
            do {
                try awaitSubscriber(&socket)
                while let message = replay.next() {
                    while try socket.send(message) != .sent {
                        sched_yield()
                        guard ContinuousClock.now < deadline else { throw Trouble(text: "no room to send in time") }
                    }
                }
            } catch { notes.fail("\(error)") }
            if let failure = replay.failure { notes.fail("\(failure)") }
        }
    }

    /// Receives on a thread of its own until each topic has ended.
    private static func collect(_ notes: Notes, _ socket: consuming Socket) -> TestThread {
        let handover = Handover(socket)
        return TestThread {
            var socket = handover.take()
            var message = Message()
            var open: Set<[UInt8]> = []
            let deadline = ContinuousClock.now + patience
            do {
                var hasBegun = false
                while !hasBegun || !open.isEmpty {
                    guard case .received = try socket.receive(into: &message) else {
                        _ = try socket.wait(for: .readable, timeoutMilliseconds: 100)
                        guard ContinuousClock.now < deadline else { throw Trouble(text: "no end of session came") }
                        continue
                    }
                    hasBegun = true
                    let bytes = message.withUnsafeBytes { Array($0) }
                    let view = try bytes.withUnsafeBytes { try PacketView.parse($0).get() }
                    let topic = bytes.withUnsafeBytes { Array(view.topic(in: $0)) }
                    if view.header.kind == PacketHeader.Kind.endOfSession {
                        open.remove(topic)
                    } else {
                        open.insert(topic)
                    }
                    notes.published.withLock { $0.append(bytes) }
                }
            } catch { notes.fail("\(error)") }
        }
    }
}
