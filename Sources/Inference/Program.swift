public import ONNX

/// Any ONNX graph of fixed shapes, ready to run: tensors in, tensors out. For tools, tests and models that are not of
/// the streaming contract; what runs on every tick is a `Model`.
public struct Program: Sendable {
    let storage: PlanStorage

    /// The layers in the order in which they run.
    public var plan: [PlannedLayer] { storage.layers }

    /// Reads, checks and plans a graph. Never traps, whatever the graph.
    ///
    /// - Parameters:
    ///   - constants: Values for inputs that do not change, such as shapes: what depends on them alone is computed now.
    ///   - kernels: Which kernels to pack for; other than `.predicted` is for tests and measurements.
    /// - Throws: `ModelError` for what cannot be run, by name of node and operator. A symbolic extent counts as 1.
    public init(
        graph: Graph, constants: [String: Tensor] = [:], kernels: KernelPolicy = .predicted
    ) throws(ModelError) {
        var compiler = GraphCompiler(graph: graph)
        for input in graph.inputs {
            if let tensor = constants[input.name] {
                guard tensor.elementType == input.elementType else {
                    throw .value(
                        name: input.name, reason: "a constant of \(tensor.elementType), expected \(input.elementType)")
                }
                compiler.defineConstant(input.name, tensor)
            } else {
                try compiler.defineFreeInput(input)
            }
        }
        try compiler.compileNodes()
        for output in graph.outputs { try compiler.bindFreeOutput(output) }
        compiler.finishLayers()
        storage = PlanStorage(compiler.list, policy: kernels)
    }

    /// Computes all outputs. Allocates.
    ///
    /// - Throws: `ModelError.value` for an input that is missing or of another type or shape than the graph says.
    public func run(_ inputs: [String: Tensor]) throws(ModelError) -> [String: Tensor] {
        var runner = ProgramRunner(storage)
        for (name, input) in storage.list.inputs {
            guard let tensor = inputs[name] else { throw .value(name: name, reason: "no value is given") }
            guard tensor.shape == input.shape, tensor.elementType == input.type else {
                throw .value(
                    name: name,
                    reason: "a value of \(tensor.elementType) and shape \(tensor.shape), expected \(input.type) and "
                        + "\(input.shape)")
            }
            runner.set(input.operand, tensor)
        }
        runner.run()
        var results: [String: Tensor] = [:]
        for name in storage.list.outputs.keys { results[name] = runner.tensor(name) }
        return results
    }
}

/// A plan without state in memory of its own.
struct ProgramRunner: ~Copyable {
    private let storage: PlanStorage
    private let memory: PlanMemory
    private let state: UnsafeMutableRawPointer

    init(_ storage: PlanStorage) {
        self.storage = storage
        memory = PlanMemory(storage)
        state = .allocate(byteCount: max(storage.placement.stateBytes, 64), alignment: 64)
        memory.reset(state)
    }

    init(list: LayerList) {
        self.init(PlanStorage(list, policy: .predicted))
    }

    deinit { state.deallocate() }

    mutating func run() {
        memory.runCurrent(features: UnsafePointer(memory.arena.assumingMemoryBound(to: Float.self)), state: state)
    }

    func address(_ operand: Operand) -> UnsafeMutableRawPointer {
        let storage = self.storage.list.buffers[operand.buffer].storage
        return memory.arena + self.storage.placement.offsets[operand.buffer] + operand.offset * storage.byteCount
    }

    mutating func set(_ operand: Operand, _ tensor: Tensor) {
        tensor.store(at: address(operand))
    }

    /// The value of an output.
    func tensor(_ name: String) -> Tensor {
        guard let (view, type) = storage.list.outputs[name] else {
            preconditionFailure("Only outputs of the plan are asked for.")
        }
        return Tensor(name: name, view: view, type: type, at: address(view.operand))
    }
}

extension Tensor {
    /// Writes the elements in the form of their storage.
    func store(at target: UnsafeMutableRawPointer) {
        func store<Element: BitwiseCopyable>(_ values: [Element]) {
            values.withUnsafeBytes {
                if let base = $0.baseAddress { target.copyMemory(from: base, byteCount: $0.count) }
            }
        }
        if let floats = floatValues {
            store(floats)
        } else if let integers = integerValues {
            store(integers)
        } else if let doubles {
            store(doubles)
        }
    }

    /// Reads the elements of a view whose operand begins at `source`.
    init(name: String, view: View, type: ElementType, at source: UnsafeMutableRawPointer) {
        func load<Element: BitwiseCopyable>(_ element: Element.Type) -> [Element] {
            let base = source.assumingMemoryBound(to: element)
            return view.indices.map { base[$0] }
        }
        if view.count == 0 {
            self.init(name: name, shape: view.shape, empty: type)
            return
        }
        switch Storage(type) {
        case .float, .byte: self.init(name: name, shape: view.shape, floats: load(Float.self), type: type)
        case .integer: self.init(name: name, shape: view.shape, integers: load(Int64.self), type: type)
        case .double: self.init(name: name, shape: view.shape, elements: .double(load(Double.self)))
        }
    }

    /// A tensor of a shape with a 0 in it.
    init(name: String, shape: [Int], empty type: ElementType) {
        switch Storage(type) {
        case .float, .byte: self.init(name: name, shape: shape, floats: [], type: type)
        case .integer: self.init(name: name, shape: shape, integers: [], type: type)
        case .double: self.init(name: name, shape: shape, elements: .double([]))
        }
    }
}

extension GraphCompiler {
    /// The fixed shape of an input, a symbolic extent being 1: one tick of one instrument at a time.
    func fixedShape(_ value: GraphValue) throws(ModelError) -> [Int] {
        var count = 1
        var shape: [Int] = []
        for dimension in value.shape {
            let extent = if case .fixed(let extent) = dimension { extent } else { 1 }
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow, product <= ModelLimits.elements, shape.count < ModelLimits.rank else {
                throw .value(
                    name: value.name,
                    reason: "shape \(value.shape), expected up to \(ModelLimits.elements) elements")
            }
            count = product
            shape.append(extent)
        }
        return shape
    }

    /// An input that the caller gives, of any type.
    mutating func defineFreeInput(_ input: GraphValue) throws(ModelError) {
        let shape = try fixedShape(input)
        current = input.name
        let operand = try allocate(shape.reduce(1, *), Storage(input.elementType), place: .pinned)
        list.inputs[input.name] = (operand, shape, input.elementType)
        values[input.name] = ShapedValue(
            value: .view(View(operand, shape: shape)), type: input.elementType, shape: shape)
    }

    /// An output that the caller takes, whatever it is.
    mutating func bindFreeOutput(_ output: GraphValue) throws(ModelError) {
        guard let value = values[output.name] else {
            throw .value(name: output.name, reason: "the output is not computed")
        }
        let node = Node(name: output.name, operatorName: "output", inputs: [], outputs: [])
        current = output.name
        let view = try view(of: value, node)
        // Every run makes a tensor of it.
        try spendBytes(12 * view.count)
        list.outputs[output.name] = (view, value.type)
    }
}
