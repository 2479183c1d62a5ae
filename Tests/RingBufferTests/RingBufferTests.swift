import RingBuffer
import Testing

/// Writes one record whose bytes follow from `seed`; false when the ring is full.
func write(_ producer: inout Producer, byteCount: Int, seed: Int) -> Bool {
    guard let memory = producer.tryClaim(byteCount: byteCount) else { return false }
    for index in 0..<byteCount {
        memory.storeBytes(
            of: UInt8(truncatingIfNeeded: seed &* 31 &+ index), toByteOffset: index, as: UInt8.self)
    }
    producer.commit(byteCount: byteCount)
    return true
}

/// Whether a record holds what `write` made of these arguments, at an aligned address.
func isRecord(_ record: UnsafeRawBufferPointer, byteCount: Int, seed: Int) -> Bool {
    guard record.count == byteCount, let start = record.baseAddress, UInt(bitPattern: start) % 8 == 0 else {
        return false
    }
    return record.indices.allSatisfy { record[$0] == UInt8(truncatingIfNeeded: seed &* 31 &+ $0) }
}

/// `#require` for the result of a mutating call on a noncopyable value, which the macro cannot make itself.
func unwrapped<Value>(_ value: Value?, _ location: SourceLocation = #_sourceLocation) throws -> Value {
    try #require(value, sourceLocation: location)
}

@Suite("Ring: mistakes that trap")
struct RingPreconditionTests {
    @Test("a capacity that is no power of two, too small or too large traps")
    func capacity() async {
        await #expect(processExitsWith: .failure) { _ = RingBuffer.make(byteCount: 48) }
        await #expect(processExitsWith: .failure) { _ = RingBuffer.make(byteCount: 16) }
        await #expect(processExitsWith: .failure) { _ = RingBuffer.make(byteCount: 0) }
        await #expect(processExitsWith: .failure) { _ = RingBuffer.make(byteCount: -64) }
        await #expect(processExitsWith: .failure) { _ = RingBuffer.make(byteCount: 1 << 31) }
    }

    @Test("a claim longer than half the ring less its header, or negative, traps")
    func claim() async {
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            _ = pair.producer.tryClaim(byteCount: 25)
        }
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            _ = pair.producer.tryClaim(byteCount: 65)
        }
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            _ = pair.producer.tryClaim(byteCount: -1)
        }
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            _ = pair.producer.tryClaim(byteCount: .max)
        }
    }

    @Test("a commit without a claim, twice, after abort, negative or longer than the claim traps")
    func commit() async {
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            pair.producer.commit(byteCount: 0)
        }
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            _ = pair.producer.tryClaim(byteCount: 8)
            pair.producer.commit(byteCount: 8)
            pair.producer.commit(byteCount: 8)
        }
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            _ = pair.producer.tryClaim(byteCount: 8)
            pair.producer.abort()
            pair.producer.commit(byteCount: 8)
        }
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            _ = pair.producer.tryClaim(byteCount: 8)
            pair.producer.commit(byteCount: -1)
        }
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            _ = pair.producer.tryClaim(byteCount: 8)
            pair.producer.commit(byteCount: 9)
        }
    }

    @Test("advancing without a record that was shown traps")
    func advance() async {
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            pair.consumer.advance()
        }
        await #expect(processExitsWith: .failure) {
            var pair = RingBuffer.make(byteCount: 64)
            _ = write(&pair.producer, byteCount: 8, seed: 1)
            _ = write(&pair.producer, byteCount: 8, seed: 2)
            _ = pair.consumer.peek()
            pair.consumer.advance()
            pair.consumer.advance()
        }
    }
}

@Suite("Ring: one thread")
struct RingBufferTests {
    @Test("a new ring is empty, drained and free")
    func empty() {
        var pair = RingBuffer.make(byteCount: 64)
        let isEmpty = pair.consumer.peek() == nil
        #expect(isEmpty)
        let (drained, free, capacity) = (
            pair.producer.isDrained, pair.producer.freeBytes, pair.producer.capacity
        )
        #expect(drained)
        #expect(free == 64)
        #expect(capacity == 64)
        let count = pair.consumer.drain(limit: 10) { _ in Issue.record("There is nothing to show.") }
        #expect(count == 0)
    }

    @Test("a full ring refuses until memory is released, not when it is only advanced over")
    func full() {
        var pair = RingBuffer.make(byteCount: 64)
        for seed in 0..<4 {
            let written = write(&pair.producer, byteCount: 8, seed: seed)
            #expect(written)
        }
        let free = pair.producer.freeBytes
        #expect(free == 0)
        var written = write(&pair.producer, byteCount: 0, seed: 4)
        #expect(!written)
        _ = pair.consumer.peek()
        pair.consumer.advance()
        written = write(&pair.producer, byteCount: 8, seed: 4)
        #expect(!written)
        pair.consumer.release()
        written = write(&pair.producer, byteCount: 8, seed: 4)
        #expect(written)
        var seed = 1
        let count = pair.consumer.drain(limit: 100) { record in
            #expect(isRecord(record, byteCount: 8, seed: seed))
            seed += 1
        }
        #expect(count == 4)
        let drained = pair.producer.isDrained
        #expect(drained)
    }

    @Test("peek shows the same record until advance, and release before that keeps it")
    func peekTwice() throws {
        var pair = RingBuffer.make(byteCount: 128)
        _ = write(&pair.producer, byteCount: 24, seed: 1)
        _ = write(&pair.producer, byteCount: 5, seed: 2)
        let first = try unwrapped(pair.consumer.peek())
        pair.consumer.release()
        let again = try unwrapped(pair.consumer.peek())
        #expect(first.baseAddress == again.baseAddress)
        #expect(isRecord(again, byteCount: 24, seed: 1))
        let drained = pair.producer.isDrained
        #expect(!drained)
        pair.consumer.advance()
        let next = try unwrapped(pair.consumer.peek())
        #expect(isRecord(next, byteCount: 5, seed: 2))
        #expect(isRecord(first, byteCount: 24, seed: 1), "Advanced over, not released: still ours.")
    }

    @Test("an aborted or replaced claim is never seen, and costs nothing")
    func abort() throws {
        var pair = RingBuffer.make(byteCount: 64)
        for round in 0..<50 {
            let before = pair.producer.freeBytes
            _ = try unwrapped(pair.producer.tryClaim(byteCount: 24))
            let unseen = pair.consumer.peek() == nil
            #expect(unseen)
            pair.producer.abort()
            _ = try unwrapped(pair.producer.tryClaim(byteCount: 24))
            let written = write(&pair.producer, byteCount: round % 25, seed: round)
            #expect(written)
            let after = pair.producer.freeBytes
            #expect(before == 64 && after < before)
            let record = try unwrapped(pair.consumer.peek())
            #expect(isRecord(record, byteCount: round % 25, seed: round))
            pair.consumer.advance()
            let more = pair.consumer.peek() != nil
            #expect(!more)
            pair.consumer.release()
        }
    }

    @Test("a commit shorter than its claim gives the rest back")
    func shortCommit() throws {
        var pair = RingBuffer.make(byteCount: 64)
        _ = try unwrapped(pair.producer.tryClaim(byteCount: 24))
        pair.producer.commit(byteCount: 1)
        let free = pair.producer.freeBytes
        #expect(free == 64 - 16)
        let record = try unwrapped(pair.consumer.peek())
        #expect(record.count == 1)
    }

    @Test("staged records are seen all at once, at publish or at the next commit")
    func staging() throws {
        var pair = RingBuffer.make(byteCount: 256)
        for seed in 0..<3 {
            let memory = try unwrapped(pair.producer.tryClaim(byteCount: 8))
            memory.storeBytes(of: seed, as: Int.self)
            pair.producer.stage(byteCount: 8)
            let unseen = pair.consumer.peek() == nil
            #expect(unseen)
        }
        let drainedWhileStaged = pair.producer.isDrained
        #expect(!drainedWhileStaged)
        pair.producer.publish()
        pair.producer.publish()
        var count = pair.consumer.drain(limit: 100) { _ in }
        #expect(count == 3)
        _ = try unwrapped(pair.producer.tryClaim(byteCount: 8))
        pair.producer.stage(byteCount: 8)
        _ = try unwrapped(pair.producer.tryClaim(byteCount: 8))
        pair.producer.commit(byteCount: 8)
        count = pair.consumer.drain(limit: 100) { _ in }
        #expect(count == 2)
    }

    @Test("publishing while a claim is open, padded or not, keeps the claim", arguments: [0, 24, 40, 48])
    func publishWithOpenClaim(start: Int) throws {
        var pair = RingBuffer.make(byteCount: 64, startPosition: start)
        _ = try unwrapped(pair.producer.tryClaim(byteCount: 8))
        pair.producer.stage(byteCount: 8)
        let memory = try unwrapped(pair.producer.tryClaim(byteCount: 16))
        pair.producer.publish()
        let first = try unwrapped(pair.consumer.peek())
        #expect(first.count == 8)
        pair.consumer.advance()
        let unseen = pair.consumer.peek() == nil
        #expect(unseen)
        memory.storeBytes(of: 7, as: Int.self)
        pair.producer.commit(byteCount: 16)
        let second = try unwrapped(pair.consumer.peek())
        #expect(second.count == 16 && second.load(as: Int.self) == 7)
    }

    @Test("drain stops at its limit and releases once", arguments: 0...6)
    func limit(limit: Int) {
        var pair = RingBuffer.make(byteCount: 256)
        for seed in 0..<5 {
            _ = write(&pair.producer, byteCount: 16, seed: seed)
        }
        var seed = 0
        let count = pair.consumer.drain(limit: limit) { record in
            #expect(isRecord(record, byteCount: 16, seed: seed))
            seed += 1
        }
        #expect(count == min(limit, 5))
        let (free, pending) = (pair.producer.freeBytes, pair.consumer.pendingBytes)
        #expect(free == 256 - (5 - count) * 24)
        #expect(pending == (5 - count) * 24)
    }

    @Test("the longest record fits an empty ring at every position", arguments: [32, 64, 128, 256])
    func longestRecord(capacity: Int) {
        let longest = RingBuffer.recordByteCountMax(capacity: capacity)
        for start in stride(from: 0, to: capacity, by: 8) {
            var pair = RingBuffer.make(byteCount: capacity, startPosition: start)
            let written = write(&pair.producer, byteCount: longest, seed: start)
            #expect(written)
            let count = pair.consumer.drain(limit: 2) {
                #expect(isRecord($0, byteCount: longest, seed: start))
            }
            #expect(count == 1)
        }
    }

    /// Every capacity, every record length and every offset of the first record, far enough to go round
    /// twice, also across the overflow of the position. The ring is kept as full as it gets, so that each
    /// record meets padding and a full ring.
    @Test("every length comes through at every offset", arguments: [32, 64, 128, 256])
    func wrapAround(capacity: Int) {
        for lap in [0, Int.max & -capacity] {
            for start in stride(from: 0, to: capacity, by: 8) {
                for byteCount in 0...RingBuffer.recordByteCountMax(capacity: capacity) {
                    roundTrip(capacity: capacity, startPosition: lap &+ start, byteCount: byteCount)
                }
            }
        }
    }

    private func roundTrip(capacity: Int, startPosition: Int, byteCount: Int) {
        var pair = RingBuffer.make(byteCount: capacity, startPosition: startPosition)
        let total = 2 * capacity / (byteCount + 8) + 2
        var (written, read) = (0, 0)
        while read < total {
            while written < total, write(&pair.producer, byteCount: byteCount, seed: written) {
                written += 1
            }
            guard let record = pair.consumer.peek(), isRecord(record, byteCount: byteCount, seed: read) else {
                Issue.record(
                    "Record \(read) of \(byteCount) bytes is wrong, start \(startPosition) in \(capacity).")
                return
            }
            pair.consumer.advance()
            pair.consumer.release()
            read += 1
        }
    }

    @Test("the ring outlives either end")
    func lifetime() throws {
        let first = RingBuffer.make(byteCount: 64)
        var producer = first.producer
        do {
            var consumer = first.consumer
            let isEmpty = consumer.peek() == nil
            #expect(isEmpty)
        }
        let written = write(&producer, byteCount: 8, seed: 1)
        #expect(written)
        var consumer = orphan()
        let record = try unwrapped(consumer.peek())
        #expect(isRecord(record, byteCount: 8, seed: 5))
    }

    /// The consumer of a ring whose producer has written one record and is gone.
    private func orphan() -> Consumer {
        let pair = RingBuffer.make(byteCount: 64)
        var producer = pair.producer
        _ = write(&producer, byteCount: 8, seed: 5)
        return pair.consumer
    }
}
