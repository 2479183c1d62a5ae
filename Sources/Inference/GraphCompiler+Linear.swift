import ONNX

/// Linear layers: Gemm and MatMul with constant weights.
extension GraphCompiler {
    /// A mean and scale go into the weights only if the sum of |weight · mean / scale| of each output stays below
    /// this: beyond it the products would be so much larger than their sum that rounding them costs more than some
    /// 4e-6 of the result.
    private static let foldedOffsetMax = 32.0

    mutating func compileGemm(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["alpha", "beta", "transA", "transB"])
        let value = try input(node, 0)
        guard let weights = try floatsInput(node, 1, "the weight"), let floats = weights.floats else {
            throw refused(node, "the weight is missing")
        }
        let transposesInput = try integerAttribute(node, "transA", default: 0) != 0
        let transposesWeight = try integerAttribute(node, "transB", default: 0) != 0
        let alpha = try floatAttribute(node, "alpha", default: 1)
        let beta = try floatAttribute(node, "beta", default: 1)
        guard value.shape.count == 2, weights.shape.count == 2 else {
            throw refused(node, "shapes \(value.shape) and \(weights.shape), expected two dimensions each")
        }
        guard value.shape[transposesInput ? 1 : 0] == 1 else {
            throw refused(node, "\(value.shape[transposesInput ? 1 : 0]) rows at once, expected 1")
        }
        let columns = value.shape[transposesInput ? 0 : 1]
        let rows = weights.shape[transposesWeight ? 0 : 1]
        guard weights.shape[transposesWeight ? 1 : 0] == columns, rows > 0 else {
            throw refused(node, "a weight of shape \(weights.shape) does not fit \(columns) inputs")
        }
        var matrix = try self.matrix(
            node, floats, rows: rows, columns: columns, isTransposed: transposesWeight, scale: alpha)
        if let bias = try floatsInput(node, 2, "the bias") {
            matrix.bias = try gemmBias(node, bias, rows: rows, scale: beta)
        }
        try appendLinear(node, matrix, shape: [1, rows])
    }

    private func gemmBias(_ node: Node, _ bias: Tensor, rows: Int, scale: Float) throws(ModelError) -> [Float] {
        guard let floats = bias.floats, bias.shape.dropLast().allSatisfy({ $0 == 1 }),
            floats.count == rows || floats.count == 1
        else {
            throw refused(node, "a bias of shape \(bias.shape) does not fit \(rows) outputs")
        }
        let values = floats.count == rows ? floats : Array(repeating: floats[0], count: rows)
        return try values.map { value throws(ModelError) in try finite(value * scale, node) }
    }

    mutating func compileMatMul(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: [])
        let value = try input(node, 0)
        guard let weights = try floatsInput(node, 1, "the weight"), let floats = weights.floats else {
            throw refused(node, "the weight is missing")
        }
        guard weights.shape.count == 2 else {
            throw refused(node, "a weight of shape \(weights.shape), expected two dimensions")
        }
        guard let columns = value.shape.last, columns == weights.shape[0], weights.shape[1] > 0 else {
            throw refused(
                node, "a weight of shape \(weights.shape) does not fit a value of shape \(value.shape)")
        }
        guard value.shape.dropLast().allSatisfy({ $0 == 1 }) else {
            throw refused(node, "a value of shape \(value.shape): more than one row at once is not supported")
        }
        let rows = weights.shape[1]
        let matrix = try self.matrix(
            node, floats, rows: rows, columns: columns, isTransposed: false, scale: 1)
        try appendLinear(node, matrix, shape: value.shape.dropLast() + [rows])
    }

    private func finite(_ value: Float, _ node: Node) throws(ModelError) -> Float {
        guard value.isFinite else { throw refused(node, "a weight beyond the range of float32") }
        return value == 0 ? 0 : value
    }

    /// Row-major by output; `isTransposed` says that the file's weight already is.
    private func matrix(
        _ node: Node, _ floats: [Float], rows: Int, columns: Int, isTransposed: Bool, scale: Float
    ) throws(ModelError) -> Matrix {
        var weights: [Float] = []
        weights.reserveCapacity(floats.count)
        for row in 0..<rows {
            for column in 0..<columns {
                let value = floats[isTransposed ? row * columns + column : column * rows + row]
                weights.append(try finite(value * scale, node))
            }
        }
        return Matrix(rows: rows, columns: columns, weights: weights, bias: Array(repeating: 0, count: rows))
    }

    private mutating func appendLinear(_ node: Node, _ matrix: Matrix, shape: [Int]) throws(ModelError) {
        var matrix = matrix
        matrix.chains = matrix.rows <= Matrix.narrowRowsMax ? 4 : 2
        let source = try linearSource(node, &matrix)
        let destination = try allocate(matrix.rows)
        let index = try append(
            Layer(
                name: node.name, operation: .linear(source: source, matrix: matrix, activation: .identity),
                destination: destination, shape: shape))
        try define(node, .operand(destination), shape: shape, openLinear: index)
    }

    /// The operand that a linear layer reads as its first input. A mean and scale that stand directly before it, and
    /// before nothing else, go into its weights.
    mutating func linearSource(_ node: Node, _ matrix: inout Matrix) throws(ModelError) -> Operand {
        let value = try input(node, 0)
        let name = node.inputs[0]
        if case .affine(let source, let scale, let offset) = value.value, isReadOnce(name),
            let folded = folded(matrix, scale: scale, offset: offset)
        {
            matrix = folded
            return try broadcastSource(ShapedValue(value: source, shape: value.shape), node)
        }
        if case .selection = value.value, isReadOnce(name) {
            return try broadcastSource(value, node)
        }
        return try operandInput(node, 0)
    }

    /// `matrix` after an affine map of its input, computed in 64 bits and rounded once; nil where that would cost
    /// accuracy.
    private func folded(_ matrix: Matrix, scale: [Double], offset: [Double]) -> Matrix? {
        var result = matrix
        for row in 0..<matrix.rows {
            var bias = Double(matrix.bias[row])
            var magnitude = 0.0
            for column in 0..<matrix.columns {
                let index = row * matrix.columns + column
                let weight = Double(matrix.weights[index])
                bias += weight * offset[column]
                magnitude += abs(weight * offset[column])
                result.weights[index] = Float(weight * scale[column])
                guard result.weights[index].isFinite else { return nil }
            }
            guard magnitude <= GraphCompiler.foldedOffsetMax, Float(bias).isFinite else { return nil }
            result.bias[row] = Float(bias) == 0 ? 0 : Float(bias)
        }
        return result
    }
}
