/// Every libzmq option that Martlet uses. All of them are set on every socket that knows them, so that no
/// behaviour hangs on a default of libzmq's. `docs/ZEROMQ.md` has the table with values and reasons.
///
/// The units stand in the names. A value out of range makes `Socket.init` throw EINVAL with the option's
/// name.
public struct SocketOptions: Sendable {
    /// The longest linger accepted: a process that takes longer to end than this looks hung.
    public static let lingerMillisecondsMax = 60_000

    // MARK: Ending

    /// How long unsent messages may hold up the end of the context after their socket is gone. Finite by
    /// construction, 0 (drop them) to `lingerMillisecondsMax`. libzmq's default waits for ever.
    public var lingerMilliseconds = 1_000

    // MARK: Memory

    /// Messages queued per peer before `send` gives `.wouldBlock` or, for PUB, drops. At least 1: libzmq's
    /// 0 means unlimited, and a slow subscriber would take all memory. The default holds the largest burst
    /// of one second in recorded feeds (2,527 messages) six times, and costs at most 64 MiB per peer at 4
    /// KiB each.
    public var sendHighWaterMark = 16_384
    /// Messages queued per peer before its connection is no longer read. At least 1, as above.
    public var receiveHighWaterMark = 16_384
    /// The largest message accepted from a peer, which is disconnected beyond it. At least 1. libzmq's
    /// default is unlimited: one hostile length field would allocate it.
    public var maxMessageBytes = 16 * 1_024 * 1_024
    /// Keeps the newest message only. Drops silently and breaks multi-frame messages, so never for ticks.
    public var conflate = false

    // MARK: Connecting

    /// Queues only to peers whose connection is complete; else `send` gives `.wouldBlock` while there is
    /// none.
    public var immediate = false
    /// First pause before a lost or refused connection is tried again. At least 1.
    public var reconnectMilliseconds = 100
    /// Longest such pause, reached by doubling. Not below `reconnectMilliseconds`, or 0 for no doubling.
    public var reconnectMillisecondsMax = 1_000
    /// Gives up one attempt to connect after this time (and tries again). 0 leaves it to the system: minutes.
    public var connectTimeoutMilliseconds = 5_000
    /// Drops a peer that has connected but not finished the handshake. 0 never does, which lets idle
    /// connections pile up.
    public var handshakeMilliseconds = 10_000
    /// Connections that the kernel may hold before they are accepted. At least 1.
    public var backlog = 128
    /// Allows IPv6. Off: `localhost` then means 127.0.0.1 at both ends, where libzmq tries one address only.
    public var ipv6 = false

    // MARK: Noticing dead peers

    /// TCP keepalive: the kernel answers it even when the application is busy, so that a slow subscriber is
    /// never taken for a dead one.
    public var tcpKeepalive = true
    /// Silence before the first probe. At least 1.
    public var tcpKeepaliveIdleSeconds = 10
    /// Pause between probes. At least 1.
    public var tcpKeepaliveIntervalSeconds = 5
    /// Unanswered probes before the connection is dropped: 10 + 3 · 5 = 25 seconds. At least 1.
    public var tcpKeepaliveCount = 3
    /// Interval of libzmq's own heartbeats, 0 for none. Off, because a subscriber at its high-water mark does
    /// not read its connection, does not answer, and would be disconnected: what was queued for it is lost.
    /// Martlet's own heartbeats are packets (docs/WIRE.md).
    public var heartbeatMilliseconds = 0
    /// Silence after a heartbeat before the connection is dropped.
    public var heartbeatTimeoutMilliseconds = 0
    /// What the peer is asked to use as its timeout; libzmq counts it in tenths of a second. 0 to 6,553,599.
    public var heartbeatTimeToLiveMilliseconds = 0

    // MARK: By kind of socket

    /// XPUB and PUB: `send` gives `.wouldBlock` rather than dropping for a slow subscriber.
    public var noDrop = false
    /// XPUB: reports every subscription and its end, also where another peer has the same one.
    public var reportsEverySubscription = false
    /// ROUTER: a message to a peer that is gone throws EHOSTUNREACH; libzmq's default drops it silently.
    public var routerMandatory = true

    // MARK: Security

    /// Encryption and authentication by keys. None by default; endpoints are on loopback by default.
    public var security = Security.none

    public init() {}
}
