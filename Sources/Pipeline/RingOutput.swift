internal import MarketData
internal import RingBuffer

/// A ring to write to, and beside it, under the policy `conflate`, a latest-value slot for each instrument.
///
/// A value goes beside the ring only while the ring is full, or while an older value of the same instrument still lies
/// there; it carries how many records the ring had taken, so that the reader keeps their order.
public struct RingOutput: ~Copyable {
    var ring: Producer
    private var slots: ConflationWriter?
    /// Records committed to the ring.
    private(set) var count: UInt64 = 0

    init(ring: consuming Producer, slots: consuming ConflationWriter?) {
        self.ring = ring
        self.slots = slots
    }

    mutating func commit(byteCount: Int) {
        ring.commit(byteCount: byteCount)
        count &+= 1
    }

    /// A value of the instrument lies beside the ring, not yet taken.
    mutating func isFreshBeside(_ instrument: Int) -> Bool { slots?.isFresh(key: instrument) ?? false }

    /// No value lies beside the ring.
    var isDrainedBeside: Bool { mutating get { slots?.isDrained ?? true } }

    /// Makes envelope and record the newest value of the instrument. Returns whether it replaced one.
    mutating func publishBeside(
        _ instrument: Int, _ envelope: TickEnvelope, _ record: UnsafeRawBufferPointer
    ) -> Bool {
        var envelope = envelope
        envelope.ringCount = count
        guard let target = unsafe slot(instrument) else { return false }
        unsafe target.storeBytes(of: envelope, as: TickEnvelope.self)
        unsafe UnsafeMutableRawBufferPointer(start: target + TickEnvelope.byteCount, count: record.count)
            .copyMemory(from: record)
        return publishSlot(instrument, byteCount: TickEnvelope.byteCount + record.count)
    }

    /// Where the instrument's next value is to be written; nil without slots.
    mutating func slot(_ instrument: Int) -> UnsafeMutableRawPointer? { unsafe slots?.buffer(key: instrument) }

    /// Makes what was written to `slot` the instrument's newest value. Returns whether it replaced one.
    mutating func publishSlot(_ instrument: Int, byteCount: Int) -> Bool {
        slots?.publish(key: instrument, byteCount: byteCount) ?? false
    }
}

/// The other end of a `RingOutput`.
public struct RingInput: ~Copyable {
    var ring: Consumer
    private var slots: ConflationReader?
    let hasSlots: Bool
    /// Records taken from the ring.
    private(set) var count: UInt64 = 0

    init(ring: consuming Consumer, slots: consuming ConflationReader?) {
        self.ring = ring
        hasSlots = slots != nil
        self.slots = slots
    }

    mutating func advance() {
        ring.advance()
        count &+= 1
    }

    /// The newest value of some instrument from beside the ring, valid until the next call; nil if there is none.
    ///
    /// It is to be used when `count` has reached the value's ring count, and not before.
    mutating func takeBeside() -> ConflatedValue? {
        var taken: ConflatedValue?
        _ = slots?.drain(limit: 1) { _, value in taken = value }
        return taken
    }
}

/// Which records of a packet can stand for the whole: level data, and of that the newest that completes a tick.
enum LevelRecords {
    struct Newest {
        let bytes: UnsafeRawBufferPointer
        /// Its index among the packet's records.
        let index: Int
    }

    /// The last record, if all are price levels and it completes a tick; nil otherwise.
    static func newest(in payload: UnsafeRawBufferPointer) -> Newest? {
        var offset = 0
        var index = 0
        var newest: Newest?
        while let record = Record(at: unsafe payload.bytes.extracting(droppingFirst: offset)) {
            guard record.type == .mbp1 || record.type == .mbp10, record.levelCount > 0 else { return nil }
            guard record.action != Action.trade else { return nil }
            let byteCount = record.bytes.byteCount
            let isLast = record.flags.contains(.last)
            unsafe newest =
                isLast
                ? Newest(bytes: UnsafeRawBufferPointer(rebasing: payload[offset..<offset + byteCount]), index: index)
                : nil
            offset += byteCount
            index += 1
        }
        return newest
    }
}

/// A new ring's two ends, with slots beside it if `slotBytes` is not 0.
struct RingEnds: ~Copyable {
    var output: RingOutput
    var input: RingInput

    init(_ options: PipelineOptions, slotBytes: Int) {
        let ring = RingBuffer.make(byteCount: options.ringBytes)
        guard slotBytes > 0 else {
            output = RingOutput(ring: ring.producer, slots: nil)
            input = RingInput(ring: ring.consumer, slots: nil)
            return
        }
        let slots = ConflationSlots.make(keyCount: options.instrumentsMax, byteCount: slotBytes)
        output = RingOutput(ring: ring.producer, slots: slots.writer)
        input = RingInput(ring: ring.consumer, slots: slots.reader)
    }
}
