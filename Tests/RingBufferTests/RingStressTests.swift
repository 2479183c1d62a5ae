import RingBuffer
import Synchronization
import TestSupport
import Testing

/// Two threads, records of changing length with a number and bytes that follow from it. Meant for
/// ThreadSanitizer as well, which sees every access to shared memory that nothing orders.
@Suite("Ring: two threads", .serialized)
struct RingStressTests {
    /// Lengths of record `number`, from a fixed sequence that both sides know; all lengths up to `longest`
    /// occur.
    private static func byteCount(_ number: Int, longest: Int) -> Int {
        Int((UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15) >> 33) % (longest + 1)
    }

    private static func fill(_ memory: UnsafeMutableRawPointer, byteCount: Int, number: Int) {
        // A typed pointer: ThreadSanitizer does not see raw stores in debug builds.
        let bytes = memory.assumingMemoryBound(to: UInt8.self)
        for index in 0..<byteCount {
            bytes[index] = UInt8(truncatingIfNeeded: number &* 7 &+ index)
        }
    }

    private static func isIntact(_ record: UnsafeRawBufferPointer, number: Int, longest: Int) -> Bool {
        guard record.count == byteCount(number, longest: longest), let start = record.baseAddress else {
            return false
        }
        let bytes = start.assumingMemoryBound(to: UInt8.self)
        return record.indices.allSatisfy { bytes[$0] == UInt8(truncatingIfNeeded: number &* 7 &+ $0) }
    }

    /// Writes all records, some staged, some after an aborted claim.
    private static func produce(_ producer: consuming Producer, count: Int, longest: Int) {
        var producer = producer
        var number = 0
        while number < count {
            let byteCount = byteCount(number, longest: longest)
            guard let memory = producer.tryClaim(byteCount: number % 11 == 0 ? longest : byteCount) else {
                producer.publish()
                waitABit()
                continue
            }
            fill(memory, byteCount: byteCount, number: number)
            if number % 13 == 5, producer.tryClaim(byteCount: byteCount) != nil {
                // Claiming again dropped the claim above, and this one is filled anew.
                producer.abort()
                guard let again = producer.tryClaim(byteCount: byteCount) else { continue }
                fill(again, byteCount: byteCount, number: number)
            } else if number % 13 == 5 {
                continue
            }
            if number % 3 == 0 {
                producer.stage(byteCount: byteCount)
            } else {
                producer.commit(byteCount: byteCount)
            }
            number += 1
        }
        producer.publish()
        while !producer.isDrained {
            waitABit()
        }
    }

    @Test("every record arrives once, in order and whole", arguments: [32, 256, 4096], [1, 1000])
    func stress(capacity: Int, batchLimit: Int) {
        let count = capacity < 4096 ? 1_500 : 20_000  // A small ring changes hands every few records.
        let longest = RingBuffer.recordByteCountMax(capacity: capacity)
        let pair = RingBuffer.make(byteCount: capacity)
        let producerEnd = Handover(pair.producer)
        let writer = TestThread { Self.produce(producerEnd.take(), count: count, longest: longest) }
        var consumer = pair.consumer
        var (number, brokenCount) = (0, 0)
        while number < count {
            let drained = consumer.drain(limit: batchLimit) { record in
                if !Self.isIntact(record, number: number, longest: longest) { brokenCount += 1 }
                number += 1
            }
            if drained == 0 { waitABit() }
        }
        writer.join()
        #expect(brokenCount == 0)
        let more = consumer.peek() != nil
        #expect(!more)
    }

    @Test("the last end frees the ring, whichever thread that is")
    func freeing() {
        for round in 0..<50 {
            let pair = RingBuffer.make(byteCount: 64)
            let producerEnd = Handover(pair.producer)
            let writer = TestThread { Self.produceAndLeave(producerEnd.take()) }
            var consumer = pair.consumer
            if round % 2 == 0 {
                while consumer.drain(limit: 1, { _ in }) == 0 { waitABit() }
            }
            writer.join()
        }
    }

    private static func produceAndLeave(_ producer: consuming Producer) {
        var producer = producer
        _ = write(&producer, byteCount: 8, seed: 1)
    }

    @Test("conflation: newest values, never torn, each at most once, and the loss is counted on both sides")
    func conflation() {
        let (keyCount, count, words) = (70, 30_000, 6)
        let pair = ConflationSlots.make(keyCount: keyCount, byteCount: 8 * words)
        let writerEnd = Handover(pair.writer)
        nonisolated(unsafe) var overwrittenByWriter = 0  // Written by the thread, read after it is joined.
        let isDone = Flag()
        let thread = TestThread {
            overwrittenByWriter = Self.publish(
                writerEnd.take(), keyCount: keyCount, count: count, words: words)
            isDone.value.store(true, ordering: .releasing)
        }
        var reader = pair.reader
        var last = [Int](repeating: -1, count: keyCount)
        var (taken, overwritten, brokenCount) = (0, 0, 0)
        var isLast = false
        while true {
            isLast = isDone.value.load(ordering: .acquiring)
            let drained = reader.drain(limit: 5) { key, value in
                let numbers = value.bytes.assumingMemoryBound(to: Int.self)
                let number = numbers[0]
                let isWhole = numbers.count == words && numbers.allSatisfy { $0 == number }
                if !isWhole || number <= last[key] || number % keyCount != key { brokenCount += 1 }
                let skipped = last[key] < 0 ? number / keyCount : (number - last[key]) / keyCount - 1
                if skipped != value.overwrittenCount { brokenCount += 1 }
                last[key] = number
                overwritten += value.overwrittenCount
            }
            taken += drained
            if drained == 0 {
                if isLast { break }
                waitABit()
            }
        }
        thread.join()
        #expect(brokenCount == 0)
        #expect(taken + overwritten == count)
        #expect(overwritten == overwrittenByWriter)
        let readerTotal = reader.overwrittenCount
        #expect(readerTotal == overwritten)
        #expect(last == (0..<keyCount).map { (count - 1 - $0) / keyCount * keyCount + $0 })
    }

    final class Flag: Sendable {
        let value = Atomic<Bool>(false)
    }

    /// Value `n` goes to key `n % keyCount` and holds `n` in every word. Returns how many were overwritten.
    private static func publish(
        _ writer: consuming ConflationWriter, keyCount: Int, count: Int, words: Int
    ) -> Int {
        var writer = writer
        for number in 0..<count {
            let key = number % keyCount
            let memory = writer.buffer(key: key).assumingMemoryBound(to: Int.self)
            for word in 0..<words {
                memory[word] = number
            }
            writer.publish(key: key, byteCount: 8 * words)
        }
        while !writer.isDrained {
            waitABit()
        }
        return writer.overwrittenCount
    }
}
