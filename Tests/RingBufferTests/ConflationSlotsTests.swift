import RingBuffer
import Testing

@Suite("Conflation slots")
struct ConflationSlotsTests {
    @Test("sizes, keys and values out of range trap")
    func preconditions() async {
        await #expect(processExitsWith: .failure) { _ = ConflationSlots.make(keyCount: 0, byteCount: 8) }
        await #expect(processExitsWith: .failure) {
            _ = ConflationSlots.make(keyCount: 1 << 17, byteCount: 8)
        }
        await #expect(processExitsWith: .failure) { _ = ConflationSlots.make(keyCount: 1, byteCount: 0) }
        await #expect(processExitsWith: .failure) {
            _ = ConflationSlots.make(keyCount: 1, byteCount: 1 << 17)
        }
        await #expect(processExitsWith: .failure) {
            var pair = ConflationSlots.make(keyCount: 2, byteCount: 8)
            _ = pair.writer.buffer(key: 2)
        }
        await #expect(processExitsWith: .failure) {
            var pair = ConflationSlots.make(keyCount: 2, byteCount: 8)
            _ = pair.writer.publish(key: 0, byteCount: 9)
        }
        await #expect(processExitsWith: .failure) {
            var pair = ConflationSlots.make(keyCount: 2, byteCount: 8)
            _ = pair.reader.take(key: -1)
        }
    }

    @Test("a new slot holds nothing")
    func empty() {
        var pair = ConflationSlots.make(keyCount: 3, byteCount: 16)
        let isEmpty = pair.reader.take(key: 1) == nil
        #expect(isEmpty)
        let count = pair.reader.drain(limit: 9) { _, _ in Issue.record("There is nothing to show.") }
        #expect(count == 0)
        let drained = pair.writer.isDrained
        #expect(drained)
    }

    @Test("values of every length come back aligned and whole")
    func lengths() throws {
        var pair = ConflationSlots.make(keyCount: 1, byteCount: 100)
        for byteCount in 0...100 {
            let memory = pair.writer.buffer(key: 0)
            for index in 0..<byteCount {
                memory.storeBytes(of: UInt8(byteCount ^ index), toByteOffset: index, as: UInt8.self)
            }
            let overwrote = pair.writer.publish(key: 0, byteCount: byteCount)
            #expect(!overwrote)
            let value = try unwrapped(pair.reader.take(key: 0))
            let start = try #require(value.bytes.baseAddress)
            #expect(UInt(bitPattern: start) % 8 == 0 && value.bytes.count == byteCount)
            #expect(value.bytes.indices.allSatisfy { value.bytes[$0] == UInt8(byteCount ^ $0) })
        }
    }

    @Test("drain goes round the keys and goes on where its limit stopped it")
    func limits() {
        var pair = ConflationSlots.make(keyCount: 130, byteCount: 8)
        for key in 0..<130 {
            pair.writer.buffer(key: key).storeBytes(of: key, as: Int.self)
            pair.writer.publish(key: key, byteCount: 8)
        }
        var seen: [Int] = []
        for _ in 0..<20 {
            let count = pair.reader.drain(limit: 7) { key, value in
                #expect(value.bytes.load(as: Int.self) == key)
                seen.append(key)
            }
            #expect(count <= 7)
        }
        #expect(seen.sorted() == Array(0..<130))
    }

    /// Goal: newest value, at most once, exact counts. Method: every sequence of ten calls on two keys, each
    /// followed by a drain, against two optional integers.
    @Test("every sequence of calls does what two optional values would")
    func sequences() {
        for sequence in 0..<(1 << 20) where sequence % 5 == 0 {
            guard follows(sequence) else {
                Issue.record("Sequence \(sequence) differs.")
                return
            }
        }
    }

    private func follows(_ sequence: Int) -> Bool {
        var pair = ConflationSlots.make(keyCount: 2, byteCount: 8)
        var newest: [Int?] = [nil, nil]
        var overwritten = [0, 0]
        for step in 0..<10 {
            let call = sequence >> (2 * step) & 3
            let key = call & 1
            if call < 2 {
                pair.writer.buffer(key: key).storeBytes(of: step, as: Int.self)
                let overwrote = pair.writer.publish(key: key, byteCount: 8)
                guard overwrote == (newest[key] != nil) else { return false }
                if overwrote { overwritten[key] += 1 }
                newest[key] = step
            } else {
                let value = pair.reader.take(key: key)
                guard value?.bytes.load(as: Int.self) == newest[key] else { return false }
                guard value == nil || value?.overwrittenCount == overwritten[key] else { return false }
                if value != nil { overwritten[key] = 0 }
                newest[key] = nil
            }
            guard pair.writer.isFresh(key: key) == (newest[key] != nil) else { return false }
        }
        var isRight = true
        let count = pair.reader.drain(limit: 9) { key, value in
            if value.bytes.load(as: Int.self) != newest[key] { isRight = false }
        }
        return isRight && count == newest.count { $0 != nil }
    }
}
