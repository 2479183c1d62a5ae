import ONNX

/// Nodes whose inputs are all constants are computed at load, by the kernels that would compute them on every tick.
extension GraphCompiler {
    /// Whether every input of the node is a constant.
    func isConstant(_ node: Node) -> Bool {
        guard !isFolding, !node.inputs.isEmpty else { return false }
        return node.inputs.allSatisfy { name in
            guard !name.isEmpty else { return true }
            if case .constant = values[name]?.value { return true }
            return false
        }
    }

    /// Computes the outputs of a node whose inputs are constants.
    mutating func fold(_ node: Node) throws(ModelError) {
        var compiler = GraphCompiler(
            graph: Graph(opset: graph.opset, otherOpsets: graph.otherOpsets, nodes: [node]), isFolding: true)
        for name in node.inputs where !name.isEmpty { compiler.values[name] = values[name] }
        try compiler.compile(node)
        var results: [(name: String, view: View, type: ElementType)] = []
        for name in node.outputs where !name.isEmpty {
            guard let value = compiler.values[name] else { continue }
            if case .constant(let tensor) = value.value {
                defineConstant(name, tensor, integers: value.integers)
                continue
            }
            let view = try compiler.view(of: value, node)
            results.append((name, View(try compiler.contiguous(view, node), shape: view.shape), value.type))
        }
        guard !results.isEmpty else { return }
        for result in results { compiler.list.outputs[result.name] = (result.view, result.type) }
        var runner = ProgramRunner(list: compiler.list)
        runner.run()
        for result in results {
            defineConstant(result.name, runner.tensor(result.name, named: result.name))
        }
    }
}

extension Tensor {
    /// Elements that lie in memory as 32-bit floats.
    var floatValues: [Float]? { floats }

    /// The elements of integer types and booleans.
    var integerValues: [Int64]? {
        if case .bool(let values) = elements { return values.map { $0 ? 1 : 0 } }
        return integers
    }
}

extension ElementType {
    /// Whether values of the type lie in memory as 64-bit integers.
    var isInteger: Bool {
        switch self {
        case .float, .double: false
        default: true
        }
    }
}
