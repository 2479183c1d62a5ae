import ONNX

/// Which layers of a float model become integer products, and of which values.
struct QuantizationPlan {
    /// One weighted node.
    struct Layer {
        let node: Int
        let matrices: [WeightedMatrix]
        /// The node's inputs that are quantised values from then on.
        var activations: [Int]
        /// Why it stays in floats; nil if it does not.
        var reason: String?
    }

    private(set) var layers: [Layer] = []
    private let graph: Graph

    init(_ graph: Graph, _ matrices: [WeightedMatrix], keepsLast: Bool) {
        self.graph = graph
        for node in Set(matrices.flatMap(\.nodes)).sorted() {
            let own = matrices.filter { $0.nodes.contains(node) }
            let activations = Set(own.map(\.activationInput)).sorted()
            var layer = Layer(node: node, matrices: own, activations: activations)
            layer.reason = reason(layer, keepsLast: keepsLast)
            layers.append(layer)
        }
    }

    /// The values that the layers read and whose ranges are to be measured.
    var activationNames: [String] {
        var names: Set<String> = []
        for layer in layers where layer.reason == nil {
            let node = graph.nodes[layer.node]
            // The hidden state's range is known.
            for input in layer.activations where !(node.isRecurrent && input > 0) { names.insert(node.inputs[input]) }
        }
        return names.sorted()
    }

    /// Leaves recurrent layers that run several steps at once in floats, now that shapes are known.
    mutating func keepWindows(_ shapes: [String: [Int]]) {
        for index in layers.indices where layers[index].reason == nil {
            let node = graph.nodes[layers[index].node]
            guard node.isRecurrent, let shape = shapes[node.inputs[0]], shape.count == 3 else { continue }
            let steps = shape[node.integer("layout") == 0 ? 0 : 1]
            if steps > 1 { layers[index].reason = "it runs \(steps) steps at once" }
        }
    }

    private func reason(_ layer: Layer, keepsLast: Bool) -> String? {
        let node = graph.nodes[layer.node]
        if layer.matrices.contains(where: { $0.constant.zeroPoints != nil }) { return "it is quantised" }
        if keepsLast, layer.matrices.contains(where: \.isLast) { return "it is the last layer" }
        if layer.matrices.contains(where: { $0.map.columns > ModelLimits.integerColumns }) {
            return "it has more than \(ModelLimits.integerColumns) inputs"
        }
        switch node.operatorName {
        case "Gemm":
            if node.integer("transA") != 0 { return "its attribute transA is set" }
            for name in ["alpha", "beta"] {
                if case .float(let factor)? = node.attributes[name], factor != 1 { return "its \(name) is \(factor)" }
            }
        case "RNN": return "an RNN is not quantised"
        case "LSTM", "GRU":
            guard node.inputs.count > 5, !node.inputs[5].isEmpty else { return "it has no initial state" }
            if node.operatorName == "GRU", node.integer("linear_before_reset") == 0 {
                return "its linear_before_reset is 0, so that the product of its state is not one of integers"
            }
        default: break
        }
        return nil
    }
}

extension Node {
    /// Whether it is a layer with a state.
    var isRecurrent: Bool { ["LSTM", "GRU", "RNN"].contains(operatorName) }
}
