import CMallocCounter
import MarketData
import Recorder
import Testing
import Wire

@testable import Pipeline

/// Plays a definition once, then packets round and round, each time with the next sequence numbers, without allocating.
private struct LoopSource: ~Copyable, TickSource {
    private let buffers: [UnsafeMutableRawBufferPointer]
    private let sequenceOffsets: [Int]
    private let counts: [UInt64]
    private var index = 0
    private var nextSequence: UInt64 = 1

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
        let buffer = buffers[index]
        if index > 0 {
            buffer.storeBytes(of: nextSequence, toByteOffset: sequenceOffsets[index], as: UInt64.self)
            nextSequence += counts[index]
        }
        index = index + 1 == buffers.count ? 1 : index + 1
        return UnsafeRawBufferPointer(buffer)
    }
}

struct AllocationTests {
    @Test(
        "100,000 ticks through all agents on one thread allocate nothing; other policies neither",
        .enabled(if: martlet_malloc_counter_is_active(), "a sanitizer has replaced malloc"),
        arguments: [(OverloadPolicy.block, UInt64(100_000)), (.drop, 10_000), (.conflate, 10_000)])
    func inline(policy: OverloadPolicy, ticks: UInt64) throws {
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
        let worker = pipeline.workers[0].counters
        let published = pipeline.publisher.counters
        // The warm-up takes each path once: definition, reset, heartbeat.
        while worker[.ticks] < 5_000 { _ = pipeline.step() }
        let signals = published[.signalsPublished]
        let start = worker[.ticks]
        let process = martlet_malloc_count_process()
        let before = martlet_malloc_count_thread()
        while worker[.ticks] < start + ticks { _ = pipeline.step() }
        let count = martlet_malloc_count_thread() - before
        let all = martlet_malloc_count_process() - process
        #expect(count == 0)
        #expect(published[.signalsPublished] - signals >= ticks)
        print(
            "allocations over \(ticks) ticks (\(policy)): \(count) on the thread, \(all) in the process with other tests"
        )
    }
}
