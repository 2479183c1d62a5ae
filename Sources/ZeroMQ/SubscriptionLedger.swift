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
/// Two known limits: a peer that subscribes twice to one prefix and vanishes may stay counted, and on inproc,
/// where there is no descriptor, each subscription counts as one subscriber.
struct SubscriptionLedger {
    /// Live subscriptions of one peer to one prefix of the topic.
    private struct Entry {
        let peer: Int32?
        let prefix: [UInt8]
        var count: Int
    }

    private let topic: [UInt8]
    /// Subscriptions kept: some for each of the most subscribers that a command waits for. What comes beyond it is not
    /// counted, as a peer could name prefixes without end.
    private static let entriesMax = 1_024

    /// At most one entry per connection and prefix, so that a peer cannot make it grow by repetition.
    private var entries: [Entry] = []
    /// Peers that libzmq has taken for subscribers to everything, and that are still there.
    private var strangerCount = 0
    /// Peers with at least one subscription that matches the topic.
    private(set) var subscriberCount = 0

    init(topic: [UInt8]) {
        self.topic = topic
    }

    /// Applies one message that the XPUB received. One that is no subscription, or not to the topic, is
    /// ignored.
    ///
    /// - Parameters:
    ///   - message: 1 (subscribe) or 0 (unsubscribe), then the prefix.
    ///   - peer: the file descriptor of its connection, if libzmq knows it.
    mutating func apply(_ message: RawSpan, peer: Int32?) {
        guard message.byteCount >= 1 else { return }
        let verb = message.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
        guard matches(message) else { return }
        let prefix = message.extracting(droppingFirst: 1).withUnsafeBytes { [UInt8]($0) }
        switch verb {
        case 1: add(prefix, peer)
        case 0: remove(prefix, peer)
        default: return
        }
        subscriberCount = countPeers()
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

    private mutating func add(_ prefix: [UInt8], _ peer: Int32?) {
        if let index = index(of: prefix, peer) {
            entries[index].count += 1
        } else {
            guard entries.count < SubscriptionLedger.entriesMax else { return }
            entries.append(Entry(peer: peer, prefix: prefix, count: 1))
        }
    }

    private mutating func remove(_ prefix: [UInt8], _ peer: Int32?) {
        if let peer {
            // A SUB reports the end of a prefix once, however often it had subscribed to it.
            entries.removeAll { $0.peer == peer && $0.prefix == prefix }
            return
        }
        guard let index = index(of: prefix, nil) ?? likeliestToEnd(prefix) else { return }
        entries[index].count -= 1
        if entries[index].count == 0 { entries.remove(at: index) }
    }

    private func index(of prefix: [UInt8], _ peer: Int32?) -> Int? {
        entries.firstIndex { $0.peer == peer && $0.prefix == prefix }
    }

    /// The entry that the end of a lost connection's subscription is charged to.
    private func likeliestToEnd(_ prefix: [UInt8]) -> Int? {
        let candidates = entries.indices.filter { entries[$0].prefix == prefix }
        if let reused = candidates.first(where: { entries[$0].count > 1 }) { return reused }
        return candidates.min { subscriptionCount(of: $0) < subscriptionCount(of: $1) }
    }

    private func subscriptionCount(of index: Int) -> Int {
        entries.count { $0.peer == entries[index].peer }
    }

    private func countPeers() -> Int {
        var known: Set<Int32> = []
        var unknownCount = 0
        for entry in entries {
            if let peer = entry.peer { known.insert(peer) } else { unknownCount += entry.count }
        }
        return known.count + unknownCount
    }
}
