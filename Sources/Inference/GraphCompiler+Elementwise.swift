import ONNX

/// Operators that work element by element.
extension GraphCompiler {
    /// Compiles an elementwise operator; false if the node is none.
    mutating func compileElementwise(_ node: Node) throws(ModelError) -> Bool {
        switch node.operatorName {
        case "Add": try compileArithmetic(node, .add)
        case "Sub": try compileArithmetic(node, .subtract)
        case "Mul": try compileArithmetic(node, .multiply)
        case "Div": try compileArithmetic(node, .divide)
        case "Pow": try compilePower(node)
        case "Min": try compileExtreme(node, .minimum)
        case "Max": try compileExtreme(node, .maximum)
        case "Relu": try compileActivation(node, .relu, range: 0...Float.greatestFiniteMagnitude)
        case "Tanh": try compileActivation(node, .tanh, range: -1...1)
        case "Sigmoid": try compileActivation(node, .sigmoid, range: 0...1)
        case "LeakyRelu":
            try compileActivation(
                node, .leakyRelu(try floatAttribute(node, "alpha", default: 0.01)), attributes: ["alpha"])
        case "Elu":
            try compileActivation(node, .elu(try floatAttribute(node, "alpha", default: 1)), attributes: ["alpha"])
        case "HardSigmoid":
            try compileActivation(
                node,
                .hardSigmoid(
                    try floatAttribute(node, "alpha", default: 0.2), try floatAttribute(node, "beta", default: 0.5)),
                attributes: ["alpha", "beta"], range: 0...1)
        case "Gelu":
            let form = try stringAttribute(node, "approximate", default: "none")
            guard form == "none" || form == "tanh" else { throw refused(node, "attribute 'approximate' is '\(form)'") }
            try compileActivation(node, form == "tanh" ? .geluTanh : .gelu, attributes: ["approximate"])
        case "Softplus": try compileActivation(node, .softplus)
        case "Erf": try compileActivation(node, .erf, range: -1...1)
        case "Exp": try compileActivation(node, .exp)
        case "Sqrt": try compileActivation(node, .sqrt)
        case "Neg": try compileNegative(node)
        case "Clip": try compileClip(node)
        default: return false
        }
        return true
    }

    // MARK: One input

    mutating func compileActivation(
        _ node: Node, _ function: Activation, attributes: Set<String> = [], range: ClosedRange<Float>? = nil
    ) throws(ModelError) {
        try checkAttributes(node, known: attributes)
        let value = try input(node, 0)
        if let index = value.openLinear, isReadOnce(node.inputs[0]), let fused = list.layers[index].applying(function) {
            list.layers[index] = fused
            return try define(node, value.value, value.type, shape: value.shape, range: range)
        }
        let source = try floatInput(node, 0)
        let view = try apply(function, to: source, node)
        try define(node, .view(view), .float, shape: value.shape, range: range)
        if case .clip = function, let name = node.outputs.first {
            values[name]?.unclipped = (source, list.layers.count - 1)
        }
    }

    /// A function of every element, in the layout of the view.
    mutating func apply(_ function: Activation, to view: View, _ node: Node) throws(ModelError) -> View {
        let source = try flat(view, node)
        let destination = try allocate(source.operand.count)
        try append(node, .activation(source: source.operand, function: function), to: destination, shape: view.shape)
        return View(destination, start: source.start, shape: source.shape, strides: source.strides)
    }

    private mutating func compileNegative(_ node: Node) throws(ModelError) {
        let value = try input(node, 0)
        if value.type == .float { return try compileActivation(node, .negative) }
        guard value.type.hasArithmetic else { throw refused(node, "values of type \(value.type)") }
        let operand = try contiguous(try viewInput(node, 0), node)
        try defineGeneral(node, .negative(value.type), [operand], value.type, shape: value.shape)
    }

    private mutating func compileClip(_ node: Node) throws(ModelError) {
        let value = try input(node, 0)
        guard value.type == .float else { return try compileIntegerClip(node, value) }
        let low: Float
        let high: Float
        if graph.opset < 11 {
            try checkAttributes(node, known: ["min", "max"])
            low = try floatAttribute(node, "min", default: -.infinity)
            high = try floatAttribute(node, "max", default: .infinity)
        } else {
            try checkAttributes(node, known: [])
            low = try clipBound(node, 1) ?? -.infinity
            high = try clipBound(node, 2) ?? .infinity
        }
        guard !low.isNaN, !high.isNaN else { throw refused(node, "a bound is no number") }
        // With crossed bounds the specification lets the upper one win, as do the kernels.
        let range = low <= high ? low...high : high...high
        try compileActivation(node, .clip(low, high), attributes: ["min", "max"], range: range)
    }

    private func clipBound(_ node: Node, _ index: Int) throws(ModelError) -> Float? {
        guard let tensor = try constantInput(node, index, "the bound") else { return nil }
        guard tensor.count == 1, let value = tensor.floats?.first else {
            throw refused(node, "a bound of \(tensor.count) elements of \(tensor.elementType), expected one float32")
        }
        return value
    }

    private mutating func compileIntegerClip(_ node: Node, _ value: ShapedValue) throws(ModelError) {
        guard value.type.isInteger else { throw refused(node, "an input of \(value.type)") }
        func bound(_ index: Int) throws(ModelError) -> Int64? {
            guard let tensor = try constantInput(node, index, "the bound") else { return nil }
            guard tensor.count == 1, let bound = tensor.integers?.first else {
                throw refused(node, "a bound of \(tensor.count) elements of \(tensor.elementType)")
            }
            return bound
        }
        let low = try bound(1) ?? .min
        let high = try bound(2) ?? .max
        let operand = try contiguous(try viewInput(node, 0), node)
        try defineGeneral(node, .clip(low, high), [operand], value.type, shape: value.shape)
    }

    // MARK: Two inputs

    private mutating func compilePower(_ node: Node) throws(ModelError) {
        let base = try input(node, 0)
        let exponent = try input(node, 1)
        guard base.type == .float else { return try compileArithmetic(node, .power) }
        if case .constant(let tensor) = exponent.value, tensor.count == 1, let value = tensor.numbers?.first,
            exponent.shape.count <= base.shape.count, case let value = Float(value), value.isFinite, !isFolding
        {
            switch PowerForm(exponent: value) {
            case .identity: return try compileActivation(node, .identity)
            case .square: return try compileActivation(node, .square)
            case .root: return try compileActivation(node, .root)
            case .reciprocal: return try compileActivation(node, .reciprocal)
            default: return try compileActivation(node, .power(value))
            }
        }
        try compileArithmetic(node, .power)
    }

    private mutating func compileArithmetic(_ node: Node, _ operation: Arithmetic) throws(ModelError) {
        // Before operator set 7 shapes were matched in another way, which attribute 'broadcast' asks for.
        try checkAttributes(node, known: [])
        let left = try input(node, 0)
        let right = try input(node, 1)
        guard let shape = broadcastShape(left.shape, right.shape) else {
            throw refused(node, "shapes \(left.shape) and \(right.shape) do not fit each other")
        }
        try elementCount(shape, node)
        guard left.type == .float, right.type == .float else {
            return try compileGeneralArithmetic(node, operation, left, right, shape: shape)
        }
        if !isFolding, operation != .power {
            switch (left.value, right.value) {
            case (_, .constant(let tensor)) where left.shape == shape:
                if try compileAffine(node, operation, left, name: node.inputs[0], tensor, constantIsLeft: false) {
                    return
                }
            case (.constant(let tensor), _) where right.shape == shape:
                if try compileAffine(node, operation, right, name: node.inputs[1], tensor, constantIsLeft: true) {
                    return
                }
            default: break
            }
        }
        let result = try combine(operation, try floatInput(node, 0), try floatInput(node, 1), shape: shape, node)
        try define(node, .view(result), .float, shape: shape)
    }

    /// The least or greatest of any number of values, element by element.
    private mutating func compileExtreme(_ node: Node, _ operation: Arithmetic) throws(ModelError) {
        try checkAttributes(node, known: [])
        let first = try input(node, 0)
        let type = first.type
        guard type.hasArithmetic else { throw refused(node, "values of type \(type)") }
        var result = try viewInput(node, 0)
        for index in node.inputs.indices.dropFirst() {
            let other = try input(node, index)
            guard other.type == type else { throw refused(node, "values of types \(type) and \(other.type)") }
            guard let shape = broadcastShape(result.shape, other.shape) else {
                throw refused(node, "shapes \(result.shape) and \(other.shape) do not fit each other")
            }
            try elementCount(shape, node)
            let view = try viewInput(node, index)
            result =
                type == .float
                ? try combine(operation, result, view, shape: shape, node)
                : try generalArithmetic(operation, type, result, view, shape: shape, node)
        }
        try define(node, .view(result), type, shape: result.shape)
    }

    /// An operation on two views, of a shape that both can be stretched to. The result has the layout of the first
    /// view that needs no stretching; the other one is copied into that layout if it has another.
    mutating func combine(
        _ operation: Arithmetic, _ left: View, _ right: View, shape: [Int], _ node: Node
    ) throws(ModelError) -> View {
        guard let wideLeft = left.broadcast(to: shape), let wideRight = right.broadcast(to: shape) else {
            throw refused(node, "shapes \(left.shape) and \(right.shape) do not fit each other")
        }
        let leadsLeft = !wideLeft.repeatsElements
        let leader = try flat(leadsLeft ? wideLeft : wideRight, node)
        let follower = try matched(leadsLeft ? wideRight : wideLeft, to: leader, node)
        let destination = try allocate(leader.operand.count)
        let (first, second) = leadsLeft ? (leader.operand, follower) : (follower, leader.operand)
        try append(node, .combine(operation, first, second), to: destination, shape: shape)
        return View(destination, start: leader.start, shape: shape, strides: leader.strides)
    }

    /// The elements of `view` at the places where `leader` has its own.
    private mutating func matched(_ view: View, to leader: View, _ node: Node) throws(ModelError) -> Operand {
        if view.strides == leader.strides || view.isContiguous && leader.isContiguous {
            let candidate = try flat(view, node)
            if candidate.start == leader.start, candidate.operand.count == leader.operand.count,
                candidate.strides == leader.strides || candidate.isContiguous && leader.isContiguous
            {
                return candidate.operand
            }
        }
        var indices = Array(repeating: Int32(-1), count: leader.operand.count)
        for (place, index) in zip(leader.indices, view.indices) { indices[place] = Int32(index) }
        // What stands between the leader's elements is of no account: with elements there, all of it is a few runs.
        let (first, last) = view.extent
        var next = first
        for place in indices.indices {
            if indices[place] < 0 { indices[place] = Int32(next) }
            next = Int(indices[place]) < last ? Int(indices[place]) + 1 : first
        }
        return try gathered(view.operand, indices, shape: view.shape, node)
    }

    // MARK: A value and a constant

    /// The greatest offset of a map that is merged with another one.
    private static let mergedOffsetMax: Float = 1_048_576

    /// A pending affine map, or the bias of the linear layer that makes the value; false where it is neither.
    private mutating func compileAffine(
        _ node: Node, _ operation: Arithmetic, _ value: ShapedValue, name: String, _ tensor: Tensor,
        constantIsLeft: Bool
    ) throws(ModelError) -> Bool {
        guard let floats = tensor.floats, floats.allSatisfy(\.isFinite), operation != .divide || !constantIsLeft else {
            return false
        }
        try spendVisits(floats.count + 2 * value.shape.reduce(1, *))
        let constantView = View(Operand(buffer: 0, count: floats.count), shape: tensor.shape)
        guard let wide = constantView.broadcast(to: value.shape) else { return false }
        let constants = wide.indices.map { floats[$0] }
        // A great offset rounds what it is added to, and may be there for just that: (x + 1.5 · 2^23) - 1.5 · 2^23.
        let isOffset = operation == .add || operation == .subtract
        let rounds = isOffset && constants.contains { abs($0) > GraphCompiler.mergedOffsetMax }
        if operation == .add, !rounds, let index = value.openLinear, isReadOnce(name),
            case .view(let view) = value.value,
            let fused = list.layers[index].adding(constants, at: view)
        {
            list.layers[index] = fused
            try define(node, value.value, .float, shape: value.shape, openLinear: index)
            return true
        }
        let source: View
        var scale = Array(repeating: 1.0, count: constants.count)
        var offset = Array(repeating: 0.0, count: constants.count)
        if case .affine(let inner, let innerScale, let innerOffset) = value.value, isReadOnce(name), !rounds,
            innerOffset.allSatisfy({ abs($0) <= Double(GraphCompiler.mergedOffsetMax) })
        {
            (source, scale, offset) = (inner, innerScale, innerOffset)
        } else {
            source = try view(of: value, node)
            values[name]?.value = .view(source)
        }
        for index in constants.indices {
            let constant = Double(constants[index])
            switch operation {
            case .add: offset[index] += constant
            case .subtract where constantIsLeft:
                (scale[index], offset[index]) = (-scale[index], constant - offset[index])
            case .subtract: offset[index] -= constant
            case .multiply:
                scale[index] *= constant
                offset[index] *= constant
            default:
                scale[index] /= constant
                offset[index] /= constant
            }
            guard Float(scale[index]).isFinite, Float(offset[index]).isFinite else {
                throw refused(node, "element \(index) of the constant leads beyond the range of float32")
            }
        }
        try define(node, .affine(source, scale: scale, offset: offset), .float, shape: value.shape)
        return true
    }
}

extension Layer {
    /// This linear layer with a function of its results, or nil where it has one already or is no linear layer.
    func applying(_ function: Activation) -> Layer? {
        var layer = self
        switch operation {
        case .linear(var linear) where linear.activation == .identity && linear.order == .rows:
            linear.activation = function
            layer.operation = .linear(linear)
        case .integerLinear(var linear) where linear.activation == .identity && linear.order == .rows:
            linear.activation = function
            layer.operation = .integerLinear(linear)
        default: return nil
        }
        return layer
    }

    /// This linear layer with one more constant in its bias, or nil where the constants, which are in the order of
    /// `view`, are not the same for every row.
    func adding(_ constants: [Float], at view: View) -> Layer? {
        var layer = self
        func sum(_ bias: [Float], row: (_ place: Int) -> Int) -> [Float]? {
            var added: [Float?] = Array(repeating: nil, count: bias.count)
            for (place, constant) in zip(view.indices, constants) {
                let row = row(place)
                guard row < bias.count, added[row] == nil || added[row] == constant else { return nil }
                added[row] = constant
            }
            let result = zip(bias, added).map { $0 + ($1 ?? 0) }
            // Never -0, see `SparseKernels`.
            return result.allSatisfy(\.isFinite) ? result.map { $0 == 0 ? 0 : $0 } : nil
        }
        switch operation {
        case .linear(var linear) where linear.activation == .identity && linear.order == .rows:
            let (rowWidth, columnWidth) = (linear.rowWidth, linear.columnWidth)
            guard
                let bias = sum(
                    linear.matrix.bias, row: linear.isByColumns ? { $0 / columnWidth } : { $0 % rowWidth })
            else { return nil }
            linear.matrix.bias = bias
            layer.operation = .linear(linear)
        case .integerLinear(var linear) where linear.activation == .identity && linear.order == .rows:
            let rowWidth = linear.rowWidth
            guard let bias = sum(linear.bias, row: { $0 % rowWidth }) else { return nil }
            linear.bias = bias
            layer.operation = .integerLinear(linear)
        default: return nil
        }
        return layer
    }
}
