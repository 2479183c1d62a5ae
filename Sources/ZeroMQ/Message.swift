import CZeroMQ

/// The bytes of one frame, owned by libzmq.
///
/// Make one per socket and reuse it: `Socket.receive(into:)` replaces the content without allocating anything
/// on this side. Bytes are a view that cannot outlive the message: no `String`, no `Data`, no truncation.
///
/// `@unchecked Sendable`: a message has one owner, and every change needs exclusive access to it. What libzmq
/// may share between messages (one content sent to several inproc subscribers) is copied before a write.
public struct Message: ~Copyable, @unchecked Sendable {
    /// On the heap, allocated once per `Message`: libzmq keeps up to 33 bytes inside this struct, so that a
    /// view of them is only sound while the struct does not move, and a Swift value may.
    let storage: UnsafeMutablePointer<zmq_msg_t>

    /// An empty message, to receive into.
    public init() {
        storage = .allocate(capacity: 1)
        zmq_msg_init(storage)
    }

    /// A message of `byteCount` bytes that are not initialised, to be filled through `mutableBytes`.
    ///
    /// - Precondition: `byteCount` is not negative and the memory can be had.
    public init(byteCount: Int) {
        precondition(byteCount >= 0, "a message has no negative size")
        storage = .allocate(capacity: 1)
        let result = zmq_msg_init_size(storage, byteCount)
        precondition(result == 0, "memory for a message must be there")
    }

    /// A message that holds a copy of `bytes`.
    public init(copying bytes: RawSpan) {
        self.init(byteCount: bytes.byteCount)
        bytes.withUnsafeBytes { source in
            unsharedBytes.copyMemory(from: source)
        }
    }

    /// A message that holds a copy of `bytes`.
    public init(copying bytes: UnsafeRawBufferPointer) {
        self.init(byteCount: bytes.count)
        unsharedBytes.copyMemory(from: bytes)
    }

    deinit {
        zmq_msg_close(storage)
        storage.deallocate()
    }

    /// Bytes in this frame, 0 for an empty one.
    public var byteCount: Int { Int(zmq_msg_size(storage)) }

    /// True when another frame of the same message follows the one received here. The next `receive` has it.
    public internal(set) var more = false

    /// The content, valid while the message is borrowed.
    public var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            // Sound: the content lives until the next mutation of this message, which the borrow excludes.
            _overrideLifetime(RawSpan(_unsafeBytes: unsafeBytes), borrowing: self)
        }
    }

    /// The content, for writing. Copied first if libzmq shares it with another subscriber's message.
    public var mutableBytes: MutableRawSpan {
        @_lifetime(&self)
        mutating get {
            unshare()
            // Sound: as for `bytes`; the exclusive access to the message lasts as long as the span.
            let span = MutableRawSpan(_unsafeBytes: unsharedBytes)
            return _overrideLifetime(span, mutating: &self)
        }
    }

    /// Gives the content to C code. The pointer is valid during the call only; its base is never nil.
    public func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafeBytes)
    }

    /// Gives the content to C code for writing, unshared as `mutableBytes` is. Valid during the call only.
    public mutating func withUnsafeMutableBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unshare()
        return try body(unsharedBytes)
    }

    /// Drops the content and makes room for `byteCount` bytes, not initialised. The object itself is reused.
    ///
    /// - Precondition: as for `init(byteCount:)`.
    public mutating func reset(byteCount: Int = 0) {
        precondition(byteCount >= 0, "a message has no negative size")
        zmq_msg_close(storage)
        let result = zmq_msg_init_size(storage, byteCount)
        precondition(result == 0, "memory for a message must be there")
        more = false
    }

    private var unsafeBytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: zmq_msg_data(storage), count: byteCount)
    }

    private var unsharedBytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: zmq_msg_data(storage), count: byteCount)
    }

    /// A PUB hands one reference-counted content to all its inproc subscribers: a write would be seen by all.
    private mutating func unshare() {
        guard zmq_msg_get(storage, ZMQ_SHARED) == 1 else { return }
        let copy = Message(copying: unsafeBytes)
        // The old content of `storage` is released by the move; `copy` is left empty, and closed by its
        // owner.
        zmq_msg_move(storage, copy.storage)
    }
}
