import CZeroMQ

/// Owns libzmq's input/output threads. Sockets are made from it.
///
/// Every socket keeps the underlying context alive, so the order in which a program drops its context and
/// its sockets cannot be wrong: libzmq's context terminates when the last of them is gone. That wait is
/// bounded by the linger time of the sockets (`SocketOptions.lingerMilliseconds`), which cannot be infinite.
/// Any thread may use a context at any time.
///
/// The order of a graceful end is: stop the agents, drop their sockets, drop the context. To stop threads
/// that wait in `Socket.wait`, call `shutdown()` first.
public struct Context: ~Copyable, Sendable {
    /// More threads than this only cost memory: one carries some millions of messages a second.
    public static let ioThreadCountMax = 64
    /// libzmq's own default; each socket costs one eventfd and a slot of eight bytes.
    public static let socketCountDefault = 1023

    /// libzmq's `ZMQ_SOCKET_LIMIT`, which it reports and does not enforce.
    public static let socketCountMax = 65_535

    let handle: ContextHandle

    /// - Parameters:
    ///   - ioThreads: threads that move bytes, 1 to `ioThreadCountMax`. One is enough for one busy endpoint.
    ///   - maxSockets: most sockets at one time, 1 to 65,535. One more throws EMFILE.
    /// - Throws: `ZeroMQError` with EINVAL for a count out of its range.
    public init(ioThreads: Int = 1, maxSockets: Int = Context.socketCountDefault) throws(ZeroMQError) {
        // libzmq aborts the process when it cannot start a thread, so that the count is checked here.
        guard ioThreads >= 1, ioThreads <= Context.ioThreadCountMax else {
            throw ZeroMQError(.createContext, code: EINVAL, option: "ZMQ_IO_THREADS")
        }
        guard maxSockets >= 1, maxSockets <= Context.socketCountMax else {
            throw ZeroMQError(.createContext, code: EINVAL, option: "ZMQ_MAX_SOCKETS")
        }
        guard let pointer = zmq_ctx_new() else {
            throw ZeroMQError(.createContext, code: zmq_errno())
        }
        let handle = ContextHandle(pointer)
        try handle.set(ZMQ_IO_THREADS, Int32(ioThreads), "ZMQ_IO_THREADS")
        try handle.set(ZMQ_MAX_SOCKETS, Int32(maxSockets), "ZMQ_MAX_SOCKETS")
        // Sockets set their linger themselves; should one ever not, it must not hold up termination.
        try handle.set(ZMQ_BLOCKY, 0, "ZMQ_BLOCKY")
        // `receive` reports byte counts through a C int.
        try handle.set(ZMQ_MAX_MSGSZ, Int32.max, "ZMQ_MAX_MSGSZ")
        self.handle = handle
    }

    /// Makes every operation on every socket of this context throw ETERM from now on, and wakes the threads
    /// that wait in one. It returns at once, cannot be undone, and may be called repeatedly from any thread.
    /// A live socket stays valid and is released by dropping it, as always.
    public func shutdown() {
        handle.shutdown()
    }
}

/// The one reference-counted owner of a libzmq context, shared by the `Context` and its sockets.
///
/// `@unchecked Sendable`: the pointer never changes, and libzmq's contexts may be used from any thread.
final class ContextHandle: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer

    init(_ pointer: UnsafeMutableRawPointer) {
        self.pointer = pointer
    }

    func set(_ option: Int32, _ value: Int32, _ name: String) throws(ZeroMQError) {
        if zmq_ctx_set(pointer, option, value) != 0 {
            throw ZeroMQError(.createContext, code: zmq_errno(), option: name)
        }
    }

    func shutdown() {
        // It fails only for a pointer that is no context, which the type rules out.
        let result = zmq_ctx_shutdown(pointer)
        assert(result == 0, "a live context can be shut down")
    }

    deinit {
        // No socket is left: each holds a reference. What remains is the linger of those just closed. A
        // signal interrupts that wait, and libzmq asks for the call to be repeated then.
        while zmq_ctx_term(pointer) != 0 && zmq_errno() == EINTR {}
    }
}
