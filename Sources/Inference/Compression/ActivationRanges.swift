import ONNX

/// The values that some intermediate results of a float model take over recorded ticks.
struct ActivationRanges {
    /// The least and the greatest value of each result, by name.
    private(set) var extremes: [String: ClosedRange<Float>] = [:]
    /// The shape of each result.
    private(set) var shapes: [String: [Int]] = [:]

    private let program: Program
    private let graph: Graph
    private let names: [String]
    /// Of each result so many counts of values from the least to the greatest.
    private var histograms: [String: [Int]] = [:]
    private static let bins = 1 << 14

    /// - Parameter names: Results of nodes, or inputs of the graph, all of 32-bit floats.
    init(_ bytes: [UInt8], names: [String]) throws(CompressionError) {
        self.names = names
        var model = try CompressionError.reading { () throws(ONNXError) in try EditableModel(onnx: bytes) }
        let plain = try CompressionError.reading { () throws(ONNXError) in try Graph(onnx: bytes) }
        let inputs = Set(plain.inputs.map(\.name))
        for name in names where !inputs.contains(name) {
            model.addOutput(GraphValue(name: name, elementType: .float, shape: []))
        }
        let edited = model
        let graph = try CompressionError.reading { () throws(ONNXError) in try edited.graph() }
        self.graph = graph
        program = try CompressionError.planning { () throws(ModelError) in try Program(graph: graph) }
    }

    /// Steps the model over all ticks and notes the extremes.
    mutating func measure(_ rows: CalibrationRows, progress: (Int) -> Void) throws(CompressionError) {
        var extremes: [String: ClosedRange<Float>] = [:]
        var shapes: [String: [Int]] = [:]
        let names = self.names
        try run(rows, progress: progress) { values in
            for name in names {
                guard let tensor = values[name], let floats = tensor.floats else { continue }
                shapes[name] = tensor.shape
                var (low, high) = (extremes[name]?.lowerBound ?? .infinity, extremes[name]?.upperBound ?? -.infinity)
                for value in floats where value.isFinite { (low, high) = (min(low, value), max(high, value)) }
                if low <= high { extremes[name] = low...high }
            }
        }
        (self.extremes, self.shapes) = (extremes, shapes)
        guard let missing = names.first(where: { extremes[$0] == nil }) else { return }
        throw .calibration(reason: "value '\(missing)' was never a finite float32")
    }

    /// Steps the model once more and counts how the values are spread between the extremes.
    mutating func measureSpread(_ rows: CalibrationRows, progress: (Int) -> Void) throws(CompressionError) {
        var histograms = extremes.mapValues { _ in Array(repeating: 0, count: ActivationRanges.bins) }
        let extremes = self.extremes
        try run(rows, progress: progress) { values in
            for (name, range) in extremes {
                guard let floats = values[name]?.floats else { continue }
                let scale =
                    Float(ActivationRanges.bins) / max(range.upperBound - range.lowerBound, .leastNormalMagnitude)
                for value in floats where value.isFinite {
                    let place = (value - range.lowerBound) * scale
                    histograms[name]?[place < Float(ActivationRanges.bins) ? Int(place) : ActivationRanges.bins - 1] +=
                        1
                }
            }
        }
        self.histograms = histograms
    }

    /// The range that leaves out the share of values beyond `percentile` at each end; all of them for 100.
    ///
    /// - Precondition: `measureSpread` has run, or the percentile is 100.
    func range(_ name: String, percentile: Double) -> ClosedRange<Float> {
        guard let range = extremes[name] else { return 0...0 }
        guard percentile < 100, let counts = histograms[name] else { return range }
        let total = counts.reduce(0, +)
        let left = Int(Double(total) * (100 - percentile) / 100)
        let width = (range.upperBound - range.lowerBound) / Float(ActivationRanges.bins)
        func skipped(_ counts: some Sequence<Int>) -> Int {
            var (sum, bins) = (0, 0)
            for count in counts {
                sum += count
                if sum > left { break }
                bins += 1
            }
            return bins
        }
        let low = range.lowerBound + Float(skipped(counts)) * width
        let high = range.upperBound - Float(skipped(counts.reversed())) * width
        return low <= high ? low...high : range
    }

    // MARK: Running

    /// Shows inputs and outputs of each run: of a model stream by stream, of a free graph row by row.
    private func run(
        _ rows: CalibrationRows, progress: (Int) -> Void, _ look: ([String: Tensor]) -> Void
    ) throws(CompressionError) {
        try graph.followsContract
            ? runStreams(rows, progress: progress, look) : runAlone(rows, progress: progress, look)
    }

    private func runAlone(
        _ rows: CalibrationRows, progress: (Int) -> Void, _ look: ([String: Tensor]) -> Void
    ) throws(CompressionError) {
        let inputs = program.inputs
        let width = inputs.reduce(0) { $0 + $1.shape.reduce(1, *) }
        guard width == rows.featureCount else {
            throw .calibration(reason: "rows of \(rows.featureCount) values for inputs of \(width)")
        }
        if let input = inputs.first(where: { $0.type != .float }) {
            throw .calibration(reason: "input '\(input.name)' is of \(input.type); only floats can be given")
        }
        for row in 0..<rows.count {
            var place = row * width
            var values: [String: Tensor] = [:]
            for input in inputs {
                let count = input.shape.reduce(1, *)
                let own = Array(rows.values[place..<place + count])
                values[input.name] = Tensor(name: input.name, shape: input.shape, elements: .float(own))
                place += count
            }
            let given = values
            let outputs = try CompressionError.planning { () throws(ModelError) in try program.run(given) }
            look(given.merging(outputs) { $1 })
            progress(row + 1)
        }
    }

    /// What a stream of ticks carries on.
    private struct StreamState {
        var states: [String: Tensor]
        /// The features of the window, oldest first.
        var window: [Float]
    }

    /// Steps the graph tick by tick, its states carried on.
    private func runStreams(
        _ rows: CalibrationRows, progress: (Int) -> Void, _ look: ([String: Tensor]) -> Void
    ) throws(CompressionError) {
        guard let features = graph.inputs.first(where: { $0.name == GraphCompiler.featuresName }) else {
            throw .model(.value(name: GraphCompiler.featuresName, reason: "the input is missing"))
        }
        let shape = features.fixedShape
        guard shape.count == 3, shape[0] == 1, shape[2] == rows.featureCount else {
            throw .calibration(
                reason: "rows of \(rows.featureCount) features for an input of shape \(features.shape)")
        }
        var start = StreamState(states: [:], window: Array(repeating: 0, count: shape[1] * shape[2]))
        for input in graph.inputs where input.name != features.name {
            let shape = input.fixedShape
            start.states[input.name] = Tensor(
                name: input.name, shape: shape, elements: .float(Array(repeating: 0, count: shape.reduce(1, *))))
        }
        var streams = Array(repeating: start, count: rows.streamCount)
        for row in 0..<rows.count {
            let stream = Int(rows.streams[row])
            if rows.startsAnew[row] { streams[stream] = start }
            streams[stream].window.removeFirst(shape[2])
            streams[stream].window += rows.values[row * shape[2]..<(row + 1) * shape[2]]
            var inputs = streams[stream].states
            inputs[features.name] = Tensor(
                name: features.name, shape: shape, elements: .float(streams[stream].window))
            let given = inputs
            let outputs = try CompressionError.planning { () throws(ModelError) in try program.run(given) }
            for name in streams[stream].states.keys {
                guard let next = outputs[name + "_next"] else { continue }
                streams[stream].states[name] = next
            }
            look(given.merging(outputs) { $1 })
            progress(row + 1)
        }
    }
}

extension GraphValue {
    /// The shape with 1 for what is known only at run time.
    fileprivate var fixedShape: [Int] {
        shape.map { dimension in if case .fixed(let extent) = dimension { extent } else { 1 } }
    }
}
