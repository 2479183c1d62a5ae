/// An integer matrix cut into blocks, with gates and padding in their final order. Only then are empty blocks looked
/// for: a block that training emptied is empty in this order.
///
/// A block is 8 outputs of each gate by 4 inputs, because one load broadcasts 4 bytes. Its vectors hold the 4 weights of
/// the first output, then those of the second, and so on; widened to 16 bits, first inputs 0 and 2 of all outputs and then
/// inputs 1 and 3, because this is how a mask and a shift part the 4 bytes.
struct IntegerPacking {
    /// Which row stands where.
    enum Order {
        /// As they are.
        case rows
        /// 8 units of each gate, then the next 8, so that 8 units find all their gates together.
        case gates(Int)
    }

    /// Vectors of 8 outputs in a block: 1, or as many as there are gates.
    let blockVectors: Int
    let arithmetic: IntegerArithmetic
    /// For each block of outputs the groups of inputs that hold a weight that is not zero, ascending.
    let groupsOfPanel: [[Int]]

    private let matrix: IntegerMatrix
    /// For each output in panel order the matrix row, or nil for padding.
    private let rows: [Int?]

    /// - Precondition: The gates are at most 4 and divide the rows; the weights suit the arithmetic.
    init(_ matrix: IntegerMatrix, order: Order, arithmetic: IntegerArithmetic) {
        let isFit =
            arithmetic != .sevenBit || matrix.magnitudeMax <= IntegerArithmetic.sevenBitWeightMax
        precondition(isFit, "the fast products need weights of -63...63")
        self.matrix = matrix
        self.arithmetic = arithmetic
        switch order {
        case .rows:
            blockVectors = 1
            rows = (0..<(matrix.rows + 7) / 8 * 8).map { $0 < matrix.rows ? $0 : nil }
        case .gates(let gates):
            precondition((1...4).contains(gates) && matrix.rows.isMultiple(of: gates), "gates divide the rows")
            let units = matrix.rows / gates
            blockVectors = gates
            rows = (0..<(units + 7) / 8 * 8 * gates).map { index in
                let unit = index / (gates * 8) * 8 + index % 8
                let gate = index / 8 % gates
                return unit < units ? gate * units + unit : nil
            }
        }
        let width = blockVectors * 8
        let rows = rows
        groupsOfPanel = stride(from: 0, to: rows.count, by: width).map { start in
            (0..<(matrix.columns + 3) / 4).filter { group in
                let columns = group * 4..<min(group * 4 + 4, matrix.columns)
                return rows[start..<start + width].contains { row in
                    row.map { row in columns.contains { matrix.weights[row * matrix.columns + $0] != 0 } } ?? false
                }
            }
        }
    }

    /// Groups of 4 inputs.
    var groups: Int { (matrix.columns + 3) / 4 }

    /// Vectors of 8 outputs.
    var outputVectors: Int { rows.count / 8 }

    /// Blocks that are not empty.
    var blockCount: Int { groupsOfPanel.reduce(0) { $0 + $1.count } }

    /// Share of blocks that are not empty.
    var blockDensity: Double {
        let all = groupsOfPanel.count * groups
        return all == 0 ? 1 : Double(blockCount) / Double(all)
    }

    /// One value per row in the order in which a product writes its sums.
    func inPanelOrder<Value>(_ values: [Value], padding: Value) -> [Value] {
        rows.map { $0.map { values[$0] } ?? padding }
    }

    /// All weights, in panels of 32 outputs and one of what is left over.
    func dense() -> IntegerWeights {
        var result = IntegerWeights()
        result.shape = IntegerShape(
            arithmetic: arithmetic, isSparse: false, groups: groups, panels: outputVectors / 4, vectors: 4,
            lastVectors: outputVectors % 4)
        result.bytes.reserveCapacity(outputVectors * groups * arithmetic.blockBytes)
        for first in stride(from: 0, to: outputVectors, by: 4) {
            append(Array(0..<groups), vectors: first..<min(first + 4, outputVectors), to: &result.bytes)
        }
        return result
    }

    /// The blocks that are not empty.
    func sparse() -> IntegerWeights {
        var result = IntegerWeights()
        result.shape = IntegerShape(
            arithmetic: arithmetic, isSparse: true, groups: groups, panels: groupsOfPanel.count,
            vectors: blockVectors, lastVectors: 0)
        for (panel, groups) in groupsOfPanel.enumerated() {
            result.panels.append(IntegerPanel(pairs: Int32(groups.count / 2), rest: Int32(groups.count % 2)))
            result.offsets += groups.map { Int32($0 * 4) }
            append(groups, vectors: panel * blockVectors..<(panel + 1) * blockVectors, to: &result.bytes)
        }
        return result
    }

    /// A panel's groups, two by two: for each vector of outputs the one group's weights and then the other's.
    private func append(_ groups: [Int], vectors: Range<Int>, to bytes: inout [UInt8]) {
        for first in stride(from: 0, to: groups.count, by: 2) {
            for vector in vectors {
                for group in groups[first..<min(first + 2, groups.count)] {
                    append(group, vector: vector, to: &bytes)
                }
            }
        }
    }

    private func append(_ group: Int, vector: Int, to bytes: inout [UInt8]) {
        let outputs = vector * 8..<vector * 8 + 8
        guard arithmetic != .sevenBit else {
            for output in outputs {
                for column in group * 4..<group * 4 + 4 {
                    bytes.append(UInt8(truncatingIfNeeded: weight(output, column)))
                }
            }
            return
        }
        for half in 0..<2 {
            for output in outputs {
                for column in [group * 4 + half, group * 4 + half + 2] {
                    let bits = UInt16(bitPattern: weight(output, column))
                    bytes.append(UInt8(truncatingIfNeeded: bits))
                    bytes.append(UInt8(truncatingIfNeeded: bits >> 8))
                }
            }
        }
    }

    private func weight(_ output: Int, _ column: Int) -> Int16 {
        guard let row = rows[output], column < matrix.columns else { return 0 }
        return matrix.weights[row * matrix.columns + column]
    }
}
