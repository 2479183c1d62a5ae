internal import ONNX

/// A float model with its layers as products of integers, within what the engine's fast kernels need: activations of 7
/// bits, which a `Clip` proves, and weights from -63 to 63. Static ranges from recorded ticks, without training.
///
/// MatMul, Gemm and Conv read their input, and LSTM and GRU of one step their input and their previous state, through Clip,
/// QuantizeLinear and DequantizeLinear. Weights are int8 behind a DequantizeLinear with a scale for each output. Biases stay
/// floats.
public struct ModelQuantization: Sendable {
    public struct Options: Sendable {
        /// Values beyond this percentile at either end are clipped, 50 to 100; 100 keeps all.
        public var percentile = 100.0
        /// Whether the last layers stay in floats: they are small, and their error goes straight into the outputs.
        public var keepsLast = true

        public init() {}
    }

    /// One weighted node.
    public struct Layer: Sendable, Equatable {
        public let name: String
        public let operatorName: String
        /// Why it stays in floats; nil for a layer of integers.
        public fileprivate(set) var reason: String?
        /// The range and the step of its input; nil in floats.
        public fileprivate(set) var range: ClosedRange<Float>?
        public fileprivate(set) var scale: Float?
        /// Kernels of its products.
        public fileprivate(set) var kernels: [String] = []
        /// Whether all its products are on the fast path.
        public fileprivate(set) var isFast = false
    }

    /// The quantised file.
    public let bytes: [UInt8]
    /// The quantised model.
    public let model: AnyModel
    public let layers: [Layer]

    /// Quantises a model. Runs it over all rows once, or twice for a percentile; `progress` is told the
    /// pass and the ticks so far.
    ///
    /// - Precondition: The percentile is 50 to 100.
    public init(
        onnx bytes: [UInt8], rows: CalibrationRows, options: Options, progress: (_ pass: String, _ ticks: Int) -> Void
    ) throws(CompressionError) {
        precondition((50...100).contains(options.percentile), "A percentile of both ends is 50 to 100.")
        let graph = try CompressionError.reading { () throws(ONNXError) in try Graph(onnx: bytes) }
        guard graph.opset >= 13 else {
            throw .nothingToDo(
                reason: "operator set \(graph.opset) has no scale for each output; convert the model to 13 or newer")
        }
        let (matrices, skipped) = WeightFinder(graph).find()
        var plan = QuantizationPlan(graph, matrices, keepsLast: options.keepsLast)
        try ModelQuantization.checkAny(plan, skipped)
        var ranges = try ActivationRanges(bytes, names: plan.activationNames)
        try ranges.measure(rows) { progress("ranges", $0) }
        plan.keepWindows(ranges.shapes)
        try ModelQuantization.checkAny(plan, skipped)
        if options.percentile < 100 { try ranges.measureSpread(rows) { progress("percentiles", $0) } }

        var editor = try QuantizationEditor(bytes, graph)
        var layers: [Layer] = []
        for planned in plan.layers {
            let node = graph.nodes[planned.node]
            var layer = Layer(name: node.name, operatorName: node.operatorName, reason: planned.reason)
            if planned.reason == nil {
                let range = ranges.range(node.inputs[planned.activations[0]], percentile: options.percentile)
                let activation = ActivationCodes(range)
                editor.quantize(planned, node, activation)
                (layer.range, layer.scale) = (activation.range, activation.scale)
            }
            layers.append(layer)
        }
        let (written, names) = try editor.finished(plan.layers.map(\.node))
        self.bytes = written
        model = try CompressionError.planning { () throws(ModelError) in try AnyModel(onnx: written) }
        for (index, name) in names.enumerated() where layers[index].reason == nil {
            let products = model.plan.filter { $0.name == name && $0.weightCount > 0 }
            layers[index].kernels = products.map(\.kernel)
            layers[index].isFast = !products.isEmpty && products.allSatisfy { $0.kernel.contains("sevenBit") }
        }
        self.layers = layers
    }

    private static func checkAny(_ plan: QuantizationPlan, _ skipped: [String]) throws(CompressionError) {
        guard !plan.layers.contains(where: { $0.reason == nil }) else { return }
        let reasons = plan.layers.map { "\($0.matrices[0].name): \($0.reason ?? "")" } + skipped
        throw .nothingToDo(
            reason: reasons.isEmpty
                ? "the model has no constant weight of MatMul, Gemm, Conv, LSTM or GRU"
                : reasons.joined(separator: "; "))
    }
}

/// How a value becomes a code from 0 to 127.
struct ActivationCodes: Equatable {
    let scale: Float
    let zeroPoint: UInt8

    /// Codes of 7 bits, because the fast product adds two of them times a weight in 16 bits.
    static let codeMax = 127

    /// For values within a range, which is widened to hold 0: padding and rectified values must be exact.
    init(_ range: ClosedRange<Float>) {
        let low = min(range.lowerBound, 0)
        let high = max(range.upperBound, 0)
        let span = Double(high) - Double(low)
        // A value that is always 0 has any scale.
        let scale = span > 1e-30 ? span / Double(ActivationCodes.codeMax) : 1
        self.scale = Float(scale)
        zeroPoint = UInt8(min(max((-Double(low) / scale).rounded(), 0), Double(ActivationCodes.codeMax)))
    }

    private init(scale: Float, zeroPoint: UInt8) {
        (self.scale, self.zeroPoint) = (scale, zeroPoint)
    }

    /// A recurrent layer's state, which is from -1 to 1.
    static let hidden = ActivationCodes(scale: 1 / 63, zeroPoint: 64)

    /// The values of the least and the greatest code.
    var range: ClosedRange<Float> {
        let least = Float(-Int(zeroPoint)) * scale
        return least...Float(ActivationCodes.codeMax - Int(zeroPoint)) * scale
    }
}

/// Rewrites the graph of a model that is quantised.
private struct QuantizationEditor {
    private var model: EditableModel
    /// Where each node of the original graph stands now.
    private var places: [Int]
    /// Values that are quantised already, so that the layers that read one value share its codes.
    private var quantized: [String: String] = [:]
    private var weights: [String: String] = [:]
    private var replaced: Set<String> = []

    init(_ bytes: [UInt8], _ graph: Graph) throws(CompressionError) {
        model = try CompressionError.reading { () throws(ONNXError) in try EditableModel(onnx: bytes) }
        if graph.followsContract { model.setMetadata("martlet.precision", "\"int8\"") }
        places = Array(graph.nodes.indices)
    }

    mutating func quantize(_ layer: QuantizationPlan.Layer, _ node: Node, _ activation: ActivationCodes) {
        for input in layer.activations {
            let isState = node.isRecurrent && input > 0
            let value = quantizedValue(node.inputs[input], isState ? ActivationCodes.hidden : activation)
            model.setInput(input, ofNode: places[layer.node], to: value)
        }
        for input in Set(layer.matrices.map(\.weightInput)).sorted() {
            let parts = layer.matrices.filter { $0.weightInput == input }
            let value = quantizedWeight(parts, node, input)
            model.setInput(input, ofNode: places[layer.node], to: value)
        }
    }

    /// The file, and the names that nodes of the original graph have in it.
    func finished(_ nodes: [Int]) throws(CompressionError) -> (bytes: [UInt8], names: [String]) {
        var model = self.model
        model.removeUnusedInitializers(among: replaced)
        let edited = model
        return try CompressionError.reading { () throws(ONNXError) in
            let graph = try edited.graph()
            return (try edited.serialized(), nodes.map { graph.nodes[places[$0]].name })
        }
    }

    private mutating func insert(_ node: Node) {
        let place = model.insert(node)
        for index in places.indices where places[index] >= place { places[index] += 1 }
    }

    private mutating func constant(_ stem: String, shape: [Int], _ elements: Tensor.Elements) -> String {
        let name = model.unusedName(stem)
        model.setInitializer(Tensor(name: name, shape: shape, elements: elements))
        return name
    }

    private mutating func node(_ op: String, _ inputs: [String], _ stem: String, axis: Int64? = nil) -> String {
        let name = model.unusedName(stem)
        insert(
            Node(
                name: name, operatorName: op, inputs: inputs, outputs: [name],
                attributes: axis.map { ["axis": .integer($0)] } ?? [:]))
        return name
    }

    /// A value through 7 bits and back.
    private mutating func quantizedValue(_ name: String, _ codes: ActivationCodes) -> String {
        let key = "\(name)\u{0}\(codes.scale)"
        if let value = quantized[key] { return value }
        let range = codes.range
        let isHidden = codes == ActivationCodes.hidden
        let low = constant("\(name)_low", shape: [], .float([isHidden ? -1 : range.lowerBound]))
        let high = constant("\(name)_high", shape: [], .float([isHidden ? 1 : range.upperBound]))
        let scale = constant("\(name)_scale", shape: [], .float([codes.scale]))
        let zero = constant("\(name)_zero", shape: [], .uint8([codes.zeroPoint]))
        let clipped = node("Clip", [name, low, high], "\(name)_clipped")
        let levels = node("QuantizeLinear", [clipped, scale, zero], "\(name)_codes")
        let value = node("DequantizeLinear", [levels, scale, zero], "\(name)_dequantized")
        quantized[key] = value
        return value
    }

    /// A weight as bytes and back.
    private mutating func quantizedWeight(_ parts: [WeightedMatrix], _ node: Node, _ input: Int) -> String {
        let form = QuantizedWeight(parts, node)
        let source = parts[0].constant.tensor.name
        let key = "\(source)\u{0}\(form.axis)\u{0}\(form.shape)"
        if let value = weights[key] { return value }
        let name = constant("\(source)_int8", shape: form.shape, .int8(form.values))
        let scale = constant("\(source)_scale", shape: [form.scales.count], .float(form.scales))
        let zero = constant(
            "\(source)_zero", shape: [form.scales.count], .int8(Array(repeating: 0, count: form.scales.count)))
        let value = self.node("DequantizeLinear", [name, scale, zero], "\(source)_dequantized", axis: Int64(form.axis))
        weights[key] = value
        replaced.insert(source)
        replaced.insert(node.inputs[input])
        return value
    }
}

/// The bytes of a weight in the layout that its node wants, and a scale for each output.
struct QuantizedWeight {
    private(set) var shape: [Int]
    /// The axis along which the scales lie.
    let axis: Int
    private(set) var values: [Int8]
    private(set) var scales: [Float]

    /// So that the sum of four products of a code and a weight fits in 16 bits.
    static let magnitudeMax: Float = 63

    /// - Parameter parts: All matrices of one weight of a node.
    init(_ parts: [WeightedMatrix], _ node: Node) {
        let constant = parts[0].constant
        let map = parts[0].map
        // For each element the place in the constant and the output that it belongs to.
        let elements: [(place: Int, output: Int)]
        switch node.operatorName {
        case "MatMul" where parts[0].weightInput == 1, "Gemm" where node.integer("transB") == 0:
            (shape, axis) = ([map.columns, map.rows], 1)
            elements = (0..<map.rows * map.columns).map { index in
                let (column, row) = (index / map.rows, index % map.rows)
                return (map.place(row, column), row)
            }
        case "MatMul", "Gemm":
            (shape, axis) = ([map.rows, map.columns], 0)
            elements = map.places.enumerated().map { ($1, $0 / map.columns) }
        default:
            // A convolution's outputs are its first axis, a recurrent layer's rows the second one.
            shape = constant.tensor.shape
            axis = node.isRecurrent ? 1 : 0
            let inner = shape[(axis + 1)...].reduce(1, *)
            let (shape, axis) = (shape, axis)
            elements = constant.values.indices.map { ($0, $0 / inner % shape[axis]) }
        }
        var largest = Array(repeating: Float(0), count: shape[axis])
        for (place, output) in elements { largest[output] = max(largest[output], abs(constant.values[place])) }
        // An output without weights has any scale.
        let scales = largest.map { $0 > 1e-30 ? $0 / QuantizedWeight.magnitudeMax : 1 }
        values = elements.map { place, output in
            let level = (constant.values[place] / scales[output]).rounded(.toNearestOrEven)
            return Int8(min(max(level, -QuantizedWeight.magnitudeMax), QuantizedWeight.magnitudeMax))
        }
        self.scales = scales
    }
}
