/// The libzmq socket types that Martlet uses. The raw values are libzmq's numbers.
///
/// REQ and REP are absent by choice: their lock-step breaks for good when one message is lost.
public enum SocketKind: Int32, CaseIterable, Sendable {
    /// One peer, both ways; between two threads.
    case pair = 0
    /// Sends to every subscriber, drops for one that is slow.
    case pub = 1
    /// Receives what its subscriptions match.
    case sub = 2
    /// Asks a ROUTER, any number of requests at a time.
    case dealer = 5
    /// Answers each peer by the routing id that stands before its message.
    case router = 6
    /// Receives from every PUSH in turn.
    case pull = 7
    /// Sends each message to one PULL.
    case push = 8
    /// As PUB, and receives the subscriptions; can refuse to drop.
    case xpub = 9
    /// As SUB, and sends subscriptions as messages.
    case xsub = 10
}
