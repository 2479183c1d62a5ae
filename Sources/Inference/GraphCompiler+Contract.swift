import ONNX

/// The model contract: which inputs and outputs a graph has, and of which shapes.
extension GraphCompiler {
    static let featuresName = "features"
    static let probabilitiesName = "probabilities"

    /// Shapes of the outputs other than the states, for `horizonCount` horizons.
    private static func outputShapes(horizonCount: Int) -> [String: [Int]] {
        [
            probabilitiesName: [1, horizonCount, 3],
            "expected_return": [1, horizonCount],
            "volatility": [1, horizonCount],
            "value_at_risk": [1, horizonCount, 2],
            "expected_shortfall": [1, horizonCount, 2],
            "trend": [1, 3],
            "position": [1, 1],
        ]
    }

    /// Compiles the graph of a model with as many horizons as stated.
    ///
    /// - Parameters:
    ///   - featureIndices: For each element of the model's input its index in the caller's feature vector.
    ///   - featureCount: Length of the caller's feature vector.
    static func compile(
        _ graph: Graph, featureIndices: [Int], featureCount: Int, horizonCount: Int, streaming: StreamingMode
    ) throws(ModelError) -> (list: LayerList, plan: StreamPlan?) {
        let graph = graph.namingSequences()
        func compile(_ plan: StreamPlan?) throws(ModelError) -> GraphCompiler {
            var compiler = GraphCompiler(graph: graph)
            compiler.streaming = plan
            try compiler.defineInputs(featureIndices: featureIndices, featureCount: featureCount)
            try compiler.compileNodes()
            try compiler.bindOutputs(horizonCount: horizonCount)
            compiler.finishLayers()
            compiler.list.arrange()
            return compiler
        }
        let whole = try compile(nil)
        guard let shape = whole.values[featuresName]?.shape, shape[1] > 1 else { return (whole.list, nil) }
        if let state = graph.inputs.first(where: { $0.name != featuresName }) {
            // Until the window is full it is padded in one way and in the other, and a state may remember that for ever.
            var plan = StreamPlan()
            plan.barriers.append((state.name, "input", "a state would remember ticks from before the first window"))
            return (whole.list, plan)
        }
        var analysis = StreamAnalysis(whole)
        let plan = try analysis.plan(features: featuresName, window: shape[1])
        if streaming == .recompute || plan.isEmpty { return (whole.list, plan) }
        return (try compile(plan).list, plan)
    }

    /// Defines `features` and the states.
    private mutating func defineInputs(featureIndices: [Int], featureCount: Int) throws(ModelError) {
        var hasFeatures = false
        for input in graph.inputs {
            current = input.name
            guard input.elementType == .float else {
                throw .value(name: input.name, reason: "it is \(input.elementType), expected float32")
            }
            let shape = try fixedShape(input)
            guard !shape.contains(0) else {
                throw .value(name: input.name, reason: "shape \(input.shape), expected 1 element or more")
            }
            if input.name == GraphCompiler.featuresName {
                try defineFeatures(input, shape: shape, featureIndices.map { Int32($0) }, featureCount: featureCount)
                hasFeatures = true
            } else if input.name.hasPrefix("state_") {
                try defineState(input, shape: shape)
            } else {
                throw .value(
                    name: input.name, reason: "an input is called 'features' or begins with 'state_'")
            }
        }
        guard hasFeatures else {
            throw .value(name: GraphCompiler.featuresName, reason: "the input is missing")
        }
    }

    private mutating func defineFeatures(
        _ input: GraphValue, shape: [Int], _ indices: [Int32], featureCount: Int
    ) throws(ModelError) {
        guard shape.count == 3, shape[0] == 1 else {
            throw .value(name: input.name, reason: "shape \(input.shape), expected [1, T, F]")
        }
        guard shape[2] == indices.count else {
            throw .value(
                name: input.name,
                reason:
                    "\(shape[2]) features, but metadata 'martlet.feature_names' lists \(indices.count)"
            )
        }
        let node = Node(name: input.name, operatorName: "input", inputs: [], outputs: [])
        let source = try allocate(featureCount, place: .features)
        let first = indices[0]
        let isRun = indices.enumerated().allSatisfy { $1 == first + Int32($0) }
        guard shape[1] > 1 else {
            let operand =
                isRun
                ? source.part(Int(first), indices.count) : try gathered(source, indices, shape: shape, node)
            values[input.name] = ShapedValue(value: .view(View(operand, shape: shape)), type: .float, shape: shape)
            return
        }
        if let plan = streaming {
            let operand =
                isRun
                ? source.part(Int(first), indices.count) : try gathered(source, indices, shape: [shape[2]], node)
            values[input.name] = ShapedValue(
                value: .view(View(operand, shape: [1, 1, shape[2]])), type: .float, shape: [1, 1, shape[2]])
            return try beginStream(input.name, plan, node)
        }
        let row = try gathered(source, indices, shape: [shape[2]], node)
        let ring = try pushed(row, width: shape[2], depth: shape[1], node)
        let width = (shape[2] + 15) / 16 * 16
        let view = View(ring, start: 0, shape: shape, strides: [shape[1] * width, width, 1])
        values[input.name] = ShapedValue(value: .view(view), type: .float, shape: shape)
    }

    /// Keeps the newest rows of a value, this tick's among them, in the state: all of the ring.
    mutating func pushed(_ row: Operand, width: Int, depth: Int, _ node: Node) throws(ModelError) -> Operand {
        // Rows begin on cache lines.
        let storage = storage(row)
        let line = 64 / storage.byteCount
        let padded = (width + line - 1) / line * line
        let ring = try allocate(depth * padded, storage, place: .ring(depth: depth, width: padded))
        try append(node, .push(source: row), to: ring.part((depth - 1) * padded, width), shape: [width])
        return ring
    }

    private mutating func defineState(_ input: GraphValue, shape: [Int]) throws(ModelError) {
        let next = input.name + "_next"
        guard graph.outputs.contains(where: { $0.name == next }) else {
            throw .value(name: input.name, reason: "there is no output '\(next)' that carries it on")
        }
        if let ring = try ringState(input.name, shape: shape) {
            ringStates[ring.output] = ring
            return
        }
        try defineKeptState(input.name, shape: shape)
    }

    /// A state that is kept from one tick to the next as it is.
    mutating func defineKeptState(_ name: String, shape: [Int]) throws(ModelError) {
        let operand = try allocate(shape.reduce(1, *), place: .state)
        states[name] = operand
        values[name] = ShapedValue(value: .view(View(operand, shape: shape)), type: .float, shape: shape)
    }

    /// Checks the outputs against the contract and notes where they lie.
    private mutating func bindOutputs(horizonCount: Int) throws(ModelError) {
        let shapes = GraphCompiler.outputShapes(horizonCount: horizonCount)
        guard graph.outputs.contains(where: { $0.name == GraphCompiler.probabilitiesName }) else {
            throw .value(name: GraphCompiler.probabilitiesName, reason: "the output is missing")
        }
        for output in graph.outputs {
            current = output.name
            if streams[output.name] != nil { values[output.name] = try wholeWindow(output.name) }
            guard let value = values[output.name], value.type == .float else {
                throw .value(name: output.name, reason: "the output is not computed, or is no float32")
            }
            // Contract errors at an output are reported as at a node of its name.
            let node = Node(name: output.name, operatorName: "output", inputs: [], outputs: [])
            if let shape = shapes[output.name] {
                guard value.shape == shape else {
                    throw .value(name: output.name, reason: "shape \(value.shape), expected \(shape)")
                }
                let operand = try contiguous(try view(of: value, node), node)
                list.outputs[output.name] = (View(operand, shape: shape), .float)
            } else {
                try bindState(output, value, node)
            }
        }
    }

    private mutating func bindState(
        _ output: GraphValue, _ value: ShapedValue, _ node: Node
    ) throws(ModelError) {
        let suffix = "_next"
        let stateName = String(output.name.dropLast(suffix.count))
        if ringStates.values.contains(where: { $0.state == stateName }) { return }
        guard output.name.hasPrefix("state_"), output.name.hasSuffix(suffix), let destination = states[stateName],
            let input = graph.inputs.first(where: { $0.name == stateName })
        else {
            throw .value(
                name: output.name,
                reason: "it is not an output of the model contract, nor the next value of a state input")
        }
        let shape = try fixedShape(input)
        guard value.shape == shape else {
            throw .value(name: output.name, reason: "shape \(value.shape), expected \(shape)")
        }
        let view = try self.view(of: value, node)
        if view.operand == destination, view.isContiguous { return }
        // The states are written after all are read, so that one state can take over another's value.
        list.stateUpdates.append((try arenaOperand(value, node), destination))
    }

    /// The elements of a value side by side in the engine's memory.
    private mutating func arenaOperand(_ value: ShapedValue, _ node: Node) throws(ModelError) -> Operand {
        let operand = try contiguous(try view(of: value, node), node)
        if place(operand) == .arena { return operand }
        let copy = try allocate(operand.count)
        try append(node, .copy(source: operand), to: copy, shape: value.shape)
        return copy
    }
}

extension Graph {
    /// With names for the sequences that recurrent nodes make and nobody reads: a stream calls such a node by its first
    /// result, which has a row for each window under way, as the last state has not.
    fileprivate func namingSequences() -> Graph {
        let nodes = self.nodes.enumerated().map { index, node in
            guard StreamAnalysis.recurrent.contains(node.operatorName), let first = node.outputs.first, first.isEmpty
            else { return node }
            return Node(
                name: node.name, operatorName: node.operatorName, domain: node.domain, inputs: node.inputs,
                outputs: ["\u{0}sequence\(index)"] + node.outputs.dropFirst(), attributes: node.attributes)
        }
        return with(nodes: nodes)
    }
}
