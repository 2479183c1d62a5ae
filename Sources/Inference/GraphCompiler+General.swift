import ONNX

/// What has no kernel of its own: integers, 64-bit floats, conversions between types.
extension GraphCompiler {
    /// A result that a general operation makes of contiguous operands.
    mutating func defineGeneral(
        _ node: Node, _ kind: GeneralOperation.Kind, _ sources: [Operand], _ type: ElementType, shape: [Int],
        output: Int = 0
    ) throws(ModelError) {
        let destination = try allocate(try elementCount(shape, node), Storage(type))
        try append(node, .general(GeneralOperation(kind, sources)), to: destination, shape: shape)
        try define(node, .view(View(destination, shape: shape)), type, shape: shape, output: output)
    }

    mutating func compileGeneralArithmetic(
        _ node: Node, _ operation: Arithmetic, _ left: ShapedValue, _ right: ShapedValue, shape: [Int]
    ) throws(ModelError) {
        let first = try viewInput(node, 0)
        let second = try viewInput(node, 1)
        if operation != .power, left.type != right.type {
            throw refused(node, "values of types \(left.type) and \(right.type)")
        }
        guard left.type.hasArithmetic, right.type.hasArithmetic else {
            throw refused(node, "values of types \(left.type) and \(right.type)")
        }
        let view = try generalArithmetic(
            operation, left.type, first, second, exponentType: right.type, shape: shape, node)
        try define(node, .view(view), left.type, shape: shape)
    }

    mutating func generalArithmetic(
        _ operation: Arithmetic, _ type: ElementType, _ first: View, _ second: View,
        exponentType: ElementType? = nil, shape: [Int], _ node: Node
    ) throws(ModelError) -> View {
        guard let left = first.broadcast(to: shape), let right = second.broadcast(to: shape) else {
            throw refused(node, "shapes \(first.shape) and \(second.shape) do not fit each other")
        }
        let destination = try allocate(try elementCount(shape, node), Storage(type))
        let kind = GeneralOperation.Kind.arithmetic(
            operation, type, exponentType ?? type, left.indices.map { Int32($0) }, right.indices.map { Int32($0) })
        try append(
            node, .general(GeneralOperation(kind, [left.operand, right.operand])), to: destination, shape: shape)
        return View(destination, shape: shape)
    }

    mutating func compileCast(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["to", "saturate", "round_mode"])
        let value = try input(node, 0)
        let number = try integerAttribute(node, "to", default: 0)
        guard let type = ElementType(rawValue: Int(clamping: number)) else {
            throw refused(node, "a conversion to type number \(number)")
        }
        if value.type == type { return try define(node, value.value, type, shape: value.shape, range: value.range) }
        let operand = try contiguous(try viewInput(node, 0), node)
        try defineGeneral(node, .convert(value.type, type), [operand], type, shape: value.shape)
    }

    /// `Gather` with indices known only at run time. An index out of range gives 0.
    mutating func compileRuntimeGather(_ node: Node, _ value: ShapedValue, axis: Int) throws(ModelError) {
        let indices = try input(node, 1)
        guard indices.type.isInteger else { throw refused(node, "indices of type \(indices.type)") }
        let source = try contiguous(try viewInput(node, 0), node)
        let places = try contiguous(try viewInput(node, 1), node)
        let shape = Array(value.shape[..<axis]) + indices.shape + Array(value.shape[(axis + 1)...])
        let kind = GeneralOperation.Kind.pick(
            outer: value.shape[..<axis].reduce(1, *), extent: value.shape[axis],
            inner: value.shape[(axis + 1)...].reduce(1, *), Storage(value.type))
        try defineGeneral(node, kind, [source, places], value.type, shape: shape)
    }
}
