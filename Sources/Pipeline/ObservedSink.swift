internal import MarketData
public import Wire

/// A sink that looks at the packets as they are published: digest and evaluation, from the very bytes a
/// subscriber gets.
public struct ObservedSink<Base: SignalSink & ~Copyable>: ~Copyable, SignalSink {
    public var base: Base
    /// nil to leave it out.
    public var digest: SignalDigest?
    private let hasDigest: Bool
    /// nil to leave it out.
    public var evaluation: Evaluation?
    /// Signals of one tick, one for each horizon.
    private var tick: [SignalRecord] = []
    private var streams: [[UInt8]: Int] = [:]
    /// The number of each stream in the digest.
    private var streamDigests: [Int] = []
    private var lastTopic: [UInt8] = []
    private var lastStream = -1

    public init(_ base: consuming Base, digest: consuming SignalDigest?, evaluation: Evaluation?) {
        self.base = base
        hasDigest = digest != nil
        self.digest = digest
        self.evaluation = evaluation
        tick.reserveCapacity(evaluation?.horizons.count ?? 0)
    }

    public mutating func send(_ message: UnsafeRawBufferPointer) -> Bool { unsafe base.send(message) }

    public mutating func willEnd() { base.willEnd() }

    public mutating func finish() { base.finish() }

    /// The digest of all that was sent, once; nil if it was left out or taken before.
    public mutating func takeDigest() -> String? {
        guard let digest = digest.take() else { return nil }
        return digest.finalize().hex
    }

    public mutating func observe(_ message: UnsafeRawBufferPointer) {
        guard hasDigest || evaluation != nil else { return }
        guard case .packet(let view) = unsafe PacketView.parse(message) else { return }
        guard view.header.kind == PacketHeader.Kind.records else { return }
        let stream = unsafe self.stream(view.topic(in: message))
        var records = PacketRecords(unsafe view.payload(in: message).bytes)
        while let record = records.next() {
            if hasDigest { digest?.add(record, to: streamDigests[stream]) }
            guard evaluation != nil else { continue }
            if let signal = SignalRecord(record) {
                take(signal, stream)
            } else {
                evaluation?.breakOff(stream: stream)
            }
        }
    }

    /// A tick's signals stand together, one for each horizon of the model, in its order; the evaluation may
    /// leave some out.
    private mutating func take(_ signal: SignalRecord, _ stream: Int) {
        guard let horizons = evaluation?.horizons, tick.count < horizons.count,
            signal.horizonUnit == HorizonUnit.ticks.rawValue, Int(signal.horizon) == horizons[tick.count].ticks
        else { return }
        tick.append(signal)
        guard tick.count == horizons.count else { return }
        evaluation?.take(stream: stream, tick)
        tick.removeAll(keepingCapacity: true)
    }

    private mutating func stream(_ topic: UnsafeRawBufferPointer) -> Int {
        if lastStream >= 0, lastTopic.withUnsafeBytes({ unsafe $0.hasSameBytes(as: topic) }) { return lastStream }
        lastTopic = unsafe Array(topic)
        if let known = streams[lastTopic] {
            lastStream = known
        } else {
            lastStream = streams.count
            streams[lastTopic] = lastStream
            streamDigests.append(hasDigest ? digest?.addTopic(lastTopic) ?? 0 : 0)
        }
        return lastStream
    }
}
