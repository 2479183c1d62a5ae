internal import CPlatform
public import Inference
public import Pipeline
internal import Wire

/// Runs recorded feeds through the agents as fast as possible, without sockets, and measures them in separate passes.
///
/// 1. Rate from the file, decompression included. 2. Rate from memory: digest, stage timers and clocks off. 3. Latency,
/// stages, digest and metrics, one record a packet, so that a tick's latency is its own. Every pass steps the same
/// agents on the calling thread. What one pass computes the next computes again: the counts must agree.
public struct Score {
    public struct Options: Sendable {
        /// Played in this order, as one session.
        public var paths: [String] = []
        public var replay = FeedReplay.Options()
        public var pipeline = PipelineOptions()
        public var part = EvaluatedPart.trainingEnd
        /// Passes over memory; the median rate is reported.
        public var ratePasses = 5
        /// A feed whose packets need more is not kept in memory; its rate from memory is then unknown.
        public var memoryByteCountMax = 4 << 30

        public init() {}
    }

    /// From where on ticks are evaluated.
    public enum EvaluatedPart: Sendable {
        /// From the end of training, if the model was trained on one of these files; else everything.
        case trainingEnd
        /// From this fraction of the ticks on, 0 to 1.
        case fraction(Double)
        /// From this capture time on, nanoseconds since the epoch.
        case time(UInt64)
    }

    public struct Result: Sendable {
        public var ticks = 0
        public var signals = 0
        public var lost = 0
        public var recordsSkipped = 0
        public var ticksPerSecond: Double?
        public var ticksPerSecondAll: [Double] = []
        public var fileTicksPerSecond = 0.0
        public var latency = LatencyHistogram()
        public var stages = StageTimes()
        public var horizons: [HorizonResult] = []
        public var digest = ""
        /// In words: from where on ticks count.
        public var boundary = ""
        public var incidents: [String] = []
    }

    /// Why a feed cannot be scored.
    public enum Failure: Error, CustomStringConvertible {
        case feed(String)
        case disagreement(String)

        public var description: String {
            switch self {
            case .feed(let text), .disagreement(let text): text
            }
        }
    }

    private let model: Model
    private let options: Options

    public init(model: Model, options: Options) {
        self.model = model
        self.options = options
    }

    /// All passes. `progress` is told what begins.
    public func run(progress: (String) -> Void) throws(Failure) -> Result {
        var result = Result()
        try FeedReplay.checkPriceLevels(options.paths)
        progress("from the file")
        try scoreFile(&result)
        progress("into memory")
        try scoreMemory(&result, progress)
        progress("latency, digest and metrics")
        try measure(&result)
        return result
    }

    private func quietOptions() -> PipelineOptions {
        var options = options.pipeline
        options.clock = .none
        options.heartbeatNanoseconds = 0
        options.stageInterval = 0
        return options
    }

    private func scoreFile(_ result: inout Result) throws(Failure) {
        let replay = FeedReplay(paths: options.paths, options: options.replay)
        var pipeline = Pipeline(source: replay, sink: NullSink(), model: model, options: quietOptions())
        let start = martlet_monotonic_ns()
        pipeline.runInline()
        let seconds = Double(martlet_monotonic_ns() - start) / 1e9
        if let failure = pipeline.ingest.source.failure { throw .feed("\(failure)") }
        result.ticks = Int(clamping: pipeline.counters[.ticks])
        result.signals = Int(clamping: pipeline.counters[.signalsPublished])
        result.lost = Int(clamping: pipeline.counters[.recordsLost])
        result.recordsSkipped = pipeline.ingest.source.recordsSkipped
        result.fileTicksPerSecond = Double(result.ticks) / seconds
        result.incidents = pipeline.incidents.lines
        // A packet that fits no ring: the pass of single records would see more ticks.
        guard pipeline.counters[.recordsDroppedOnInput] == 0 else {
            throw .feed(result.incidents.joined(separator: "; "))
        }
        guard result.ticks > 0 else {
            throw .feed(result.incidents.first ?? "\(options.paths.joined(separator: ", ")): no tick in the feed")
        }
    }

    private func scoreMemory(_ result: inout Result, _ progress: (String) -> Void) throws(Failure) {
        var replay = FeedReplay(paths: options.paths, options: options.replay)
        guard let feed = MemoryFeed(&replay, byteCountMax: options.memoryByteCountMax) else { return }
        if let failure = replay.failure { throw .feed("\(failure)") }
        for pass in 1...options.ratePasses {
            progress("from memory, pass \(pass) of \(options.ratePasses)")
            var pipeline = Pipeline(
                source: MemorySource(feed), sink: NullSink(), model: model, options: quietOptions())
            let start = martlet_monotonic_ns()
            pipeline.runInline()
            let seconds = Double(martlet_monotonic_ns() - start) / 1e9
            guard Int(clamping: pipeline.counters[.ticks]) == result.ticks else {
                throw .disagreement("the passes from file and memory saw different ticks: the file changed meanwhile")
            }
            result.ticksPerSecondAll.append(Double(result.ticks) / seconds)
        }
        result.ticksPerSecond = result.ticksPerSecondAll.sorted()[options.ratePasses / 2]
    }

    private func measure(_ result: inout Result) throws(Failure) {
        var replayOptions = options.replay
        replayOptions.recordsPerPacketMax = 1
        var pipelineOptions = options.pipeline
        pipelineOptions.clock = .system
        pipelineOptions.heartbeatNanoseconds = 0
        pipelineOptions.stageInterval = 1
        pipelineOptions.messagesPerStep = 1
        let (part, boundary) = try part(ticks: result.ticks)
        let evaluation = Evaluation(
            horizons: model.metadata.horizons.compactMap(Evaluation.Horizon.init), part: part)
        let sink = ObservedSink(NullSink(), digest: SignalDigest(), evaluation: evaluation)
        let replay = FeedReplay(paths: options.paths, options: replayOptions)
        var pipeline = Pipeline(source: replay, sink: sink, model: model, options: pipelineOptions)
        pipeline.runInline()
        guard Int(clamping: pipeline.counters[.ticks]) == result.ticks else {
            throw .disagreement("two passes over the files saw different ticks: a file changed meanwhile")
        }
        result.latency = pipeline.publisher.latency
        result.stages = pipeline.stages
        result.boundary = boundary
        result.horizons = pipeline.publisher.sink.evaluation?.results ?? []
        result.digest = pipeline.publisher.sink.takeDigest() ?? ""
    }

    /// The ticks captured at `time` or later, in nanoseconds since 1970, and that in words.
    public static func part(from time: UInt64) -> (Evaluation.Part, String) {
        (.fromTime(time), "from capture time \(time) ns on")
    }

    /// The ticks captured after `end`, at which a model's training ended, and that in words.
    public static func part(afterTraining end: UInt64) -> (Evaluation.Part, String) {
        (.fromTime(end + 1), "from the end of the model's training (\(end) ns) on")
    }

    /// Which ticks count, and that in words.
    private func part(ticks: Int) throws(Failure) -> (Evaluation.Part, String) {
        switch options.part {
        case .fraction(let fraction):
            let first = Int((fraction * Double(ticks)).rounded(.down))
            return (.fromTick(first), "from tick \(first) of \(ticks) on (fraction \(fraction))")
        case .time(let time):
            return Score.part(from: time)
        case .trainingEnd:
            guard let end = model.metadata.trainingEndTimestamp else {
                return (.all, "all ticks: the model does not say when its training ended")
            }
            for path in options.paths {
                let digest = try FileDigest.sha256(path)
                if model.metadata.trainingDataSHA256.contains(digest) {
                    return Score.part(afterTraining: end)
                }
            }
            return (.all, "all ticks: the model was not trained on this feed")
        }
    }
}

extension Evaluation.Horizon {
    /// Longest horizon that is evaluated: about a whole day of the recorded feeds at hand (94,000 and 148,000 ticks), near
    /// whose end hardly a tick gets its label. There is a limit because a model's metadata may name any length, and the
    /// mids, sums and labels of twice so many ticks are kept for each instrument: 7 MB here, with four horizons.
    public static let ticksMax: UInt32 = 100_000

    /// A horizon in ticks with the smoothed-mid label, up to `ticksMax`; nil for any other, which is not evaluated.
    public init?(_ horizon: ModelMetadata.Horizon) {
        guard horizon.unit == .ticks, horizon.labelName == Labels.smoothedMidName,
            (1...Evaluation.Horizon.ticksMax).contains(horizon.length)
        else { return nil }
        self.init(ticks: Int(horizon.length), threshold: horizon.alpha)
    }
}
