import Synchronization

/// One latest value per key, between one writing and one reading thread, wait-free on both sides: where a
/// full ring would lose values, the newest of each key survives, and how many were overwritten is known
/// exactly.
///
/// Each key has three buffers: one is the writer's, one the reader's, one lies between them. Publishing swaps
/// the writer's with the middle one, taking swaps the reader's, each by one atomic exchange. So a value is
/// never torn, is read in place, and is seen at most once. A seqlock would save two buffers, but its readers
/// race with the writer and must copy and retry. A bit per key tells the reader where to look, so an idle
/// scan of 256 keys is four loads.
///
/// Order holds within a key only. Nothing orders a slot against a ring beside it: the user puts sequence
/// numbers inside.
public enum ConflationSlots {
    /// The most keys, far above the instruments that one worker can hold.
    @inlinable public static var keyCountMax: Int { 1 << 16 }
    /// The longest value, 64 KiB: far above the signal records of one tick.
    @inlinable public static var byteCountMax: Int { 1 << 16 }

    /// Allocates slots for keys `0..<keyCount` with values of up to `byteCount` bytes, freed when both ends
    /// are gone.
    public static func make(keyCount: Int, byteCount: Int) -> ConflationPair {
        precondition(keyCount >= 1 && keyCount <= keyCountMax, "There are 1 to 65,536 keys.")
        precondition(byteCount >= 1 && byteCount <= byteCountMax, "A value has 1 to 65,536 bytes.")
        let block = ConflationBlock.allocate(keyCount: keyCount, byteCount: byteCount)
        return ConflationPair(writer: ConflationWriter(block: block), reader: ConflationReader(block: block))
    }
}

/// The two ends of new slots, to be taken apart.
@frozen
public struct ConflationPair: ~Copyable, Sendable {
    public var writer: ConflationWriter
    public var reader: ConflationReader
}

/// The newest value of a key, in place.
public struct ConflatedValue {
    /// 8-byte aligned; valid until the same key is taken again.
    public let bytes: UnsafeRawBufferPointer
    /// Values of this key that were published after the last one taken and overwritten by this one.
    public let overwrittenCount: Int
}

/// Where things lie in the block that both ends share.
struct ConflationBlock: BitwiseCopyable {
    let base: UnsafeMutableRawPointer
    let keyCount: Int
    /// Bytes of the longest value.
    let byteCount: Int

    static var lineByteCount: Int { 64 }
    /// Of a buffer: value length and the value's number, before the value.
    static var headerByteCount: Int { 16 }
    /// Of a slot's state: the middle buffer's index, and whether it holds a value that was not taken.
    static var indexBits: UInt { 3 }
    static var freshBit: UInt { 4 }

    static func lines(_ byteCount: Int) -> Int { (byteCount + lineByteCount - 1) & ~(lineByteCount - 1) }

    /// Words of 64 freshness bits.
    var wordCount: Int { (keyCount + 63) / 64 }
    private var bufferStride: Int { Self.lines(Self.headerByteCount + byteCount) }
    private var slotStride: Int { Self.lineByteCount + 3 * bufferStride }
    private var slotsOffset: Int { Self.lineByteCount + Self.lines(8 * wordCount) }

    /// Ends that are alive.
    var handleCount: UnsafeMutablePointer<Atomic<Int>> { base.assumingMemoryBound(to: Atomic<Int>.self) }
    /// Bit `key & 63` of word `key / 64` is set after a slot became fresh.
    func freshWord(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + Self.lineByteCount + 8 * index).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
    func state(_ key: Int) -> UnsafeMutablePointer<Atomic<UInt>> {
        (base + slotsOffset + key * slotStride).assumingMemoryBound(to: Atomic<UInt>.self)
    }
    func buffer(_ key: Int, _ index: UInt) -> UnsafeMutableRawPointer {
        base + slotsOffset + key * slotStride + Self.lineByteCount + Int(index) * bufferStride
    }

    static func allocate(keyCount: Int, byteCount: Int) -> ConflationBlock {
        let sizes = ConflationBlock(
            base: UnsafeMutableRawPointer(bitPattern: lineByteCount)!, keyCount: keyCount,
            byteCount: byteCount)
        let total = sizes.slotsOffset + keyCount * sizes.slotStride
        let base = UnsafeMutableRawPointer.allocate(byteCount: total, alignment: lineByteCount)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: total)
        let block = ConflationBlock(base: base, keyCount: keyCount, byteCount: byteCount)
        block.handleCount.initialize(to: Atomic(2))
        for index in 0..<block.wordCount {
            block.freshWord(index).initialize(to: Atomic(0))
        }
        for key in 0..<keyCount {
            // Buffer 0 is the writer's, 1 is in the middle, 2 is the reader's.
            block.state(key).initialize(to: Atomic(1))
        }
        return block
    }

    func dropHandle() {
        // Acquiring-and-releasing pairs with itself in the other end: its uses of the memory come before the
        // freeing.
        let (before, _) = handleCount.pointee.subtract(1, ordering: .acquiringAndReleasing)
        if before == 1 {
            base.deallocate()
        }
    }
}

/// What one end remembers of a key.
struct ConflationCursor {
    /// The buffer that belongs to this end.
    var buffer: UInt
    /// Number of the last value published or taken, counted from 1.
    var number: Int
}
