internal import CPlatform
internal import ONNX

/// How far the outputs of a compressed model are from those of the model that it was made of, run over the same rows, each
/// with its own state, and how long both take.
public struct OutputChange: Sendable {
    /// Of one output.
    public struct Output: Sendable, Equatable {
        public let name: String
        /// Mean of |Δvalue| over rows and values.
        public fileprivate(set) var mean = 0.0
        /// Greatest |Δvalue|; infinite where one of the two is not a number.
        public fileprivate(set) var greatest = 0.0
        /// Mean of |value| before.
        public fileprivate(set) var magnitude = 0.0
        fileprivate let width: Int
    }

    /// Of one horizon of a model of the contract.
    public struct Horizon: Sendable, Equatable {
        /// Mean of |Δprobability| over ticks and classes.
        public fileprivate(set) var mean = 0.0
        /// Greatest |Δprobability|.
        public fileprivate(set) var greatest = 0.0
        /// Ticks whose most probable class is another one.
        public fileprivate(set) var classChanges = 0
    }

    /// All outputs, sorted by name.
    public private(set) var outputs: [Output]
    /// In the order of the model's horizons; none of a free graph.
    public private(set) var horizons: [Horizon]
    /// Rows compared.
    public let rows: Int
    /// Median over batches of the time of one run, with what is computed after its outputs; of a free graph with one reading
    /// of the clock.
    public private(set) var nanosecondsBefore = 0.0
    public private(set) var nanosecondsAfter = 0.0

    /// Runs of one model between those of the other. Steps of a model are timed together, so many that reading the clock does
    /// not count.
    private static let batch = 64

    /// Runs both models over `rows`; `progress` is told the rows so far.
    ///
    /// - Precondition: Both have the same inputs and outputs, and rows of the width of `rows`.
    public init(from before: AnyModel, to after: AnyModel, over rows: CalibrationRows, progress: (Int) -> Void) {
        precondition(before.outputNames == after.outputNames, "The outputs are the same.")
        precondition(before.rowWidth == rows.featureCount, "The rows are the model's.")
        outputs = before.outputShapes.sorted { $0.key < $1.key }
            .map { Output(name: $0.key, width: $0.value.reduce(1, *)) }
        horizons = Array(repeating: Horizon(), count: before.metadata?.horizons.count ?? 0)
        self.rows = rows.count
        let names = outputs.map { ($0.name, $0.width) }
        switch (before.form, after.form) {
        case (.model(let before), .model(let after)):
            compare(
                ModelRunner(before, names, streams: rows.streamCount),
                ModelRunner(after, names, streams: rows.streamCount), rows, progress)
        case (.program(let before), .program(let after)):
            compare(GraphRunner(before, names), GraphRunner(after, names), rows, progress)
        default: preconditionFailure("Compression does not change what a file says it is.")
        }
    }

    private mutating func compare<Runner: RowRunner & ~Copyable>(
        _ before: consuming Runner, _ after: consuming Runner, _ rows: CalibrationRows, _ progress: (Int) -> Void
    ) {
        var timesBefore: [Double] = []
        var timesAfter: [Double] = []
        for start in stride(from: 0, to: rows.count, by: OutputChange.batch) {
            let range = start..<min(start + OutputChange.batch, rows.count)
            // In turns, so that what disturbs the one disturbs the other.
            timesBefore.append(before.run(rows, range))
            timesAfter.append(after.run(rows, range))
            compare(before.values, after.values)
            progress(range.upperBound)
        }
        let count = Double(max(rows.count, 1))
        for index in horizons.indices { horizons[index].mean /= 3 * count }
        for index in outputs.indices {
            outputs[index].mean /= count * Double(max(outputs[index].width, 1))
            outputs[index].magnitude /= count * Double(max(outputs[index].width, 1))
        }
        nanosecondsBefore = OutputChange.median(timesBefore)
        nanosecondsAfter = OutputChange.median(timesAfter)
    }

    /// Notes some rows of all outputs, one output after another in each row.
    private mutating func compare(_ before: [Float], _ after: [Float]) {
        var start = 0
        while start < before.count {
            for index in outputs.indices {
                let range = start..<start + outputs[index].width
                for place in range {
                    // Equal infinities have not changed.
                    let change = before[place] == after[place] ? 0 : Double(abs(before[place] - after[place]))
                    outputs[index].mean += change
                    outputs[index].magnitude += Double(abs(before[place]))
                    outputs[index].greatest = max(outputs[index].greatest, change.isNaN ? .infinity : change)
                }
                if outputs[index].name == GraphCompiler.probabilitiesName, !horizons.isEmpty {
                    compareHorizons(before[range], after[range])
                }
                start = range.upperBound
            }
        }
    }

    private mutating func compareHorizons(_ before: ArraySlice<Float>, _ after: ArraySlice<Float>) {
        for index in horizons.indices {
            let classes = before.startIndex + 3 * index..<before.startIndex + 3 * index + 3
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

    /// The first of the greatest elements.
    private static func best(_ values: ArraySlice<Float>) -> Int {
        values.indices.reduce(values.startIndex) { values[$1] > values[$0] ? $1 : $0 } - values.startIndex
    }

    private static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }
}

/// Runs a model over rows.
private protocol RowRunner: ~Copyable {
    /// Runs some rows and returns the nanoseconds of each on average.
    mutating func run(_ rows: CalibrationRows, _ range: Range<Int>) -> Double
    /// What the latest rows run have come to.
    var values: [Float] { get }
}

/// Steps a model with one state per stream.
private struct ModelRunner: RowRunner, ~Copyable {
    private var engine: InferenceEngine
    private let states: UnsafeMutableBufferPointer<ModelState>
    private let outputs: [UnsafeBufferPointer<Float>]
    private(set) var values: [Float] = []

    init(_ model: Model, _ outputs: [(name: String, width: Int)], streams: Int) {
        engine = InferenceEngine(model: model)
        let named = engine.outputs.pointers
        self.outputs = outputs.map { UnsafeBufferPointer(start: named[$0.name], count: $0.width) }
        states = .allocate(capacity: max(streams, 1))
        for index in states.indices { states.initializeElement(at: index, to: model.makeState()) }
    }

    deinit {
        states.deinitialize()
        states.deallocate()
    }

    mutating func run(_ rows: CalibrationRows, _ range: Range<Int>) -> Double {
        values.removeAll(keepingCapacity: true)
        values.reserveCapacity(range.count * outputs.reduce(0) { $0 + $1.count })
        // Of its own, so that the engine is stepped while nothing else of this runner is read.
        let states = states
        let start = martlet_monotonic_ns()
        for row in range {
            let stream = Int(rows.streams[row])
            if rows.startsAnew[row] { states[stream].reset() }
            rows.values.withUnsafeBufferPointer { values in
                guard let base = values.baseAddress else { return }
                engine.step(features: base + row * rows.featureCount, state: &states[stream])
            }
            for output in outputs { values.append(contentsOf: output) }
        }
        return Double(martlet_monotonic_ns() - start) / Double(range.count)
    }
}

/// Runs a free graph, each row by itself.
private struct GraphRunner: RowRunner, ~Copyable {
    private var engine: ProgramEngine
    private let inputs: [UnsafeMutableBufferPointer<Float>]
    private let outputs: [(name: String, width: Int)]
    private(set) var values: [Float] = []

    init(_ program: Program, _ outputs: [(name: String, width: Int)]) {
        let engine = ProgramEngine(program)
        var inputs: [UnsafeMutableBufferPointer<Float>] = []
        for input in program.inputs {
            guard let floats = engine.floats(input: input.name) else {
                preconditionFailure("Rows are for graphs whose inputs are floats.")
            }
            inputs.append(floats)
        }
        self.engine = engine
        self.inputs = inputs
        self.outputs = outputs
    }

    mutating func run(_ rows: CalibrationRows, _ range: Range<Int>) -> Double {
        values.removeAll(keepingCapacity: true)
        var time: UInt64 = 0
        for row in range {
            var place = row * rows.featureCount
            for input in inputs {
                for index in input.indices { input[index] = rows.values[place + index] }
                place += input.count
            }
            let start = martlet_monotonic_ns()
            engine.run()
            time += martlet_monotonic_ns() - start
            for output in outputs {
                values += engine.output(output.name).asFloats ?? Array(repeating: 0, count: output.width)
            }
        }
        return Double(time) / Double(range.count)
    }
}
