import ONNX

/// What each operator becomes.
extension GraphCompiler {
    /// Operators that can be run, for the error of all others.
    private static let layoutOperators: Set<String> = [
        "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Gather",
    ]

    /// Compiles one node, or throws an error that names it.
    mutating func compile(_ node: Node) throws(ModelError) {
        guard node.domain.isEmpty else {
            throw refused(node, "operators of domain '\(node.domain)' are not supported")
        }
        switch node.operatorName {
        case "Constant": try compileConstant(node)
        case "Gemm": try compileGemm(node)
        case "MatMul": try compileMatMul(node)
        case "Add", "Sub", "Mul", "Div": try compileArithmetic(node)
        case "Relu": try compileActivation(node, .relu)
        case "Tanh": try compileActivation(node, .tanh)
        case "Sigmoid": try compileActivation(node, .sigmoid)
        case "Clip": try compileActivation(node, try clip(node))
        case "Softmax": try compileSoftmax(node)
        case "GRU": try compileGRU(node)
        case "LSTM": try compileLSTM(node)
        case "Concat": try compileConcat(node)
        case let name where GraphCompiler.layoutOperators.contains(name): try compileLayout(node)
        default: throw refused(node, "the operator is not supported")
        }
    }

    // MARK: Attributes

    /// Refuses attributes that this version does not know, so that none is silently without effect.
    func checkAttributes(_ node: Node, known: Set<String>) throws(ModelError) {
        for name in node.attributes.keys.sorted() where !known.contains(name) {
            throw refused(node, "attribute '\(name)' is not supported")
        }
    }

    func integerAttribute(_ node: Node, _ name: String, default value: Int64) throws(ModelError) -> Int64 {
        switch node.attributes[name] {
        case nil: return value
        case .integer(let value): return value
        default: throw refused(node, "attribute '\(name)' is not an integer")
        }
    }

    func floatAttribute(_ node: Node, _ name: String, default value: Float) throws(ModelError) -> Float {
        switch node.attributes[name] {
        case nil: return value
        case .float(let value) where value.isFinite: return value
        default: throw refused(node, "attribute '\(name)' is not a finite float")
        }
    }

    /// The axis an attribute names, counted from the front.
    func axis(_ node: Node, _ axis: Int64, rank: Int) throws(ModelError) -> Int {
        guard axis >= -Int64(rank), axis < Int64(rank) else {
            throw refused(node, "axis \(axis) of a value with \(rank) dimensions")
        }
        return Int(axis < 0 ? axis + Int64(rank) : axis)
    }

    // MARK: Constants and elementwise operators

    private mutating func compileConstant(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["value"])
        guard case .tensor(let tensor)? = node.attributes["value"] else {
            throw refused(node, "only a constant with attribute 'value' is supported")
        }
        // A constant without elements may be an empty list of axes, so its count is not checked here.
        guard let name = node.outputs.first, !name.isEmpty else { return }
        values[name] = ShapedValue(value: .constant(tensor), shape: tensor.shape)
    }

    private func clip(_ node: Node) throws(ModelError) -> Activation {
        func bound(_ index: Int, _ what: String, _ absent: Float) throws(ModelError) -> Float {
            guard let tensor = try floatsInput(node, index, what) else { return absent }
            guard tensor.count == 1, let value = tensor.floats?.first else {
                throw refused(node, "\(what) has \(tensor.count) elements, expected 1")
            }
            return value
        }
        let low = try bound(1, "the lower bound", -.greatestFiniteMagnitude)
        let high = try bound(2, "the upper bound", .greatestFiniteMagnitude)
        guard low <= high else { throw refused(node, "the bounds \(low) and \(high) exclude everything") }
        return .clip(low, high)
    }

    private mutating func compileActivation(_ node: Node, _ function: Activation) throws(ModelError) {
        try checkAttributes(node, known: [])
        let value = try input(node, 0)
        if let index = value.openLinear, isReadOnce(node.inputs[0]),
            case .linear(let source, let matrix, .identity) = list.layers[index].operation
        {
            list.layers[index].operation = .linear(source: source, matrix: matrix, activation: function)
            return try define(node, value.value, shape: value.shape)
        }
        let source = try operandInput(node, 0)
        let destination = try allocate(source.count)
        try append(
            Layer(
                name: node.name, operation: .activation(source: source, function: function),
                destination: destination, shape: value.shape))
        try define(node, .operand(destination), shape: value.shape)
    }

    private mutating func compileSoftmax(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["axis"])
        let value = try input(node, 0)
        let axis = try axis(
            node, try integerAttribute(node, "axis", default: -1), rank: value.shape.count)
        guard value.shape[(axis + 1)...].allSatisfy({ $0 == 1 }) else {
            throw refused(node, "axis \(axis) of shape \(value.shape): only the last axis is supported")
        }
        let source = try operandInput(node, 0)
        let destination = try allocate(source.count)
        try append(
            Layer(
                name: node.name, operation: .softmax(source: source, width: value.shape[axis]),
                destination: destination, shape: value.shape))
        try define(node, .operand(destination), shape: value.shape)
    }

    private mutating func compileArithmetic(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: [])
        let left = try input(node, 0)
        let right = try input(node, 1)
        switch (left.value, right.value) {
        case (_, .constant(let tensor)):
            try compileAffine(node, left, name: node.inputs[0], tensor, constantIsLeft: false)
        case (.constant(let tensor), _):
            try compileAffine(node, right, name: node.inputs[1], tensor, constantIsLeft: true)
        default:
            guard left.shape == right.shape else {
                throw refused(node, "shapes \(left.shape) and \(right.shape): broadcasting is not supported")
            }
            let first = try operandInput(node, 0)
            let second = try operandInput(node, 1)
            let operation: Layer.Operation
            switch node.operatorName {
            case "Add": operation = .add(first, second)
            case "Sub": operation = .subtract(first, second)
            case "Mul": operation = .multiply(first, second)
            default: throw refused(node, "the divisor is not a constant")
            }
            let destination = try allocate(first.count)
            try append(
                Layer(name: node.name, operation: operation, destination: destination, shape: left.shape))
            try define(node, .operand(destination), shape: left.shape)
        }
    }

    /// A value and a constant: a pending affine map, or the bias of the linear layer that makes the value.
    private mutating func compileAffine(
        _ node: Node, _ value: ShapedValue, name: String, _ tensor: Tensor, constantIsLeft: Bool
    ) throws(ModelError) {
        if case .constant = value.value { throw refused(node, "both inputs are constants") }
        try checkFloats(tensor, node, "the constant")
        let constants = try broadcast(node, tensor, to: value.shape)
        if node.operatorName == "Add", let index = value.openLinear, isReadOnce(name),
            case .linear(let source, var matrix, .identity) = list.layers[index].operation
        {
            matrix.bias = zip(matrix.bias, constants).map { $0 + $1 == 0 ? 0 : $0 + $1 }
            guard matrix.bias.allSatisfy(\.isFinite) else { throw refused(node, "a bias beyond float32") }
            list.layers[index].operation = .linear(source: source, matrix: matrix, activation: .identity)
            return try define(node, value.value, shape: value.shape, openLinear: index)
        }
        let source: Value
        var scale = Array(repeating: 1.0, count: constants.count)
        var offset = Array(repeating: 0.0, count: constants.count)
        switch value.value {
        case .affine(let inner, let innerScale, let innerOffset) where isReadOnce(name):
            (source, scale, offset) = (inner, innerScale, innerOffset)
        case .affine:
            let operand = try materialised(value, node)
            values[name]?.value = .operand(operand)
            source = .operand(operand)
        case .operand, .selection, .constant:
            source = value.value
        }
        for index in constants.indices {
            let constant = Double(constants[index])
            switch node.operatorName {
            case "Add": offset[index] += constant
            case "Sub" where constantIsLeft:
                (scale[index], offset[index]) = (-scale[index], constant - offset[index])
            case "Sub": offset[index] -= constant
            case "Mul":
                scale[index] *= constant
                offset[index] *= constant
            default:
                guard !constantIsLeft else { throw refused(node, "the divisor is not a constant") }
                scale[index] /= constant
                offset[index] /= constant
            }
            guard Float(scale[index]).isFinite, Float(offset[index]).isFinite else {
                throw refused(node, "element \(index) of the constant leads beyond the range of float32")
            }
        }
        try define(node, .affine(source, scale: scale, offset: offset), shape: value.shape)
    }

    /// A constant's elements at each element of a value of `shape`, by NumPy's rules.
    private func broadcast(_ node: Node, _ tensor: Tensor, to shape: [Int]) throws(ModelError) -> [Float] {
        guard let floats = tensor.floats, tensor.shape.count <= shape.count else {
            throw refused(node, "a constant of shape \(tensor.shape) would widen a value of shape \(shape)")
        }
        let extents = Array(repeating: 1, count: shape.count - tensor.shape.count) + tensor.shape
        for (extent, target) in zip(extents, shape) where extent != target && extent != 1 {
            throw refused(node, "a constant of shape \(tensor.shape) does not fit a value of shape \(shape)")
        }
        var strides = Array(repeating: 0, count: shape.count)
        var stride = 1
        for axis in extents.indices.reversed() {
            strides[axis] = extents[axis] == 1 ? 0 : stride
            stride *= extents[axis]
        }
        return GraphCompiler.indices(shape: shape, strides: strides).map { floats[$0] }
    }

    /// For each element of a row-major value of `shape` the offset that `strides` give it.
    static func indices(shape: [Int], strides: [Int], start: Int = 0) -> [Int] {
        var result = [start]
        for (extent, stride) in zip(shape, strides) {
            result = result.flatMap { base in (0..<extent).map { base + $0 * stride } }
        }
        return result
    }
}
