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
        var compiler = try folding(node)
        try compiler.compile(node)
        var results: [(name: String, view: View, type: ElementType)] = []
        for name in node.outputs where !name.isEmpty {
            guard let value = compiler.values[name] else { continue }
            if case .constant(let tensor) = value.value {
                try keepConstant(name, tensor, integers: value.integers)
                continue
            }
            let view = try compiler.view(of: value, node)
            results.append((name, View(try compiler.contiguous(view, node), shape: view.shape), value.type))
        }
        try take(compiler)
        guard !results.isEmpty else { return }
        for result in results { compiler.list.outputs[result.name] = (result.view, result.type) }
        var runner = ProgramRunner(list: compiler.list)
        runner.run()
        for result in results {
            try keepConstant(result.name, runner.tensor(result.name))
        }
    }
}

extension Tensor {
    /// Elements that lie in memory as 32-bit floats.
    var floatValues: [Float]? {
        switch elements {
        case .float(let values), .float16(let values), .bfloat16(let values): values
        default: nil
        }
    }

    /// The elements of integer types and booleans.
    var integerValues: [Int64]? {
        if case .bool(let values) = elements { return values.map { $0 ? 1 : 0 } }
        return integers
    }

    /// The elements as 64-bit floats, whatever their type.
    var numbers: [Double]? { doubles ?? integers.map { $0.map(Double.init) } }

    /// A tensor of values that lie in memory as 64-bit integers.
    init(name: String, shape: [Int], integers: [Int64], type: ElementType) {
        let elements: Elements
        switch type {
        case .int8: elements = .int8(integers.map { Int8(truncatingIfNeeded: $0) })
        case .int16: elements = .int16(integers.map { Int16(truncatingIfNeeded: $0) })
        case .int32: elements = .int32(integers.map { Int32(truncatingIfNeeded: $0) })
        case .uint8: elements = .uint8(integers.map { UInt8(truncatingIfNeeded: $0) })
        case .uint16: elements = .uint16(integers.map { UInt16(truncatingIfNeeded: $0) })
        case .uint32: elements = .uint32(integers.map { UInt32(truncatingIfNeeded: $0) })
        case .uint64: elements = .uint64(integers.map { UInt64(bitPattern: $0) })
        case .bool: elements = .bool(integers.map { $0 != 0 })
        default: elements = .int64(integers)
        }
        self.init(name: name, shape: shape, elements: elements)
    }

    /// A tensor of values that lie in memory as 32-bit floats.
    init(name: String, shape: [Int], floats: [Float], type: ElementType) {
        switch type {
        case .float16: self.init(name: name, shape: shape, elements: .float16(floats))
        case .bfloat16: self.init(name: name, shape: shape, elements: .bfloat16(floats))
        default: self.init(name: name, shape: shape, elements: .float(floats))
        }
    }
}

extension ElementType {
    /// Whether there are sums and products of values of the type. Of 16-bit floats there are none: they lie in memory as
    /// 32-bit ones and are only converted.
    var hasArithmetic: Bool { self == .float || self == .double || isInteger && self != .bool }

    /// Whether values of the type lie in memory as 64-bit integers.
    var isInteger: Bool {
        switch self {
        case .float, .float16, .bfloat16, .double: false
        default: true
        }
    }
}
