import CPlatform
import Glibc
import RingBuffer
import Synchronization
import TestSupport

// One run of the ring: two pinned threads, fixed items, every word written and read. `compare.py` alternates
// it with the peers in RingPeers, and says what is printed. Usage: ring-bench single|batch|packed ITEM_BYTES
// ITEM_COUNT RING_BYTES.

/// Records per batch, as in the peers: large enough to share one index store, small against the ring.
let batchLimit = 64

/// Writes the words of item `number`.
@inline(__always)
func fill(_ memory: UnsafeMutableRawPointer, number: Int, itemBytes: Int) {
    let words = memory.assumingMemoryBound(to: Int.self)
    for index in 0..<(itemBytes / 8) {
        words[index] = number &+ index
    }
}

/// The sum of all words of a record, whose length is checked once so that the loop has a constant count, as
/// the peers' has.
@inline(__always)
func sum(_ record: UnsafeRawBufferPointer, itemBytes: Int) -> Int {
    precondition(record.count == itemBytes, "Every record has the length that was committed.")
    let words = record.assumingMemoryBound(to: Int.self)
    var total = 0
    for index in 0..<(itemBytes / 8) {
        total &+= words[index]
    }
    return total
}

/// Writes `itemCount` items, one publication for each.
@inline(__always)
func produceSingly(_ producer: inout Producer, itemBytes: Int, itemCount: Int) {
    var number = 0
    while number < itemCount {
        guard let memory = producer.tryClaim(byteCount: itemBytes) else {
            martlet_cpu_pause()
            continue
        }
        fill(memory, number: number, itemBytes: itemBytes)
        producer.commit(byteCount: itemBytes)
        number &+= 1
    }
}

/// As above, one publication for `batchLimit` items, or when the ring is full.
@inline(__always)
func produceInBatches(_ producer: inout Producer, itemBytes: Int, itemCount: Int) {
    var number = 0
    var staged = 0
    while number < itemCount {
        guard let memory = producer.tryClaim(byteCount: itemBytes) else {
            producer.publish()
            staged = 0
            martlet_cpu_pause()
            continue
        }
        fill(memory, number: number, itemBytes: itemBytes)
        producer.stage(byteCount: itemBytes)
        number &+= 1
        staged &+= 1
        if staged == batchLimit {
            producer.publish()
            staged = 0
        }
    }
    producer.publish()
}

@inline(__always)
func consumeSingly(_ consumer: inout Consumer, itemBytes: Int, itemCount: Int) -> Int {
    var checksum = 0
    var count = 0
    while count < itemCount {
        guard let record = consumer.peek() else {
            martlet_cpu_pause()
            continue
        }
        checksum &+= sum(record, itemBytes: itemBytes)
        consumer.advance()
        consumer.release()
        count &+= 1
    }
    return checksum
}

@inline(__always)
func consumeInBatches(_ consumer: inout Consumer, itemBytes: Int, itemCount: Int) -> Int {
    var checksum = 0
    var count = 0
    while count < itemCount {
        let drained = consumer.drain(limit: batchLimit) { checksum &+= sum($0, itemBytes: itemBytes) }
        if drained == 0 {
            martlet_cpu_pause()
        }
        count &+= drained
    }
    return checksum
}

/// One record for `batchLimit` items, as a feed's packet travels.
@inline(__always)
func producePacked(_ producer: inout Producer, itemBytes: Int, itemCount: Int) {
    var number = 0
    while number < itemCount {
        let end = min(number &+ batchLimit, itemCount)
        let byteCount = (end &- number) &* itemBytes
        guard let memory = producer.tryClaim(byteCount: byteCount) else {
            martlet_cpu_pause()
            continue
        }
        var item = memory
        while number < end {
            fill(item, number: number, itemBytes: itemBytes)
            item += itemBytes
            number &+= 1
        }
        producer.commit(byteCount: byteCount)
    }
}

@inline(__always)
func consumePacked(_ consumer: inout Consumer, itemBytes: Int, itemCount: Int) -> Int {
    var checksum = 0
    var count = 0
    while count < itemCount {
        guard let record = consumer.peek() else {
            martlet_cpu_pause()
            continue
        }
        var offset = 0
        while offset < record.count {
            let item = UnsafeRawBufferPointer(rebasing: record[offset..<(offset &+ itemBytes)])
            checksum &+= sum(item, itemBytes: itemBytes)
            offset &+= itemBytes
            count &+= 1
        }
        consumer.advance()
        consumer.release()
    }
    return checksum
}

/// What one run is; sizes become constants where it is used, as the peers' template parameters are.
struct Run: Sendable {
    let mode: String
    let itemBytes: Int
    let itemCount: Int

    func produce(_ producer: consuming Producer) {
        var producer = producer
        switch (mode, itemBytes) {
        case ("single", 8): produceSingly(&producer, itemBytes: 8, itemCount: itemCount)
        case ("single", 80): produceSingly(&producer, itemBytes: 80, itemCount: itemCount)
        case ("single", _): produceSingly(&producer, itemBytes: 368, itemCount: itemCount)
        case ("batch", 8): produceInBatches(&producer, itemBytes: 8, itemCount: itemCount)
        case ("batch", 80): produceInBatches(&producer, itemBytes: 80, itemCount: itemCount)
        case ("batch", _): produceInBatches(&producer, itemBytes: 368, itemCount: itemCount)
        case (_, 8): producePacked(&producer, itemBytes: 8, itemCount: itemCount)
        case (_, 80): producePacked(&producer, itemBytes: 80, itemCount: itemCount)
        default: producePacked(&producer, itemBytes: 368, itemCount: itemCount)
        }
    }

    func consume(_ consumer: consuming Consumer) -> Int {
        var consumer = consumer
        return switch (mode, itemBytes) {
        case ("single", 8): consumeSingly(&consumer, itemBytes: 8, itemCount: itemCount)
        case ("single", 80): consumeSingly(&consumer, itemBytes: 80, itemCount: itemCount)
        case ("single", _): consumeSingly(&consumer, itemBytes: 368, itemCount: itemCount)
        case ("batch", 8): consumeInBatches(&consumer, itemBytes: 8, itemCount: itemCount)
        case ("batch", 80): consumeInBatches(&consumer, itemBytes: 80, itemCount: itemCount)
        case ("batch", _): consumeInBatches(&consumer, itemBytes: 368, itemCount: itemCount)
        case (_, 8): consumePacked(&consumer, itemBytes: 8, itemCount: itemCount)
        case (_, 80): consumePacked(&consumer, itemBytes: 80, itemCount: itemCount)
        default: consumePacked(&consumer, itemBytes: 368, itemCount: itemCount)
        }
    }
}

/// What the reading thread leaves behind.
final class Outcome: @unchecked Sendable {
    // Unchecked: the reader writes checksum and time, read after it is joined.
    let isReady = Atomic<Bool>(false)
    var checksum = 0
    var finishedNanoseconds: UInt64 = 0
}

func involuntarySwitches() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_nivcsw
}

func main() -> Int32 {
    let arguments = CommandLine.arguments
    guard arguments.count == 5, ["single", "batch", "packed"].contains(arguments[1]),
        let itemBytes = Int(arguments[2]),
        [8, 80, 368].contains(itemBytes), let itemCount = Int(arguments[3]), let ringBytes = Int(arguments[4])
    else {
        print("usage: ring-bench single|batch|packed 8|80|368 ITEM_COUNT RING_BYTES")
        return 2
    }
    let run = Run(mode: arguments[1], itemBytes: itemBytes, itemCount: itemCount)
    let pair = RingBuffer.make(byteCount: ringBytes)
    let consumerEnd = Handover(pair.consumer)
    let outcome = Outcome()
    let reader = TestThread {
        _ = martlet_thread_pin(1)
        let consumer = consumerEnd.take()
        outcome.isReady.store(true, ordering: .releasing)
        outcome.checksum = run.consume(consumer)
        outcome.finishedNanoseconds = martlet_monotonic_ns()
    }
    _ = martlet_thread_pin(0)
    while !outcome.isReady.load(ordering: .acquiring) {
        martlet_cpu_pause()
    }
    let switchesBefore = involuntarySwitches()
    let started = martlet_monotonic_ns()
    run.produce(pair.producer)
    reader.join()
    let switches = involuntarySwitches() - switchesBefore
    let nanoseconds = Double(outcome.finishedNanoseconds - started) / Double(itemCount)
    print(nanoseconds, UInt64(bitPattern: Int64(outcome.checksum)), switches)
    return 0
}

exit(main())
