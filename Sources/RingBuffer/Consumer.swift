public import Synchronization

/// The reading end of a ring: look at the next record in place, go on, give the memory back in batches.
///
/// Owned by one thread at a time; handing it over is a move. Every call is wait-free, and touches memory
/// shared with the producer only to release, or when all records that it knows of are read. Bytes are valid
/// until `release()`.
@frozen
public struct Consumer: ~Copyable, @unchecked Sendable {
    // Unchecked: the pointer is shared with the producer, but `released` is written through this end alone,
    // and being noncopyable it is on one thread only.
    @usableFromInline let block: RingBlock
    @usableFromInline let mask: Int
    /// Where the next unread record, or the padding before it, begins.
    @usableFromInline var position: Int
    /// The last `published` seen; all before it may be read.
    @usableFromInline var publishedPosition: Int
    /// The same value as `released`, which only this end writes.
    @usableFromInline var releasedPosition: Int
    /// Bytes that the record shown by `peek` takes in the ring; 0 when none has been shown since the last
    /// `advance`.
    @usableFromInline var peekedStride: Int

    init(block: RingBlock, capacity: Int, startPosition: Int) {
        self.block = block
        self.mask = capacity - 1
        self.position = startPosition
        self.publishedPosition = startPosition
        self.releasedPosition = startPosition
        self.peekedStride = 0
    }

    deinit {
        block.dropHandle()
    }

    /// The next record, or nil when there is none yet; the same one until `advance()`.
    ///
    /// The bytes lie in ring memory, 8-byte aligned, exactly as many as were committed, and stay valid until
    /// `release()` after the `advance()` beyond them.
    @inlinable
    public mutating func peek() -> UnsafeRawBufferPointer? {
        if position == publishedPosition {
            refresh()
            if position == publishedPosition { return nil }
        }
        var byteCount = block.header(position & mask).pointee
        if byteCount < 0 {
            // Padding; the record behind it was published by the same commit, so it is there.
            position = position &- byteCount
            byteCount = block.header(position & mask).pointee
        }
        peekedStride = RingBlock.stride(byteCount)
        let start = block.records + ((position & mask) &+ RingBlock.headerByteCount)
        return UnsafeRawBufferPointer(start: start, count: byteCount)
    }

    /// Goes behind the record that `peek()` has shown. Its memory stays ours until `release()`. Traps without
    /// a record.
    @inlinable
    public mutating func advance() {
        precondition(peekedStride > 0, "Advancing follows a peek that has shown a record.")
        position = position &+ peekedStride
        peekedStride = 0
    }

    /// Hands the memory of all records advanced over back to the producer: one store, none if there is
    /// nothing new.
    @inlinable
    public mutating func release() {
        if position == releasedPosition { return }
        releasedPosition = position
        // Releasing pairs with the acquiring load in `Producer.tryClaim`: our reads come before the
        // producer's writes.
        block.released.pointee.store(position, ordering: .releasing)
    }

    /// Shows up to `limit` records to `body`, in order, then releases them all at once; returns how many.
    ///
    /// The bytes are valid inside `body` only. With a limit that covers the whole ring the producer may have
    /// to wait for the end of the batch; a quarter of the ring or less keeps both sides moving.
    @inlinable
    public mutating func drain(limit: Int, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
        var count = 0
        while count < limit, let record = peek() {
            body(record)
            advance()
            count &+= 1
        }
        release()
        return count
    }

    /// Bytes of record memory, headers included.
    @inlinable public var capacity: Int { mask &+ 1 }

    /// Bytes of committed records and padding not yet advanced over: a lower bound, which grows as the
    /// producer goes on.
    @inlinable public var pendingBytes: Int {
        // Acquiring pairs with `Producer.commit`, as in `refresh`.
        block.published.pointee.load(ordering: .acquiring) &- position
    }

    @inlinable
    mutating func refresh() {
        // Acquiring pairs with the releasing store in `Producer.commit`: all that was written before it is
        // visible to the reads that follow.
        publishedPosition = block.published.pointee.load(ordering: .acquiring)
    }
}
