internal import CPlatform
internal import Features
internal import Inference
internal import MarketData
internal import RingBuffer
internal import Wire

/// Owns a share of the instruments: walks their records where they lie in the tick ring, keeps book and features,
/// runs the model once a tick, and writes signal records straight into the signal ring.
///
/// No lock, no allocation and no system call per tick. An instrument's state is allocated at its first definition.
public struct Worker: ~Copyable, Agent {
    public let name: String
    public internal(set) var isFinished = false
    public let counters: CounterBlock
    public internal(set) var stages = StageTimes()

    var input: RingInput
    var output: RingOutput
    /// A value from beside the tick ring that waits for the ring's records before it.
    var beside: UnsafeRawBufferPointer?
    let policy: OverloadPolicy
    let registry: InstrumentRegistry
    let incidents: IncidentLog
    let stageInterval: Int
    /// Ticks until one is timed, which it is at 0; never if negative.
    var ticksToTimed: Int
    let cyclesPerNanosecond: Double
    let model: Model
    let warmUpTicks: Int
    let modelID: UInt64
    var engine: InferenceEngine
    /// The instrument whose model state has not moved on since its last tick, or -1.
    var unsettled = -1
    var features: FeatureVector
    var instruments: InstrumentTable
    /// Horizons of the model in the form in which the records carry them.
    let horizons: HandleArray<HorizonField>
    /// Where to go on in the packet that found the signal ring full.
    var resume = Resume()

    /// Packets per step: bounds the time for which nothing else on this thread runs.
    private static let packetsPerStep = 64

    init(
        index: Int, input: consuming RingInput, output: consuming RingOutput, model: Model,
        registry: InstrumentRegistry, incidents: IncidentLog, options: PipelineOptions
    ) {
        name = "worker-\(index)"
        self.input = input
        self.output = output
        self.model = model
        warmUpTicks = model.metadata.warmUpTicks
        modelID = options.modelID
        self.registry = registry
        self.incidents = incidents
        policy = options.signalPolicy
        stageInterval = options.stageInterval
        ticksToTimed = options.stageInterval - 1
        cyclesPerNanosecond = options.stageInterval > 0 ? CycleClock.cyclesPerNanosecond() : 1
        counters = CounterBlock()
        engine = InferenceEngine(model: model)
        features = FeatureVector()
        instruments = InstrumentTable(capacity: options.instrumentsMax)
        var fields = HandleArray<HorizonField>(capacity: model.metadata.horizons.count)
        for horizon in model.metadata.horizons {
            fields.append(HorizonField(length: horizon.length, unit: horizon.unit.rawValue))
        }
        horizons = fields
    }

    public mutating func step(now: UInt64) -> Int {
        var packets = 0
        while packets < Worker.packetsPerStep {
            guard let isDone = stepOnce() else { break }
            guard isDone else {
                counters.add(.workerBlocked, 1)
                break
            }
            packets += 1
        }
        if packets > 0 {
            input.ring.release()
            return packets
        }
        return settle() ? 1 : 0
    }

    /// Moves the state of the model on after the latest tick, which its signals did not wait for: when there is nothing
    /// else to do, or before the next tick. False if it has moved on already.
    @discardableResult
    mutating func settle() -> Bool {
        guard unsettled >= 0, let state = unsafe instruments[unsettled] else { return false }
        unsafe engine.advance(state: &state.pointee.modelState)
        unsettled = -1
        return true
    }

    /// Handles the next message: from the ring, or when that is empty from beside it. nil if there is none, false if
    /// the signal ring is full.
    private mutating func stepOnce() -> Bool? {
        if let value = unsafe beside, unsafe value.load(as: TickEnvelope.self).ringCount <= input.count {
            guard unsafe process(value, isFromBeside: true) else { return false }
            unsafe beside = nil
            return true
        }
        if let message = unsafe input.ring.peek() {
            guard unsafe process(message, isFromBeside: false) else { return false }
            input.advance()
            return true
        }
        guard input.hasSlots, unsafe beside == nil, let value = input.takeBeside() else { return nil }
        unsafe beside = value.bytes
        return true
    }
}

/// The feature vector of the tick at hand, 64-byte aligned.
@safe
struct FeatureVector: ~Copyable {
    let base: UnsafeMutablePointer<Float>

    init() {
        let byteCount = FeatureExtractor.count * MemoryLayout<Float>.stride
        let raw = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        unsafe base = raw.bindMemory(to: Float.self, capacity: FeatureExtractor.count)
        unsafe base.initialize(repeating: 0, count: FeatureExtractor.count)
    }

    deinit { unsafe base.deallocate() }
}

/// Room for the state of each instrument, by its number in the registry.
///
/// Hands out addresses, so that a worker can use an instrument's state beside its own engine and rings; they stay valid
/// until the instrument is defined anew, and never leave the worker's thread.
@safe
struct InstrumentTable: ~Copyable {
    private let base: UnsafeMutablePointer<InstrumentState>
    private var isDefined: HandleArray<Bool>

    init(capacity: Int) {
        unsafe base = .allocate(capacity: capacity)
        isDefined = HandleArray(capacity: capacity)
        for _ in 0..<capacity { isDefined.append(false) }
    }

    deinit {
        for index in 0..<isDefined.count where isDefined[index] { unsafe (base + index).deinitialize(count: 1) }
        unsafe base.deallocate()
    }

    /// The state of instrument `index`; nil before its definition.
    subscript(_ index: Int) -> UnsafeMutablePointer<InstrumentState>? {
        index < isDefined.count && isDefined[index] ? unsafe base + index : nil
    }

    mutating func define(_ index: Int, _ state: consuming InstrumentState) {
        if isDefined[index] { unsafe (base + index).deinitialize(count: 1) }
        unsafe (base + index).initialize(to: state)
        isDefined[index] = true
    }
}

struct HorizonField {
    let length: UInt32
    let unit: UInt8
}

/// Progress within one packet.
struct Resume {
    /// The gaps in front of the packet have been handled, and `byteOffset` bytes of records.
    var hasBegun = false
    var byteOffset = 0
    var recordIndex: UInt64 = 0
    var lostIsWritten = false
    var droppedIsWritten = false
}
