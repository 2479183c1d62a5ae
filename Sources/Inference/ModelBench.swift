internal import CPlatform
internal import ONNX

/// Times a model's ticks one by one on the calling thread.
///
/// A row of features is copied to where the engine reads it, then the clock is read, the tick computed, and the clock
/// read again. The clock's own cost, the median of pairs of readings with nothing between them, is subtracted from
/// each. Where a part of the work is done when the outputs are there, the critical path and the full step are measured in
/// turn, in blocks, so that a busy neighbour meets both alike.
public struct ModelBench {
    public struct Options: Sendable {
        /// Timed ticks of each kind; nil for `stepsDefault`, or fewer for a model so slow that they would not fit
        /// `budget`.
        public var steps: Int?
        /// Ticks before the first timed one.
        public var warmUp = 2_000

        public init() {}
    }

    /// What is asked of a benchmark by default.
    public static let stepsDefault = 20_000
    /// Ticks that are always timed; fewer would leave nothing to take percentiles of.
    public static let stepsMin = 200
    /// Nanoseconds that a measurement of default length may take.
    public static let budget: UInt64 = 10_000_000_000
    /// Ticks of one kind before those of the other.
    private static let blockSteps = 500

    /// Percentiles in nanoseconds, the clock's cost subtracted.
    public struct Times: Sendable, Equatable {
        public let p50, p99, p999: Double

        init(_ samples: [UInt64], _ timer: ModelBenchTimer) {
            let sorted = samples.sorted()
            p50 = timer.nanoseconds(sorted, share: 0.5)
            p99 = timer.nanoseconds(sorted, share: 0.99)
            p999 = timer.nanoseconds(sorted, share: 0.999)
        }
    }

    public struct Result: Sendable {
        /// All work of a tick: `InferenceEngine.step`.
        public let full: Times
        /// From the features to the outputs, `InferenceEngine.predict`; nil where that is all there is.
        public let criticalPath: Times?
        /// The median cost of reading the clock, in nanoseconds.
        public let timerNanoseconds: Double
        /// Timed ticks of each kind.
        public let steps: Int
        /// The sum over one pass of all rows from a state of zeros of value · (1 + index modulo 3), the index being
        /// that in the output `probabilities`, or in the first output of a free graph. Rows before the first full
        /// window do not count.
        public let checksum: Double
    }

    private let options: Options

    public init(_ options: Options = Options()) {
        self.options = options
    }

    /// Runs everything. Allocates only before the first timed tick and after the last one.
    ///
    /// - Parameters:
    ///   - rows: Features for a model of the contract. A free graph is given seeded random values, and zeros for inputs that
    ///     are no 32-bit floats.
    ///   - progress: Called between blocks with the share that is done.
    public func run(_ model: AnyModel, rows: FeatureRows, progress: (Double) -> Void = { _ in }) -> Result {
        martlet_denormals_keep()
        switch model.form {
        case .model(let contract): return run(contract, model, rows, progress)
        case .program(let program): return run(program, progress)
        }
    }

    // MARK: Models of the contract

    private func run(
        _ model: Model, _ any: AnyModel, _ rows: FeatureRows, _ progress: (Double) -> Void
    ) -> Result {
        precondition(rows.width == model.featureCount, "A row has the model's features.")
        var engine = InferenceEngine(model: model)
        var state = model.makeState()
        let outputCount = any.outputShapes[GraphCompiler.probabilitiesName]?.reduce(1, *) ?? 0
        let features = UnsafeMutablePointer<Float>.allocate(capacity: rows.width + 16)
        features.initialize(repeating: 0, count: rows.width + 16)
        defer { features.deallocate() }
        return rows.values.withUnsafeBufferPointer { values in
            guard let base = values.baseAddress else { preconditionFailure("There is a row.") }
            var row = 0
            func next() {
                features.update(from: base + row * rows.width, count: rows.width)
                row = row + 1 == rows.count ? 0 : row + 1
            }
            var checksum = 0.0
            for index in 0..<rows.count {
                next()
                engine.step(features: features, state: &state)
                guard index + 1 >= any.window else { continue }
                checksum += ModelBench.weighted(
                    UnsafeBufferPointer(start: engine.outputs.probabilities, count: outputCount))
            }
            let pace = warmUp {
                next()
                engine.step(features: features, state: &state)
            }
            let kinds = any.runsLater ? 2 : 1
            var samples = Samples(steps: steps(pace: pace, kinds: kinds), kinds: kinds)
            var timer = ModelBenchTimer()
            while let block = samples.nextBlock(progress) {
                // Twice the same loop: a choice within it would be timed.
                if block.kind == 0 {
                    for place in block.places {
                        next()
                        let begin = martlet_cycles_in_order()
                        engine.step(features: features, state: &state)
                        samples.times[0][place] = martlet_cycles_in_order() &- begin
                    }
                } else {
                    for place in block.places {
                        next()
                        let begin = martlet_cycles_in_order()
                        engine.predict(features: features, state: &state)
                        samples.times[1][place] = martlet_cycles_in_order() &- begin
                        engine.advance(state: &state)
                    }
                }
            }
            timer.calibrate()
            return result(samples, timer, checksum: checksum)
        }
    }

    // MARK: Free graphs

    private func run(_ program: Program, _ progress: (Double) -> Void) -> Result {
        var engine = ProgramEngine(program)
        let rowCount = ModelVerification.tickCount
        let inputs = program.inputs.compactMap { input -> (UnsafeMutableBufferPointer<Float>, FeatureRows)? in
            guard let target = engine.floats(input: input.name), !target.isEmpty else { return nil }
            return (target, ModelVerification.randomRows(input.name, count: rowCount, width: target.count))
        }
        var row = 0
        func next() {
            for (target, rows) in inputs {
                for index in 0..<rows.width { target[index] = rows.values[row * rows.width + index] }
            }
            row = row + 1 == rowCount ? 0 : row + 1
        }
        var checksum = 0.0
        for _ in 0..<rowCount {
            next()
            engine.run()
            guard let name = program.outputNames.first, let values = engine.output(name).asFloats else { continue }
            checksum += values.withUnsafeBufferPointer(ModelBench.weighted)
        }
        let pace = warmUp {
            next()
            engine.run()
        }
        var samples = Samples(steps: steps(pace: pace, kinds: 1), kinds: 1)
        var timer = ModelBenchTimer()
        while let block = samples.nextBlock(progress) {
            for place in block.places {
                next()
                let begin = martlet_cycles_in_order()
                engine.run()
                samples.times[0][place] = martlet_cycles_in_order() &- begin
            }
        }
        timer.calibrate()
        return result(samples, timer, checksum: checksum)
    }

    // MARK: Parts

    /// Times of each kind of tick: full ones, then the critical path.
    private struct Samples {
        var times: [[UInt64]]
        private let steps: Int
        private var block = 0

        init(steps: Int, kinds: Int) {
            self.steps = steps
            times = Array(repeating: Array(repeating: 0, count: steps), count: kinds)
        }

        mutating func nextBlock(_ progress: (Double) -> Void) -> (kind: Int, places: Range<Int>)? {
            let (kind, index) = (block % times.count, block / times.count)
            let start = index * ModelBench.blockSteps
            guard start < steps else { return nil }
            progress(Double(start) / Double(steps))
            block += 1
            return (kind, start..<min(start + ModelBench.blockSteps, steps))
        }
    }

    private func result(_ samples: Samples, _ timer: ModelBenchTimer, checksum: Double) -> Result {
        Result(
            full: Times(samples.times[0], timer),
            criticalPath: samples.times.count > 1 ? Times(samples.times[1], timer) : nil,
            timerNanoseconds: timer.costNanoseconds, steps: samples.times[0].count, checksum: checksum)
    }

    /// Runs ticks until the warm-up is over, or a tenth of the budget; returns the nanoseconds of one.
    private func warmUp(_ tick: () -> Void) -> UInt64 {
        let begin = martlet_monotonic_ns()
        var count: UInt64 = 0
        while true {
            tick()
            count += 1
            let elapsed = martlet_monotonic_ns() - begin
            if count >= UInt64(max(options.warmUp, 1)) || elapsed > ModelBench.budget / 10 {
                return max(elapsed / count, 1)
            }
        }
    }

    private func steps(pace: UInt64, kinds: Int) -> Int {
        if let steps = options.steps { return steps }
        let fitting = Int(ModelBench.budget / pace) / kinds
        return max(min(ModelBench.stepsDefault, fitting), ModelBench.stepsMin)
    }

    private static func weighted(_ values: UnsafeBufferPointer<Float>) -> Double {
        var sum = 0.0
        for (index, value) in values.enumerated() { sum += Double(value) * Double(1 + index % 3) }
        return sum
    }
}

extension Tensor {
    /// The elements as 32-bit floats, integers and 64-bit floats being rounded; for checksums and comparisons.
    var asFloats: [Float]? {
        floats ?? doubles.map { $0.map { Float($0) } } ?? integers.map { $0.map { Float($0) } }
    }
}
