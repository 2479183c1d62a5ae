import CPlatform
import MarketData
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Pipeline
@testable import Recorder

/// The small types by themselves.
struct PartsTests {
    // MARK: Latency

    @Test("Quantiles are within 1.6 % above the exact ones", arguments: [10, 30, 45] as [UInt64])
    func quantiles(bits: UInt64) {
        var random = SplitMix64(seed: bits)
        var histogram = LatencyHistogram()
        var values: [UInt64] = []
        for _ in 0..<20_000 {
            let value = min(random.next() >> (64 - UInt64(random.below(Int(bits)) + 1)), (1 << 40) - 1)
            values.append(value)
            histogram.record(value)
        }
        values.sort()
        for quantile in [0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 1] {
            let exact = values[max(Int((quantile * 20_000).rounded(.up)), 1) - 1]
            let found = histogram.quantile(quantile)
            #expect(found >= exact && Double(found) <= Double(exact) * 1.016, "\(quantile): \(exact)")
        }
        #expect(histogram.maximum == values.last && histogram.count == 20_000)
    }

    @Test("An empty histogram has quantile 0, one value is its own, longer than 18 minutes is kept as the maximum")
    func histogramEdges() {
        var histogram = LatencyHistogram()
        #expect(histogram.quantile(0.5) == 0)
        histogram.record(77_777)
        #expect(histogram.quantile(0) == 77_777 && histogram.quantile(1) == 77_777)
        histogram.record(.max)
        #expect(histogram.maximum == .max && histogram.count == 2)
        var other = LatencyHistogram()
        other.record(1)
        other.merge(histogram)
        #expect(other.count == 3 && other.quantile(0.1) == 1 && other.maximum == .max)
    }

    // MARK: Topics and instruments

    @Test("A topic table finds what was inserted, byte for byte, and refuses what has no room")
    func topicTable() {
        var table = TopicTable(capacity: 50, topicByteCountMax: 24)
        let topics = (0..<50).map { Array("md/DATA/SYMBOL\($0 % 10)\($0)/".utf8) }
        for (index, topic) in topics.enumerated() {
            let isNew = topic.withUnsafeBytes { table.find($0) == nil }
            #expect(isNew)
            let isIn = topic.withUnsafeBytes {
                table.insert($0, TopicTable.Value(instrument: Int32(index), isDefinition: index % 2 == 1))
            }
            #expect(isIn)
        }
        for (index, topic) in topics.enumerated() {
            let value = topic.withUnsafeBytes { table.find($0) }
            #expect(value?.instrument == Int32(index) && value?.isDefinition == (index % 2 == 1))
            let shorter = topic.dropLast().withUnsafeBytes { table.find($0) == nil }
            #expect(shorter)
        }
        let more = Array("md/X/".utf8).withUnsafeBytes { table.insert($0, .refused) }
        let empty = table.find(UnsafeRawBufferPointer(start: nil, count: 0)) == nil
        let count = table.count
        #expect(!more && empty && count == 50)
    }

    @Test("A topic table counts what it refuses, and takes no empty topic")
    func refusedTopics() {
        var table = TopicTable(capacity: 2, topicByteCountMax: 8)
        let isIn = Array("md/X/".utf8).withUnsafeBytes { table.insert($0, .refused) }
        let empty = table.insert(UnsafeRawBufferPointer(start: nil, count: 0), .refused)
        let refused = table.refusedCount
        let tooLong = Array("md/0123456789/".utf8).withUnsafeBytes { table.insert($0, .refused) }
        #expect(isIn && !empty && !tooLong && refused == 1)
    }

    @Test("A registry numbers instruments by dataset and symbol in order, and is full at its capacity")
    func registry() {
        let registry = InstrumentRegistry(capacity: 3)
        #expect(registry.intern(dataset: "X", symbol: "A") == 0)
        #expect(registry.intern(dataset: "Y", symbol: "A") == 1)
        #expect(registry.intern(dataset: "X", symbol: "A") == 0)
        #expect(registry.intern(dataset: "X", symbol: "B") == 2)
        #expect(registry.intern(dataset: "X", symbol: "C") == nil)
        #expect(registry.count == 3 && registry[1].dataset == "Y" && registry[2].symbol == "B")
    }

    @Test("Two encodings of one letter are two instruments, as they are two topics")
    func encodings() {
        let (composed, decomposed) = ("\u{E9}", "e\u{301}")
        #expect(composed == decomposed, "Swift compares text by meaning")
        let registry = InstrumentRegistry(capacity: 4)
        #expect(registry.intern(dataset: "X", symbol: composed) == 0)
        #expect(registry.intern(dataset: "X", symbol: decomposed) == 1)
        #expect(registry.intern(dataset: composed, symbol: "X") == 2)
        #expect(registry.intern(dataset: decomposed, symbol: "X") == 3)
        #expect(StreamKey(dataset: "X", symbol: composed) != StreamKey(dataset: "X", symbol: decomposed))
        #expect(StreamKey(dataset: composed, symbol: "X") != StreamKey(dataset: decomposed, symbol: "X"))
    }

    @Test("An incident log keeps each different incident once with its count, and is bounded")
    func incidents() {
        let log = IncidentLog()
        for index in 0..<IncidentLog.incidentsMax {
            log.report("\(index)")
            log.report("0")
        }
        #expect(!log.snapshot.isFull && log.lines.count == IncidentLog.incidentsMax)
        log.report("one more")
        #expect(log.lines.last == "more than 64 different incidents: the rest is only counted")
        let snapshot = log.snapshot
        #expect(snapshot.isFull && snapshot.incidents.count == IncidentLog.incidentsMax)
        #expect(snapshot.incidents[0].count == IncidentLog.incidentsMax + 1 && snapshot.incidents[1].count == 1)
    }

    @Test("A handle array hands out its elements in place and destroys each once")
    func handles() {
        final class Tally { var count = 0 }
        struct Handle: ~Copyable {
            let tally: Tally
            var value: Int
            deinit { tally.count += 1 }
        }
        let tally = Tally()
        do {
            var array = HandleArray<Handle>(capacity: 4)
            for value in 0..<4 { array.append(Handle(tally: tally, value: value)) }
            array[2].value = 20
            let last = array.removeLast()
            let value = array[2].value
            let count = array.count
            #expect(last.value == 3 && value == 20 && count == 3)
            #expect(tally.count == 0)
        }
        #expect(tally.count == 4)
    }

    @Test("Counters add and keep maxima; a pipeline's sum them over agents, but for the longest step")
    func counters() {
        let blocks = (0..<4).map { _ in CounterBlock() }
        for (index, block) in blocks.enumerated() {
            block.add(.ticks, 10 + index)
            block.raise(.longestStepNanoseconds, to: UInt64(100 * index))
            block.raise(.longestStepNanoseconds, to: 50)
        }
        let all = PipelineCounters(ingest: blocks[0], workers: [blocks[1], blocks[2]], publisher: blocks[3])
        #expect(all[.ticks] == 46 && all[.longestStepNanoseconds] == 300 && all[.resets] == 0)
        #expect(blocks[0][.longestStepNanoseconds] == 50)
    }

    @Test("Every idle strategy comes back, however long there is no work", arguments: IdleStrategy.allCases)
    func idle(strategy: IdleStrategy) {
        var idler = Idler(strategy)
        for cycle in 0..<300 { idler.idle(work: cycle % 290 == 0 ? 1 : 0) }
        #expect(IdleStrategy(rawValue: strategy.rawValue) == strategy)
    }

    @Test("Envelopes are as long as they say: their records begin 8-byte aligned")
    func envelopes() {
        #expect(MemoryLayout<TickEnvelope>.size == TickEnvelope.byteCount)
        #expect(MemoryLayout<SignalEnvelope>.size == SignalEnvelope.byteCount)
        #expect(MemoryLayout<DefinitionCommand>.size == DefinitionCommand.byteCount)
        #expect(TickEnvelope.byteCount % 8 == 0 && SignalEnvelope.byteCount % 8 == 0)
    }

    @Test("Agents name their threads in at most 15 characters")
    func names() {
        let pipeline = makePipeline([], testOptions { $0.workers = 2 })
        let names = [pipeline.ingest.name, pipeline.publisher.name, pipeline.workers[0].name, pipeline.workers[1].name]
        #expect(names == ["ingest", "publisher", "worker-0", "worker-1"])
    }

    // MARK: Preconditions

    @Test("A handle array traps beyond its count and its capacity")
    func handleTraps() async {
        await #expect(processExitsWith: .failure) {
            var array = HandleArray<Int>(capacity: 1)
            array.append(1)
            array.append(2)
        }
        await #expect(processExitsWith: .failure) {
            let array = HandleArray<Int>(capacity: 1)
            _ = array[0]
        }
        await #expect(processExitsWith: .failure) {
            var array = HandleArray<Int>(capacity: 1)
            _ = array.removeLast()
        }
    }

    @Test("A registry traps on an instrument that is not there and without room for one")
    func registryTraps() async {
        await #expect(processExitsWith: .failure) { _ = InstrumentRegistry(capacity: 2)[0] }
        await #expect(processExitsWith: .failure) { _ = InstrumentRegistry(capacity: 0) }
    }

    @Test("A pipeline traps on no workers, empty packets, steps that take nothing and rings too small for a tick")
    func pipelineTraps() async {
        await #expect(processExitsWith: .failure) { _ = makePipeline([], testOptions { $0.messagesPerStep = 0 }) }
        await #expect(processExitsWith: .failure) { _ = makePipeline([], testOptions { $0.messagesPerStepMin = 0 }) }
        await #expect(processExitsWith: .failure) { _ = makePipeline([], testOptions { $0.workers = 0 }) }
        await #expect(processExitsWith: .failure) { _ = makePipeline([], testOptions { $0.recordsPerPacketMax = 0 }) }
        await #expect(processExitsWith: .failure) {
            _ = makePipeline([], model: TestModel.allHeads, testOptions { $0.ringBytes = 512 })
        }
    }

    @Test("A preset without a positive tick size and a horizon without a length trap")
    func valueTraps() async {
        await #expect(processExitsWith: .failure) { _ = InstrumentPreset(dataset: nil, symbol: "X", tickSize: 0) }
        await #expect(processExitsWith: .failure) { _ = Evaluation.Horizon(ticks: 0, threshold: 0) }
    }

    @Test("The smallest ring that is allowed is enough")
    func smallestRing() {
        var publisher = TestPublisher()
        let messages =
            [publisher.definition()] + publisher.packets([Make.trade(flags: []), Make.trade(), Make.trade()])
        let size = PipelineOptions.ringBytesMin(horizons: 3)
        let outcome = run(messages, model: TestModel.allHeads, testOptions { $0.ringBytes = size })
        #expect(outcome[.ticks] == 2 && size == 1_024)
    }

    // MARK: Bytes

    @Test("Bytes are the same if none differs, wherever it stands")
    func sameBytes() {
        for count in 0..<40 {
            let bytes = (0..<count).map { UInt8($0) }
            func isSame(_ other: [UInt8]) -> Bool {
                bytes.withUnsafeBytes { bytes in other.withUnsafeBytes { bytes.hasSameBytes(as: $0) } }
            }
            #expect(isSame(bytes) && !isSame(bytes + [0]))
            for index in 0..<count {
                var other = bytes
                other[index] ^= 0x80
                #expect(!isSame(other))
            }
        }
    }

    // MARK: Cores

    @Test("Inline, the thread is pinned to the first of the cores")
    func inlineCore() {
        final class Outcome: Sendable {
            let wrongCount = Atomic<Int>(0)
        }
        let outcome = Outcome()
        let thread = TestThread {
            // A container may not have the first ones.
            let cores = (0..<1_024).filter { martlet_thread_pin(Int32($0)) == 0 }
            for core in cores + cores {
                var pipeline = Pipeline(
                    source: ListSource([]), sink: NullSink(), model: TestModel.small,
                    options: testOptions { $0.cores = [core] })
                pipeline.runInline()
                if martlet_thread_cpu() != core { outcome.wrongCount.add(1, ordering: .relaxed) }
            }
        }
        thread.join()
        let count = outcome.wrongCount.load(ordering: .acquiring)
        #expect(count == 0)
    }
}
