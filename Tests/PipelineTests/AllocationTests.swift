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
    /// Steps with `round` through a warm-up, which takes each path once, and then through `ticks` ticks more.
    ///
    /// - Returns: how often this thread allocated after the warm-up, and how far each counter rose meanwhile.
    private func measure(
        _ pipeline: inout Pipeline<LoopSource, NullSink>, ticks: UInt64,
        _ round: (inout Pipeline<LoopSource, NullSink>) -> Void
    ) -> (allocations: UInt64, rise: (Counter) -> UInt64) {
        let worker = pipeline.workers[0].counters
        let counters = pipeline.counters
        while worker[.ticks] < 5_000 { round(&pipeline) }
        let start = Counter.allCases.map { counters[$0] }
        let end = worker[.ticks] + ticks
        let before = martlet_malloc_count_thread()
        while worker[.ticks] < end { round(&pipeline) }
        let allocations = martlet_malloc_count_thread() - before
        return (allocations, { counters[$0] - start[$0.rawValue] })
    }

    private func options(_ change: (inout PipelineOptions) -> Void = { _ in }) -> PipelineOptions {
        testOptions {
            $0.clock = .system
            $0.heartbeatNanoseconds = 1_000_000
            $0.stageInterval = 1
            change(&$0)
        }
    }

    /// Records of one tick each, and statuses that make resets, which must not allocate either.
    private static func market() -> [[UInt8]] {
        var records = Make.market(4_000, seed: 6)
        records.insert(Make.status(8), at: 100)
        records.insert(Make.status(7), at: 200)
        return records
    }

    private func source(_ records: [[UInt8]]) throws -> LoopSource {
        var publisher = TestPublisher()
        return try LoopSource([publisher.definition()] + publisher.packets(records, of: 8))
    }

    @Test(
        "100,000 ticks through all agents on one thread allocate nothing",
        .enabled(if: martlet_malloc_counter_is_active(), "a sanitizer has replaced malloc"))
    func inline() throws {
        var pipeline = Pipeline(
            source: try source(Self.market()), sink: NullSink(), model: TestModel.small, options: options())
        let found = measure(&pipeline, ticks: 100_000) { _ = $0.step() }
        #expect(found.allocations == 0)
        #expect(found.rise(.signalsPublished) >= 100_000 && found.rise(.resets) > 0)
    }

    /// Ingest is stepped more often than the worker, and the worker more often than the publisher: both rings are full most
    /// of the time.
    @Test(
        "Overload allocates nothing either, whatever is done about it",
        .enabled(if: martlet_malloc_counter_is_active(), "a sanitizer has replaced malloc"),
        arguments: [
            (OverloadPolicy.block, Counter.ingestBlocked, Counter.workerBlocked),
            (.drop, .recordsDroppedOnInput, .signalsDroppedOnOutput),
            (.conflate, .recordsConflatedOnInput, .signalsConflatedOnOutput),
        ])
    func overload(policy: OverloadPolicy, onInput: Counter, onOutput: Counter) throws {
        // Trades cannot be conflated.
        let records = policy == .conflate ? Make.books(4_000) : Self.market()
        var pipeline = Pipeline(
            source: try source(records), sink: NullSink(), model: TestModel.small,
            options: options {
                $0.inputPolicy = policy
                $0.signalPolicy = policy
                $0.ringBytes = 1 << 13
            })
        let found = measure(&pipeline, ticks: 10_000) { pipeline in
            for _ in 0..<4 {
                let now = Clock.system.monotonicNanoseconds()
                for _ in 0..<4 { _ = pipeline.ingest.step(now: now) }
                _ = pipeline.workers[0].step(now: now)
            }
            _ = pipeline.publisher.step(now: Clock.system.monotonicNanoseconds())
        }
        #expect(found.allocations == 0)
        #expect(found.rise(onInput) > 100)
        #expect(found.rise(onOutput) > 100)
        #expect(found.rise(.signalsPublished) > 100)
    }
}
