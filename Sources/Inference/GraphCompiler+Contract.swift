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

    /// The fixed shape of an input, a symbolic extent being 1: one tick of one instrument at a time.
    private func shape(_ value: GraphValue) throws(ModelError) -> [Int] {
        guard value.elementType == .float else {
            throw .value(name: value.name, reason: "it is \(value.elementType), expected float32")
        }
        var count = 1
        var shape: [Int] = []
        for dimension in value.shape {
            let extent = if case .fixed(let extent) = dimension { extent } else { 1 }
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard extent > 0, !overflow, product <= ModelLimits.elements else {
                throw .value(
                    name: value.name,
                    reason: "shape \(value.shape), expected 1 to \(ModelLimits.elements) elements")
            }
            count = product
            shape.append(extent)
        }
        return shape
    }

    /// Defines `features` and the states.
    mutating func defineInputs() throws(ModelError) {
        var hasFeatures = false
        for input in graph.inputs {
            let shape = try shape(input)
            if input.name == GraphCompiler.featuresName {
                try defineFeatures(input, shape: shape)
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

    private mutating func defineFeatures(_ input: GraphValue, shape: [Int]) throws(ModelError) {
        guard shape.count == 3, shape[0] == 1 else {
            throw .value(name: input.name, reason: "shape \(input.shape), expected [1, T, F]")
        }
        guard shape[1] == 1 else {
            throw .value(
                name: input.name,
                reason: "a window of \(shape[1]) ticks is not supported: one tick at a time, [1, 1, F]")
        }
        guard shape[2] == featureIndices.count else {
            throw .value(
                name: input.name,
                reason:
                    "\(shape[2]) features, but metadata 'martlet.feature_names' lists \(featureIndices.count)"
            )
        }
        let source = Operand(space: .features, offset: 0, count: featureCount)
        values[input.name] = ShapedValue(value: .selection(source, featureIndices), shape: shape)
    }

    private mutating func defineState(_ input: GraphValue, shape: [Int]) throws(ModelError) {
        let next = input.name + "_next"
        guard graph.outputs.contains(where: { $0.name == next }) else {
            throw .value(name: input.name, reason: "there is no output '\(next)' that carries it on")
        }
        let count = shape.reduce(1, *)
        values[input.name] = ShapedValue(
            value: .operand(Operand(space: .state, offset: list.stateCount, count: count)), shape: shape)
        list.stateCount += padded(count)
        guard list.stateCount <= ModelLimits.arenaElements else {
            throw .limit(what: "elements of state", found: list.stateCount, limit: ModelLimits.arenaElements)
        }
    }

    /// Checks the outputs against the contract and notes where they lie.
    mutating func bindOutputs(horizonCount: Int) throws(ModelError) {
        let shapes = GraphCompiler.outputShapes(horizonCount: horizonCount)
        guard graph.outputs.contains(where: { $0.name == GraphCompiler.probabilitiesName }) else {
            throw .value(name: GraphCompiler.probabilitiesName, reason: "the output is missing")
        }
        for output in graph.outputs {
            guard let value = values[output.name] else {
                throw .value(name: output.name, reason: "the output is not computed")
            }
            // Contract errors at an output are reported as at a node of its name.
            let node = Node(name: output.name, operatorName: "output", inputs: [], outputs: [])
            if let shape = shapes[output.name] {
                guard value.shape == shape else {
                    throw .value(name: output.name, reason: "shape \(value.shape), expected \(shape)")
                }
                list.outputs[output.name] = try arenaOperand(value, node)
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
        guard output.name.hasPrefix("state_"), output.name.hasSuffix(suffix),
            graph.inputs.contains(where: { $0.name == stateName }), let state = values[stateName],
            case .operand(let destination) = state.value
        else {
            throw .value(
                name: output.name,
                reason: "it is not an output of the model contract, nor the next value of a state input")
        }
        guard value.shape == state.shape else {
            throw .value(name: output.name, reason: "shape \(value.shape), expected \(state.shape)")
        }
        if case .operand(destination) = value.value { return }
        // The states are written after all are read, so that one state can take over another's value.
        list.stateUpdates.append((try arenaOperand(value, node), destination))
    }

    private mutating func arenaOperand(_ value: ShapedValue, _ node: Node) throws(ModelError) -> Operand {
        let operand = try materialised(value, node)
        guard operand.space != .arena else { return operand }
        let copy = try allocate(operand.count)
        try append(
            Layer(name: node.name, operation: .copy(source: operand), destination: copy, shape: value.shape))
        return copy
    }
}
