internal import MarketData
internal import RingBuffer
internal import Wire

/// Takes what the workers have written, packs it by topic, and hands it to the sink. Batches what is there and never
/// waits for more.
public struct Publisher<Sink: SignalSink & ~Copyable>: ~Copyable, Agent {
    public let name = "publisher"
    public internal(set) var isFinished = false
    public let counters = CounterBlock()
    /// Receive of a tick's packet to the hand-over of its signals, in nanoseconds.
    public internal(set) var latency = LatencyHistogram()

    /// To be touched only while the pipeline does not run.
    public var sink: Sink
    var inputs: HandleArray<RingInput>
    /// For each ring a value from beside it that waits for the ring's records before it.
    var beside: [ConflatedValue?]
    let registry: InstrumentRegistry
    let modelName: String
    let clock: Clock
    let session: UInt64
    let publisherID: UInt32
    let heartbeatNanoseconds: UInt64
    let recordsPerPacketMax: Int
    var builder: PacketBuilder
    let memory: UnsafeMutableRawBufferPointer
    var streams: HandleArray<OutputStream>
    var streamCount = 0
    /// The instrument of the packet being built; -1 for none.
    var openInstrument = -1
    /// A finished message that the sink could not take.
    var unsent: UnsafeRawBufferPointer?
    /// Receive times of the ticks in the packet being built.
    let receiveTimes: UnsafeMutablePointer<UInt64>
    var receiveTimesCount = 0
    var endedInputs = 0
    /// Streams whose end of session has been sent.
    var endedStreams = 0
    var nextHeartbeat: UInt64 = 0
    /// There is no retransmission endpoint yet: an address of length 0.
    let heartbeatPayload = [UInt8](repeating: 0, count: Heartbeat.payloadByteCount(address: 0))

    /// Ticks taken per step and ring: bounds the time for which nothing else on this thread runs.
    private static var ticksPerStep: Int { 4_096 }

    init(
        sink: consuming Sink, inputs: consuming HandleArray<RingInput>, registry: InstrumentRegistry,
        options: PipelineOptions
    ) {
        self.sink = sink
        beside = Array(repeating: nil, count: inputs.count)
        self.inputs = inputs
        self.registry = registry
        modelName = options.modelName
        clock = options.clock
        session = max(options.clock.wallNanoseconds(), 1)
        publisherID = options.publisherID
        heartbeatNanoseconds = options.heartbeatNanoseconds
        recordsPerPacketMax = options.recordsPerPacketMax
        unsafe memory = .allocate(byteCount: PacketHeader.messageByteCountMax, alignment: 64)
        builder = unsafe PacketBuilder(memory: memory)
        unsafe receiveTimes = .allocate(capacity: options.recordsPerPacketMax)
        streams = HandleArray(capacity: options.instrumentsMax)
        for _ in 0..<options.instrumentsMax { streams.append(OutputStream()) }
    }

    deinit {
        unsafe memory.deallocate()
        unsafe receiveTimes.deallocate()
    }

    public mutating func step(now: UInt64) -> Int {
        guard resend() else { return 0 }
        var ticks = 0
        for ring in 0..<inputs.count {
            let taken = drain(ring)
            ticks += taken
            if taken > 0 { inputs[ring].ring.release() }
            if unsafe unsent != nil { return ticks }
        }
        guard flush() else { return ticks }
        if endedInputs == inputs.count {
            finish()
        } else if heartbeatNanoseconds > 0, now >= nextHeartbeat {
            sendHeartbeats()
            nextHeartbeat = now &+ heartbeatNanoseconds
        }
        return ticks
    }

    /// Takes ticks from one ring until it is empty, the limit is reached, or the sink is full.
    private mutating func drain(_ ring: Int) -> Int {
        var ticks = 0
        while ticks < Self.ticksPerStep {
            if inputs[ring].hasSlots, let isTaken = takeBeside(ring) {
                guard isTaken else { break }
                ticks += 1
                continue
            }
            guard let message = unsafe inputs[ring].ring.peek() else { break }
            let envelope = unsafe message.load(as: SignalEnvelope.self)
            if envelope.kind == SignalEnvelope.Kind.end {
                endedInputs += 1
            } else {
                let records = unsafe UnsafeRawBufferPointer(rebasing: message[SignalEnvelope.byteCount...])
                guard unsafe add(envelope, records) else { break }
            }
            inputs[ring].advance()
            ticks += 1
        }
        return ticks
    }

    /// Handles the value beside a ring, if it is its turn. nil if the ring's next record comes first or nothing is
    /// there, false if the sink is full.
    private mutating func takeBeside(_ ring: Int) -> Bool? {
        if beside[ring] == nil {
            guard unsafe inputs[ring].ring.peek() == nil else { return nil }
            beside[ring] = inputs[ring].takeBeside()
        }
        guard let value = beside[ring] else { return nil }
        var envelope = unsafe value.bytes.load(as: SignalEnvelope.self)
        guard envelope.ringCount <= inputs[ring].count else { return nil }
        let records = unsafe UnsafeRawBufferPointer(rebasing: value.bytes[SignalEnvelope.byteCount...])
        guard unsafe tellReplaced(&envelope, records, value.overwrittenCount), unsafe add(envelope, records) else {
            return false
        }
        beside[ring] = nil
        return true
    }

    /// The gap record of the ticks whose signals a newer value has replaced. False if the sink is full.
    private mutating func tellReplaced(
        _ envelope: inout SignalEnvelope, _ records: UnsafeRawBufferPointer, _ replaced: Int
    ) -> Bool {
        let instrument = Int(envelope.instrument)
        guard replaced > 0 else { return true }
        let last = streams[instrument].lastInputSequence
        let isSameSession = streams[instrument].lastInputSession == envelope.session
        let first = last > 0 && isSameSession ? last + 1 : envelope.firstSequence
        let end = unsafe firstTold(envelope, records)
        guard end > first else { return true }
        // How many signals of an older session were replaced is not known.
        let count = last > 0 && !isSameSession ? GapRecord.unknownCount : GapRecord.count(end - first)
        let gap = GapRecord(
            publisherID: 0, instrumentID: 0, venueTimestamp: 0, inputSession: envelope.session, firstMissing: first,
            count: count, reason: .conflated)
        var gapEnvelope = SignalEnvelope(kind: SignalEnvelope.Kind.records)
        gapEnvelope.instrument = envelope.instrument
        gapEnvelope.recordCount = 1
        let isAdded = withUnsafeBytes(of: gap) { unsafe add(gapEnvelope, $0) }
        // Told once: a value that is offered again after the sink was full finds nothing missing.
        if isAdded {
            streams[instrument].lastInputSequence = envelope.inputSequence - 1
            streams[instrument].lastInputSession = envelope.session
        }
        return isAdded
    }

    /// The first input sequence that a value tells of: that of its tick, or of the gap record in front of it.
    private func firstTold(_ envelope: SignalEnvelope, _ records: UnsafeRawBufferPointer) -> UInt64 {
        guard let record = Record(at: unsafe records.bytes), let gap = GapRecord(record),
            gap.inputSession == envelope.session
        else { return envelope.inputSequence }
        return min(gap.firstMissing, envelope.inputSequence)
    }

    /// Adds one tick's records to the open packet, sending that first if they do not belong or fit into it.
    private mutating func add(_ envelope: SignalEnvelope, _ records: UnsafeRawBufferPointer) -> Bool {
        let instrument = Int(envelope.instrument)
        // A tick's records stand in one packet.
        let count = Int(envelope.recordCount)
        if openInstrument != instrument || builder.count + count > recordsPerPacketMax {
            guard flush() else { return false }
            begin(instrument)
        }
        if unsafe !builder.append(records, count: count) {
            guard flush() else { return false }
            begin(instrument)
            let fits = unsafe builder.append(records, count: count)
            precondition(fits, "One tick's signals fit into an empty message.")
        }
        countRecords(records, count)
        if envelope.inputSequence > 0 {
            streams[instrument].lastInputSequence = envelope.inputSequence
            streams[instrument].lastInputSession = envelope.session
        }
        if envelope.receivedAt != 0 {
            unsafe receiveTimes[receiveTimesCount] = envelope.receivedAt
            receiveTimesCount += 1
        }
        return true
    }

    private func countRecords(_ records: UnsafeRawBufferPointer, _ count: Int) {
        let gaps = unsafe records[1] == RecordType.gap.rawValue ? 1 : 0
        if gaps > 0 { counters.add(.gapsPublished, gaps) }
        counters.add(.signalsPublished, count - gaps)
    }

    /// Opens a packet for an instrument, naming its topic at the first one.
    private mutating func begin(_ instrument: Int) {
        openInstrument = instrument
        receiveTimesCount = 0
        if streams[instrument].topic.isEmpty {
            let entry = registry[instrument]
            streams[instrument].topic = Topic.signals(
                model: modelName, dataset: entry.dataset, symbol: entry.symbol)
            streamCount = max(streamCount, instrument + 1)
        }
        streams[instrument].topic.withUnsafeBytes { unsafe builder.begin(topic: $0) }
    }

    /// Sends the open packet, if it holds anything. False if the sink cannot take it now.
    private mutating func flush() -> Bool {
        guard openInstrument >= 0, builder.count > 0 else { return true }
        let count = builder.count
        unsafe unsent = builder.finish(
            sequence: streams[openInstrument].nextSequence, session: session,
            sentTimestamp: clock.wallNanoseconds(), publisher: publisherID)
        streams[openInstrument].nextSequence += UInt64(count)
        openInstrument = -1
        return resend()
    }

    /// Offers the finished message to the sink. True if none is left.
    private mutating func resend() -> Bool {
        guard let message = unsafe unsent else { return true }
        guard unsafe sink.send(message) else {
            counters.add(.publisherBlocked, 1)
            return false
        }
        unsafe unsent = nil
        counters.add(.packetsPublished, 1)
        counters.add(.bytesPublished, message.count)
        if receiveTimesCount > 0 {
            let now = clock.monotonicNanoseconds()
            for index in 0..<receiveTimesCount { unsafe latency.record(now &- receiveTimes[index]) }
            receiveTimesCount = 0
        }
        unsafe sink.observe(message)
        return true
    }
}

/// What the publisher keeps for one signal topic.
struct OutputStream: ~Copyable {
    /// The topic's text; empty until the first signal.
    var topic: [UInt8] = []
    /// Number of the next record, from 1.
    var nextSequence: UInt64 = 1
    /// Input sequence of the last tick whose signals were taken.
    var lastInputSequence: UInt64 = 0
    var lastInputSession: UInt64 = 0

    init() {}
}

extension Publisher where Sink: ~Copyable {
    /// One heartbeat a topic: who subscribes late or loses the tail learns where the stream stands.
    private mutating func sendHeartbeats() {
        for index in 0..<streamCount where !streams[index].topic.isEmpty {
            streams[index].topic.withUnsafeBytes { unsafe builder.begin(topic: $0) }
            let message = unsafe builder.finishHeartbeat(
                payload: heartbeatPayload, sequence: streams[index].nextSequence, session: session,
                sentTimestamp: clock.wallNanoseconds(), publisher: publisherID)
            // A sink that is full has older packets to deliver first, which say the same and more.
            guard let message, unsafe sink.send(message) else { return }
        }
    }

    /// Ends each topic's session, then the sink. Goes on in the next step if the sink is full.
    private mutating func finish() {
        if endedStreams == 0 { sink.willEnd() }
        while endedStreams < streamCount {
            if !streams[endedStreams].topic.isEmpty {
                streams[endedStreams].topic.withUnsafeBytes { unsafe builder.begin(topic: $0) }
                let message = unsafe builder.finishEndOfSession(
                    sequence: streams[endedStreams].nextSequence, session: session,
                    sentTimestamp: clock.wallNanoseconds(), publisher: publisherID)
                guard unsafe sink.send(message) else {
                    counters.add(.publisherBlocked, 1)
                    return
                }
            }
            endedStreams += 1
        }
        sink.finish()
        isFinished = true
    }
}
