public import Synchronization

/// A ring of variable-length byte records between one producing and one consuming thread, wait-free on both
/// sides.
///
/// A record is an 8-byte header and its payload, rounded up to 8 bytes, never split: where the end of the
/// memory is too near, a padding record fills it and the record starts at the front again. Positions only
/// grow; the place of a position is `position & (capacity - 1)`. `published` is the end of what the producer
/// has committed, `released` the end of what the consumer has given back; the bytes between belong to the
/// consumer, all others to the producer.
///
///     block: | published, padded to 128 | released, 128 | handle count, 128 | records, capacity bytes |
///
/// Each index has 128 bytes to itself and not only a 64-byte line, because the adjacent-line prefetcher of
/// Intel and AMD cores fetches lines in aligned pairs, so that two indices in one pair still take the line
/// from each other.
public enum RingBuffer {
    /// The smallest ring: below it not even an 8-byte record would be sure to fit.
    @inlinable public static var capacityMin: Int { 32 }
    /// The largest ring, 1 GiB: far above any use, so that a wrong unit is found at start.
    @inlinable public static var capacityMax: Int { 1 << 30 }

    /// The longest payload that a ring of `capacity` bytes takes: `capacity / 2 - 8`.
    ///
    /// With its header that is half the ring. Then padding and record fit into the empty ring wherever it
    /// stands, so a producer that waits is never stuck. A longer claim is a programmer's mistake and traps.
    @inlinable
    public static func recordByteCountMax(capacity: Int) -> Int {
        (capacity >> 1) &- RingBlock.headerByteCount
    }

    /// Allocates a ring and returns its two ends; all its memory is touched here, so that the first lap does
    /// not fault.
    ///
    /// The ring is freed when both ends are gone. `capacity` is a power of two in
    /// `capacityMin...capacityMax`, in bytes; each record takes its length rounded up to 8, plus 8. Any
    /// thread.
    public static func make(byteCount capacity: Int) -> RingPair {
        make(byteCount: capacity, startPosition: 0)
    }

    /// As `make(byteCount:)`, with the position at which both ends begin: tests put the wrap, and the
    /// overflow of the position itself, where they want them. `startPosition` is a multiple of 8.
    package static func make(byteCount capacity: Int, startPosition: Int) -> RingPair {
        precondition(
            capacity >= capacityMin && capacity <= capacityMax && capacity & (capacity - 1) == 0,
            "A ring's capacity is a power of two from 32 bytes to 1 GiB.")
        precondition(startPosition & 7 == 0, "Positions are multiples of 8.")
        let block = RingBlock.allocate(capacity: capacity, startPosition: startPosition)
        return RingPair(
            producer: Producer(block: block, capacity: capacity, startPosition: startPosition),
            consumer: Consumer(block: block, capacity: capacity, startPosition: startPosition))
    }
}

/// The two ends of a new ring, to be taken apart: `let pair = RingBuffer.make(…)`, then `pair.producer`,
/// `pair.consumer`.
@frozen
public struct RingPair: ~Copyable, Sendable {
    public var producer: Producer
    public var consumer: Consumer

    @inlinable
    init(producer: consuming Producer, consumer: consuming Consumer) {
        self.producer = producer
        self.consumer = consumer
    }
}

/// Where things lie in the block that the two ends share. The only place with offsets.
@frozen
@usableFromInline
struct RingBlock: BitwiseCopyable {
    @usableFromInline let base: UnsafeMutableRawPointer

    @inlinable
    init(base: UnsafeMutableRawPointer) { self.base = base }

    @inlinable static var headerByteCount: Int { 8 }
    /// Two 64-byte lines; see `RingBuffer` for why.
    @inlinable static var indexSpacing: Int { 128 }
    @inlinable static var recordsOffset: Int { 3 &* indexSpacing }

    /// Bytes that a record with this payload takes: header and payload, rounded up to 8.
    @inlinable
    static func stride(_ byteCount: Int) -> Int { (byteCount &+ (headerByteCount &+ 7)) & ~7 }

    /// Written by the producer alone.
    @inlinable var published: UnsafeMutablePointer<Atomic<Int>> {
        base.assumingMemoryBound(to: Atomic<Int>.self)
    }
    /// Written by the consumer alone.
    @inlinable var released: UnsafeMutablePointer<Atomic<Int>> {
        (base + RingBlock.indexSpacing).assumingMemoryBound(to: Atomic<Int>.self)
    }
    /// Ends that are alive.
    var handleCount: UnsafeMutablePointer<Atomic<Int>> {
        (base + 2 * RingBlock.indexSpacing).assumingMemoryBound(to: Atomic<Int>.self)
    }
    /// The header of the record or padding at `place`, a multiple of 8 below the capacity: payload bytes, or
    /// minus the bytes of padding. A typed pointer, and not raw loads and stores: those are calls into the
    /// standard library in debug builds, where ThreadSanitizer does not see them.
    @inlinable
    func header(_ place: Int) -> UnsafeMutablePointer<Int> {
        (records + place).assumingMemoryBound(to: Int.self)
    }
    /// The first byte of record memory.
    @inlinable var records: UnsafeMutableRawPointer { base + RingBlock.recordsOffset }

    static func allocate(capacity: Int, startPosition: Int) -> RingBlock {
        let byteCount = recordsOffset + capacity
        let base = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: indexSpacing)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        let block = RingBlock(base: base)
        block.published.initialize(to: Atomic(startPosition))
        block.released.initialize(to: Atomic(startPosition))
        block.handleCount.initialize(to: Atomic(2))
        return block
    }

    /// Called once by each end; the second caller frees the block.
    @usableFromInline
    func dropHandle() {
        // Acquiring-and-releasing pairs with itself in the other end: what that end still read or wrote comes
        // before the memory is freed.
        let (before, _) = handleCount.pointee.subtract(1, ordering: .acquiringAndReleasing)
        if before == 1 {
            base.deallocate()
        }
    }
}
