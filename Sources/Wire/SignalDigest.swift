public import MarketData

/// One number for all signals of a run: equal digests mean equal bytes.
///
/// For each topic the SHA-256 of its signal records, whole, in sequence order. Then the SHA-256 over the
/// topics in byte order: for each its text with padding, then the 32 bytes of its digest. Gap records are not
/// part of it, because they name an input session; a topic without a signal record is not part of it. How the
/// records were cut into packets and how topics interleave makes no difference.
///
/// `addTopic` allocates, `add` does not. Used on one thread.
public struct SignalDigest: ~Copyable {
    /// A class, because arrays of noncopyable values do not exist yet.
    private final class Stream {
        let topic: [UInt8]
        var hash = SHA256()
        var count = 0

        init(topic: [UInt8]) { self.topic = topic }
    }

    private var streams: [Stream] = []
    private var indices: [[UInt8]: Int] = [:]

    public init() {}

    /// Signal records added.
    public var count: Int { streams.reduce(0) { $0 + $1.count } }

    /// The number of the topic with this text, for `add`; the same topic has the same number.
    public mutating func addTopic(_ text: [UInt8]) -> Int {
        if let index = indices[text] { return index }
        indices[text] = streams.count
        streams.append(Stream(topic: text))
        return streams.count - 1
    }

    /// Adds the topic's next signal record.
    public mutating func add(_ record: SignalRecord, to topic: Int) {
        let stream = streams[topic]
        withUnsafeBytes(of: record) { bytes in unsafe stream.hash.update(bytes) }
        stream.count += 1
    }

    /// Adds the signal records among the topic's next records; other records are passed over.
    public mutating func add(_ record: borrowing Record, to topic: Int) {
        guard record.type == .signal else { return }
        let stream = streams[topic]
        stream.hash.update(record.bytes)
        stream.count += 1
    }

    /// The digest of the run.
    public consuming func finalize() -> SHA256Digest {
        var run = SHA256()
        for stream in streams.sorted(by: { $0.topic.lexicographicallyPrecedes($1.topic) })
        where stream.count > 0 {
            Topic.padded(stream.topic).withUnsafeBytes { bytes in unsafe run.update(bytes) }
            stream.hash.finish().bytes.withUnsafeBytes { bytes in unsafe run.update(bytes) }
        }
        return run.finalize()
    }
}
