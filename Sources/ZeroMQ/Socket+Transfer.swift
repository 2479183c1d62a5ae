import CZeroMQ

/// What `send` did.
@frozen
public enum SendResult: Equatable, Sendable {
    /// libzmq took the message: it is queued for whoever it is for. A PUB says so also when it drops.
    case sent
    /// Nothing happened, because a queue is full or nobody is connected. Try again later.
    case wouldBlock
}

/// What `receive` did.
@frozen
public enum ReceiveResult: Equatable, Sendable {
    /// One whole frame of this many bytes, 0 for an empty one, never a part of one.
    case received(byteCount: Int)
    /// There is nothing now; the message is empty.
    case wouldBlock
}

extension Socket {
    /// Sends one frame, copied by libzmq before the call returns. Never blocks, allocates nothing on this
    /// side.
    ///
    /// - Parameter more: true when further frames of the same message follow.
    /// - Throws: ETERM after the context's shutdown, EHOSTUNREACH for a ROUTER's peer that is gone, ENOTSUP
    ///   for a kind that cannot send.
    public mutating func send(
        _ bytes: UnsafeRawBufferPointer, more: Bool = false
    ) throws(ZeroMQError) -> SendResult {
        let flags = more ? ZMQ_DONTWAIT | ZMQ_SNDMORE : ZMQ_DONTWAIT
        while zmq_send(pointer, bytes.baseAddress, bytes.count, flags) < 0 {
            let code = zmq_errno()
            if code == EAGAIN { return .wouldBlock }
            if code != EINTR { throw ZeroMQError(.send, code: code) }
        }
        return .sent
    }

    /// Sends one frame, copied by libzmq before the call returns. Throws as the other `send` does.
    public mutating func send(_ bytes: RawSpan, more: Bool = false) throws(ZeroMQError) -> SendResult {
        try bytes.withUnsafeBytes { buffer throws(ZeroMQError) in
            try send(buffer, more: more)
        }
    }

    /// Hands the message's content to libzmq without copying it (beyond 33 bytes). After `.sent` the
    /// message is empty and can be reused; after `.wouldBlock` or an error it is unchanged. Throws as the
    /// other `send` does.
    public mutating func send(_ message: inout Message, more: Bool = false) throws(ZeroMQError) -> SendResult {
        let flags = more ? ZMQ_DONTWAIT | ZMQ_SNDMORE : ZMQ_DONTWAIT
        while zmq_msg_send(message.storage, pointer, flags) < 0 {
            let code = zmq_errno()
            if code == EAGAIN { return .wouldBlock }
            if code != EINTR { throw ZeroMQError(.send, code: code) }
        }
        message.more = false
        return .sent
    }

    /// Receives one frame into `message`, whose former content is released. Never blocks, never truncates.
    ///
    /// - Throws: ETERM after the context's shutdown, ENOTSUP for a kind that cannot receive.
    public mutating func receive(into message: inout Message) throws(ZeroMQError) -> ReceiveResult {
        while true {
            let byteCount = zmq_msg_recv(message.storage, pointer, ZMQ_DONTWAIT)
            if byteCount >= 0 {
                message.more = zmq_msg_more(message.storage) != 0
                return .received(byteCount: Int(byteCount))
            }
            let code = zmq_errno()
            // libzmq leaves the former content in place for some kinds of socket and not for others.
            if message.byteCount != 0 || message.more { message.reset() }
            if code == EAGAIN { return .wouldBlock }
            if code != EINTR { throw ZeroMQError(.receive, code: code) }
        }
    }

    /// True when the frame received last is not the last of its message.
    ///
    /// - Throws: ETERM after the context's shutdown.
    public var hasMore: Bool {
        mutating get throws(ZeroMQError) {
            try Socket.readInt32(pointer, ZMQ_RCVMORE, "ZMQ_RCVMORE") != 0
        }
    }
}
