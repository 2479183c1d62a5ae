import Synchronization

/// The writing end of conflation slots. Owned by one thread at a time; every call is wait-free and O(1).
public struct ConflationWriter: ~Copyable, @unchecked Sendable {
    // Unchecked: of the shared block this end writes only its own buffer of each key; a buffer changes hands
    // by an atomic exchange. The cursors are its own.
    private let block: ConflationBlock
    private let cursors: UnsafeMutablePointer<ConflationCursor>
    /// Values that were overwritten before they were taken, over all keys.
    public private(set) var overwrittenCount = 0

    init(block: ConflationBlock) {
        self.block = block
        self.cursors = .allocate(capacity: block.keyCount)
        cursors.initialize(repeating: ConflationCursor(buffer: 0, number: 0), count: block.keyCount)
    }

    deinit {
        cursors.deallocate()
        block.dropHandle()
    }

    /// Memory for the next value of `key`, 8-byte aligned, as long as the longest value, holding old bytes.
    /// Not visible before `publish`, and valid until then.
    public mutating func buffer(key: Int) -> UnsafeMutableRawPointer {
        precondition(key >= 0 && key < block.keyCount, "A key is below the key count.")
        return block.buffer(key, cursors[key].buffer) + ConflationBlock.headerByteCount
    }

    /// Makes the first `byteCount` bytes of `buffer(key:)` the newest value of `key`. Returns whether that
    /// overwrote a value that the reader had not taken.
    @discardableResult
    public mutating func publish(key: Int, byteCount: Int) -> Bool {
        precondition(key >= 0 && key < block.keyCount, "A key is below the key count.")
        precondition(byteCount >= 0 && byteCount <= block.byteCount, "A value fits its slot.")
        cursors[key].number &+= 1
        let buffer = block.buffer(key, cursors[key].buffer)
        // Typed, as in `RingBlock.header`.
        let header = buffer.assumingMemoryBound(to: Int.self)
        header[0] = byteCount
        header[1] = cursors[key].number
        // Releasing pairs with the acquiring exchange in `ConflationReader.take`: the value is written before
        // it changes hands. Acquiring pairs with that exchange's releasing half: the reader is done with the
        // buffer that comes back.
        let before = block.state(key).pointee.exchange(
            cursors[key].buffer | ConflationBlock.freshBit, ordering: .acquiringAndReleasing)
        cursors[key].buffer = before & ConflationBlock.indexBits
        if before & ConflationBlock.freshBit != 0 {
            overwrittenCount &+= 1
            return true
        }
        // The slot was not fresh, so its bit may be unset. Releasing pairs with the acquiring exchange in
        // `ConflationReader.drain`: who sees the bit finds the slot fresh, unless it has taken the value
        // already.
        block.freshWord(key >> 6).pointee.bitwiseOr(1 << UInt64(key & 63), ordering: .releasing)
        return false
    }

    /// Whether the newest value of `key` still waits for the reader. Once false it stays so until the next
    /// `publish`.
    public func isFresh(key: Int) -> Bool {
        precondition(key >= 0 && key < block.keyCount, "A key is below the key count.")
        // Acquiring pairs with the exchange in `ConflationReader.take`: a value written elsewhere after this
        // comes later.
        return block.state(key).pointee.load(ordering: .acquiring) & ConflationBlock.freshBit != 0
    }

    /// Whether the reader has taken the newest value of every key. O(keys), for the end of a run.
    public var isDrained: Bool {
        for key in 0..<block.keyCount {
            // Acquiring pairs with the exchange in `ConflationReader.take`.
            let state = block.state(key).pointee.load(ordering: .acquiring)
            if state & ConflationBlock.freshBit != 0 { return false }
        }
        return true
    }
}

/// The reading end of conflation slots. Owned by one thread at a time; every call is wait-free.
public struct ConflationReader: ~Copyable, @unchecked Sendable {
    // Unchecked: as for the writer; this end reads only its own buffer of each key.
    private let block: ConflationBlock
    private let cursors: UnsafeMutablePointer<ConflationCursor>
    /// Bits of the word being worked off, and which word it is: a limited drain goes on where the last one
    /// stopped.
    private var pendingBits: UInt64 = 0
    private var wordIndex = 0
    /// Values that were overwritten before they were taken, over all keys, as far as later values have shown
    /// it.
    public private(set) var overwrittenCount = 0

    init(block: ConflationBlock) {
        self.block = block
        self.cursors = .allocate(capacity: block.keyCount)
        cursors.initialize(repeating: ConflationCursor(buffer: 2, number: 0), count: block.keyCount)
    }

    deinit {
        cursors.deallocate()
        block.dropHandle()
    }

    /// The newest value of `key`, or nil if it was taken before. O(1).
    public mutating func take(key: Int) -> ConflatedValue? {
        precondition(key >= 0 && key < block.keyCount, "A key is below the key count.")
        // Relaxed is enough: only this end clears the bit, and the exchange below orders what it found.
        let state = block.state(key).pointee.load(ordering: .relaxed)
        if state & ConflationBlock.freshBit == 0 { return nil }
        // Acquiring-and-releasing pairs with the exchange in `ConflationWriter.publish`, in both directions.
        let before = block.state(key).pointee.exchange(cursors[key].buffer, ordering: .acquiringAndReleasing)
        cursors[key].buffer = before & ConflationBlock.indexBits
        let buffer = block.buffer(key, cursors[key].buffer)
        let header = buffer.assumingMemoryBound(to: Int.self)
        let (byteCount, number) = (header[0], header[1])
        let overwritten = number &- cursors[key].number &- 1
        cursors[key].number = number
        overwrittenCount &+= overwritten
        let start = buffer + ConflationBlock.headerByteCount
        return ConflatedValue(
            bytes: UnsafeRawBufferPointer(start: start, count: byteCount), overwrittenCount: overwritten)
    }

    /// Takes up to `limit` fresh values, going round the keys; returns how many. Looks at each word of 64
    /// keys at most once per call, so it ends whatever the writer does.
    public mutating func drain(limit: Int, _ body: (_ key: Int, _ value: ConflatedValue) -> Void) -> Int {
        var count = 0
        var wordsLeft = block.wordCount
        while count < limit {
            if pendingBits == 0 {
                if wordsLeft == 0 { break }
                wordsLeft &-= 1
                wordIndex = wordIndex &+ 1 == block.wordCount ? 0 : wordIndex &+ 1
                let word = block.freshWord(wordIndex)
                // Relaxed: a hint that saves the exchange. A bit missed now is seen by the next drain.
                if word.pointee.load(ordering: .relaxed) == 0 { continue }
                // Acquiring pairs with the releasing bit in `ConflationWriter.publish`.
                pendingBits = word.pointee.exchange(0, ordering: .acquiring)
            }
            let key = wordIndex &* 64 &+ pendingBits.trailingZeroBitCount
            pendingBits &= pendingBits &- 1
            guard let value = take(key: key) else { continue }
            body(key, value)
            count &+= 1
        }
        return count
    }
}
