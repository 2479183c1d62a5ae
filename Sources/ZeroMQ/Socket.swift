import CZeroMQ

/// One libzmq socket, closed exactly once, when its owner drops it.
///
/// A socket belongs to one thread at a time. It cannot be copied, and every verb needs exclusive access, so
/// that two threads cannot use one at once; it is handed over by moving it (`consume`). Nothing here blocks
/// but `wait`, which says how long.
///
/// `@unchecked Sendable`: the only members usable through a shared borrow are constants kept on this side.
/// Whoever hands the socket over must do so through something that orders memory (starting a thread, a lock).
///
/// Use after close cannot be written: `close()` consumes the socket.
public struct Socket: ~Copyable, @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    /// Keeps the context from terminating, which would wait for this socket for ever.
    private let context: ContextHandle
    public let kind: SocketKind
    /// Becomes readable when the socket's state *may* have changed, in either direction (edge-triggered: look
    /// at `readiness` until it is empty before polling this again). Never read, write or close it.
    public let fileDescriptor: Int32
    /// The endpoint of the latest `bind` or `connect` with wildcards resolved, such as
    /// `tcp://127.0.0.1:49152`; empty before.
    public private(set) var lastEndpoint = ""

    /// Makes a socket with every option set; it does nothing until it is bound or connected.
    ///
    /// - Throws: EINVAL with the option's name for a value out of range, EMFILE for too many sockets or
    ///   files, ETERM after the context's shutdown.
    public init(
        _ context: borrowing Context, _ kind: SocketKind, options: SocketOptions = SocketOptions()
    ) throws(ZeroMQError) {
        guard let pointer = zmq_socket(context.handle.pointer, kind.rawValue) else {
            throw ZeroMQError(.createSocket, code: zmq_errno())
        }
        let fileDescriptor: Int32
        do {
            for setting in options.settings(for: kind) {
                try setting.apply(to: pointer)
            }
            fileDescriptor = try Socket.readInt32(pointer, ZMQ_FD, "ZMQ_FD")
        } catch {
            // There is no value yet whose deinit would close it.
            zmq_close(pointer)
            throw error
        }
        self.pointer = pointer
        self.context = context.handle
        self.kind = kind
        self.fileDescriptor = fileDescriptor
    }

    deinit {
        // Fails only for a pointer that is no socket, which the type rules out. Returns at once: what is
        // unsent goes on in the context's threads for the linger time.
        let result = zmq_close(pointer)
        assert(result == 0, "a live socket can be closed")
    }

    /// Closes the socket here and now, which dropping it does as well.
    public consuming func close() {}

    /// Accepts connections at `endpoint`: `tcp://127.0.0.1:5556`, `tcp://127.0.0.1:*` for a free port,
    /// `ipc://PATH`, `inproc://NAME`. A socket may be bound and connected to several endpoints.
    ///
    /// An endpoint is free again a moment after its socket was dropped, not at once.
    ///
    /// - Throws: EADDRINUSE, EADDRNOTAVAIL, ENODEV, EACCES, EPROTONOSUPPORT, EINVAL, each with the endpoint.
    public mutating func bind(_ endpoint: String) throws(ZeroMQError) {
        try attach(endpoint, .bind, zmq_bind)
    }

    /// Connects to `endpoint`, now or whenever the peer comes, and again when it was lost. It does not wait
    /// and does not tell whether anyone is there.
    ///
    /// - Throws: EPROTONOSUPPORT, EINVAL, each with the endpoint.
    public mutating func connect(_ endpoint: String) throws(ZeroMQError) {
        try attach(endpoint, .connect, zmq_connect)
    }

    /// Stops accepting at an endpoint, given as `lastEndpoint` told it. Throws ENOENT for any other.
    public mutating func unbind(_ endpoint: String) throws(ZeroMQError) {
        try call(endpoint, .unbind, zmq_unbind)
    }

    /// Ends the connection to an endpoint. Throws ENOENT if there is none.
    public mutating func disconnect(_ endpoint: String) throws(ZeroMQError) {
        try call(endpoint, .disconnect, zmq_disconnect)
    }

    /// SUB: also receive messages that begin with these bytes; an empty prefix matches all. Each call
    /// counts: a prefix subscribed twice must be unsubscribed twice. A publisher that connects to this
    /// socket learns of it when this socket next waits or receives.
    ///
    /// - Throws: EINVAL for another kind of socket.
    public mutating func subscribe(_ prefix: [UInt8]) throws(ZeroMQError) {
        if zmq_setsockopt(pointer, ZMQ_SUBSCRIBE, prefix, prefix.count) != 0 {
            throw ZeroMQError(.subscribe, code: zmq_errno(), option: "ZMQ_SUBSCRIBE")
        }
    }

    /// SUB: also receive messages that begin with this text in UTF-8.
    public mutating func subscribe(_ prefix: String) throws(ZeroMQError) {
        try subscribe(Array(prefix.utf8))
    }

    /// SUB: takes back one `subscribe` of the same bytes. One that was never made is ignored.
    public mutating func unsubscribe(_ prefix: [UInt8]) throws(ZeroMQError) {
        if zmq_setsockopt(pointer, ZMQ_UNSUBSCRIBE, prefix, prefix.count) != 0 {
            throw ZeroMQError(.unsubscribe, code: zmq_errno(), option: "ZMQ_UNSUBSCRIBE")
        }
    }

    /// SUB: takes back one `subscribe` of the same text.
    public mutating func unsubscribe(_ prefix: String) throws(ZeroMQError) {
        try unsubscribe(Array(prefix.utf8))
    }

    private mutating func attach(
        _ endpoint: String, _ operation: ZeroMQError.Operation,
        _ function: (UnsafeMutableRawPointer?, UnsafePointer<CChar>?) -> Int32
    ) throws(ZeroMQError) {
        try call(endpoint, operation, function)
        lastEndpoint = try readLastEndpoint()
    }

    private mutating func call(
        _ endpoint: String, _ operation: ZeroMQError.Operation,
        _ function: (UnsafeMutableRawPointer?, UnsafePointer<CChar>?) -> Int32
    ) throws(ZeroMQError) {
        guard Socket.isPlausible(endpoint, for: operation) else {
            throw ZeroMQError(operation, code: EINVAL, endpoint: endpoint)
        }
        var result = function(pointer, endpoint)
        while result != 0 && zmq_errno() == EINTR { result = function(pointer, endpoint) }
        if result != 0 { throw ZeroMQError(operation, code: zmq_errno(), endpoint: endpoint) }
    }

    /// False for what libzmq would misread silently: it takes the number at the start of a port modulo 65,536
    /// (`99999` is 34463, `5556x` is 5556), connects to port 0, and as C ends a text at its first NUL.
    private static func isPlausible(_ endpoint: String, for operation: ZeroMQError.Operation) -> Bool {
        if endpoint.utf8.contains(0) { return false }
        guard endpoint.hasPrefix("tcp://"), operation == .bind || operation == .connect else { return true }
        guard let colon = endpoint.lastIndex(of: ":") else { return true }
        let port = endpoint[endpoint.index(after: colon)...]
        if operation == .bind && port == "*" { return true }
        guard port.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = Int(port) else { return false }
        return number <= Int(UInt16.max) && (number > 0 || operation == .bind)
    }

    private mutating func readLastEndpoint() throws(ZeroMQError) -> String {
        // tcp and inproc names are at most 256 bytes, ipc paths 108; the rest is room for brackets and
        // scopes.
        let capacity = 1_024
        var count = capacity
        var bytes = [UInt8](repeating: 0, count: capacity)
        if zmq_getsockopt(pointer, ZMQ_LAST_ENDPOINT, &bytes, &count) != 0 {
            throw ZeroMQError(.readOption, code: zmq_errno(), option: "ZMQ_LAST_ENDPOINT")
        }
        // The count includes the terminating NUL.
        return String(decoding: bytes.prefix(max(count - 1, 0)), as: UTF8.self)
    }

    static func readInt32(
        _ pointer: UnsafeMutableRawPointer, _ option: Int32, _ name: String
    ) throws(ZeroMQError) -> Int32 {
        var value: Int32 = 0
        var count = MemoryLayout<Int32>.size
        if zmq_getsockopt(pointer, option, &value, &count) != 0 {
            throw ZeroMQError(.readOption, code: zmq_errno(), option: name)
        }
        return value
    }
}
