import MarketData
import Testing
import Wire

@testable import Pipeline

/// Each overload policy, stepped by hand so that rings are full when the test wants it.
struct OverloadTests {
    private static let records = Make.market(400, seed: 3)

    private static func feed(_ size: Int = 1) -> [[UInt8]] {
        var publisher = TestPublisher()
        return [publisher.definition()] + publisher.packets(records, of: size)
    }

    // MARK: block

    @Test(
        "Blocking loses nothing with tiny rings and a sink that refuses now and then",
        arguments: [1, 3, 7], [2, 3])
    func block(size: Int, refusalPeriod: Int) {
        let expected = run(Self.feed(), model: TestModel.allHeads)
        let outcome = run(
            Self.feed(size), sink: ListSink(refusalPeriod: refusalPeriod), model: TestModel.allHeads,
            testOptions {
                $0.ringBytes = 1 << 13
                $0.recordsPerPacketMax = 5
            })
        #expect(expected[.ticks] == 400)
        #expect(outcome.digest == expected.digest)
        #expect(outcome[.gapsPublished] == 0 && outcome[.signalsPublished] == 1_200)
        #expect(outcome[.publisherBlocked] > 0)
    }

    @Test("Blocking goes on in the middle of a packet, and tells a gap once, when the signal ring was full")
    func blockMidPacket() {
        var publisher = TestPublisher()
        let books = Make.books(40)
        var messages = [publisher.definition(), publisher.packet([books[0]])]
        publisher.nextSequence = 11
        messages.append(publisher.packet(Array(books[..<20])))
        // A signal ring of some six ticks, and a publisher that is not stepped while it fills.
        var pipeline = makePipeline(messages, testOptions { $0.ringBytes = 1 << 15 })
        pipeline.publisher.sink.isFull = true
        var small = makePipeline(messages, model: TestModel.allHeads, testOptions { $0.ringBytes = 1 << 15 })
        small.stepWithoutPublisher(20)
        small.runInline()
        #expect(small.outcome.stream.gaps.map(\.outline) == ["gap 2+9 lostOnInput 1"])
        #expect(small.outcome[.ticks] == 21)
        pipeline.settle()
        #expect(pipeline.outcome.published.isEmpty)
        pipeline.publisher.sink.isFull = false
        pipeline.runInline()
        #expect(pipeline.outcome.stream.signals.count == 21)
    }

    @Test("A definition from the configuration that finds the ring full is delivered later, not forgotten")
    func presetWaits() {
        var first = TestPublisher(symbol: "FIRST")
        var second = TestPublisher(symbol: "SECOND")
        var third = TestPublisher(symbol: "THIRD")
        var messages = first.packets(Make.books(3))
        // Heartbeats carry nothing further: what waits then is the definition alone.
        messages += [second.heartbeat(), third.heartbeat()]
        messages += second.packets(Make.books(2)) + third.packets(Make.books(2))
        let options = testOptions {
            $0.ringBytes = 1 << 10
            $0.messagesPerStep = 1
            $0.presets = ["FIRST", "SECOND", "THIRD"].map {
                InstrumentPreset(dataset: nil, symbol: $0, tickSize: Make.tickSize)
            }
        }
        var pipeline = makePipeline(messages, options)
        for _ in 0..<20 { _ = pipeline.ingest.step(now: 0) }
        #expect(pipeline.counters[.ingestBlocked] > 0)
        pipeline.runInline()
        #expect(pipeline.outcome[.ticks] == 7)
        #expect(pipeline.outcome.streams.count == 3)
    }

    // MARK: drop

    @Test("Dropping on input counts, and tells the exact range before the next packet that finds room")
    func dropOnInput() {
        var publisher = TestPublisher()
        let books = Make.books(60)
        let messages = [publisher.definition()] + publisher.packets(books, of: 2)
        var pipeline = makePipeline(
            messages, available: 21,
            testOptions {
                $0.ringBytes = 1 << 13
                $0.inputPolicy = .drop
                $0.messagesPerStep = 100
            })
        pipeline.takeAll()
        let dropped = pipeline.outcome[.recordsDroppedOnInput]
        #expect(dropped > 0 && dropped < 40)
        pipeline.finish()
        let outcome = pipeline.outcome
        let first = 41 - outcome[.recordsDroppedOnInput]
        #expect(
            outcome.stream.outline
                == outline(1...(first - 1), "gap \(first)+\(41 - first) droppedByOverload 1", 41...60))
        #expect(outcome[.gapsPublished] == 1 && outcome[.recordsLost] == 0)
        #expect(outcome.stream.signals.first { $0.inputSequence == 41 }?.has(.staleAfterGap) == true)
    }

    @Test("What is dropped at the end is told before the end, and at a heartbeat before a pause")
    func dropAtEnd() {
        for isHeartbeat in [false, true] {
            var publisher = TestPublisher()
            var messages = [publisher.definition()] + publisher.packets(Make.books(40))
            let available = messages.count
            if isHeartbeat { messages.append(publisher.heartbeat()) }
            var pipeline = makePipeline(
                messages, available: available, ends: !isHeartbeat,
                testOptions {
                    $0.ringBytes = 1 << 12
                    $0.inputPolicy = .drop
                    $0.messagesPerStep = 100
                })
            pipeline.takeAll()
            let first = 41 - pipeline.outcome[.recordsDroppedOnInput]
            pipeline.settle()
            pipeline.ingest.source.available = messages.count
            pipeline.settle()
            #expect(pipeline.outcome.stream.outline.last == "gap \(first)+\(41 - first) droppedByOverload 1")
            #expect(first > 1 && first < 40)
        }
    }

    @Test("A restart inside the dropped packets still resets the state, and its gaps keep their order")
    func dropAcrossSessions() {
        var publisher = TestPublisher()
        let books = Make.books(60)
        var messages = [publisher.definition()] + publisher.packets(Array(books[..<30]))
        publisher.restart()
        messages += publisher.packets(Array(books[..<10]))
        let available = messages.count
        _ = publisher.packet([books[10], books[11]])
        messages += publisher.packets(Array(books[12..<30]))
        var pipeline = makePipeline(
            messages, available: available,
            testOptions {
                $0.ringBytes = 1 << 13
                $0.inputPolicy = .drop
                $0.messagesPerStep = 100
            })
        pipeline.takeAll()
        pipeline.finish()
        let stream = pipeline.outcome.stream
        #expect(stream.gaps.map(\.outline) == ["gap 1+? droppedByOverload 2", "gap 11+2 lostOnInput 2"])
        #expect(stream.signals.last { $0.inputSequence == 13 }?.has(.firstAfterReset) == true)
        #expect(pipeline.outcome[.resets] == 1)
    }

    @Test("Dropping on output counts ticks and tells their range, also at the end", arguments: [false, true])
    func dropOnOutput(isAtEnd: Bool) {
        var publisher = TestPublisher()
        let messages = [publisher.definition()] + publisher.packets(Make.books(80))
        var pipeline = makePipeline(
            messages, available: isAtEnd ? messages.count : 71,
            testOptions {
                $0.ringBytes = 1 << 13
                $0.signalPolicy = .drop
            })
        // The publisher is not stepped: the signal ring fills.
        pipeline.stepWithoutPublisher(200)
        let dropped = pipeline.outcome[.signalsDroppedOnOutput]
        let last = isAtEnd ? 80 : 70
        #expect(dropped > 0 && dropped < last)
        pipeline.finish()
        let outcome = pipeline.outcome
        let first = last + 1 - dropped
        var expected = (1..<first).map { "\($0)" }
        expected.append("gap \(first)+\(dropped) droppedOnOutput 1")
        if !isAtEnd { expected += (71...80).map { "\($0)" } }
        #expect(outcome.stream.outline == expected)
        #expect(outcome[.signalsDroppedOnOutput] == dropped)
        #expect(outcome.stream.signals.allSatisfy { !$0.has(.staleAfterGap) }, "the model has seen every tick")
    }

    @Test("A gap on input that finds the signal ring full joins what was dropped there, exactly")
    func dropOnOutputWithLoss() {
        var publisher = TestPublisher()
        let books = Make.books(80)
        var messages = [publisher.definition()] + publisher.packets(Array(books[..<60]))
        publisher.nextSequence = 101
        messages += publisher.packets(Array(books[60..<65]))
        let available = messages.count
        messages += publisher.packets(Array(books[65..<70]))
        var pipeline = makePipeline(
            messages, available: available,
            testOptions {
                $0.ringBytes = 1 << 13
                $0.signalPolicy = .drop
            })
        pipeline.stepWithoutPublisher(200)
        pipeline.finish()
        let stream = pipeline.outcome.stream
        let first = 61 + 5 - pipeline.outcome[.signalsDroppedOnOutput]
        #expect(stream.gaps.map(\.outline) == ["gap \(first)+\(106 - first) droppedOnOutput 1"])
        #expect(stream.signals.map(\.inputSequence).suffix(5) == [106, 107, 108, 109, 110])
    }

    @Test("Dropping with enough room drops nothing")
    func dropIdle() {
        let outcome = run(
            Self.feed(),
            testOptions {
                $0.inputPolicy = .drop
                $0.signalPolicy = .drop
            })
        #expect(outcome.digest == run(Self.feed()).digest)
        #expect(outcome[.gapsPublished] == 0)
    }
}
