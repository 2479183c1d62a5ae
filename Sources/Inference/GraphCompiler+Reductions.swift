import ONNX

/// Operators that make one element of many, and those built of them.
extension GraphCompiler {
    mutating func compileSoftmax(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["axis"])
        let value = try input(node, 0)
        let rank = value.shape.count
        let axis = try axis(
            node, try integerAttribute(node, "axis", default: graph.opset < 13 ? 1 : -1), rank: rank)
        let source = try floatInput(node, 0)
        // Before operator set 13 all axes from the named one on were one.
        let last = graph.opset < 13 ? Array(axis..<rank) : [axis]
        let order = value.shape.indices.filter { !last.contains($0) } + last
        let width = last.reduce(1) { $0 * value.shape[$1] }
        let arranged = source.permuted(order)
        let operand = try contiguous(arranged, node)
        let destination = try allocate(operand.count)
        if operand.count > 0 {
            try append(node, .softmax(source: operand, width: width), to: destination, shape: value.shape)
        }
        let back = value.shape.indices.map { axis in order.firstIndex(of: axis) ?? axis }
        let view = View(destination, shape: arranged.shape).permuted(back)
        try define(node, .view(view), .float, shape: value.shape, range: 0...1)
    }

    // MARK: Sums and means

    mutating func compileReduction(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["axes", "keepdims", "noop_with_empty_axes"])
        let value = try input(node, 0)
        let rank = value.shape.count
        let isMean = node.operatorName == "ReduceMean"
        let keeps = try integerAttribute(node, "keepdims", default: 1) != 0
        guard value.type == .float || !isMean && value.type.hasArithmetic else {
            throw refused(node, "values of type \(value.type)")
        }
        var axes = try axes(node, inputIndex: 1, since: isMean ? 18 : 13, rank: rank) ?? []
        if axes.isEmpty {
            if try integerAttribute(node, "noop_with_empty_axes", default: 0) != 0 {
                return try define(node, .view(try viewInput(node, 0)), value.type, shape: value.shape)
            }
            axes = Array(value.shape.indices)
        }
        let count = axes.reduce(1) { $0 * value.shape[$1] }
        guard !isMean || count > 0 else { throw refused(node, "the mean of no elements") }
        let reduction: Reduction = isMean ? .mean(Float(count)) : .sum
        let view = try reduce(try viewInput(node, 0), axes, reduction, as: value.type, node)
        guard !keeps else { return try define(node, .view(view), value.type, shape: view.shape) }
        let shape = value.shape.indices.filter { !axes.contains($0) }.map { value.shape[$0] }
        guard let result = view.reshaped(shape) else { throw refused(node, "its result's layout") }
        try define(node, .view(result), value.type, shape: shape)
    }

    /// One element of all along some axes, which stay with an extent of 1.
    mutating func reduce(
        _ view: View, _ axes: [Int], _ reduction: Reduction, as type: ElementType = .float, _ node: Node
    ) throws(ModelError) -> View {
        var shape = view.shape
        var taps = view.shape
        for axis in view.shape.indices {
            if axes.contains(axis) { shape[axis] = 1 } else { taps[axis] = 1 }
        }
        // Results whose places follow each other in memory are computed side by side.
        let order = shape.indices.sorted { abs(view.strides[$0]) > abs(view.strides[$1]) }
        let starts = View.indices(
            shape: order.map { shape[$0] }, strides: order.map { view.strides[$0] }, start: view.start)
        let destination = try allocate(try elementCount(shape, node), Storage(type))
        try spend(view.count, node)
        if !starts.isEmpty {
            let (starts, taps) = (
                starts.map { Int32($0) }, View.indices(shape: taps, strides: view.strides).map { Int32($0) }
            )
            let operation: Layer.Operation =
                type == .float
                ? .reduce(reduction, source: view.operand, starts: starts, taps: taps)
                : .general(GeneralOperation(.reduce(reduction, type, starts: starts, taps: taps), [view.operand]))
            try append(node, operation, to: destination, shape: shape)
        }
        let back = shape.indices.map { axis in order.firstIndex(of: axis) ?? axis }
        return View(destination, shape: order.map { shape[$0] }).permuted(back)
    }

    // MARK: Normalisation

    mutating func compileLayerNormalization(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["axis", "epsilon", "stash_type"])
        let value = try input(node, 0)
        let first = try axis(
            node, try integerAttribute(node, "axis", default: -1), rank: value.shape.count)
        let axes = Array(first..<value.shape.count)
        let count = axes.reduce(1) { $0 * value.shape[$1] }
        guard count > 0 else { throw refused(node, "a value of shape \(value.shape)") }
        let epsilon = try floatAttribute(node, "epsilon", default: 1e-5)
        let source = try floatInput(node, 0)
        let mean = try reduce(source, axes, .mean(Float(count)), node)
        let centred = try combine(.subtract, source, mean, shape: value.shape, node)
        let squares = try apply(.square, to: centred, node)
        let variance = try reduce(squares, axes, .mean(Float(count)), node)
        let shifted = try affine(variance, scale: 1, offset: Double(epsilon), node)
        let deviation = try apply(.sqrt, to: shifted, node)
        let inverse = try apply(.reciprocal, to: deviation, node)
        var result = try combine(.multiply, centred, inverse, shape: value.shape, node)
        result = try combine(.multiply, result, try floatInput(node, 1), shape: value.shape, node)
        if try optionalInput(node, 2) != nil {
            result = try combine(.add, result, try floatInput(node, 2), shape: value.shape, node)
        }
        try define(node, .view(result), .float, shape: value.shape)
        try define(node, .view(mean), .float, shape: mean.shape, output: 1)
        try define(node, .view(inverse), .float, shape: inverse.shape, output: 2)
    }

    /// A view times a number plus another.
    func affineValue(_ view: View, scale: Double, offset: Double) -> ShapedValue {
        ShapedValue(
            value: .affine(
                view, scale: Array(repeating: scale, count: view.count),
                offset: Array(repeating: offset, count: view.count)), type: .float, shape: view.shape)
    }

    mutating func affine(_ view: View, scale: Double, offset: Double, _ node: Node) throws(ModelError) -> View {
        try self.view(of: affineValue(view, scale: scale, offset: offset), node)
    }

    mutating func compileBatchNormalization(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["epsilon", "momentum", "training_mode", "spatial", "is_test"])
        // Before operator set 7 training was what a node did unless it was told not to.
        let isTest = try integerAttribute(node, "is_test", default: graph.opset < 7 ? 0 : 1) != 0
        guard try integerAttribute(node, "training_mode", default: 0) == 0, isTest, node.outputs.count == 1 else {
            throw refused(node, "training is not supported")
        }
        guard try integerAttribute(node, "spatial", default: 1) == 1 else {
            throw refused(node, "attribute 'spatial' is not 1")
        }
        let value = try input(node, 0)
        guard value.shape.count >= 2, value.type == .float else {
            throw refused(node, "a value of \(value.type) and shape \(value.shape)")
        }
        let channels = value.shape[1]
        let epsilon = Double(try floatAttribute(node, "epsilon", default: 1e-5))
        var parameters: [[Float]] = []
        for index in 1...4 {
            guard let floats = try floatsInput(node, index, "a parameter")?.floats, floats.count == channels else {
                throw refused(node, "input \(index) does not have \(channels) elements")
            }
            parameters.append(floats)
        }
        var scale: [Double] = []
        var offset: [Double] = []
        for channel in 0..<channels {
            let factor = Double(parameters[0][channel]) / (Double(parameters[3][channel]) + epsilon).squareRoot()
            scale.append(factor)
            offset.append(Double(parameters[1][channel]) - factor * Double(parameters[2][channel]))
        }
        guard scale.allSatisfy({ Float($0).isFinite }), offset.allSatisfy({ Float($0).isFinite }) else {
            throw refused(node, "its parameters lead beyond the range of float32")
        }
        if let index = value.openLinear, isReadOnce(node.inputs[0]), case .view(let view) = value.value,
            view.strides[1] == 1
        {
            try spendScaling(list.layers[index])
            if let fused = list.layers[index].scaling(scale, offset) {
                list.layers[index] = fused
                return try define(node, value.value, .float, shape: value.shape, openLinear: index)
            }
        }
        let inner = value.shape[2...].reduce(1, *)
        let order = (0..<value.shape[0] * channels * inner).map { $0 / inner % channels }
        try define(
            node,
            .affine(try floatInput(node, 0), scale: order.map { scale[$0] }, offset: order.map { offset[$0] }),
            .float, shape: value.shape)
    }
}

extension GraphCompiler {
    /// Counts another copy of a layer's weights.
    private mutating func spendScaling(_ layer: Layer) throws(ModelError) {
        try spendVisits(layer.weightCount)
        // The weights without the map stay for others, but are not packed.
        try spendBytes(4 * layer.weightCount)
    }
}

extension Layer {
    /// This linear layer with an affine map of each output in its weights, or nil where it cannot take one in. By columns it
    /// cannot: the axis of stride 1, which the caller takes for that of the outputs, is that of the rows.
    func scaling(_ scale: [Double], _ offset: [Double]) -> Layer? {
        guard case .linear(var linear) = operation, linear.activation == .identity, linear.order == .rows,
            !linear.isByColumns, linear.matrix.rows == scale.count
        else { return nil }
        for row in 0..<linear.matrix.rows {
            for index in row * linear.matrix.columns..<(row + 1) * linear.matrix.columns {
                let weight = Float(Double(linear.matrix.weights[index]) * scale[row])
                linear.matrix.weights[index] = weight == 0 ? 0 : weight
            }
            let bias = Float(Double(linear.matrix.bias[row]) * scale[row] + offset[row])
            linear.matrix.bias[row] = bias == 0 ? 0 : bias
        }
        guard linear.matrix.weights.allSatisfy(\.isFinite), linear.matrix.bias.allSatisfy(\.isFinite) else {
            return nil
        }
        var layer = self
        layer.operation = .linear(linear)
        return layer
    }
}
