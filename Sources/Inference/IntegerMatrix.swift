/// A quantised matrix as layers hold it: rows are outputs, columns are inputs, and the weights are whole numbers from
/// which their zero point was subtracted, so that a pruned weight is 0.
struct IntegerMatrix {
    /// More columns could overflow a sum: 32,768 · 255 · 255 is the last that fits in 31 bits.
    static let columnsMax = 32_768
    /// 8-bit weights less an 8-bit zero point.
    static let weightRange: ClosedRange<Int16> = -255...255

    let rows: Int
    let columns: Int
    /// Row after row, each within `weightRange`.
    let weights: [Int16]

    /// - Precondition: There are `rows · columns` weights within `weightRange`, and at most `columnsMax` columns.
    init(rows: Int, columns: Int, weights: [Int16]) {
        precondition(rows >= 0 && columns >= 0 && columns <= IntegerMatrix.columnsMax, "columns are limited")
        precondition(weights.count == rows * columns, "each row has a weight per column")
        precondition(weights.allSatisfy(IntegerMatrix.weightRange.contains), "weights are -255...255")
        self.rows = rows
        self.columns = columns
        self.weights = weights
    }

    /// The sum of each row's weights. With inputs of zero point z, the exact sum of a row is the product of the raw
    /// bytes less z times this.
    var rowSums: [Int32] {
        (0..<rows).map { row in
            weights[row * columns..<(row + 1) * columns].reduce(0) { $0 + Int32($1) }
        }
    }

    /// What is to be added to each row's product of raw bytes whose zero point is `zeroPoint`.
    func corrections(zeroPoint: Int32) -> [Int32] { rowSums.map { -zeroPoint * $0 } }

    /// The greatest magnitude of a weight; 0 if there is none.
    var magnitudeMax: Int16 { weights.reduce(0) { max($0, abs($1)) } }

    /// The same with columns of zeros after each run of `length` columns, so that each run begins a group of 4.
    ///
    /// A convolution's patch is several runs of neighbouring bytes, one per step of the kernel, and a group of inputs is
    /// read with one load, so that it cannot span two runs.
    ///
    /// - Precondition: `length` divides the columns.
    func paddingRuns(of length: Int) -> IntegerMatrix {
        precondition(length > 0 && columns.isMultiple(of: length), "runs are of one length")
        let padded = (length + 3) / 4 * 4
        guard padded != length else { return self }
        let padding = [Int16](repeating: 0, count: padded - length)
        var result: [Int16] = []
        result.reserveCapacity(rows * columns / length * padded)
        for start in stride(from: 0, to: weights.count, by: length) {
            result += weights[start..<start + length]
            result += padding
        }
        return IntegerMatrix(rows: rows, columns: columns / length * padded, weights: result)
    }
}
