internal import CPlatform
internal import ONNX

/// How far the probabilities of a compressed model are from those of the model that it was made of, each stepped with its
/// own state over the same ticks, and how long both take.
public struct OutputChange: Sendable {
    /// Of one horizon.
    public struct Horizon: Sendable, Equatable {
        /// Mean of |Δprobability| over ticks and classes.
        public fileprivate(set) var mean = 0.0
        /// Greatest |Δprobability|.
        public fileprivate(set) var greatest = 0.0
        /// Ticks whose most probable class is another one.
        public fileprivate(set) var classChanges = 0
    }

    /// In the order of the model's horizons.
    public private(set) var horizons: [Horizon]
    /// Ticks compared.
    public let ticks: Int
    /// Median over batches of the time of one tick, with what is computed ahead of the next one.
    public private(set) var nanosecondsBefore = 0.0
    public private(set) var nanosecondsAfter = 0.0

    /// Ticks that are timed together: so many take some 100 times as long as reading the clock.
    private static let batch = 64

    /// Steps both models over `rows`; `progress` is told the ticks so far.
    ///
    /// - Precondition: Both models have the same horizons and read the features of `rows`.
    public init(from before: Model, to after: Model, over rows: CalibrationRows, progress: (Int) -> Void) {
        precondition(before.metadata.horizons.count == after.metadata.horizons.count, "The horizons are the same.")
        horizons = Array(repeating: Horizon(), count: before.metadata.horizons.count)
        ticks = rows.count
        var first = ModelStepper(before, streams: rows.streamCount)
        var second = ModelStepper(after, streams: rows.streamCount)
        var timesBefore: [Double] = []
        var timesAfter: [Double] = []
        for start in stride(from: 0, to: rows.count, by: OutputChange.batch) {
            let range = start..<min(start + OutputChange.batch, rows.count)
            // In turns, so that what disturbs the one disturbs the other.
            timesBefore.append(first.run(rows, range))
            timesAfter.append(second.run(rows, range))
            compare(first.probabilities, second.probabilities)
            progress(range.upperBound)
        }
        for index in horizons.indices { horizons[index].mean /= Double(max(3 * ticks, 1)) }
        nanosecondsBefore = OutputChange.median(timesBefore)
        nanosecondsAfter = OutputChange.median(timesAfter)
    }

    private mutating func compare(_ before: [Float], _ after: [Float]) {
        let width = 3 * horizons.count
        for start in stride(from: 0, to: before.count, by: width) {
            for index in horizons.indices {
                let classes = start + 3 * index..<start + 3 * index + 3
                for place in classes {
                    let change = Double(abs(before[place] - after[place]))
                    horizons[index].mean += change
                    horizons[index].greatest = max(horizons[index].greatest, change)
                }
                if OutputChange.best(before[classes]) != OutputChange.best(after[classes]) {
                    horizons[index].classChanges += 1
                }
            }
        }
    }

    /// The first of the greatest elements.
    private static func best(_ values: ArraySlice<Float>) -> Int {
        values.indices.reduce(values.startIndex) { values[$1] > values[$0] ? $1 : $0 } - values.startIndex
    }

    private static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }
}

/// Steps a model with one state per stream.
private struct ModelStepper: ~Copyable {
    private var engine: InferenceEngine
    private let states: UnsafeMutableBufferPointer<ModelState>
    private let width: Int
    /// Of the latest ticks run.
    var probabilities: [Float] = []

    init(_ model: Model, streams: Int) {
        engine = InferenceEngine(model: model)
        width = 3 * model.metadata.horizons.count
        states = .allocate(capacity: max(streams, 1))
        for index in states.indices { states.initializeElement(at: index, to: model.makeState()) }
    }

    deinit {
        states.deinitialize()
        states.deallocate()
    }

    /// Runs some ticks and returns the nanoseconds of each on average.
    mutating func run(_ rows: CalibrationRows, _ range: Range<Int>) -> Double {
        probabilities.removeAll(keepingCapacity: true)
        probabilities.reserveCapacity(range.count * width)
        let start = martlet_monotonic_ns()
        for row in range {
            let stream = Int(rows.streams[row])
            if rows.startsAnew[row] { states[stream].reset() }
            rows.values.withUnsafeBufferPointer { values in
                guard let base = values.baseAddress else { return }
                engine.step(features: base + row * rows.featureCount, state: &states[stream])
            }
            probabilities.append(contentsOf: UnsafeBufferPointer(start: engine.outputs.probabilities, count: width))
        }
        return Double(martlet_monotonic_ns() - start) / Double(range.count)
    }
}

extension Model {
    /// A model that reads exactly the features that it names, in its order, of whatever feature set.
    public init(readingOwnFeatures bytes: [UInt8]) throws(CompressionError) {
        let graph = try CompressionError.reading { () throws(ONNXError) in try Graph(onnx: bytes) }
        self = try CompressionError.planning { () throws(ModelError) in
            let metadata = try ModelMetadata(graph.metadata)
            return try Model(
                onnx: bytes, availableFeatures: metadata.featureNames, featureSetVersion: metadata.featureSetVersion)
        }
    }

    /// Predicted time of the products of a tick, those ahead of it included.
    public var predictedNanoseconds: Double { plan.reduce(0) { $0 + $1.predictedNanoseconds } }
}
