import ONNX

/// Quantised values: `QuantizeLinear` and `DequantizeLinear`, and the integer products that they allow.
extension GraphCompiler {
    /// Scales and zero points of a node, one for each element of a shape.
    private struct QuantizationParameters {
        var scales: [Float]
        var zeroPoints: [Int64]
        var type: ElementType
        /// Whether there is one scale and zero point for all.
        var isUniform: Bool
    }

    private func parameters(
        _ node: Node, shape: [Int], type: ElementType?
    ) throws(ModelError) -> QuantizationParameters {
        try checkAttributes(
            node, known: ["axis", "saturate", "block_size", "output_dtype", "precision"])
        guard let scales = try floatsInput(node, 1, "the scale"), let factors = scales.floats,
            factors.allSatisfy({ $0 > 0 })
        else { throw refused(node, "the scales are missing or not all positive") }
        let zeros = try constantInput(node, 2, "the zero point")
        guard zeros == nil || zeros?.shape == scales.shape, zeros == nil || zeros?.integers != nil else {
            throw refused(node, "a zero point that does not fit the scale")
        }
        var target = type ?? zeros?.elementType ?? .uint8
        if type == nil, zeros == nil, case let number = try integerAttribute(node, "output_dtype", default: 0),
            number != 0
        {
            guard let named = ElementType(rawValue: Int(clamping: number)) else {
                throw refused(node, "attribute 'output_dtype' is \(number)")
            }
            target = named
        }
        guard target.isInteger else { throw refused(node, "quantised values of type \(target)") }
        let zeroPoints = zeros?.integers ?? Array(repeating: 0, count: factors.count)
        if factors.count == 1, scales.shape.count <= 1 {
            return QuantizationParameters(
                scales: [factors[0]], zeroPoints: [zeroPoints[0]], type: target, isUniform: true)
        }
        let places = try parameterPlaces(node, shape: shape, of: scales.shape)
        return QuantizationParameters(
            scales: places.map { factors[$0] }, zeroPoints: places.map { zeroPoints[$0] }, type: target,
            isUniform: false)
    }

    /// For each element of a shape the place of its scale.
    private func parameterPlaces(_ node: Node, shape: [Int], of parameters: [Int]) throws(ModelError) -> [Int] {
        let axis = try axis(node, try integerAttribute(node, "axis", default: 1), rank: shape.count)
        let block = Int(clamping: try integerAttribute(node, "block_size", default: 0))
        if parameters.count == 1 {
            guard parameters[0] == shape[axis] else {
                throw refused(node, "\(parameters[0]) scales for axis \(axis) of shape \(shape)")
            }
            let inner = shape[(axis + 1)...].reduce(1, *)
            return (0..<shape.reduce(1, *)).map { $0 / max(inner, 1) % shape[axis] }
        }
        guard block > 0, parameters.count == shape.count,
            shape.indices.allSatisfy({
                parameters[$0] == ($0 == axis ? shape[$0] / block + (shape[$0] % block == 0 ? 0 : 1) : shape[$0])
            })
        else { throw refused(node, "scales of shape \(parameters) for a value of shape \(shape)") }
        let strides = View.rowMajor(parameters)
        var places = [0]
        for index in shape.indices {
            places = places.flatMap { base in
                (0..<shape[index]).map { base + (index == axis ? $0 / block : $0) * strides[index] }
            }
        }
        return places
    }

    mutating func compileQuantize(_ node: Node) throws(ModelError) {
        let value = try input(node, 0)
        guard value.type == .float else { throw refused(node, "values of type \(value.type), expected float32") }
        let parameters = try parameters(node, shape: value.shape, type: nil)
        let isByte = parameters.type == .uint8 || parameters.type == .int8
        var view = try floatInput(node, 0)
        if parameters.isUniform, isByte, !isFolding {
            guard
                let quantizer = Quantization(
                    scale: parameters.scales[0], zeroPoint: Int32(parameters.zeroPoints[0]),
                    isSigned: parameters.type == .int8)
            else { throw refused(node, "a scale of \(parameters.scales[0])") }
            // The codes' bounds do what a clip before them does.
            if let unclipped = value.unclipped, isReadOnce(node.inputs[0]) {
                deadLayers.insert(unclipped.layer)
                view = unclipped.view
            }
            return try define(
                node, .quantized(view, quantizer.bounded(by: value.range)), parameters.type, shape: value.shape)
        }
        let operand = try contiguous(view, node)
        try defineGeneral(
            node, .quantize(parameters.scales, parameters.zeroPoints, parameters.type), [operand], parameters.type,
            shape: value.shape)
    }

    mutating func compileDequantize(_ node: Node) throws(ModelError) {
        let value = try input(node, 0)
        guard value.type.isInteger else { throw refused(node, "values of type \(value.type)") }
        let parameters = try parameters(node, shape: value.shape, type: value.type)
        if isConstant(node), case .constant(let tensor) = value.value, let integers = tensor.integers,
            let name = node.outputs.first
        {
            try fold(node)
            let count = integers.count
            // 2 bytes of an integer and 4 of its scale.
            try spendVisits(2 * count)
            try spendBytes(6 * count)
            let zeroPoints =
                parameters.isUniform
                ? Array(repeating: parameters.zeroPoints[0], count: count) : parameters.zeroPoints
            let values = zip(integers, zeroPoints).map { $0 &- $1 }
            guard values.allSatisfy({ (-255...255).contains($0) }) else { return }
            self.values[name]?.integers = IntegerConstant(
                values: values.map { Int16($0) },
                scales: parameters.isUniform
                    ? Array(repeating: parameters.scales[0], count: count) : parameters.scales)
            return
        }
        if case .quantized(let view, let quantizer) = value.value, parameters.isUniform,
            parameters.scales[0] == quantizer.scale, parameters.zeroPoints[0] == Int64(quantizer.zeroPoint)
        {
            return try define(node, .dequantized(view, quantizer), .float, shape: value.shape)
        }
        let operand = try contiguous(try viewInput(node, 0), node)
        try defineGeneral(
            node, .dequantize(parameters.scales, parameters.zeroPoints), [operand], .float, shape: value.shape)
    }

    // MARK: Elements of quantised values

    /// The codes as integers.
    mutating func quantizedElements(_ view: View, _ quantizer: Quantization, _ node: Node) throws(ModelError) -> View {
        let bytes = try quantizedBytes(try contiguous(view, node), quantizer, shape: view.shape, node)
        let destination = try allocate(bytes.count, .integer)
        try append(
            node, .general(GeneralOperation(.widen(isSigned: quantizer.isSigned), [bytes])), to: destination,
            shape: view.shape)
        return View(destination, shape: view.shape)
    }

    /// The floats that the codes stand for.
    mutating func dequantizedElements(
        _ view: View, _ quantizer: Quantization, _ node: Node
    ) throws(ModelError) -> View {
        // Bytes are there already where they are those of a ring. There is no kernel that brings scattered ones together:
        // all from the first to the last are made floats, with what lies between them.
        let isBytes = storage(view.operand) == .byte
        let flat = isBytes ? view.spanned : try flat(view, node)
        let bytes =
            isBytes
            ? flat.operand : try quantizedBytes(flat.operand, quantizer, shape: view.shape, node)
        let destination = try allocate(flat.operand.count)
        try append(node, .dequantize(source: bytes, quantizer), to: destination, shape: view.shape)
        return View(destination, start: flat.start, shape: flat.shape, strides: flat.strides)
    }

    /// Floats that the quantizer gives the codes of a view. The bytes of a ring have no kernel that moves them one by
    /// one; the floats that they stand for can be moved, and quantise to the same bytes again.
    mutating func requantizable(_ view: View, _ quantizer: Quantization, _ node: Node) throws(ModelError) -> View {
        storage(view.operand) == .byte ? try dequantizedElements(view, quantizer, node) : view
    }

    /// The codes as bytes, made once.
    mutating func quantizedBytes(
        _ operand: Operand, _ quantizer: Quantization, shape: [Int], _ node: Node
    ) throws(ModelError) -> Operand {
        let key = QuantizedKey(
            operand: operand.buffer, offset: operand.offset, count: operand.count, quantizer: quantizer)
        if let bytes = quantizedOperands[key] { return bytes }
        let bytes = try allocate(operand.count, .byte)
        try append(node, .quantize(source: operand, quantizer), to: bytes, shape: shape)
        quantizedOperands[key] = bytes
        return bytes
    }

    // MARK: Integer products

    mutating func appendIntegerProduct(
        _ node: Node, _ view: View, _ quantizer: Quantization, _ weights: (matrix: IntegerMatrix, scales: [Float]),
        bias: [Float], order: OutputOrder, tables: (View) -> ProductTables
    ) throws(ModelError) -> ProductResult {
        // The bytes may be there already: those of a ring.
        let isBytes = storage(view.operand) == .byte
        var view = view
        if isBytes, !tables(view).hasGroups { view = try dequantizedElements(view, quantizer, node) }
        let hasBytes = storage(view.operand) == .byte
        let flat = hasBytes ? view : try flat(view, node)
        var source = flat.operand
        var places = tables(flat)
        if !places.hasGroups {
            // The products read inputs four by four: bring them side by side, each row from a multiple of four.
            let width = (places.columns.count + 3) / 4 * 4
            var indices = Array(repeating: Int32(-1), count: width * places.rows.count)
            for (row, start) in places.rows.enumerated() {
                for (column, offset) in places.columns.enumerated() {
                    indices[row * width + column] = Int32(start + offset)
                }
            }
            source = try gathered(source, indices, shape: [places.rows.count, width], node)
            places = ProductTables(
                rows: places.rows.indices.map { $0 * width }, columns: Array(places.columns.indices))
        }
        let bytes = hasBytes ? source : try quantizedBytes(source, quantizer, shape: view.shape, node)
        let layer = IntegerLinearLayer(
            source: bytes, rowStarts: places.rows.map { Int32($0) },
            groupOffsets: stride(from: 0, to: places.columns.count, by: 4).map { Int32(places.columns[$0]) },
            matrix: weights.matrix, quantizer: quantizer, scales: weights.scales.map { quantizer.scale * $0 },
            bias: bias, order: order)
        let rowWidth = layer.rowWidth
        try spend(places.rows.count * weights.matrix.weights.count, node)
        let destination = try allocate(rowWidth * places.rows.count)
        let index = try append(
            node, .integerLinear(layer), to: destination, shape: [places.rows.count, weights.matrix.rows])
        return ProductResult(operand: destination, rowWidth: rowWidth, index: index)
    }

    // MARK: Integer operators

    /// A byte value less its zero point: one, or one for each row or column.
    private mutating func centred(
        _ node: Node, _ index: Int, zero: Int, alongRows: Bool
    ) throws(ModelError) -> View {
        let view = try viewInput(node, index)
        guard try input(node, index).type.isInteger else { throw refused(node, "values of type that is no integer") }
        guard let value = try optionalInput(node, zero) else { return view }
        if case .constant(let tensor) = value.value, tensor.integers?.allSatisfy({ $0 == 0 }) ?? false { return view }
        guard value.type.isInteger else { throw refused(node, "a zero point of type \(value.type)") }
        // One that is known only at run time is that of a `DynamicQuantizeLinear`.
        var zeros = try viewInput(node, zero)
        let rank = view.shape.count
        if alongRows, zeros.count > 1, zeros.shape.count == 1, rank > 1 {
            zeros.shape.append(1)
            zeros.strides.append(1)
        }
        guard broadcastShape(view.shape, zeros.shape) == view.shape else {
            throw refused(node, "a zero point of shape \(value.shape) for a value of shape \(view.shape)")
        }
        return try generalArithmetic(.subtract, .int64, view, zeros, shape: view.shape, node)
    }

    /// The exact sums of `MatMulInteger`, as 64-bit integers.
    private mutating func integerSums(
        _ node: Node, first: Int, firstZero: Int, second: Int, secondZero: Int
    ) throws(ModelError) -> View {
        let shapes = try matMulShapes(node, try input(node, first).shape, try input(node, second).shape)
        let left = try centred(node, first, zero: firstZero, alongRows: true)
        let right = try centred(node, second, zero: secondZero, alongRows: false)
        let sums = try contract(shapes.first(left), shapes.second(right), batch: shapes.batch, node)
        guard let view = sums.reshaped(shapes.result) else { throw refused(node, "its result's layout") }
        return view
    }

    mutating func compileIntegerMatMul(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: [])
        let sums = try integerSums(node, first: 0, firstZero: 2, second: 1, secondZero: 3)
        try defineGeneral(
            node, .convert(.int64, .int32), [sums.operand], .int32, shape: sums.shape)
    }

    mutating func compileQuantizedMatMul(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: [])
        func scale(_ index: Int) throws(ModelError) -> Float {
            guard let tensor = try constantInput(node, index, "the scale"), tensor.count == 1,
                let value = tensor.floatValues?.first, value > 0, value.isFinite
            else { throw refused(node, "input \(index) is no single positive scale") }
            return value
        }
        guard let zero = try constantInput(node, 7, "the zero point"), zero.count == 1, let point = zero.integers?.first
        else { throw refused(node, "the zero point of the result is missing") }
        let factor = try scale(1) * scale(4) / scale(6)
        let sums = try integerSums(node, first: 0, firstZero: 2, second: 3, secondZero: 5)
        try defineGeneral(
            node, .requantize(factor, point, zero.elementType), [sums.operand], zero.elementType, shape: sums.shape)
    }

    mutating func compileDynamicQuantize(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: [])
        let value = try input(node, 0)
        let operand = try contiguous(try floatInput(node, 0), node)
        let codes = try allocate(operand.count, .integer)
        let scale = try allocate(1)
        let zero = try allocate(1, .integer)
        var operation = GeneralOperation(.dynamicQuantize, [operand])
        operation.furtherDestinations = [scale, zero]
        try append(node, .general(operation), to: codes, shape: value.shape)
        try define(node, .view(View(codes, shape: value.shape)), .uint8, shape: value.shape)
        try define(node, .view(View(scale, shape: [])), .float, shape: [], output: 1)
        try define(node, .view(View(zero, shape: [])), .uint8, shape: [], output: 2)
    }
}

extension ProductTables {
    /// Whether the inputs come in groups of four that lie side by side.
    var hasGroups: Bool {
        columns.indices.allSatisfy { $0 % 4 == 0 || columns[$0] == columns[$0 - 1] + 1 }
    }
}
