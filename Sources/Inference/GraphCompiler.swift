import ONNX

/// Turns a checked graph into a list of layers, or refuses it by node and operator.
///
/// Values are followed by name. Constants stay constants, layout operators only change views, and affine maps and
/// quantised values stay pending until something needs their elements: so a mean and scale can go into the weights of
/// the layer that follows, and a product of two dequantised values becomes one of integers.
struct GraphCompiler {
    /// What is known of a value.
    enum Value {
        case constant(Tensor)
        case view(View)
        /// A view times `scale` plus `offset`, element by element in row-major order. 32-bit floats.
        case affine(View, scale: [Double], offset: [Double])
        /// What `QuantizeLinear` makes of 32-bit floats: not computed before somebody needs it.
        case quantized(View, Quantization)
        /// What `DequantizeLinear` makes of that.
        case dequantized(View, Quantization)
    }

    struct ShapedValue {
        var value: Value
        var type: ElementType
        var shape: [Int]
        /// The linear layer that makes exactly this value and may still take in a bias or an activation.
        var openLinear: Int?
        /// Bounds that every element is known to keep.
        var range: ClosedRange<Float>?
        /// The value before it was clipped, and the layer that clips it: what quantises it needs no clip.
        var unclipped: (view: View, layer: Int)?
        /// Of a constant that `DequantizeLinear` made: the integers that it was.
        var integers: IntegerConstant?
    }

    let graph: Graph
    /// Whether a single node is computed at load: its constant inputs are values like others.
    let isFolding: Bool
    var list = LayerList()
    var values: [String: ShapedValue] = [:]
    /// How often each value is read, by nodes and as an output of the graph.
    private(set) var uses: [String: Int] = [:]
    /// The bytes of quantised values, so that each is quantised once.
    var quantizedOperands: [QuantizedKey: Operand] = [:]
    /// Layers whose results turned out to be needed by nobody.
    var deadLayers: Set<Int> = []
    /// Which values of a window are computed for the newest tick only; nil where all is computed anew.
    var streaming: StreamPlan?
    /// Those values, by name.
    var streams: [String: StreamedValue] = [:]
    /// Values with a row for each window under way, by name.
    var staggers: [String: StaggeredValue] = [:]
    /// States that only keep the newest rows of a value, by the name of the value that joins them with a new one.
    var ringStates: [String: RingState] = [:]
    /// The states of the model contract, by the name of their input.
    var states: [String: Operand] = [:]
    /// Matrices that were made of constants.
    var made = WeightCache()
    var costs = PlanCosts()
    /// The node, input or output that is being compiled, for errors.
    var current = ""

    init(graph: Graph, isFolding: Bool = false) {
        self.graph = graph
        self.isFolding = isFolding
        for node in graph.nodes {
            for input in node.inputs { uses[input, default: 0] += 1 }
        }
        for output in graph.outputs { uses[output.name, default: 0] += 1 }
        for (name, tensor) in graph.initializers { defineConstant(name, tensor) }
    }

    mutating func defineConstant(_ name: String, _ tensor: Tensor, integers: IntegerConstant? = nil) {
        values[name] = ShapedValue(
            value: .constant(tensor), type: tensor.elementType, shape: tensor.shape, integers: integers)
    }

    /// Compiles all nodes in their order.
    mutating func compileNodes() throws(ModelError) {
        for node in graph.nodes {
            current = node.name
            if let plan = streaming, !isConstant(node),
                node.inputs.contains(where: { streams[$0] != nil || staggers[$0] != nil })
            {
                if definedByPlan(node, plan) { continue }
                let isStaggered = plan.staggered[node.key] != nil || node.inputs.contains { staggers[$0] != nil }
                if isStaggered { try compileStaggered(node, plan) } else { try compileStreamed(node, plan) }
            } else {
                try compile(node)
            }
        }
    }

    // MARK: Memory

    mutating func allocateConstant(_ values: ConstantValues, _ storage: Storage) throws(ModelError) -> Operand {
        let operand = try allocate(values.count, storage, place: .constant)
        list.buffers[operand.buffer].values = values
        return operand
    }

    func storage(_ operand: Operand) -> Storage { list.buffers[operand.buffer].storage }

    func place(_ operand: Operand) -> Buffer.Place { list.buffers[operand.buffer].place }

    /// Appends a layer and returns its place.
    @discardableResult
    mutating func append(
        _ node: Node, _ operation: Layer.Operation, to destination: Operand, shape: [Int]
    ) throws(ModelError) -> Int {
        guard list.layers.count < ModelLimits.layers else {
            throw .limit(what: "layers", found: list.layers.count + 1, limit: ModelLimits.layers)
        }
        var operation = operation
        if case .general(var general) = operation {
            // General operations find their operands in the engine's memory only.
            for (index, source) in general.sources.enumerated() where !isInArena(source) {
                general.sources[index] = try copiedToArena(source, node, shape: shape)
            }
            operation = .general(general)
        }
        let layer = Layer(name: node.name, operation: operation, destination: destination, shape: shape)
        try spend(layer)
        list.layers.append(layer)
        return list.layers.count - 1
    }

    /// A copy of an operand that lies elsewhere. Copies are made of words of 32 bits: of elements that take more, all of the
    /// buffer is copied.
    private mutating func copiedToArena(
        _ source: Operand, _ node: Node, shape: [Int]
    ) throws(ModelError) -> Operand {
        let buffer = list.buffers[source.buffer]
        let words = buffer.storage.byteCount / 4
        let isWhole = words > 1
        let part = isWhole ? Operand(buffer: source.buffer, count: buffer.count * words) : source
        let copy = try allocate(isWhole ? buffer.count : source.count, buffer.storage)
        list.layers.append(
            Layer(
                name: node.name, operation: .copy(source: part),
                destination: Operand(buffer: copy.buffer, count: part.count), shape: shape))
        return isWhole ? Operand(buffer: copy.buffer, offset: source.offset, count: source.count) : copy
    }

    private func isInArena(_ operand: Operand) -> Bool {
        switch place(operand) {
        case .arena, .pinned, .constant: true
        case .features, .state, .ring: false
        }
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
        guard let floats = tensor.floats else {
            throw refused(node, "\(what) '\(tensor.name)' is \(tensor.elementType), expected float32")
        }
        guard floats.allSatisfy(\.isFinite) else {
            throw refused(node, "\(what) '\(tensor.name)' holds a value that is not finite")
        }
        return tensor
    }

    /// The integers of a constant input, a list or a single one, or nil if it is absent.
    func integersInput(_ node: Node, _ index: Int, _ what: String) throws(ModelError) -> [Int64]? {
        guard let tensor = try constantInput(node, index, what) else { return nil }
        guard let integers = tensor.integers, tensor.shape.count <= 1, integers.count <= ModelLimits.elements
        else {
            throw refused(node, "\(what) is no list of integers")
        }
        return integers
    }

    /// Number of elements of a shape, within the limits.
    @discardableResult
    func elementCount(_ shape: [Int], _ node: Node) throws(ModelError) -> Int {
        guard shape.count <= ModelLimits.rank else {
            throw .limit(
                what: "dimensions at node '\(node.name)'", found: shape.count, limit: ModelLimits.rank)
        }
        var count = 1
        for extent in shape {
            guard extent >= 0, extent <= ModelLimits.elements else { throw refused(node, "a value of shape \(shape)") }
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

    /// Names a node's result.
    mutating func define(
        _ node: Node, _ value: Value, _ type: ElementType, shape: [Int], output: Int = 0, openLinear: Int? = nil,
        range: ClosedRange<Float>? = nil
    ) throws(ModelError) {
        guard output < node.outputs.count, !node.outputs[output].isEmpty else { return }
        try elementCount(shape, node)
        switch value {
        // Two numbers of 64 bits for each element.
        case .affine(_, let scale, _):
            try spendVisits(scale.count)
            try spendBytes(16 * scale.count)
        case .constant, .view, .quantized, .dequantized: break
        }
        values[node.outputs[output]] = ShapedValue(
            value: value, type: type, shape: shape, openLinear: openLinear, range: range)
    }

    /// Whether nothing but the node that is being compiled reads this value.
    func isReadOnce(_ name: String) -> Bool {
        uses[name] == 1
    }

    // MARK: Elements in memory

    /// The elements of a node's input as a view. They are put into memory once, however many nodes read them.
    mutating func viewInput(_ node: Node, _ index: Int) throws(ModelError) -> View {
        let value = try input(node, index)
        let view = try self.view(of: value, node)
        if case .constant = value.value {} else { values[node.inputs[index]]?.value = .view(view) }
        return view
    }

    /// As `viewInput`, of 32-bit floats.
    mutating func floatInput(_ node: Node, _ index: Int) throws(ModelError) -> View {
        let value = try input(node, index)
        guard value.type == .float else {
            throw refused(node, "input '\(node.inputs[index])' is \(value.type), expected float32")
        }
        return try viewInput(node, index)
    }

    /// A value's elements in memory.
    mutating func view(of value: ShapedValue, _ node: Node) throws(ModelError) -> View {
        switch value.value {
        case .view(let view): return view
        case .constant(let tensor):
            return View(try constantOperand(tensor, node), shape: tensor.shape)
        case .affine(let view, let scale, let offset):
            return try materialised(view, scale: scale, offset: offset, node)
        case .quantized(let view, let quantizer):
            return try quantizedElements(view, quantizer, node)
        case .dequantized(let view, let quantizer):
            return try dequantizedElements(view, quantizer, node)
        }
    }

    private mutating func constantOperand(_ tensor: Tensor, _ node: Node) throws(ModelError) -> Operand {
        if let floats = tensor.floatValues { return try allocateConstant(.float(floats), .float) }
        if let integers = tensor.integerValues { return try allocateConstant(.integer(integers), .integer) }
        if case .double(let doubles) = tensor.elements { return try allocateConstant(.double(doubles), .double) }
        throw refused(node, "constant '\(tensor.name)' is \(tensor.elementType), which is not supported")
    }

    /// `view * scale + offset` in the layout of the view, as far as that is dense.
    private mutating func materialised(
        _ view: View, scale: [Double], offset: [Double], _ node: Node
    ) throws(ModelError) -> View {
        let flat = try self.flat(view, node)
        var scales = Array(repeating: Float(0), count: flat.operand.count)
        var offsets = scales
        for (index, place) in flat.indices.enumerated() {
            scales[place] = Float(scale[index])
            offsets[place] = Float(offset[index])
        }
        let destination = try allocate(flat.operand.count)
        try append(
            node, .affine(source: flat.operand, scale: scales, offset: offsets), to: destination, shape: view.shape)
        return View(destination, start: flat.start, shape: flat.shape, strides: flat.strides)
    }

    /// The same elements over an operand that can be walked from its first to its last element in vectors: aligned,
    /// in the engine's memory or the state, and with few elements beside those of the view, each once.
    mutating func flat(_ view: View, _ node: Node) throws(ModelError) -> View {
        let (first, last) = view.extent
        let start = view.operand.offset + first
        let span = last - first + 1
        if view.count > 0, start % 8 == 0, span <= 2 * view.count, isWalkable(view.operand), !view.repeatsElements {
            return View(
                Operand(buffer: view.operand.buffer, offset: start, count: span), start: view.start - first,
                shape: view.shape, strides: view.strides)
        }
        return View(try contiguous(view, node), shape: view.shape)
    }

    private func isWalkable(_ operand: Operand) -> Bool {
        switch place(operand) {
        case .features: false
        // A ring's window begins wherever its newest row is.
        case .ring(_, let width): width % 8 == 0
        case .arena, .pinned, .constant, .state: true
        }
    }

    /// The elements side by side in row-major order, aligned; copied if they do not lie so.
    mutating func contiguous(_ view: View, _ node: Node) throws(ModelError) -> Operand {
        let start = view.operand.offset + view.start
        if view.isContiguous, start % 8 == 0, isWalkable(view.operand) {
            return Operand(buffer: view.operand.buffer, offset: start, count: view.count)
        }
        return try gathered(view.operand, view.indices.map { Int32($0) }, shape: view.shape, node)
    }

    /// Copies elements by index; negative indices give 0.
    mutating func gathered(
        _ source: Operand, _ indices: [Int32], shape: [Int], _ node: Node
    ) throws(ModelError) -> Operand {
        let storage = storage(source)
        let destination = try allocate(indices.count, storage)
        switch storage {
        case .float:
            let first = indices.first ?? 0
            let isRun = first >= 0 && indices.enumerated().allSatisfy { $1 == first + Int32($0) }
            try append(
                node,
                isRun
                    ? .copy(source: source.part(Int(first), indices.count))
                    : .gather(source: source, indices: indices, fill: 0),
                to: destination, shape: shape)
        case .integer, .double:
            try append(
                node, .general(GeneralOperation(.gather(indices, fill: 0), [source])), to: destination, shape: shape)
        case .byte:
            preconditionFailure("Bytes are gathered by the product that reads them.")
        }
        return destination
    }

    /// Takes out the layers that nobody needs, and joins those that can be one.
    mutating func finishLayers() {
        list.remove(deadLayers)
        list.fuseQuantization()
        list.fuseOffsets()
    }
}
