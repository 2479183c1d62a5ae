import ONNX

/// Turns a checked graph into a list of layers, or refuses it by node and operator.
///
/// Values are followed by name. Constants stay constants, selections of elements and affine maps stay pending until
/// something needs their elements, so that a mean and scale can go into the weights of the layer that follows.
struct GraphCompiler {
    /// What is known of a value.
    enum Value {
        case constant(Tensor)
        case operand(Operand)
        /// Elements of an operand by index.
        case selection(Operand, [Int32])
        /// An operand or a selection times `scale` plus `offset`, element by element.
        indirect case affine(Value, scale: [Double], offset: [Double])
    }

    struct ShapedValue {
        var value: Value
        var shape: [Int]
        /// The linear layer that makes exactly this value and may still take in a bias or an activation.
        var openLinear: Int?
    }

    /// Operands begin on cache lines and are padded to them.
    static let alignment = 16

    let graph: Graph
    let featureIndices: [Int32]
    let featureCount: Int
    var list = LayerList()
    var values: [String: ShapedValue] = [:]
    /// How often each value is read, by nodes and as an output of the graph.
    private(set) var uses: [String: Int] = [:]

    /// - Parameters:
    ///   - featureIndices: For each element of the model's input its index in the caller's feature vector.
    ///   - featureCount: Length of the caller's feature vector.
    init(graph: Graph, featureIndices: [Int], featureCount: Int) {
        self.graph = graph
        self.featureIndices = featureIndices.map { Int32($0) }
        self.featureCount = featureCount
    }

    /// Compiles the graph of a model with as many horizons as stated.
    static func compile(
        _ graph: Graph, featureIndices: [Int], featureCount: Int, horizonCount: Int
    ) throws(ModelError) -> LayerList {
        var compiler = GraphCompiler(graph: graph, featureIndices: featureIndices, featureCount: featureCount)
        try compiler.run(horizonCount: horizonCount)
        return compiler.list
    }

    private mutating func run(horizonCount: Int) throws(ModelError) {
        guard ModelLimits.opsets.contains(graph.opset) else {
            throw .onnx(
                .model(
                    reason: "operator set \(graph.opset), expected \(ModelLimits.opsets.lowerBound) to "
                        + "\(ModelLimits.opsets.upperBound)"))
        }
        for node in graph.nodes {
            for input in node.inputs { uses[input, default: 0] += 1 }
        }
        for output in graph.outputs { uses[output.name, default: 0] += 1 }
        for (name, tensor) in graph.initializers {
            values[name] = ShapedValue(value: .constant(tensor), shape: tensor.shape)
        }
        try defineInputs()
        for node in graph.nodes {
            try compile(node)
        }
        try bindOutputs(horizonCount: horizonCount)
    }

    // MARK: Memory

    /// Space in the arena for `count` floats.
    mutating func allocate(_ count: Int) throws(ModelError) -> Operand {
        let operand = Operand(space: .arena, offset: list.arenaCount, count: count)
        list.arenaCount += padded(count)
        guard list.arenaCount <= ModelLimits.arenaElements else {
            throw .limit(
                what: "elements of intermediate values", found: list.arenaCount,
                limit: ModelLimits.arenaElements)
        }
        return operand
    }

    /// `count` rounded up to whole cache lines.
    func padded(_ count: Int) -> Int {
        (count + GraphCompiler.alignment - 1) / GraphCompiler.alignment * GraphCompiler.alignment
    }

    /// Appends a layer and returns its place.
    @discardableResult
    mutating func append(_ layer: Layer) throws(ModelError) -> Int {
        guard list.layers.count < ModelLimits.layers else {
            throw .limit(what: "layers", found: list.layers.count + 1, limit: ModelLimits.layers)
        }
        list.layers.append(layer)
        return list.layers.count - 1
    }

    // MARK: Values

    func refused(_ node: Node, _ reason: String) -> ModelError {
        .node(name: node.name, operator: node.operatorName, reason: reason)
    }

    /// The value that stands at an input, which must be present.
    func input(_ node: Node, _ index: Int) throws(ModelError) -> ShapedValue {
        guard let value = try optionalInput(node, index) else {
            throw refused(node, "input \(index) is missing")
        }
        return value
    }

    func optionalInput(_ node: Node, _ index: Int) throws(ModelError) -> ShapedValue? {
        guard index < node.inputs.count, !node.inputs[index].isEmpty else { return nil }
        guard let value = values[node.inputs[index]] else {
            throw refused(node, "input '\(node.inputs[index])' is not available")
        }
        return value
    }

    /// The constant that stands at an input, or nil if the input is absent.
    func constantInput(_ node: Node, _ index: Int, _ what: String) throws(ModelError) -> Tensor? {
        guard let value = try optionalInput(node, index) else { return nil }
        guard case .constant(let tensor) = value.value else {
            throw refused(node, "\(what) '\(node.inputs[index])' is not a constant")
        }
        return tensor
    }

    /// The finite 32-bit floats that stand at an input, or nil if the input is absent.
    func floatsInput(_ node: Node, _ index: Int, _ what: String) throws(ModelError) -> Tensor? {
        guard let tensor = try constantInput(node, index, what) else { return nil }
        try checkFloats(tensor, node, what)
        return tensor
    }

    func checkFloats(_ tensor: Tensor, _ node: Node, _ what: String) throws(ModelError) {
        guard let floats = tensor.floats else {
            throw refused(node, "\(what) '\(tensor.name)' is \(tensor.elementType), expected float32")
        }
        guard floats.allSatisfy(\.isFinite) else {
            throw refused(node, "\(what) '\(tensor.name)' holds a value that is not finite")
        }
    }

    /// Number of elements of a shape, within the limits.
    func elementCount(_ shape: [Int], _ node: Node) throws(ModelError) -> Int {
        guard shape.count <= ModelLimits.rank else {
            throw .limit(
                what: "dimensions at node '\(node.name)'", found: shape.count, limit: ModelLimits.rank)
        }
        var count = 1
        for extent in shape {
            guard extent > 0 else { throw refused(node, "a value of shape \(shape)") }
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard !overflow, product <= ModelLimits.elements else {
                throw .limit(
                    what: "elements at node '\(node.name)'", found: overflow ? .max : product,
                    limit: ModelLimits.elements)
            }
            count = product
        }
        return count
    }

    /// The elements of a value in memory that vectors can be read from.
    mutating func materialised(_ value: ShapedValue, _ node: Node) throws(ModelError) -> Operand {
        switch value.value {
        case .operand(let operand):
            return operand
        case .constant(let tensor):
            try checkFloats(tensor, node, "input")
            let operand = try allocate(try elementCount(value.shape, node))
            list.constants.append((operand, tensor.floats ?? []))
            return operand
        case .selection(let source, let indices):
            let operand = try allocate(indices.count)
            try append(
                Layer(
                    name: node.name, operation: selection(source, indices), destination: operand,
                    shape: value.shape))
            return operand
        case .affine(let inner, let scale, let offset):
            // An affine map is of an operand or a selection, so that this goes one deep.
            let source = try materialised(ShapedValue(value: inner, shape: value.shape), node)
            let operand = try allocate(scale.count)
            try append(
                Layer(
                    name: node.name,
                    operation: .affine(
                        source: source, scale: scale.map(Float.init), offset: offset.map(Float.init)),
                    destination: operand, shape: value.shape))
            return operand
        }
    }

    /// The elements of a node's input in memory. They are put there once, however many nodes read them.
    mutating func operandInput(_ node: Node, _ index: Int) throws(ModelError) -> Operand {
        let value = try input(node, index)
        let operand = try materialised(value, node)
        values[node.inputs[index]]?.value = .operand(operand)
        return operand
    }

    /// The elements of a value where only one at a time is read, as linear layers do: the caller's features may then
    /// stay where they are.
    mutating func broadcastSource(_ value: ShapedValue, _ node: Node) throws(ModelError) -> Operand {
        if case .selection(let source, let indices) = value.value, isRun(indices), let first = indices.first {
            return Operand(space: source.space, offset: source.offset + Int(first), count: indices.count)
        }
        return try materialised(value, node)
    }

    private func isRun(_ indices: [Int32]) -> Bool {
        indices.enumerated().allSatisfy { $1 == indices[0] + Int32($0) }
    }

    private func selection(_ source: Operand, _ indices: [Int32]) -> Layer.Operation {
        guard isRun(indices), let first = indices.first else {
            return .gather(source: source, indices: indices)
        }
        return .copy(
            source: Operand(space: source.space, offset: source.offset + Int(first), count: indices.count))
    }

    /// Names a node's result.
    mutating func define(
        _ node: Node, _ value: Value, shape: [Int], output: Int = 0, openLinear: Int? = nil
    ) throws(ModelError) {
        guard output < node.outputs.count, !node.outputs[output].isEmpty else { return }
        _ = try elementCount(shape, node)
        values[node.outputs[output]] = ShapedValue(value: value, shape: shape, openLinear: openLinear)
    }

    /// Whether nothing but the node that is being compiled reads this value.
    func isReadOnce(_ name: String) -> Bool {
        uses[name] == 1
    }
}
