internal import CPlatform
public import Inference
internal import MarketData
internal import RingBuffer
internal import Wire

#if canImport(Glibc)
    internal import Glibc
#endif

/// Ingest, workers and publisher, joined by rings. The same agents run on one thread or on several, and their
/// output is the same.
///
///     source ─▶ Ingest ─▶ tick ring ─▶ Worker 0 ─▶ signal ring ─▶ Publisher ─▶ sink
///                      └▶ tick ring ─▶ Worker 1 ─▶ signal ring ─┘
public struct Pipeline<Source: TickSource & ~Copyable, Sink: SignalSink & ~Copyable>: ~Copyable {
    public let control: PipelineControl
    public let incidents: IncidentLog
    public let registry: InstrumentRegistry
    public var ingest: Ingest<Source>
    public var workers: HandleArray<Worker>
    public var publisher: Publisher<Sink>
    let options: PipelineOptions

    /// Allocates everything that the pipeline will use but the instruments' states.
    public init(
        source: consuming Source, sink: consuming Sink, model: Model, options: PipelineOptions,
        control: PipelineControl = PipelineControl()
    ) {
        precondition(options.workers > 0, "A pipeline has a worker.")
        precondition(options.recordsPerPacketMax > 0, "A packet holds a record.")
        precondition(options.messagesPerStep > 0, "A step takes a message.")
        precondition(options.messagesPerStepMin > 0, "A step after a pause takes a message.")
        precondition(
            options.ringBytes >= PipelineOptions.ringBytesMin(horizons: model.metadata.horizons.count),
            "A ring holds two ticks' signals, and an envelope.")
        self.control = control
        self.options = options
        incidents = IncidentLog()
        registry = InstrumentRegistry(capacity: options.instrumentsMax)
        var toWorkers = HandleArray<RingOutput>(capacity: options.workers)
        var fromWorkers = HandleArray<RingInput>(capacity: options.workers)
        let signalBytes =
            SignalEnvelope.byteCount + GapRecord.byteCount
            + model.metadata.horizons.count * SignalRecord.byteCount
        workers = HandleArray(capacity: options.workers)
        for index in 0..<options.workers {
            let ticks = RingEnds(
                options,
                slotBytes: options.inputPolicy == .conflate
                    ? TickEnvelope.byteCount + Record.byteCountMax : 0)
            let signals = RingEnds(options, slotBytes: options.signalPolicy == .conflate ? signalBytes : 0)
            toWorkers.append(ticks.output)
            fromWorkers.append(signals.input)
            workers.append(
                Worker(
                    index: index, input: ticks.input, output: signals.output, model: model, registry: registry,
                    incidents: incidents, options: options))
        }
        ingest = Ingest(
            source: source, outputs: toWorkers, registry: registry, incidents: incidents, control: control,
            options: options)
        publisher = Publisher(sink: sink, inputs: fromWorkers, registry: registry, options: options)
    }

    /// A pipeline of agents that have run before.
    init(
        control: PipelineControl, incidents: IncidentLog, registry: InstrumentRegistry,
        ingest: consuming Ingest<Source>,
        workers: consuming HandleArray<Worker>, publisher: consuming Publisher<Sink>, options: PipelineOptions
    ) {
        self.control = control
        self.incidents = incidents
        self.registry = registry
        self.ingest = ingest
        self.workers = workers
        self.publisher = publisher
        self.options = options
    }

    /// Steps every agent once on the calling thread.
    ///
    /// - Returns: the work done; 0 when there was none.
    public mutating func step() -> Int {
        let now = options.clock.monotonicNanoseconds()
        var work = ingest.isFinished ? 0 : ingest.step(now: now)
        for index in 0..<workers.count where !workers[index].isFinished { work += workers[index].step(now: now) }
        if !publisher.isFinished { work += publisher.step(now: now) }
        return work
    }

    /// Runs all agents on the calling thread until the last has finished.
    public mutating func runInline() {
        FloatingPointMode.prepare()
        // As an agent's thread does, a core that cannot be had is gone without.
        if let core = options.cores.first { _ = martlet_thread_pin(Int32(core)) }
        var idler = Idler(options.idle)
        while !publisher.isFinished { idler.idle(work: step()) }
    }

    /// What was counted so far. Any thread may read it through `PipelineCounters` while the pipeline runs.
    public var counters: PipelineCounters {
        PipelineCounters(
            ingest: ingest.counters, workers: (0..<workers.count).map { workers[$0].counters },
            publisher: publisher.counters)
    }

    /// Where the workers' time went.
    public var stages: StageTimes {
        var total = StageTimes()
        for index in 0..<workers.count { total.merge(workers[index].stages) }
        return total
    }
}

/// The counters of a pipeline's agents, readable while it runs.
public struct PipelineCounters: Sendable {
    public let ingest: CounterBlock
    public let workers: [CounterBlock]
    public let publisher: CounterBlock

    /// The sum over all agents; the maximum for `longestStepNanoseconds`.
    public subscript(_ counter: Counter) -> UInt64 {
        let blocks = [ingest, publisher] + workers
        if counter == .longestStepNanoseconds { return blocks.map { $0[counter] }.max() ?? 0 }
        return blocks.reduce(0) { sum, block in
            let (total, overflow) = sum.addingReportingOverflow(block[counter])
            return overflow ? .max : total
        }
    }
}
