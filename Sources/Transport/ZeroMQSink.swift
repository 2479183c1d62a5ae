public import Pipeline
public import ZeroMQ

/// Packets to a publishing socket, lossless or live as the socket's policy says. Used on one thread at a time.
public struct ZeroMQSink: ~Copyable, SignalSink {
    private var socket: PublisherSocket
    /// Why the socket can no longer be written; nil while it can. What is sent after that is lost and counted.
    public private(set) var failure: ZeroMQError?
    public private(set) var messagesLost = 0
    /// There were fewer subscribers than a lossless publisher waits for, at some time before the end.
    public private(set) var subscribersLeft = false
    /// Whether the subscribers that are waited for have come: else none of them can leave.
    private let wasReady: Bool
    private var sendsSincePoll = 0

    /// Sends between two looks at the subscription messages of a lossless publisher.
    private static let sendsPerPoll = 256

    public init(_ socket: consuming PublisherSocket) {
        wasReady = socket.isReady
        self.socket = socket
    }

    /// Whether a slow subscriber is waited for.
    public var isLossless: Bool { socket.policy != .live }

    public mutating func send(_ message: UnsafeRawBufferPointer) -> Bool {
        guard failure == nil else {
            messagesLost += 1
            return true
        }
        do {
            sendsSincePoll += 1
            if sendsSincePoll >= ZeroMQSink.sendsPerPoll {
                sendsSincePoll = 0
                try lookForSubscribers()
            }
            return try unsafe socket.send(message) == .sent
        } catch {
            failure = error
            messagesLost += 1
            return true
        }
    }

    private mutating func lookForSubscribers() throws(ZeroMQError) {
        _ = try socket.pollSubscriptions()
        if wasReady, !socket.isReady { subscribersLeft = true }
    }

    public mutating func willEnd() {
        guard failure == nil else { return }
        do throws(ZeroMQError) { try lookForSubscribers() } catch { failure = error }
    }

    public mutating func finish() {}
}
