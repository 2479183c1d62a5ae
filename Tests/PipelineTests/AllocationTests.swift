import CMallocCounter
import MarketData
import Recorder
import Testing
import Wire

@testable import Pipeline

/// Plays packets round and round, each time with the next sequence numbers, without allocating.
private struct LoopSource: ~Copyable, TickSource {
    private let buffers: [UnsafeMutableRawBufferPointer]
    private let sequenceOffsets: [Int]
    private let counts: [UInt64]
    private var index = 0
    private var nextSequence: UInt64 = 1
    private(set) var packets = 0
    /// Packets to play.
    var limit = 0

    init(_ messages: [[UInt8]]) throws {
        var offsets: [Int] = []
        var counts: [UInt64] = []
        for message in messages {
            let view = try message.withUnsafeBytes { try PacketView.parse($0).get() }
            offsets.append(view.payloadOffset - PacketHeader.byteCount + 16)
            counts.append(UInt64(view.header.count))
        }
        buffers = messages.map { message in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: message.count, alignment: 8)
            buffer.copyBytes(from: message)
            return buffer
        }
        sequenceOffsets = offsets
        self.counts = counts
    }

    deinit { for buffer in buffers { buffer.deallocate() } }

    var isExhausted: Bool { false }

    mutating func next() -> UnsafeRawBufferPointer? {
        guard packets < limit else { return nil }
        let buffer = buffers[index]
        // The first message is the definition, which has a sequence of its own.
        if index > 0 {
            buffer.storeBytes(of: nextSequence, toByteOffset: sequenceOffsets[index], as: UInt64.self)
            nextSequence += counts[index]
        }
        packets += 1
        index = index + 1 == buffers.count ? 0 : index + 1
        return UnsafeRawBufferPointer(buffer)
    }
}

struct AllocationTests {
    @Test(
        "100,000 ticks through all agents on one thread allocate nothing",
        .enabled(if: martlet_malloc_counter_is_active(), "a sanitizer has replaced malloc"),
        arguments: [OverloadPolicy.block, .drop, .conflate])
    func inline(policy: OverloadPolicy) throws {
        // Records of one tick each in packets of 8; statuses make resets, which must not allocate either.
        var publisher = TestPublisher()
        var records = Make.market(4_000, seed: 6)
        records.insert(Make.status(8), at: 100)
        records.insert(Make.status(7), at: 200)
        let source = try LoopSource([publisher.definition()] + publisher.packets(records, of: 8))
        var pipeline = Pipeline(
            source: source, sink: NullSink(), model: TestModel.small,
            options: testOptions {
                $0.inputPolicy = policy
                $0.signalPolicy = policy
                $0.clock = .system
                $0.heartbeatNanoseconds = 1_000_000
                $0.measuresStages = true
            })
        func play(ticks: UInt64) {
            let target = pipeline.counters.workers[0][.ticks] + ticks
            pipeline.ingest.source.limit = .max
            let block = pipeline.workers[0].counters
            while block[.ticks] < target { _ = pipeline.step() }
            pipeline.ingest.source.limit = 0
            while pipeline.step() > 0 {}
        }
        play(ticks: 5_000)
        let published = pipeline.publisher.counters
        let signals = published[.signalsPublished]
        // `play` itself makes an array of counters; the agents are stepped directly.
        pipeline.ingest.source.limit = .max
        let worker = pipeline.workers[0].counters
        let start = worker[.ticks]
        let process = martlet_malloc_count_process()
        let before = martlet_malloc_count_thread()
        while worker[.ticks] < start + 100_000 { _ = pipeline.step() }
        let count = martlet_malloc_count_thread() - before
        let all = martlet_malloc_count_process() - process
        #expect(count == 0)
        #expect(published[.signalsPublished] - signals >= 99_000)
        print("allocations over 100,000 ticks (\(policy)): \(count) on the thread, \(all) in the process with other tests")
    }
}
