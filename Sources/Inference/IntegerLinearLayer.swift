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
        weights.reserveCapacity(map.places.count)
        var rowScales: [Float] = []
        for row in 0..<map.rows {
            var scale: Float?
            for place in map.places[row * map.columns..<(row + 1) * map.columns] {
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
