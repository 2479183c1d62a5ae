internal import MarketData
internal import RingBuffer
internal import Wire

/// Receives packets, checks them, accounts for what is missing, and copies each once into the ring of the worker that
/// owns its instrument.
public struct Ingest<Source: TickSource & ~Copyable>: ~Copyable, Agent {
    public let name = "ingest"
    public internal(set) var isFinished = false
    public let counters = CounterBlock()

    public internal(set) var source: Source
    var outputs: HandleArray<RingOutput>
    let registry: InstrumentRegistry
    let incidents: IncidentLog
    let control: PipelineControl
    let policy: OverloadPolicy
    let clock: Clock
    let presets: [InstrumentPreset]
    let modelName: String
    let stopsAtEndOfSessions: Bool
    let messagesPerStep: Int
    let messagesPerStepMin: Int
    /// Messages that the next step takes at most.
    private var messageLimit: Int
    var topics: TopicTable
    var streams: HandleArray<InputStream>
    /// It has been said that more topics are refused than are named.
    var hasReportedRest = false
    /// A message that has been accounted for and still has to find room in its ring.
    var pending: Delivery?
    /// A definition from the configuration that goes in front of it.
    var pendingDefinition: Delivery?
    let definitionMemory: UnsafeMutableRawPointer
    /// Rings that have been told that nothing follows.
    var endedOutputs = 0
    var openSessions = 0
    var hasSeenSession = false
    /// Monotonic receive times of the first and the newest message; 0 without a clock.
    private var firstReceivedAt: UInt64 = 0
    private var lastReceivedAt: UInt64 = 0

    /// The observed rate of `ticks` between the first and the last message; nil for fewer than two messages.
    public func ticksPerSecond(ticks: Int) -> Double? {
        lastReceivedAt > firstReceivedAt ? Double(ticks) / (Double(lastReceivedAt - firstReceivedAt) / 1e9) : nil
    }

    init(
        source: consuming Source, outputs: consuming HandleArray<RingOutput>, registry: InstrumentRegistry,
        incidents: IncidentLog, control: PipelineControl, options: PipelineOptions
    ) {
        self.source = source
        self.outputs = outputs
        self.registry = registry
        self.incidents = incidents
        self.control = control
        policy = options.inputPolicy
        clock = options.clock
        presets = options.presets
        modelName = options.modelName
        unsafe definitionMemory = .allocate(byteCount: DefinitionCommand.byteCount, alignment: 8)
        stopsAtEndOfSessions = options.stopsAtEndOfSessions
        messagesPerStep = options.messagesPerStep
        messagesPerStepMin = min(options.messagesPerStepMin, options.messagesPerStep)
        messageLimit = messagesPerStepMin
        // Two topics an instrument, its ticks and its definitions, and some that are refused.
        topics = TopicTable(
            capacity: 2 * options.instrumentsMax + TopicTable.refusedMax, topicByteCountMax: Topic.byteCountMax)
        streams = HandleArray(capacity: options.instrumentsMax)
        for _ in 0..<options.instrumentsMax { streams.append(InputStream()) }
    }

    deinit { unsafe definitionMemory.deallocate() }

    public mutating func step(now: UInt64) -> Int {
        let messages = takeMessages()
        // After a pause one message goes through all agents before the next is asked for, since to hear "none"
        // costs a system call; while messages keep coming, ever more are taken at once.
        messageLimit = messages == messageLimit ? min(2 * messageLimit, messagesPerStep) : messagesPerStepMin
        // What has found no room yet comes before the end.
        if messages == 0, pending == nil, pendingDefinition == nil { finishIfDone() }
        return messages
    }

    /// Takes messages up to the limit of this step, until there is none or a ring is full. Returns how many.
    private mutating func takeMessages() -> Int {
        var messages = 0
        while messages < messageLimit {
            // A definition from the configuration may wait for room without a packet behind it.
            if pending == nil, pendingDefinition == nil {
                guard !control.isStopRequested else { break }
                guard let message = source.next() else { break }
                counters.add(.messagesReceived, 1)
                counters.add(.bytesReceived, message.count)
                lastReceivedAt = clock.monotonicNanoseconds()
                if firstReceivedAt == 0 { firstReceivedAt = lastReceivedAt }
                unsafe pending = account(message, receivedAt: lastReceivedAt)
            }
            if let definition = pendingDefinition {
                guard deliver(definition) else {
                    counters.add(.ingestBlocked, 1)
                    return messages
                }
                pendingDefinition = nil
            }
            guard let delivery = pending else {
                messages += 1
                continue
            }
            guard deliver(delivery) else {
                counters.add(.ingestBlocked, 1)
                return messages
            }
            pending = nil
            messages += 1
        }
        return messages
    }

    /// Ends once the source has nothing more, or a stop was asked for: each worker is told, in its ring.
    private mutating func finishIfDone() {
        let allEnded = stopsAtEndOfSessions && hasSeenSession && openSessions == 0
        guard source.isExhausted || control.isStopRequested || allEnded else { return }
        guard tellDropped() else { return }
        while endedOutputs < outputs.count {
            guard outputs[endedOutputs].isDrainedBeside else { return }
            guard let target = outputs[endedOutputs].ring.tryClaim(byteCount: TickEnvelope.byteCount) else { return }
            unsafe target.storeBytes(of: TickEnvelope(kind: TickEnvelope.Kind.end), as: TickEnvelope.self)
            outputs[endedOutputs].commit(byteCount: TickEnvelope.byteCount)
            endedOutputs += 1
        }
        isFinished = true
    }

    /// Drops that no later packet has told are told now, each as a gap alone. False if there is no room yet.
    private mutating func tellDropped() -> Bool {
        for index in 0..<registry.count where streams[index].dropped.count > 0 {
            let worker = index % outputs.count
            guard outputs[worker].isDrainedBeside else { return false }
            var envelope = TickEnvelope(kind: TickEnvelope.Kind.records)
            envelope.instrument = UInt32(index)
            envelope.session = streams[index].tracker.session
            envelope.sequence = streams[index].tracker.expected
            envelope.firstSequence = streams[index].firstSequence
            guard unsafe put(envelope, UnsafeRawBufferPointer(start: nil, count: 0), worker) else { return false }
        }
        return true
    }

    /// Copies envelope and payload into the worker's ring, and tells with it what was dropped before. False if the
    /// ring is full.
    private mutating func put(
        _ envelope: TickEnvelope, _ payload: UnsafeRawBufferPointer, _ worker: Int
    ) -> Bool {
        let byteCount = TickEnvelope.byteCount + payload.count
        guard let target = unsafe outputs[worker].ring.tryClaim(byteCount: byteCount) else { return false }
        var envelope = envelope
        if envelope.kind == TickEnvelope.Kind.records {
            let index = Int(envelope.instrument)
            envelope.dropped = streams[index].dropped
            envelope.droppedSession = streams[index].droppedSession
            streams[index].dropped = .none
        }
        unsafe target.storeBytes(of: envelope, as: TickEnvelope.self)
        unsafe UnsafeMutableRawBufferPointer(start: target + TickEnvelope.byteCount, count: payload.count)
            .copyMemory(from: payload)
        outputs[worker].commit(byteCount: byteCount)
        return true
    }

    /// Copies the delivery into the worker's ring; false if the ring is full and the policy is to wait.
    private mutating func deliver(_ delivery: Delivery) -> Bool {
        let index = Int(delivery.envelope.instrument)
        let worker = index % outputs.count
        let byteCount = TickEnvelope.byteCount + delivery.payload.count
        guard byteCount <= RingBuffer.recordByteCountMax(capacity: outputs[worker].ring.capacity) else {
            report(
                .oversize, index,
                "a packet of \(byteCount) bytes is larger than half the ring and is dropped; give a larger --ring-bytes"
            )
            drop(delivery, index)
            return true
        }
        let isTicks = delivery.envelope.kind == TickEnvelope.Kind.records
        if policy == .conflate, isTicks, outputs[worker].isFreshBeside(index) {
            conflate(delivery, index, worker)
            return true
        }
        if unsafe put(delivery.envelope, delivery.payload, worker) { return true }
        guard policy != .block, isTicks else { return false }
        if policy == .conflate {
            conflate(delivery, index, worker)
        } else {
            drop(delivery, index)
        }
        return true
    }

    /// Keeps the newest level record of a packet beside the full ring. Trades and order-by-order records cannot be
    /// conflated: their instrument is named, and its packets are dropped instead.
    private mutating func conflate(_ delivery: Delivery, _ index: Int, _ worker: Int) {
        guard let newest = unsafe LevelRecords.newest(in: delivery.payload) else {
            if unsafe !delivery.payload.isEmpty {
                report(
                    .conflation, index,
                    "the policy 'conflate' is for level data alone; its packets are dropped when the ring is full")
            }
            drop(delivery, index)
            return
        }
        var envelope = delivery.envelope
        envelope.recordCount = 1
        envelope.sequence &+= UInt64(newest.index)
        // What this replaces is told by the worker, which knows the last sequence it saw: lost and dropped records too.
        envelope.lost = .none
        streams[index].dropped = .none
        counters.add(.recordsConflatedOnInput, newest.index)
        if unsafe outputs[worker].publishBeside(index, envelope, newest.bytes) {
            counters.add(.recordsConflatedOnInput, 1)
        }
    }

    /// Counts records that found no room, and remembers them for the gap record before the next that does.
    private mutating func drop(_ delivery: Delivery, _ index: Int) {
        counters.add(.recordsDroppedOnInput, Int(delivery.envelope.recordCount))
        streams[index].drop(delivery.envelope)
    }
}

/// What ingest keeps for one instrument.
struct InputStream: ~Copyable {
    /// A reason for which some of its packets are not taken as they come.
    struct Trouble: OptionSet {
        let rawValue: UInt16

        static let undefined = Trouble(rawValue: 1)
        static let noPriceLevels = Trouble(rawValue: 2)
        static let tickSize = Trouble(rawValue: 4)
        static let publisher = Trouble(rawValue: 8)
        static let duplicate = Trouble(rawValue: 16)
        static let staleSession = Trouble(rawValue: 32)
        static let implausible = Trouble(rawValue: 64)
        static let conflation = Trouble(rawValue: 128)
        static let oversize = Trouble(rawValue: 256)
    }

    var tracker = SequenceTracker()
    /// Which of several publishers of one topic is followed: the first one met.
    var publisher: UInt32 = 0
    var tickSize: Int64 = 0
    var rule = TickRule.lastFlag
    var isDefined = false
    var isSessionOpen = false
    var hasMetSession = false
    /// What has been said of it, each once.
    var reported: Trouble = []
    /// Its schema states no price levels: it can never have a book.
    var isRefused = false
    /// Number of the first record of the session that could have come.
    var firstSequence: UInt64 = 1
    /// Records dropped since the last packet that found room, and their session.
    var dropped = MissingRange.none
    var droppedSession: UInt64 = 0

    init() {}

    /// Adds a packet to the run of dropped records. What was lost on the way in front of it joins the run, so that
    /// one gap record tells both; a run over two sessions has a count that cannot be known.
    mutating func drop(_ envelope: TickEnvelope) {
        var first = envelope.lost.count > 0 ? envelope.lost.first : envelope.sequence
        var isUnknown = envelope.lost.isUnknown
        if dropped.count > 0 {
            let isSameSession = droppedSession == envelope.session
            isUnknown = isUnknown || dropped.isUnknown || !isSameSession
            if isSameSession { first = dropped.first }
        }
        let span = envelope.sequence &+ UInt64(envelope.recordCount) &- first
        dropped = MissingRange(
            first: first, count: isUnknown ? GapRecord.unknownCount : GapRecord.count(span),
            reason: UInt32(GapReason.droppedByOverload.rawValue))
        droppedSession = envelope.session
    }
}

/// A checked message on its way into a ring.
struct Delivery {
    let envelope: TickEnvelope
    /// Inside the source's message, or in ingest's own memory; valid until the next message is asked for.
    let payload: UnsafeRawBufferPointer
}

/// What the configuration says about an instrument whose feed carries no definition.
public struct InstrumentPreset: Sendable {
    /// nil for any dataset.
    public let dataset: String?
    public let symbol: String
    /// In 1e-9, positive.
    public let tickSize: Int64

    public init(dataset: String?, symbol: String, tickSize: Int64) {
        precondition(tickSize > 0, "A tick size is positive.")
        self.dataset = dataset
        self.symbol = symbol
        self.tickSize = tickSize
    }
}
