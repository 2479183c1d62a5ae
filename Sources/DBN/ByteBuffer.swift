/// Owned bytes with a read end and a write end: what was fed and not yet consumed.
///
/// The one place of the decoder that holds pointers. Invariant: 0 <= start <= end <= capacity, and bytes
/// `start..<end` are initialised.
struct ByteBuffer: ~Copyable {
    private(set) var base: UnsafeMutableRawPointer
    private(set) var capacity: Int
    /// First byte not yet consumed.
    private(set) var start: Int = 0
    /// End of the bytes that hold data.
    private(set) var end: Int = 0
    /// Bytes of the stream that came before `base[0]`.
    private var discarded: UInt64 = 0

    init(capacity: Int) {
        precondition(capacity > 0, "A buffer has room.")
        self.capacity = capacity
        unsafe base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { unsafe base.deallocate() }

    /// Bytes that wait to be consumed.
    var count: Int { end &- start }

    /// Bytes consumed since the start of the stream.
    var offset: UInt64 { discarded &+ UInt64(start) }

    /// Room behind the data.
    var freeCount: Int { capacity &- end }

    /// The waiting bytes.
    var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            let span = unsafe RawSpan(_unsafeStart: base + start, byteCount: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// The first `byteCount` waiting bytes; at most `count`.
    @_lifetime(borrow self)
    func prefix(_ byteCount: Int) -> RawSpan {
        precondition(byteCount >= 0 && byteCount <= count, "Only bytes that are there can be read.")
        let span = unsafe RawSpan(_unsafeStart: base + start, byteCount: byteCount)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// The waiting byte at `index`, which must be below `count`.
    @inline(__always)
    func byte(_ index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "Only bytes that are there can be read.")
        return unsafe base.load(fromByteOffset: start &+ index, as: UInt8.self)
    }

    mutating func consume(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= count, "Only bytes that are there can be consumed.")
        start &+= byteCount
    }

    /// Declares that `byteCount` bytes were written behind the data.
    mutating func commit(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= freeCount, "Bytes are written where there is room.")
        end &+= byteCount
    }

    /// Where to write: the room behind the data.
    mutating func free() -> UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base + end, count: freeCount)
    }

    /// Makes room for `byteCount` bytes behind the data: moves the data to the front, then doubles.
    mutating func reserve(_ byteCount: Int) {
        if freeCount >= byteCount { return }
        compact()
        if freeCount >= byteCount { return }
        let newCapacity = max(capacity * 2, count + byteCount)
        let newBase = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
        unsafe newBase.copyMemory(from: base, byteCount: end)
        unsafe base.deallocate()
        unsafe base = newBase
        capacity = newCapacity
    }

    /// Moves the data to the front.
    mutating func compact() {
        if start == 0 { return }
        if count > 0 { unsafe base.copyMemory(from: base + start, byteCount: count) }
        discarded &+= UInt64(start)
        end = count
        start = 0
    }

    mutating func append(_ bytes: RawSpan) {
        guard bytes.byteCount > 0 else { return }
        reserve(bytes.byteCount)
        bytes.withUnsafeBytes { source in
            guard let address = source.baseAddress else { return }
            unsafe (base + end).copyMemory(from: address, byteCount: source.count)
        }
        end += bytes.byteCount
    }

    mutating func append(zeros byteCount: Int) {
        reserve(byteCount)
        unsafe (base + end).initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        end += byteCount
    }

    /// Writes `value` little-endian at `index` of the waiting bytes.
    @inline(__always)
    mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at index: Int) {
        precondition(
            index >= 0 && index &+ MemoryLayout<T>.size <= count, "Values are stored inside the data.")
        unsafe (base + start + index).storeBytes(of: value.littleEndian, as: T.self)
    }
}
