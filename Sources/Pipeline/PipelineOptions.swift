internal import RingBuffer
internal import Wire

/// How a pipeline is built. Everything that could be a hidden default is here, with its reason.
public struct PipelineOptions: Sendable {
    /// Threads that compute; instruments are spread over them by number.
    public var workers = 1
    /// Bytes of each tick ring and each signal ring, a power of two. 4 MiB hold some 10,000 ticks of ten levels: a
    /// second of the busiest feed at hand, four times over.
    public var ringBytes = 4 << 20
    /// Instruments that are followed; one beyond it is refused by name.
    public var instrumentsMax = 256
    /// When a tick ring is full.
    public var inputPolicy = OverloadPolicy.block
    /// When a signal ring is full.
    public var signalPolicy = OverloadPolicy.block
    public var idle = IdleStrategy.backoff
    /// Cores to pin the agents to: ingest, publisher, then the workers; inline the thread takes the first. Empty for none.
    public var cores: [Int] = []
    public var clock = Clock.system
    /// The model's component of the signal topics.
    public var modelName = "default"
    /// First 8 bytes of the SHA-256 of the model file.
    public var modelID: UInt64 = 0
    /// Tells this publisher from others of the same topics.
    public var publisherID: UInt32 = 1
    /// Between heartbeats; 0 for none.
    public var heartbeatNanoseconds: UInt64 = 1_000_000_000
    /// Messages that ingest takes in one step, at least 1: bounds the time for which nothing else on its thread runs.
    /// Eight messages of 50 ten-level ticks and their signals are 350 KiB, so that an inline run keeps them in the L2
    /// cache.
    public var messagesPerStep = 8
    /// The same after a pause, at least 1 as well; more than `messagesPerStep` counts as that. The limit doubles from here
    /// to `messagesPerStep` while messages keep coming: the first tick after a pause does not wait for others behind it.
    public var messagesPerStepMin = 1
    /// Records in one packet at most.
    public var recordsPerPacketMax = 256
    /// Instruments whose feeds carry no definitions.
    public var presets: [InstrumentPreset] = []
    /// Ends when every stream seen has ended its session, as a replay does.
    public var stopsAtEndOfSessions = false
    /// Ticks from one that the histograms of `StageTimes` take to the next; 0 for none.
    public var stageInterval = 0
    /// A step that takes longer counts in `stepsOverBudget`.
    public var stepBudgetNanoseconds: UInt64 = 1_000_000

    public init() {}

    /// The smallest `ringBytes` for a model with so many horizons: half of it holds one tick's signals with a gap
    /// before them, and an envelope with a definition.
    public static func ringBytesMin(horizons: Int) -> Int {
        let signals = SignalEnvelope.byteCount + GapRecord.byteCount + horizons * SignalRecord.byteCount
        return ringBytesMin(recordBytes: max(signals, TickEnvelope.byteCount + DefinitionCommand.byteCount))
    }

    /// The smallest `ringBytes` that hold whatever packet comes: with less, one that is larger than half the ring is dropped
    /// and told as a gap, under every policy.
    public static var ringBytesForAnyPacket: Int {
        ringBytesMin(recordBytes: TickEnvelope.byteCount + PacketHeader.messageByteCountMax)
    }

    private static func ringBytesMin(recordBytes longest: Int) -> Int {
        var capacity = RingBuffer.capacityMin
        while RingBuffer.recordByteCountMax(capacity: capacity) < longest { capacity *= 2 }
        return capacity
    }
}
