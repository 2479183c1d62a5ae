import ONNX

/// Products with constant weights, and those of two run-time values.
extension GraphCompiler {
    /// Compiles a matrix product or convolution; false if the node is none.
    mutating func compileProduct(_ node: Node) throws(ModelError) -> Bool {
        switch node.operatorName {
        case "Gemm": try compileGemm(node)
        case "MatMul": try compileMatMul(node)
        case "Conv": try compileConvolution(node)
        case "MatMulInteger": try compileIntegerMatMul(node)
        case "QLinearMatMul": try compileQuantizedMatMul(node)
        default: return false
        }
        return true
    }

    private mutating func compileGemm(_ node: Node) throws(ModelError) {
        // Before operator set 7 'broadcast' allowed what is allowed since.
        try checkAttributes(
            node, known: Set(["alpha", "beta", "transA", "transB"] + (graph.opset < 7 ? ["broadcast"] : [])))
        let first = try input(node, 0)
        let second = try input(node, 1)
        let transposesFirst = try integerAttribute(node, "transA", default: 0) != 0
        let transposesSecond = try integerAttribute(node, "transB", default: 0) != 0
        let alpha = try floatAttribute(node, "alpha", default: 1)
        let beta = try floatAttribute(node, "beta", default: 1)
        guard first.shape.count == 2, second.shape.count == 2, first.type == .float, second.type == .float else {
            throw refused(
                node, "values of shapes \(first.shape) and \(second.shape), expected two dimensions of float32 each")
        }
        let rowAxis = transposesFirst ? 1 : 0
        let (rows, inner) = (first.shape[rowAxis], first.shape[1 - rowAxis])
        let outputs = second.shape[transposesSecond ? 0 : 1]
        guard second.shape[transposesSecond ? 1 : 0] == inner else {
            throw refused(node, "a weight of shape \(second.shape) does not fit \(inner) inputs")
        }
        let shape = [rows, outputs]
        let bias = try gemmBias(node, outputs: outputs, scale: beta)
        if isWeight(second), inner > 0, outputs > 0 {
            let map = WeightMap(
                rows: outputs, columns: inner, rowStride: transposesSecond ? inner : 1,
                columnStride: transposesSecond ? 1 : outputs)
            let product = try appendProduct(
                node, 0, weight: 1, map, bias: bias ?? [], scale: alpha, allowsColumns: true
            ) { view in
                ProductTables(
                    rows: (0..<rows).map { view.start + $0 * view.strides[rowAxis] },
                    columns: (0..<inner).map { $0 * view.strides[1 - rowAxis] })
            }
            let view = View(product.operand, start: 0, shape: shape, strides: [product.rowWidth, product.outputStride])
            guard bias == nil else {
                return try define(node, .view(view), .float, shape: shape, openLinear: product.index)
            }
            let sum = try addGemmBias(node, to: view, scale: beta, shape: shape)
            return try define(node, .view(sum), .float, shape: shape)
        }
        let left = try floatInput(node, 0)
        let right = try floatInput(node, 1)
        var result = try contract(
            transposesFirst ? left.permuted([1, 0]) : left, transposesSecond ? right.permuted([1, 0]) : right,
            batch: [], node)
        if alpha != 1 { result = try scaled(result, by: alpha, node) }
        result = try addGemmBias(node, to: result, scale: beta, shape: shape)
        try define(node, .view(result), .float, shape: shape)
    }

    /// The constant bias of each output, empty where there is none; nil where it is not a constant or differs from row
    /// to row.
    private func gemmBias(_ node: Node, outputs: Int, scale: Float) throws(ModelError) -> [Float]? {
        guard let value = try optionalInput(node, 2) else { return [] }
        guard case .constant(let tensor) = value.value, !isFolding, let floats = tensor.floats,
            tensor.shape.dropLast().allSatisfy({ $0 == 1 }), floats.count == outputs || floats.count == 1
        else { return nil }
        guard floats.allSatisfy({ ($0 * scale).isFinite }) else { throw refused(node, "a bias that is not finite") }
        return (0..<outputs).map { floats[floats.count == 1 ? 0 : $0] * scale }
    }

    private mutating func addGemmBias(
        _ node: Node, to view: View, scale: Float, shape: [Int]
    ) throws(ModelError) -> View {
        guard try optionalInput(node, 2) != nil, scale != 0 else { return view }
        var bias = try floatInput(node, 2)
        if scale != 1 { bias = try scaled(bias, by: scale, node) }
        return try combine(.add, view, bias, shape: shape, node)
    }

    /// A view times a number.
    private mutating func scaled(_ view: View, by factor: Float, _ node: Node) throws(ModelError) -> View {
        let factors = Array(repeating: Double(factor), count: view.count)
        let value = ShapedValue(
            value: .affine(view, scale: factors, offset: factors.map { _ in 0 }), type: .float, shape: view.shape)
        return try self.view(of: value, node)
    }

    private mutating func compileMatMul(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: [])
        let first = try input(node, 0)
        let second = try input(node, 1)
        guard first.type == .float, second.type == .float else {
            throw refused(node, "values of types \(first.type) and \(second.type), expected float32")
        }
        let shapes = try matMulShapes(node, first.shape, second.shape)
        if isWeight(second), second.shape.count <= 2, shapes.inner > 0, shapes.columns > 0 {
            return try compileRightWeight(node, shapes)
        }
        if isWeight(first), first.shape.count <= 2, shapes.inner > 0, shapes.rows > 0 {
            return try compileLeftWeight(node, shapes)
        }
        let result = try contract(
            shapes.first(try floatInput(node, 0)), shapes.second(try floatInput(node, 1)), batch: shapes.batch, node)
        guard let view = result.reshaped(shapes.result) else { throw refused(node, "its result's layout") }
        try define(node, .view(view), .float, shape: shapes.result)
    }

    /// `x · W`: each row of x is a row of inputs.
    private mutating func compileRightWeight(_ node: Node, _ shapes: MatMulShapes) throws(ModelError) {
        let (inner, outputs) = (shapes.inner, shapes.columns)
        let map = WeightMap(rows: outputs, columns: inner, rowStride: 1, columnStride: outputs)
        let product = try appendProduct(node, 0, weight: 1, map, bias: [], scale: 1, allowsColumns: true) { view in
            let wide = shapes.first(view)
            return ProductTables(
                rows: View.indices(
                    shape: wide.shape.dropLast(), strides: wide.strides.dropLast(), start: wide.start),
                columns: (0..<inner).map { $0 * (wide.strides.last ?? 1) })
        }
        let lead = shapes.batch + [shapes.rows]
        let strides = View.rowMajor(lead).map { $0 * product.rowWidth } + [product.outputStride]
        let view = View(product.operand, start: 0, shape: lead + [outputs], strides: strides)
        guard let result = view.reshaped(shapes.result) else { throw refused(node, "its result's layout") }
        try define(node, .view(result), .float, shape: shapes.result, openLinear: product.index)
    }

    /// `W · x`: each column of x is a row of inputs.
    private mutating func compileLeftWeight(_ node: Node, _ shapes: MatMulShapes) throws(ModelError) {
        let (inner, outputs) = (shapes.inner, shapes.rows)
        let map = WeightMap(rows: outputs, columns: inner, rowStride: inner, columnStride: 1)
        let product = try appendProduct(node, 1, weight: 0, map, bias: [], scale: 1, allowsColumns: true) { view in
            let wide = shapes.second(view)
            let rank = wide.shape.count
            return ProductTables(
                rows: View.indices(
                    shape: wide.shape[..<(rank - 2)] + [wide.shape[rank - 1]],
                    strides: wide.strides[..<(rank - 2)] + [wide.strides[rank - 1]], start: wide.start),
                columns: (0..<inner).map { $0 * wide.strides[rank - 2] })
        }
        let lead = shapes.batch + [shapes.columns]
        let strides = View.rowMajor(lead).map { $0 * product.rowWidth }
        let view = View(
            product.operand, start: 0, shape: shapes.batch + [outputs, shapes.columns],
            strides: strides.dropLast() + [product.outputStride, strides.last ?? 1])
        guard let result = view.reshaped(shapes.result) else { throw refused(node, "its result's layout") }
        try define(node, .view(result), .float, shape: shapes.result)
    }

    /// Whether a value is a weight known before the first tick.
    func isWeight(_ value: ShapedValue) -> Bool {
        guard case .constant = value.value else { return false }
        return !isFolding
    }

    // MARK: Two run-time values

    /// The product of the last two axes of two views, the axes before them being `batch`. Row-major.
    mutating func contract(_ first: View, _ second: View, batch: [Int], _ node: Node) throws(ModelError) -> View {
        let rank = batch.count
        guard let left = first.broadcast(to: batch + first.shape.suffix(2)),
            let right = second.broadcast(to: batch + second.shape.suffix(2))
        else { throw refused(node, "shapes \(first.shape) and \(second.shape) do not fit each other") }
        let (rows, inner, columns) = (left.shape[rank], left.shape[rank + 1], right.shape[rank + 1])
        let shape = batch + [rows, columns]
        let count = try elementCount(shape, node)
        try spend(count * inner, node)
        let outer = batch + [rows, columns]
        let contraction = Contraction(
            first: left.operand, second: right.operand,
            firstStarts: View.indices(
                shape: outer, strides: left.strides[..<rank] + [left.strides[rank], 0], start: left.start
            ).map { Int32($0) },
            secondStarts: View.indices(
                shape: outer, strides: right.strides[..<rank] + [0, right.strides[rank + 1]], start: right.start
            ).map { Int32($0) },
            firstTaps: (0..<inner).map { Int32($0 * left.strides[rank + 1]) },
            secondTaps: (0..<inner).map { Int32($0 * right.strides[rank]) })
        let storage = storage(left.operand)
        let destination = try allocate(count, storage)
        if storage == .float {
            try append(node, .contract(contraction), to: destination, shape: shape)
        } else {
            try append(
                node, .general(GeneralOperation(.contract(contraction), [left.operand, right.operand])),
                to: destination, shape: shape)
        }
        return View(destination, shape: shape)
    }
}

/// The shapes of a `MatMul` by NumPy's rules.
struct MatMulShapes {
    var batch: [Int]
    var rows: Int
    var inner: Int
    var columns: Int
    var result: [Int]
    var firstShape: [Int]
    var secondShape: [Int]

    /// The left value with its batch axes stretched.
    func first(_ view: View) -> View { stretched(view, firstShape) }

    /// The right value with its batch axes stretched.
    func second(_ view: View) -> View { stretched(view, secondShape) }

    private func stretched(_ view: View, _ shape: [Int]) -> View {
        let matrix = View(
            view.operand, start: view.start, shape: shape,
            strides: view.shape.count == shape.count ? view.strides : strides(view, shape))
        return matrix.broadcast(to: batch + shape.suffix(2)) ?? matrix
    }

    /// A list is one row on the left and one column on the right.
    private func strides(_ view: View, _ shape: [Int]) -> [Int] {
        shape.last == 1 && shape.count == 2 && view.shape.count == 1 && shape == secondShape
            ? [view.strides[0], 1] : [0, view.strides[0]]
    }
}

extension GraphCompiler {
    func matMulShapes(_ node: Node, _ first: [Int], _ second: [Int]) throws(ModelError) -> MatMulShapes {
        guard !first.isEmpty, !second.isEmpty else {
            throw refused(node, "shapes \(first) and \(second): a scalar is no matrix")
        }
        let left = first.count == 1 ? [1] + first : first
        let right = second.count == 1 ? second + [1] : second
        let (rows, inner) = (left[left.count - 2], left[left.count - 1])
        let columns = right[right.count - 1]
        guard right[right.count - 2] == inner,
            let batch = broadcastShape(left.dropLast(2), right.dropLast(2))
        else { throw refused(node, "shapes \(first) and \(second) do not fit each other") }
        try elementCount(batch + [rows, columns], node)
        return MatMulShapes(
            batch: batch, rows: rows, inner: inner, columns: columns,
            result: batch + (first.count == 1 ? [] : [rows]) + (second.count == 1 ? [] : [columns]),
            firstShape: left, secondShape: right)
    }
}
