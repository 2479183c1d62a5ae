import ONNX

/// What each operator becomes.
extension GraphCompiler {
    /// Compiles one node, or throws an error that names it.
    mutating func compile(_ node: Node) throws(ModelError) {
        if node.domain == "ai.onnx.ml" { return try compileTrees(node) }
        guard node.domain.isEmpty else {
            throw refused(node, "operators of domain '\(node.domain)' are not supported")
        }
        guard ModelLimits.opsets.contains(graph.opset) else {
            throw refused(
                node,
                "operator set \(graph.opset), expected \(ModelLimits.opsets.lowerBound) to "
                    + "\(ModelLimits.opsets.upperBound)")
        }
        if isConstant(node), node.operatorName != "DequantizeLinear" { return try fold(node) }
        if try compileElementwise(node) { return }
        if try compileLayout(node) { return }
        if try compileProduct(node) { return }
        switch node.operatorName {
        case "Constant": try compileConstant(node)
        case "ConstantOfShape": try compileConstantOfShape(node)
        case "Shape": try compileShape(node)
        case "Softmax": try compileSoftmax(node)
        case "LayerNormalization": try compileLayerNormalization(node)
        case "BatchNormalization": try compileBatchNormalization(node)
        case "ReduceMean", "ReduceSum": try compileReduction(node)
        case "MaxPool", "AveragePool", "GlobalAveragePool": try compilePool(node)
        case "GRU", "LSTM", "RNN": try compileRecurrent(node)
        case "QuantizeLinear": try compileQuantize(node)
        case "DequantizeLinear": try compileDequantize(node)
        case "DynamicQuantizeLinear": try compileDynamicQuantize(node)
        case "Cast": try compileCast(node)
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

    func integersAttribute(_ node: Node, _ name: String) throws(ModelError) -> [Int64]? {
        switch node.attributes[name] {
        case nil: return nil
        case .integers(let values): return values
        default: throw refused(node, "attribute '\(name)' is no list of integers")
        }
    }

    func floatAttribute(_ node: Node, _ name: String, default value: Float) throws(ModelError) -> Float {
        switch node.attributes[name] {
        case nil: return value
        case .float(let value) where value.isFinite: return value
        default: throw refused(node, "attribute '\(name)' is not a finite float")
        }
    }

    func stringAttribute(_ node: Node, _ name: String, default value: String) throws(ModelError) -> String {
        switch node.attributes[name] {
        case nil: return value
        case .string(let value): return value
        default: throw refused(node, "attribute '\(name)' is no string")
        }
    }

    /// The axis an attribute names, counted from the front.
    func axis(_ node: Node, _ axis: Int64, rank: Int) throws(ModelError) -> Int {
        guard axis >= -Int64(rank), axis < Int64(rank) else {
            throw refused(node, "axis \(axis) of a value with \(rank) dimensions")
        }
        return Int(axis < 0 ? axis + Int64(rank) : axis)
    }

    /// Axes that are an attribute before operator set `version` and an input from it on; nil if there are none.
    func axes(_ node: Node, inputIndex: Int, since version: Int, rank: Int) throws(ModelError) -> [Int]? {
        let raw: [Int64]?
        if graph.opset < version {
            raw = try integersAttribute(node, "axes")
        } else {
            raw = try integersInput(node, inputIndex, "the axes")
        }
        guard let raw else { return nil }
        var result: [Int] = []
        for value in raw {
            let axis = try axis(node, value, rank: rank)
            guard !result.contains(axis) else { throw refused(node, "axis \(value) stands twice") }
            result.append(axis)
        }
        return result
    }

    // MARK: Constants

    private mutating func compileConstant(_ node: Node) throws(ModelError) {
        guard let name = node.outputs.first, !name.isEmpty else { return }
        guard node.attributes.count == 1, let (attribute, value) = node.attributes.first else {
            throw refused(node, "\(node.attributes.count) attributes, expected one")
        }
        let tensor: Tensor
        switch (attribute, value) {
        case ("value", .tensor(let value)): tensor = value
        case ("value_float", .float(let value)):
            tensor = Tensor(name: name, shape: [], elements: .float([value]))
        case ("value_floats", .floats(let values)):
            tensor = Tensor(name: name, shape: [values.count], elements: .float(values))
        case ("value_int", .integer(let value)):
            tensor = Tensor(name: name, shape: [], elements: .int64([value]))
        case ("value_ints", .integers(let values)):
            tensor = Tensor(name: name, shape: [values.count], elements: .int64(values))
        default: throw refused(node, "attribute '\(attribute)' is not supported")
        }
        // A constant without elements may be an empty list of axes.
        try elementCount(tensor.shape, node)
        defineConstant(name, tensor)
    }

    private mutating func compileConstantOfShape(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["value"])
        guard let name = node.outputs.first else { return }
        guard let extents = try integersInput(node, 0, "the shape") else { throw refused(node, "no shape") }
        let shape = try shape(extents, node)
        let count = try elementCount(shape, node)
        var value = Tensor(name: name, shape: [1], elements: .float([0]))
        if case .tensor(let tensor)? = node.attributes["value"] { value = tensor }
        guard value.count == 1, let filled = value.repeated(count, shape: shape) else {
            throw refused(node, "a value of type \(value.elementType) and \(value.count) elements")
        }
        defineConstant(name, filled)
    }

    func shape(_ extents: [Int64], _ node: Node) throws(ModelError) -> [Int] {
        try extents.map { extent throws(ModelError) in
            guard extent >= 0, extent <= Int64(ModelLimits.elements) else {
                throw refused(node, "the shape \(listed(extents))")
            }
            return Int(extent)
        }
    }

    private mutating func compileShape(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["start", "end"])
        let value = try input(node, 0)
        let rank = Int64(value.shape.count)
        func place(_ value: Int64) -> Int { Int(min(max(value < 0 ? value + rank : value, 0), rank)) }
        let start = place(try integerAttribute(node, "start", default: 0))
        let end = place(try integerAttribute(node, "end", default: rank))
        let extents = start < end ? value.shape[start..<end].map { Int64($0) } : []
        guard let name = node.outputs.first else { return }
        defineConstant(name, Tensor(name: name, shape: [extents.count], elements: .int64(extents)))
    }
}

extension Tensor {
    /// `count` times the only element.
    func repeated(_ count: Int, shape: [Int]) -> Tensor? {
        if let value = floatValues?.first {
            return Tensor(
                name: name, shape: shape, floats: Array(repeating: value, count: count), type: elementType)
        }
        if let value = integerValues?.first {
            return Tensor(
                name: name, shape: shape, integers: Array(repeating: value, count: count), type: elementType)
        }
        guard let value = doubles?.first else { return nil }
        return Tensor(name: name, shape: shape, elements: .double(Array(repeating: value, count: count)))
    }
}
