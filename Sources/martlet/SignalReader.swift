import CPlatform
import MarketData
import Wire

/// A signal or gap record, as a subscriber meets it.
enum SignalItem {
    case signal(SignalRecord)
    case gap(GapRecord)
}

/// Reads packets of signals and accounts for what is missing.
struct SignalReader {
    /// Two publishers of one topic have a sequence each (docs/WIRE.md).
    private struct StreamKey: Hashable {
        let publisher: UInt32
        let topic: [UInt8]
    }

    private struct Stream {
        var tracker = SequenceTracker()
        let topic: String
    }

    private(set) var signals = 0
    private(set) var gaps = 0
    private(set) var malformed = 0
    private var streams: [StreamKey: Stream] = [:]
    /// Packets of texts that are no topics, of topics beyond the limit, of older sessions, and of sequences or sessions
    /// that cannot be.
    private(set) var refused = 0

    /// Topics kept; a hostile publisher could name topics without end.
    private static let topicsMax = 4_096

    var lost: Int { saturatingSum(\.lost) }
    var beforeJoin: Int { saturatingSum(\.beforeJoin) }
    var topicCount: Int { streams.count }
    var allSessionsEnded: Bool { !streams.isEmpty && streams.values.allSatisfy(\.tracker.isEnded) }

    /// A hostile publisher can name more losses than an integer holds.
    private func saturatingSum(_ count: KeyPath<SequenceTracker, UInt64>) -> Int {
        streams.values.reduce(0) { sum, stream in
            let (total, overflow) = sum.addingReportingOverflow(Int(clamping: stream.tracker[keyPath: count]))
            return overflow ? .max : total
        }
    }

    mutating func read(_ message: RawSpan, _ body: (String, SignalItem) -> Void) {
        guard case .packet(let view) = PacketView.parse(message) else {
            malformed += 1
            return
        }
        let bytes = view.topic(in: message).withUnsafeBytes { [UInt8]($0) }
        let key = StreamKey(publisher: view.header.publisher, topic: bytes)
        guard var stream = streams[key] ?? newStream(bytes) else {
            refused += 1
            return
        }
        var skip = 0
        switch stream.tracker.feed(view.header, now: martlet_realtime_ns()) {
        case .staleSession, .implausibleLoss, .futureSession:
            // A stream that began with such a packet is none: it would never end.
            refused += 1
            return
        case .duplicate(let count): skip = count
        case .inOrder, .gap, .beforeJoin, .newSession: break
        }
        streams[key] = stream
        guard view.header.kind == PacketHeader.Kind.records else { return }
        var records = view.records(in: message)
        while let record = records.next() {
            if skip > 0 {
                skip -= 1
            } else if let signal = SignalRecord(record) {
                signals += 1
                body(stream.topic, .signal(signal))
            } else if let gap = GapRecord(record) {
                gaps += 1
                body(stream.topic, .gap(gap))
            }
        }
    }

    /// A text that is no topic could hold anything, control characters for a terminal included.
    private func newStream(_ topic: [UInt8]) -> Stream? {
        guard Topic.parse(topic) != nil, streams.count < SignalReader.topicsMax else { return nil }
        return Stream(topic: String(decoding: topic, as: UTF8.self))
    }
}
