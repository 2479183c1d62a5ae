import MarketData
import Recorder
import Testing
import Wire

@testable import Pipeline

/// A stop is a drain: what was received is published, and each topic ends its session.
struct StopTests {
    private static func feed(_ symbols: [String], ticks: Int) -> [[UInt8]] {
        var publishers = symbols.map { TestPublisher(symbol: $0) }
        var messages = publishers.map { $0.definition() }
        for book in Make.books(ticks) {
            for index in publishers.indices { messages.append(publishers[index].packet([book])) }
        }
        return messages
    }

    @Test("A stop drains what was received, ends every session once and finishes the sink")
    func stop() {
        let messages = Self.feed(["A", "B"], ticks: 50)
        var pipeline = makePipeline(messages, available: 42, ends: false, testOptions { $0.workers = 2 })
        while pipeline.ingest.counters[.messagesReceived] < 30 { _ = pipeline.ingest.step(now: 0) }
        let received = pipeline.outcome[.recordsReceived]
        pipeline.control.requestStop()
        pipeline.runInline()
        let outcome = pipeline.outcome
        #expect(outcome[.recordsReceived] == received, "nothing more was taken")
        #expect(outcome[.ticks] == received && outcome[.signalsPublished] == received)
        #expect(outcome.streams.count == 2)
        #expect(outcome.streams.values.allSatisfy { $0.hasEnded })
        let sink = pipeline.publisher.sink
        #expect(sink.isFinished && sink.observed == outcome[.packetsPublished])
        #expect(pipeline.finished == (true, true, true))
    }

    @Test("A stop waits for a sink that is full")
    func stopWithFullSink() {
        var pipeline = makePipeline(Self.feed(["A"], ticks: 5), ends: false)
        pipeline.publisher.sink.isFull = true
        pipeline.settle()
        pipeline.control.requestStop()
        for _ in 0..<10 { _ = pipeline.step() }
        #expect(!pipeline.finished.publisher)
        pipeline.publisher.sink.isFull = false
        pipeline.runInline()
        #expect(pipeline.outcome.stream.signals.count == 5 && pipeline.outcome.stream.hasEnded)
        #expect(pipeline.finished.publisher)
    }

    @Test("A stop before anything came ends at once")
    func stopAtOnce() {
        var pipeline = makePipeline(Self.feed(["A"], ticks: 5), ends: false)
        pipeline.control.requestStop()
        pipeline.runInline()
        #expect(pipeline.outcome.published.isEmpty && pipeline.finished.publisher)
    }

    @Test("Threads end on a stop, with everything published", arguments: [1, 2, 3])
    func stopThreads(workers: Int) {
        let messages = Self.feed(["A", "B", "C"], ticks: 300)
        let pipeline = makePipeline(messages, ends: false, testOptions { $0.workers = workers })
        let control = pipeline.control
        let counters = pipeline.counters
        let finished = pipeline.runThreaded { _ in
            if counters[.ticks] == 900 { control.requestStop() }
        }
        #expect(finished.outcome[.signalsPublished] == 900)
        #expect(finished.outcome.streams.values.allSatisfy { $0.hasEnded })
        #expect(finished.outcome.digest == run(messages).digest)
    }

    @Test("A run ends with the last session, and not before")
    func endOfSessions() {
        var first = TestPublisher(symbol: "A")
        var second = TestPublisher(symbol: "B")
        var old = TestPublisher(symbol: "B", session: 0)
        var messages = [
            first.definition(), second.definition(), first.packet(Make.books(3)), second.packet(Make.books(3)),
        ]
        messages += [first.end(), old.packet([Make.book()]), old.end(), second.heartbeat()]
        let early = messages.count
        messages += [second.packet(Make.books(2)), second.end(), first.heartbeat(), second.heartbeat()]
        var pipeline = makePipeline(
            messages, available: early, ends: false, testOptions { $0.stopsAtEndOfSessions = true })
        for _ in 0..<20 { _ = pipeline.step() }
        #expect(!pipeline.finished.ingest, "B is open: an old session's end does not count")
        pipeline.ingest.source.available = messages.count
        pipeline.runInline()
        #expect(pipeline.outcome[.ticks] == 8)
    }

    @Test("A session that begins after the end of another of its topic is waited for")
    func nextSession() {
        var publisher = TestPublisher()
        var messages = [publisher.definition(), publisher.packet(Make.books(3)), publisher.end()]
        publisher.restart()
        messages += [publisher.heartbeat()]
        let available = messages.count
        messages += [publisher.packet(Make.books(2)), publisher.end()]
        var pipeline = makePipeline(
            messages, available: available, ends: false, testOptions { $0.stopsAtEndOfSessions = true })
        for _ in 0..<20 { _ = pipeline.step() }
        #expect(!pipeline.finished.ingest)
        pipeline.ingest.source.available = messages.count
        pipeline.runInline()
        #expect(pipeline.outcome[.ticks] == 5 && pipeline.outcome[.sessionsEnded] == 2)
    }

    @Test("A session without a tick size ends a run as well")
    func undefinedSession() {
        var publisher = TestPublisher()
        let messages = [publisher.packet(Make.books(3)), publisher.end()]
        var pipeline = makePipeline(messages, ends: false, testOptions { $0.stopsAtEndOfSessions = true })
        pipeline.runInline()
        #expect(pipeline.outcome[.messagesRefused] == 2)
    }

    @Test("Heartbeats say where each topic stands, at their interval, and a full sink skips them")
    func heartbeats() throws {
        var pipeline = makePipeline(
            Self.feed(["A", "B"], ticks: 3), ends: false, testOptions { $0.heartbeatNanoseconds = 1_000 })
        pipeline.settle()
        let before = pipeline.publisher.sink.messages.count
        func beat(_ now: UInt64) -> Int {
            let count = pipeline.publisher.sink.messages.count
            _ = pipeline.publisher.step(now: now)
            return pipeline.publisher.sink.messages.count - count
        }
        let counts = [beat(2_000), beat(2_999), beat(3_000)]
        #expect(counts == [2, 0, 2])
        pipeline.publisher.sink.isFull = true
        let full = beat(9_000)
        pipeline.publisher.sink.isFull = false
        #expect(full == 0)
        for message in pipeline.publisher.sink.messages[before...] {
            let header = try message.withUnsafeBytes { try PacketView.parse($0).get().header }
            #expect(header.kind == PacketHeader.Kind.heartbeat && header.sequence == 4)
        }
        pipeline.control.requestStop()
        pipeline.runInline()
        #expect(pipeline.outcome.streams.values.allSatisfy { $0.hasEnded && $0.signals.count == 3 })
    }
}
