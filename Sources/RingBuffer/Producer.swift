public import Synchronization

/// The writing end of a ring: claim memory, write the record in place, commit it; or stage several and
/// publish them at once.
///
/// Owned by one thread at a time; handing it over is a move. Every call is wait-free and O(1), and touches
/// memory shared with the consumer only to publish, or when the free space that it knows of is used up.
@frozen
public struct Producer: ~Copyable, @unchecked Sendable {
    // Unchecked: the pointer is shared with the consumer, but `published` and the bytes outside
    // `released..<published` are written through this end alone, and being noncopyable it is on one thread
    // only.
    @usableFromInline let block: RingBlock
    @usableFromInline let mask: Int
    /// Where the next record or padding begins.
    @usableFromInline var position: Int
    /// The same value as `published`, which only this end writes; behind `position` by what is staged.
    @usableFromInline var publishedPosition: Int
    /// No byte at or behind this position may be written: the last `released` seen, plus the capacity.
    @usableFromInline var limit: Int
    /// Where the claimed record's header will be; behind the padding, if there is one.
    @usableFromInline var claimPosition: Int
    /// Payload bytes of the open claim; negative when there is none.
    @usableFromInline var claimedByteCount: Int

    init(block: RingBlock, capacity: Int, startPosition: Int) {
        self.block = block
        self.mask = capacity - 1
        self.position = startPosition
        self.publishedPosition = startPosition
        self.limit = startPosition &+ capacity
        self.claimPosition = startPosition
        self.claimedByteCount = -1
    }

    deinit {
        block.dropHandle()
    }

    /// Memory for a record of up to `byteCount` bytes, or nil while the ring is too full for it.
    ///
    /// Contiguous, 8-byte aligned, holding old bytes, and valid until `commit` or `abort`. The consumer does
    /// not see it before `commit`. Claiming again drops a claim that was not committed, even when the answer
    /// is nil. `byteCount` is in `0...RingBuffer.recordByteCountMax(capacity:)`.
    @inlinable
    public mutating func tryClaim(byteCount: Int) -> UnsafeMutableRawPointer? {
        precondition(
            byteCount >= 0 && byteCount <= RingBuffer.recordByteCountMax(capacity: mask &+ 1),
            "A claim is at most half the ring less its header.")
        claimedByteCount = -1
        let stride = RingBlock.stride(byteCount)
        let place = position & mask
        let bytesToEnd = (mask &+ 1) &- place
        let padded = stride > bytesToEnd
        let start = padded ? position &+ bytesToEnd : position
        // Differences, not comparisons, so that the position may overflow.
        if limit &- start < stride {
            // Acquiring pairs with the releasing store in `Consumer.release()`: the consumer's reads of the
            // memory that it gives back come before our writes to it.
            limit = block.released.pointee.load(ordering: .acquiring) &+ (mask &+ 1)
            if limit &- start < stride { return nil }
        }
        if padded {
            block.header(place).pointee = 0 &- bytesToEnd
        }
        // Written here, before the payload, so that stores go through memory in order: the store buffer then
        // needs each cache line once. With the header after the payload 80-byte records took a fifth longer
        // between two Zen 4 cores.
        block.header(start & mask).pointee = byteCount
        claimPosition = start
        claimedByteCount = byteCount
        return block.records + ((start & mask) &+ RingBlock.headerByteCount)
    }

    /// Publishes the first `byteCount` bytes of the claim as one record, and everything staged before it. At
    /// most as many as were claimed; what was claimed beyond is free again. Traps without a claim.
    @inlinable
    public mutating func commit(byteCount: Int) {
        stage(byteCount: byteCount)
        storePublished()
    }

    /// As `commit`, but the consumer sees the record only after the next `publish()` or `commit`.
    ///
    /// For a batch: one store to the shared index for many records. Between two cores that is a cache line
    /// handed over once instead of once per record. A producer that waits publishes first, or the consumer
    /// cannot make room.
    @inlinable
    public mutating func stage(byteCount: Int) {
        precondition(
            byteCount >= 0 && byteCount <= claimedByteCount, "A commit is at most as long as the open claim.")
        if byteCount != claimedByteCount {
            block.header(claimPosition & mask).pointee = byteCount
        }
        position = claimPosition &+ RingBlock.stride(byteCount)
        claimedByteCount = -1
    }

    /// Makes all staged records visible: one store, none if nothing is staged. An open claim stays open.
    @inlinable
    public mutating func publish() {
        if position != publishedPosition {
            storePublished()
        }
    }

    /// Drops the open claim, if there is one; nothing becomes visible.
    @inlinable
    public mutating func abort() {
        claimedByteCount = -1
    }

    /// Bytes of record memory, headers included.
    @inlinable public var capacity: Int { mask &+ 1 }

    /// Bytes that the consumer has given back and nothing occupies: a lower bound, which grows as the
    /// consumer goes on. The longest claim that fits can be shorter, by its header and the padding at the end
    /// of the memory.
    @inlinable public var freeBytes: Int {
        // Acquiring pairs with `Consumer.release()`, as in `tryClaim`.
        (mask &+ 1) &- (position &- block.released.pointee.load(ordering: .acquiring))
    }

    /// Whether the consumer has released everything that was committed or staged.
    @inlinable public var isDrained: Bool {
        // Acquiring pairs with `Consumer.release()`: what the consumer did with the records is visible to who
        // asks.
        block.released.pointee.load(ordering: .acquiring) == position
    }

    @inlinable
    mutating func storePublished() {
        publishedPosition = position
        // Releasing pairs with the acquiring load in `Consumer.refresh()`: header, padding and payload are
        // written before the consumer can know of them. Padding and record become visible together.
        block.published.pointee.store(position, ordering: .releasing)
    }
}
