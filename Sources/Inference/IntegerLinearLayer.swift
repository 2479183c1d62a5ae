import ONNX

extension Quantization {
    /// Whether 0 is quantised and comes back as 0, so that padding may come before.
    var keepsZero: Bool { range.contains(Int(zeroPoint)) }

    /// The same with the bytes that floats within `range` have.
    func bounded(by range: ClosedRange<Float>?) -> Quantization {
        guard let range else { return self }
        return Quantization(
            scale: scale, zeroPoint: zeroPoint, isSigned: isSigned, clipLow: range.lowerBound,
            clipHigh: range.upperBound) ?? self
    }
}

/// Which bytes were made of which floats.
struct QuantizedKey: Hashable {
    var operand: Int
    var offset: Int
    var count: Int
    var quantizer: Quantization
}

/// What a constant was before `DequantizeLinear`.
struct IntegerConstant: Sendable {
    /// Less their zero points.
    var values: [Int16]
    /// For each value its scale.
    var scales: [Float]

    /// The integers as a matrix with a scale for each output; nil where an output's weights have different scales.
    func matrix(_ map: WeightMap) -> (matrix: IntegerMatrix, scales: [Float])? {
        var weights: [Int16] = []
        weights.reserveCapacity(map.count)
        var rowScales: [Float] = []
        for row in 0..<map.rows {
            var scale: Float?
            for place in (0..<map.columns).lazy.map({ map.place(row, $0) }) {
                weights.append(place < 0 ? 0 : values[place])
                guard place >= 0 else { continue }
                if scale == nil { scale = scales[place] }
                guard scale == scales[place] else { return nil }
            }
            rowScales.append(scale ?? 1)
        }
        return (IntegerMatrix(rows: map.rows, columns: map.columns, weights: weights), rowScales)
    }
}

/// A product of bytes and integer weights, exact, then scaled to floats.
struct IntegerLinearLayer: Sendable {
    /// Bytes.
    var source: Operand
    /// Where each row of inputs begins, in bytes from the start of the source.
    var rowStarts: [Int32]
    /// Where each group of 4 inputs is, from the start of its row.
    var groupOffsets: [Int32]
    var matrix: IntegerMatrix
    var quantizer: Quantization
    /// Of each output: what one unit of its sum is worth.
    var scales: [Float]
    var bias: [Float]
    var order = OutputOrder.rows
    var activation = Activation.identity
    /// Where the sums are on the way, and how they become the bytes that the next product reads: for a result that nobody
    /// wants as floats. The activation is in the bounds of the codes.
    var output: (sums: Operand, quantization: Quantization)?

    /// Whether the groups of a row lie side by side.
    var isContiguous: Bool { groupOffsets.enumerated().allSatisfy { $1 == Int32(4 * $0) } }

    /// Floats of one row of results, padding included.
    var rowWidth: Int {
        switch order {
        case .rows: (matrix.rows + 7) / 8 * 8
        case .gates(let gates): (matrix.rows / gates + 7) / 8 * 8 * gates
        }
    }
}

extension LayerList {
    /// Makes bytes of an integer product's sums at once, where nobody reads them as floats.
    mutating func fuseQuantization() {
        let readers = readerCounts
        var writers = Array(repeating: [Int](), count: buffers.count)
        for (index, layer) in layers.enumerated() {
            for operand in layer.writes { writers[operand.buffer].append(index) }
        }
        var fused: Set<Int> = []
        for (index, layer) in layers.enumerated() {
            guard case .quantize(let source, let quantization) = layer.operation, readers[source.buffer] == 1,
                let maker = writers[source.buffer].first, writers[source.buffer].count == 1,
                case .integerLinear(var linear) = layers[maker].operation, linear.output == nil,
                source == layers[maker].destination, let bounded = quantization.after(linear.activation)
            else { continue }
            linear.activation = .identity
            linear.output = (layers[maker].destination, bounded)
            layers[maker].operation = .integerLinear(linear)
            layers[maker].destination = layer.destination
            fused.insert(index)
        }
        remove(fused)
    }
}

extension Quantization {
    /// The codes of values after a function that only bounds them; nil for other functions.
    func after(_ function: Activation) -> Quantization? {
        switch function {
        case .identity: self
        case .relu: bounded(from: 0, to: .infinity)
        case .clip(let low, let high) where low <= high: bounded(from: low, to: high)
        default: nil
        }
    }

    /// As of values clipped before, within the bounds that there are: of a clip that lies beyond them the nearer one.
    private func bounded(from low: Float, to high: Float) -> Quantization? {
        guard
            let clipped = Quantization(
                scale: scale, zeroPoint: zeroPoint, isSigned: isSigned, clipLow: low, clipHigh: high)
        else { return nil }
        return Quantization(
            clipped, low: min(max(clipped.low, self.low), self.high), high: max(min(clipped.high, self.high), self.low))
    }
}
