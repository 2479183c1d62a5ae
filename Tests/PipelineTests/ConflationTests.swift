import MarketData
import Testing
import Wire

@testable import Pipeline

/// The policy `conflate`: beside a full ring lies the newest value of each instrument, and what it replaced is told.
struct ConflationTests {
    private static func options(_ change: (inout PipelineOptions) -> Void) -> PipelineOptions {
        testOptions {
            $0.ringBytes = 1 << 13
            $0.messagesPerStep = 200
            change(&$0)
        }
    }

    /// Two instruments, one packet of one book each in turn.
    private static func feed(_ count: Int) -> [[UInt8]] {
        var first = TestPublisher(symbol: "A")
        var second = TestPublisher(symbol: "B")
        var messages = [first.definition(), second.definition()]
        for book in Make.books(count) { messages += [first.packet([book]), second.packet([book])] }
        return messages
    }

    /// Sequences grow, gaps included, and every input record is either in a signal or in a gap.
    private static func isComplete(_ stream: SignalStream?, _ records: ClosedRange<UInt64>) -> Bool {
        var next = records.lowerBound
        for entry in stream?.entries ?? [] {
            switch entry {
            case .signal(let signal):
                guard signal.inputSequence == next else { return false }
                next += 1
            case .gap(let gap):
                guard gap.firstMissing == next, gap.count > 0 else { return false }
                next += UInt64(gap.count)
            }
        }
        return next == records.upperBound + 1
    }

    @Test("Conflating signals keeps each instrument's newest, in order, and tells exactly what it replaced")
    func signals() {
        let messages = Self.feed(60)
        var pipeline = makePipeline(messages, available: 102, Self.options { $0.signalPolicy = .conflate })
        pipeline.stepWithoutPublisher(300)
        #expect(pipeline.outcome[.signalsConflatedOnOutput] > 0)
        pipeline.settle()
        for symbol in ["A", "B"] {
            let stream = pipeline.outcome.streams["sig/m/T/\(symbol)/"]
            #expect(stream?.signals.last?.inputSequence == 50, "the newest survives")
            #expect(stream?.gaps.count == 1)
            #expect(stream?.gaps.first?.reason == GapReason.conflated.rawValue)
            #expect(Self.isComplete(stream, 1...50))
        }
        pipeline.finish()
        for symbol in ["A", "B"] { #expect(Self.isComplete(pipeline.outcome.streams["sig/m/T/\(symbol)/"], 1...60)) }
    }

    @Test("Replaced signals are told also where nothing was published before them")
    func signalsFromTheStart() {
        // The ring is full of A when B's first signal comes.
        var first = TestPublisher(symbol: "A")
        var second = TestPublisher(symbol: "B")
        second.nextSequence = 41
        var messages = [first.definition(), second.definition()] + first.packets(Make.books(60))
        messages += second.packets(Make.books(5))
        var pipeline = makePipeline(messages, Self.options { $0.signalPolicy = .conflate })
        pipeline.stepWithoutPublisher(300)
        pipeline.runInline()
        #expect(pipeline.outcome.streams["sig/m/T/B/"]?.outline == ["gap 41+4 conflated 1", "45"])
    }

    @Test("A loss on input while signals are conflated is told in its place")
    func signalsWithLoss() {
        for isReplaced in [false, true] {
            var publisher = TestPublisher()
            let books = Make.books(100)
            var messages = [publisher.definition()] + publisher.packets(Array(books[..<60]))
            // How many find room is the ring's business: find out, and lose a packet right behind the last of them.
            var probe = makePipeline(messages, Self.options { $0.signalPolicy = .drop })
            probe.stepWithoutPublisher(100)
            let room = 60 - probe.outcome[.signalsDroppedOnOutput]
            publisher = TestPublisher()
            messages = [publisher.definition()] + publisher.packets(Array(books[..<room]))
            publisher.nextSequence += 3
            messages += publisher.packets(Array(books[room..<room + (isReplaced ? 4 : 1)]))
            let available = messages.count
            messages += publisher.packets(Array(books[90..<95]))
            var pipeline = makePipeline(messages, available: available, Self.options { $0.signalPolicy = .conflate })
            pipeline.stepWithoutPublisher(100)
            pipeline.finish()
            let stream = pipeline.outcome.stream
            let gap = isReplaced ? "gap \(room + 1)+6 conflated 1" : "gap \(room + 1)+3 lostOnInput 1"
            #expect(stream.gaps.map(\.outline) == [gap])
            #expect(Self.isComplete(stream, 1...UInt64(room + 3 + (isReplaced ? 4 : 1) + 5)))
        }
    }

    @Test("Conflating signals with a reading thread keeps order and completeness", arguments: 1...4)
    func signalsThreaded(round: Int) {
        let outcome = runThreaded(
            Self.feed(1_500), sink: ListSink(refusalPeriod: 1 + round),
            Self.options {
                $0.signalPolicy = .conflate
                $0.recordsPerPacketMax = 3
            })
        #expect(outcome[.ticks] == 3_000)
        for symbol in ["A", "B"] { #expect(Self.isComplete(outcome.streams["sig/m/T/\(symbol)/"], 1...1_500)) }
    }

    @Test("Conflating level data on input keeps each instrument's newest, and tells what it replaced")
    func input() {
        let messages = Self.feed(60)
        var pipeline = makePipeline(messages, available: 102, Self.options { $0.inputPolicy = .conflate })
        pipeline.takeAll()
        #expect(pipeline.outcome[.recordsConflatedOnInput] > 0)
        pipeline.finish()
        let outcome = pipeline.outcome
        for symbol in ["A", "B"] {
            let stream = outcome.streams["sig/m/T/\(symbol)/"]
            #expect(Self.isComplete(stream, 1...60))
            #expect(stream?.gaps.map(\.reason) == [GapReason.conflated.rawValue])
            #expect(stream?.signals.contains { $0.inputSequence == 50 } == true, "the newest survives")
        }
        let missing = outcome.streams.values.flatMap(\.gaps).reduce(0) { $0 + Int($1.count) }
        #expect(outcome[.recordsConflatedOnInput] == missing)
        #expect(outcome[.recordsDroppedOnInput] == 0 && outcome.incidents.isEmpty)
    }

    @Test("Conflating a packet of several level records keeps its last")
    func inputPackets() {
        var publisher = TestPublisher()
        let messages = [publisher.definition()] + publisher.packets(Make.books(60), of: 3)
        var pipeline = makePipeline(messages, Self.options { $0.inputPolicy = .conflate })
        pipeline.takeAll()
        #expect(pipeline.outcome[.recordsConflatedOnInput] > 0)
        pipeline.runInline()
        #expect(Self.isComplete(pipeline.outcome.stream, 1...60))
        #expect(pipeline.outcome.stream.signals.last?.inputSequence == 60)
    }

    @Test("A restart while input is conflated resets, and tells a gap of unknown length")
    func inputRestart() {
        var publisher = TestPublisher()
        var messages = [publisher.definition()] + publisher.packets(Make.books(40))
        publisher.restart()
        messages += publisher.packets(Make.books(5))
        var pipeline = makePipeline(messages, Self.options { $0.inputPolicy = .conflate })
        pipeline.takeAll()
        #expect(pipeline.outcome[.recordsConflatedOnInput] > 0)
        pipeline.runInline()
        let stream = pipeline.outcome.stream
        #expect(stream.gaps.last?.outline == "gap 1+? conflated 2")
        #expect(stream.signals.last?.inputSequence == 5)
        #expect(stream.signals.last?.has(.firstAfterReset) == true)
    }

    @Test("Trades cannot be conflated: their instrument is named, and its packets are dropped and told")
    func trades() {
        var publisher = TestPublisher()
        let records = Make.books(40).flatMap { [Make.trade(flags: []), $0] }
        let messages = [publisher.definition()] + publisher.packets(records, of: 2)
        var pipeline = makePipeline(messages, Self.options { $0.inputPolicy = .conflate })
        pipeline.takeAll()
        pipeline.runInline()
        let outcome = pipeline.outcome
        #expect(outcome[.recordsDroppedOnInput] > 0 && outcome[.recordsConflatedOnInput] == 0)
        #expect(outcome.incidents.count == 1)
        #expect(outcome.incidents.first?.contains("T A: the policy 'conflate' is for level data alone") == true)
        let dropped = outcome[.recordsDroppedOnInput]
        #expect(outcome.stream.gaps.map(\.outline) == ["gap \(81 - dropped)+\(dropped) droppedByOverload 1"])
    }

    @Test("Conflating input with a reading thread keeps order and completeness", arguments: 1...4)
    func inputThreaded(round: Int) {
        let outcome = runThreaded(
            Self.feed(1_500),
            Self.options {
                $0.inputPolicy = .conflate
                $0.messagesPerStep = 16 * round
            })
        for symbol in ["A", "B"] { #expect(Self.isComplete(outcome.streams["sig/m/T/\(symbol)/"], 1...1_500)) }
    }
}
