/// Counts the subscribers to one given topic prefix, out of an XPUB's subscription messages: peers that have subscribed to
/// a prefix of it, and peers that have subscribed to more than it (`md/XNAS.ITCH/` where it is `md/`).
///
/// The count is of peers, not of subscriptions: a peer that has `md/` and `md/XNAS.ITCH/` is one. libzmq
/// tells the peer (as the file descriptor of its connection) with a subscription and with its explicit end,
/// but not with the ends that it reports for a lost connection. Such an end is charged to a descriptor that
/// has the prefix twice (the system reuses the number of a lost connection at once, and its successor may
/// be seen first), else to the peer with the fewest subscriptions, so that in doubt the count is too low,
/// not too high.
///
/// What peers can name has no end, so there are two limits, and neither lets one peer keep another from being counted:
/// each has its own share of prefixes, and the number of peers is one that makes a publisher ready.
///
/// Two known faults: a peer that subscribes twice to one prefix and vanishes may stay counted, and on inproc,
/// where there is no descriptor, each subscription counts as one subscriber.
struct SubscriptionLedger {
    /// A prefix as 64 bits of it, with a seed that peers do not know: a prefix is as long as its sender likes.
    private typealias PrefixHash = Int

    /// Prefixes of one peer that are kept. More than that are not seen in its ends either: a peer with more may count as
    /// gone while it still has some, which is again too low, not too high. Above any that a command subscribes to.
    static let prefixesPerPeerMax = 64

    private struct Peer {
        /// Its place in the order of first subscriptions.
        let arrival: Int
        /// Live subscriptions to each prefix that matches the topic.
        var prefixes: [PrefixHash: Int] = [:]
    }

    private let topic: [UInt8]
    private let peersMax: Int
    /// No peer is without a subscription that matches.
    private var peers: [Int32: Peer] = [:]
    private var arrivalCount = 0
    /// Live subscriptions without a peer, by prefix, and their sum.
    private var anonymous: [PrefixHash: Int] = [:]
    private var anonymousCount = 0
    /// Peers that libzmq has taken for subscribers to everything, and that are still there.
    private var strangerCount = 0

    /// Peers with at least one subscription that matches the topic.
    var subscriberCount: Int { peers.count + anonymousCount }

    /// - Parameter peersMax: peers that are counted, at least as many as are waited for; others are ignored.
    init(topic: [UInt8], peersMax: Int) {
        self.topic = topic
        self.peersMax = peersMax
    }

    /// Applies one message that the XPUB received. One that is no subscription, or not to the topic, is
    /// ignored.
    ///
    /// - Parameters:
    ///   - message: 1 (subscribe) or 0 (unsubscribe), then the prefix.
    ///   - peer: the file descriptor of its connection, if libzmq knows it.
    mutating func apply(_ message: RawSpan, peer: Int32?) {
        guard message.byteCount >= 1, matches(message) else { return }
        let prefix = message.extracting(droppingFirst: 1).withUnsafeBytes { bytes in
            var hasher = Hasher()
            hasher.combine(bytes: bytes)
            return hasher.finalize()
        }
        switch message.unsafeLoad(fromByteOffset: 0, as: UInt8.self) {
        case 1: add(prefix, peer)
        case 0: remove(prefix, peer)
        default: return
        }
    }

    /// Applies one message as received. One byte without a connection is libzmq's own: it takes any two bytes on its port
    /// for the greeting of ZMTP 1.0, and such a peer for a subscriber to everything. That counts as none, and so does the
    /// end of it, which looks like that of a lost connection.
    ///
    /// - Parameter hasConnections: false on inproc, where no message comes from a connection.
    mutating func apply(_ message: borrowing Message, hasConnections: Bool) {
        guard hasConnections, message.peer == nil, message.byteCount == 1 else {
            return apply(message.bytes, peer: message.peer)
        }
        if message.bytes.unsafeLoad(as: UInt8.self) == 1 {
            strangerCount += 1
        } else if strangerCount > 0 {
            strangerCount -= 1
        } else {
            apply(message.bytes, peer: nil)
        }
    }

    private func matches(_ message: RawSpan) -> Bool {
        for offset in 1..<min(message.byteCount, topic.count + 1) {
            let byte = message.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
            if byte != topic[offset - 1] { return false }
        }
        return true
    }

    private mutating func add(_ prefix: PrefixHash, _ peer: Int32?) {
        guard let peer else {
            guard anonymousCount < peersMax else { return }
            anonymous[prefix, default: 0] += 1
            anonymousCount += 1
            return
        }
        if peers[peer] == nil {
            guard peers.count < peersMax else { return }
            peers[peer] = Peer(arrival: arrivalCount)
            arrivalCount += 1
        }
        guard let known = peers[peer]?.prefixes else { return }
        guard known[prefix] != nil || known.count < SubscriptionLedger.prefixesPerPeerMax else { return }
        peers[peer]?.prefixes[prefix, default: 0] += 1
    }

    private mutating func remove(_ prefix: PrefixHash, _ peer: Int32?) {
        if peer == nil, let count = anonymous[prefix] {
            anonymous[prefix] = count > 1 ? count - 1 : nil
            anonymousCount -= 1
            return
        }
        guard let charged = peer ?? likeliestToEnd(prefix), let count = peers[charged]?.prefixes[prefix] else { return }
        // A SUB reports the end of a prefix once, however often it had subscribed to it.
        peers[charged]?.prefixes[prefix] = peer == nil && count > 1 ? count - 1 : nil
        if peers[charged]?.prefixes.isEmpty == true { peers[charged] = nil }
    }

    /// The peer that the end of a lost connection's subscription is charged to: of several alike the one that came first,
    /// whose number a successor may already have.
    private func likeliestToEnd(_ prefix: PrefixHash) -> Int32? {
        let candidates = peers.compactMap { number, peer in
            peer.prefixes[prefix].map { count in
                (number: number, rank: (count > 1 ? 0 : 1, peer.prefixes.count, peer.arrival))
            }
        }
        return candidates.min { $0.rank < $1.rank }?.number
    }
}
