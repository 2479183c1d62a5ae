import CZeroMQ

/// What a socket can do without waiting.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// At least one message can be received.
    public static let readable = Readiness(rawValue: 1)
    /// At least one message can be sent. Not to be trusted on XPUB and PUB, which libzmq always calls
    /// writable, even while `noDrop` makes every `send` give `.wouldBlock`: retry after an idle pause
    /// there.
    public static let writable = Readiness(rawValue: 2)
}

extension Socket {
    /// Waits until the socket is ready for one of `interest`, at most `timeoutMilliseconds` (0 only looks,
    /// a negative one is for ever).
    ///
    /// - Returns: true when it is ready; false when the time is over *or a signal came*, so that the caller
    ///   sees its stop flag at once. Callers loop, so that the two need no telling apart.
    /// - Throws: ETERM after the context's shutdown, also when it comes during the wait.
    public mutating func wait(
        for interest: Readiness, timeoutMilliseconds: Int
    ) throws(ZeroMQError) -> Bool {
        var item = zmq_pollitem_t(socket: pointer, fd: 0, events: Int16(interest.rawValue), revents: 0)
        let readyCount = zmq_poll(&item, 1, timeoutMilliseconds)
        if readyCount >= 0 { return readyCount > 0 }
        let code = zmq_errno()
        if code == EINTR { return false }
        throw ZeroMQError(.wait, code: code)
    }

    /// What can be done now, for use after `fileDescriptor` became readable.
    ///
    /// - Throws: ETERM after the context's shutdown.
    public var readiness: Readiness {
        mutating get throws(ZeroMQError) {
            Readiness(rawValue: try Socket.readInt32(pointer, ZMQ_EVENTS, "ZMQ_EVENTS"))
        }
    }
}
