import RingBuffer
import Testing

/// Goal: the real ring does what a queue would, whatever its two ends are asked in whatever order. Method:
/// every sequence of calls up to a depth, from every starting offset of a small ring, against a queue that
/// counts bytes by the documented rules. The interleavings inside the calls are `RingModelTests`' matter.
@Suite("Ring: every sequence of calls")
struct RingSequenceTests {
    enum Call: CaseIterable {
        case claimNone, claimWord, claimLongest, commit, commitShort, stage, publish, abort, read, release
    }

    /// The specification: lengths instead of memory.
    struct Queue {
        let capacity: Int
        var position: Int
        /// Byte counts, seeds and ends of the records in the ring, staged ones behind `visibleCount`.
        var records: [(byteCount: Int, seed: Int, end: Int)] = []
        var visibleCount = 0
        var openClaim: (byteCount: Int, start: Int)?
        var advancedTo: Int
        var releasedTo: Int
        var nextSeed = 0

        init(capacity: Int, start: Int) {
            self.capacity = capacity
            (position, advancedTo, releasedTo) = (start, start, start)
        }

        /// Whether a claim must succeed.
        mutating func claim(_ byteCount: Int) -> Bool {
            openClaim = nil
            let stride = (byteCount + 15) / 8 * 8
            let toEnd = capacity - position % capacity
            let start = stride > toEnd ? position + toEnd : position
            guard start + stride - releasedTo <= capacity else { return false }
            openClaim = (byteCount, start)
            return true
        }

        mutating func stage(_ byteCount: Int) {
            guard let claim = openClaim else { return }
            position = claim.start + (byteCount + 15) / 8 * 8
            records.append((byteCount, nextSeed, position))
            nextSeed += 1
            openClaim = nil
        }

        mutating func publish() { visibleCount = records.count }
    }

    @Test("every sequence of five calls at every offset", arguments: [32, 64])
    func sequences(capacity: Int) {
        let calls = Call.allCases
        for start in stride(from: 0, to: capacity, by: 8) {
            // A sequence is a number with one decimal digit per call. All of them on the smallest ring; on
            // the next an odd step, which visits every pair of neighbours.
            for number in stride(from: 0, to: 100_000, by: capacity == 32 ? 1 : 7) {
                guard run(number, calls: calls, capacity: capacity, start: start) else { return }
            }
        }
    }

    /// Returns false after the first difference.
    private func run(_ number: Int, calls: [Call], capacity: Int, start: Int) -> Bool {
        var pair = RingBuffer.make(byteCount: capacity, startPosition: start)
        var queue = Queue(capacity: capacity, start: start)
        var digits = number
        for _ in 0..<5 {
            guard apply(calls[digits % 10], &pair, &queue) else {
                Issue.record(
                    "Sequence \(number) differs at \(calls[digits % 10]), start \(start) in \(capacity).")
                return false
            }
            digits /= 10
        }
        guard apply(.publish, &pair, &queue) else { return false }
        while queue.visibleCount > 0 {
            guard apply(.read, &pair, &queue) else {
                Issue.record("Sequence \(number) ends with a wrong record, start \(start) in \(capacity).")
                return false
            }
        }
        return pair.consumer.peek() == nil
    }

    private func apply(_ call: Call, _ pair: inout RingPair, _ queue: inout Queue) -> Bool {
        switch call {
        case .claimNone: return claim(0, &pair, &queue)
        case .claimWord: return claim(8, &pair, &queue)
        case .claimLongest:
            return claim(RingBuffer.recordByteCountMax(capacity: queue.capacity), &pair, &queue)
        case .commit, .commitShort, .stage:
            guard let open = queue.openClaim else { return true }
            let byteCount = call == .commitShort ? open.byteCount / 2 : open.byteCount
            queue.stage(byteCount)
            if call == .stage {
                pair.producer.stage(byteCount: byteCount)
            } else {
                queue.publish()
                pair.producer.commit(byteCount: byteCount)
            }
            return true
        case .publish:
            queue.publish()
            pair.producer.publish()
            return true
        case .abort:
            queue.openClaim = nil
            pair.producer.abort()
            return true
        case .read: return read(&pair, &queue)
        case .release:
            queue.releasedTo = queue.advancedTo
            pair.consumer.release()
            return true
        }
    }

    private func claim(_ byteCount: Int, _ pair: inout RingPair, _ queue: inout Queue) -> Bool {
        let memory = pair.producer.tryClaim(byteCount: byteCount)
        guard queue.claim(byteCount) == (memory != nil) else { return false }
        if let memory {
            for index in 0..<byteCount {
                let byte = UInt8(truncatingIfNeeded: queue.nextSeed &* 31 &+ index)
                memory.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
            }
        }
        return true
    }

    private func read(_ pair: inout RingPair, _ queue: inout Queue) -> Bool {
        guard queue.visibleCount > 0 else { return pair.consumer.peek() == nil }
        let expected = queue.records.removeFirst()
        queue.visibleCount -= 1
        guard let record = pair.consumer.peek(),
            isRecord(record, byteCount: expected.byteCount, seed: expected.seed)
        else { return false }
        pair.consumer.advance()
        queue.advancedTo = expected.end
        return true
    }
}
