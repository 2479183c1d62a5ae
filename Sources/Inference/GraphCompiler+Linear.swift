import ONNX

/// Where the inputs of a product are, in elements from the start of a view's operand.
struct ProductTables {
    /// Where each row of inputs begins.
    var rows: [Int]
    /// Where each input is, from the start of its row.
    var columns: [Int]
}

/// The result of a product: rows of outputs, padded; or, by columns, outputs of rows.
struct ProductResult {
    var operand: Operand
    /// Elements from one row to the next.
    var rowWidth: Int
    /// Elements from one output to the next.
    var outputStride = 1
    var index: Int
}

/// Products with constant weights, as a table of rows and a table of inputs: so a matrix product, a convolution and
/// the input side of a recurrent layer are one kind of layer.
extension GraphCompiler {
    /// A mean and scale go into the weights only if the sum of |weight · mean / scale| of each output stays below
    /// this: beyond it the products would be so much larger than their sum that rounding them costs more than some
    /// 4e-6 of the result.
    private static let foldedOffsetMax = 32.0
    /// Share of weights in blocks from which a product reads its inputs where they lie, however scattered they are.
    private static let scatteredDensityMax = 0.5

    /// The product of the value at input `index` and the constant at input `weight`.
    ///
    /// - Parameters:
    ///   - bias: One for each output, or empty.
    ///   - scale: Goes into the weights.
    ///   - allowsColumns: Whether the caller takes the results by columns, too.
    ///   - tables: Where a view with the shape of the input has the inputs of each row.
    mutating func appendProduct(
        _ node: Node, _ index: Int, weight: Int, _ map: WeightMap, bias: [Float], scale: Float,
        order: OutputOrder = .rows, allowsColumns: Bool = false, tables: (View) -> ProductTables
    ) throws(ModelError) -> ProductResult {
        guard map.count <= ModelLimits.weights else {
            throw .limit(what: "weights at node '\(node.name)'", found: map.count, limit: ModelLimits.weights)
        }
        let biases = bias.isEmpty ? Array(repeating: 0, count: map.rows) : bias
        let value = try input(node, index)
        if case .dequantized(let view, let quantizer) = value.value, scale == 1,
            let integers = try integerWeights(node, weight, map)
        {
            return try appendIntegerProduct(
                node, view, quantizer, integers, bias: biases, order: order, tables: tables)
        }
        var matrix = Matrix(
            rows: map.rows, columns: map.columns, weights: try weights(node, weight, map, scale: scale),
            // Never -0, see `SparseKernels`.
            bias: biases.map { $0 == 0 ? 0 : $0 })
        if order == .rows { matrix.chains = Matrix.chains(rows: matrix.rows) }
        if case .affine(let view, let scale, let offset) = value.value, isReadOnce(node.inputs[index]) {
            let plain = View(Operand(buffer: 0, count: scale.count), shape: value.shape)
            try spendVisits(2 * map.count + scale.count)
            try spendBytes(map.count * PlanCosts.weightBytes)
            if let folded = folded(matrix, tables(plain), scale: scale, offset: offset) {
                return try appendLinear(
                    node, view.operand, tables(view), folded, order: order, allowsColumns: allowsColumns)
            }
        }
        let view = try floatInput(node, index)
        return try appendLinear(node, view.operand, tables(view), matrix, order: order, allowsColumns: allowsColumns)
    }

    /// A linear layer over inputs in memory.
    mutating func appendLinear(
        _ node: Node, _ source: Operand, _ tables: ProductTables, _ matrix: Matrix, order: OutputOrder = .rows,
        allowsColumns: Bool = false
    ) throws(ModelError) -> ProductResult {
        var layer = LinearLayer(
            source: source, rowStarts: tables.rows.map { Int32($0) }, columnOffsets: tables.columns.map { Int32($0) },
            matrix: matrix, order: order)
        // The last rows are read in whole vectors, for which only buffers of the engine are sure to have room.
        if allowsColumns, list.buffers[source.buffer].place == .arena, layer.canRunByColumns {
            try spendVisits(3 * matrix.weights.count)
            layer.isByColumns = PlannerCosts.prefersColumns(layer)
        }
        // What follows for the kernels: rows begin at the start of their operand if there is one, and scattered inputs
        // of a full matrix are brought together first, which costs less than looking each of them up.
        if let first = layer.rowStarts.first, layer.rowStarts.count == 1 {
            layer.rowStarts = [0]
            if !layer.isContiguous, blockDensity(matrix, order) > Self.scatteredDensityMax {
                // From the start of the operand, not of the row: inputs may lie before that, and none may be negative.
                let places = layer.columnOffsets.map { first + $0 }
                layer.source = try gathered(source, places, shape: [matrix.columns], node)
                layer.columnOffsets = (0..<matrix.columns).map { Int32($0) }
            } else {
                layer.source.offset += Int(first)
                layer.source.count -= Int(first)
            }
        }
        try spend(tables.rows.count * matrix.weights.count, node)
        let destination = try allocate(
            layer.isByColumns ? layer.columnWidth * matrix.rows : layer.rowWidth * tables.rows.count)
        // By columns weights are packed for each product by itself, and the bias for each result.
        if layer.isByColumns {
            try spendBytes(matrix.weights.count * PlanCosts.weightBytes + destination.count * PlanCosts.entryBytes)
        }
        let index = try append(node, .linear(layer), to: destination, shape: [tables.rows.count, matrix.rows])
        return layer.isByColumns
            ? ProductResult(operand: destination, rowWidth: 1, outputStride: layer.columnWidth, index: index)
            : ProductResult(operand: destination, rowWidth: layer.rowWidth, index: index)
    }

    /// The share of blocks that are not empty, found once for each matrix.
    private mutating func blockDensity(_ matrix: Matrix, _ order: OutputOrder) -> Double {
        let key = MatrixPacking.Key(matrix, order)
        if let density = made.densities[key]?.density { return density }
        let density = MatrixPacking(matrix, order: order).blockDensity
        made.densities[key] = (matrix.weights, density)
        return density
    }

    /// `matrix` after an affine map of its inputs, computed in 64 bits and rounded once; nil where that would cost
    /// accuracy, or where the map is not the same for each row of inputs.
    private func folded(
        _ matrix: Matrix, _ tables: ProductTables, scale: [Double], offset: [Double]
    ) -> Matrix? {
        guard let first = tables.rows.first else { return nil }
        let places = tables.columns.map { first + $0 }
        for row in tables.rows {
            for (place, column) in zip(places, tables.columns)
            where scale[row + column] != scale[place] || offset[row + column] != offset[place] { return nil }
        }
        var result = matrix
        for row in 0..<matrix.rows {
            var bias = Double(matrix.bias[row])
            var magnitude = 0.0
            for column in 0..<matrix.columns {
                let index = row * matrix.columns + column
                let weight = Double(matrix.weights[index])
                bias += weight * offset[places[column]]
                magnitude += abs(weight * offset[places[column]])
                let folded = Float(weight * scale[places[column]])
                result.weights[index] = folded == 0 ? 0 : folded
                guard folded.isFinite else { return nil }
            }
            guard magnitude <= GraphCompiler.foldedOffsetMax, Float(bias).isFinite else { return nil }
            result.bias[row] = Float(bias) == 0 ? 0 : Float(bias)
        }
        return result
    }
}
