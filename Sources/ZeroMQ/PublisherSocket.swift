import CZeroMQ

/// What a publisher does about a subscriber that is slow or late. A setting of the endpoint, never a guess.
public enum PublisherPolicy: Equatable, Sendable {
    /// Nothing is dropped for a connected subscriber: `send` gives `.wouldBlock` while any of them is slow
    /// (XPUB with `ZMQ_XPUB_NODROP`). The owner starts to send when `isReady` says that `subscribers` peers
    /// have subscribed to a prefix of `readinessTopic`, the beginning of what will be published, or to more than it.
    case lossless(subscribers: Int, readinessTopic: String)
    /// `send` never waits: a subscriber that is slow loses messages, and finds that out by sequence numbers
    /// (PUB).
    case live
}

/// A socket that publishes by one of the two policies, with the same verbs for both.
///
///     var publisher = try PublisherSocket(context, .lossless(subscribers: 1, readinessTopic: "md/X/Y/"))
///     try publisher.bind("tcp://127.0.0.1:5556")
///     // In the agent's step:
///     try publisher.pollSubscriptions()
///     guard publisher.isReady else { return 0 }
///     guard try publisher.send(packet) == .sent else { return 0 }  // Offer the same packet again next time.
///
/// Used by one thread at a time, and moved as a `Socket` is. While a lossless `send` gives `.wouldBlock`,
/// pause or yield and try again: libzmq calls such a socket writable at all times, so that polling is no
/// help.
public struct PublisherSocket: ~Copyable, Sendable {
    /// Subscription messages handled by one call of `pollSubscriptions` unless told otherwise, so that a peer
    /// that floods the publisher with them cannot hold up a step.
    public static let subscriptionLimitDefault = 1_024

    /// Subscribers that are counted, unless more are waited for: each takes memory, and a stranger can come as many.
    public static let subscribersCountedMax = 1_024

    public let policy: PublisherPolicy
    private var socket: Socket
    private var message = Message()
    private var ledger: SubscriptionLedger
    private var hasConnections = false

    /// - Parameter options: those of the socket; `noDrop`, `reportsEverySubscription` and, for `.lossless`,
    ///   `immediate` are the policy's business and set by it.
    /// - Throws: as `Socket.init`.
    /// - Precondition: a lossless publisher expects no negative number of subscribers.
    public init(
        _ context: borrowing Context, _ policy: PublisherPolicy, options: SocketOptions = SocketOptions()
    ) throws(ZeroMQError) {
        var options = options
        let kind: SocketKind
        switch policy {
        case .lossless(let subscribers, let readinessTopic):
            precondition(subscribers >= 0, "a publisher expects no negative number of subscribers")
            kind = .xpub
            options.noDrop = true
            options.conflate = false
            options.reportsEverySubscription = true
            // A publisher that connects would otherwise keep the subscriptions of a lost connection, and see
            // them again after the reconnection.
            options.immediate = true
            ledger = SubscriptionLedger(
                topic: Array(readinessTopic.utf8), peersMax: max(subscribers, PublisherSocket.subscribersCountedMax))
        case .live:
            kind = .pub
            options.noDrop = false
            ledger = SubscriptionLedger(topic: [], peersMax: 0)
        }
        socket = try Socket(context, kind, options: options)
        self.policy = policy
    }

    /// As `Socket.bind`.
    public mutating func bind(_ endpoint: String) throws(ZeroMQError) {
        hasConnections = hasConnections || !endpoint.hasPrefix("inproc:")
        try socket.bind(endpoint)
    }

    /// As `Socket.connect`, for subscribers that bind.
    public mutating func connect(_ endpoint: String) throws(ZeroMQError) {
        hasConnections = hasConnections || !endpoint.hasPrefix("inproc:")
        try socket.connect(endpoint)
    }

    /// As `Socket.lastEndpoint`.
    public var lastEndpoint: String { socket.lastEndpoint }

    /// Peers that have subscribed to a prefix of the readiness topic or to more than it, as of the latest
    /// `pollSubscriptions`, up to `subscribersCountedMax`; nil for a live publisher, which is not told.
    public var subscriberCount: Int? {
        switch policy {
        case .lossless: ledger.subscriberCount
        case .live: nil
        }
    }

    /// True while at least the expected number of subscribers is there; always for a live publisher. Read it
    /// to decide when to start: a subscriber that leaves later makes it false again.
    public var isReady: Bool {
        switch policy {
        case .lossless(let subscribers, _): ledger.subscriberCount >= subscribers
        case .live: true
        }
    }

    /// Reads what subscribers have asked for. Call it in each step, also after the start: what is not read
    /// stays in memory. It allocates only when a subscription comes or goes.
    ///
    /// - Returns: messages read, at most `limit`.
    /// - Throws: ETERM after the context's shutdown.
    @discardableResult
    public mutating func pollSubscriptions(
        limit: Int = PublisherSocket.subscriptionLimitDefault
    ) throws(ZeroMQError) -> Int {
        guard policy != .live else { return 0 }
        var readCount = 0
        while readCount < limit {
            guard case .received = try socket.receive(into: &message) else { break }
            readCount += 1
            ledger.apply(message, hasConnections: hasConnections)
        }
        return readCount
    }

    /// As `Socket.send`. With no subscriber for a message, it is `.sent` to nobody.
    public mutating func send(
        _ bytes: UnsafeRawBufferPointer, more: Bool = false
    ) throws(ZeroMQError) -> SendResult {
        try socket.send(bytes, more: more)
    }

    /// As `Socket.send`. With no subscriber for a message, it is `.sent` to nobody.
    public mutating func send(_ bytes: RawSpan, more: Bool = false) throws(ZeroMQError) -> SendResult {
        try socket.send(bytes, more: more)
    }

    /// As `Socket.send`. With no subscriber for a message, it is `.sent` to nobody.
    public mutating func send(_ message: inout Message, more: Bool = false) throws(ZeroMQError) -> SendResult {
        try socket.send(&message, more: more)
    }
}

extension Message {
    /// The file descriptor of the connection that this message came from, where libzmq tells it (tcp and
    /// ipc). The connection may be gone by now: good for telling peers apart, not for any use of the
    /// descriptor.
    var peer: Int32? {
        let descriptor = zmq_msg_get(storage, ZMQ_SRCFD)
        return descriptor >= 0 ? descriptor : nil
    }
}
