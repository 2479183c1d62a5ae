/// A matrix cut into panels of outputs, with gates and padding in their final order. Only then are empty blocks
/// looked for: a block that training emptied is empty in this order.
struct MatrixPacking {
    /// Which row stands where.
    enum Order {
        /// As they are, in panels of 16.
        case rows(Int)
        /// As they are, in one panel of 8 or 16, summed in 4 chains.
        case narrow(Int)
        /// 8 units of each gate make a panel, so that a panel holds all that 8 units need.
        case gates(Int, units: Int)
    }

    let order: Order
    let columns: Int
    let panels: Int
    /// Vectors of 8 outputs per panel.
    let vectors: Int
    /// One per output, in panel order.
    let bias: [Float]
    /// For each panel the columns that hold a weight that is not zero, ascending.
    let columnsOfPanel: [[Int]]
    var isSparse = false
    var predictedCycles = 0.0

    private let matrix: Matrix
    /// For each output in panel order the matrix row, or nil for padding.
    private let rows: [Int?]

    init(_ matrix: Matrix, order: Order) {
        self.matrix = matrix
        self.order = order
        columns = matrix.columns
        switch order {
        case .rows(let count):
            vectors = 2
            panels = (count + 15) / 16
            rows = (0..<panels * 16).map { $0 < count ? $0 : nil }
        case .narrow(let count):
            vectors = (count + 7) / 8
            panels = 1
            rows = (0..<vectors * 8).map { $0 < count ? $0 : nil }
        case .gates(let gates, let units):
            vectors = gates
            panels = (units + 7) / 8
            rows = (0..<panels * gates * 8).map { index in
                let unit = index / (gates * 8) * 8 + index % 8
                let gate = index / 8 % gates
                return unit < units ? gate * units + unit : nil
            }
        }
        bias = rows.map { row in row.map { matrix.bias[$0] } ?? 0 }
        let width = vectors * 8
        let rows = rows
        columnsOfPanel = (0..<panels).map { panel in
            (0..<matrix.columns).filter { column in
                rows[panel * width..<(panel + 1) * width].contains { row in
                    row.map { matrix.weights[$0 * matrix.columns + column] != 0 } ?? false
                }
            }
        }
    }

    /// Blocks that are not empty: one panel's outputs of one column each.
    var blockCount: Int { columnsOfPanel.reduce(0) { $0 + $1.count } }

    /// Share of blocks that are not empty.
    var blockDensity: Double { panels * columns == 0 ? 1 : Double(blockCount) / Double(panels * columns) }

    private func weight(_ output: Int, _ column: Int) -> Float {
        rows[output].map { matrix.weights[$0 * columns + column] } ?? 0
    }

    /// All weights, panel after panel, column after column; `joining` neighbouring panels make one, and what is left
    /// over stays as it is.
    func dense(joining: Int) -> [Float] {
        let width = vectors * 8
        var weights: [Float] = []
        weights.reserveCapacity(panels * width * columns)
        var panel = 0
        while panel < panels {
            let joined = panels - panel >= joining ? joining : 1
            let outputs = panel * width..<(panel + joined) * width
            for column in 0..<columns {
                for output in outputs {
                    weights.append(weight(output, column))
                }
            }
            panel += joined
        }
        return weights
    }

    /// The blocks that are not empty, in the order of `SparseKernels`.
    func sparse() -> (panels: [SparsePanel], indices: [Int32], weights: [Float]) {
        let width = vectors * 8
        var result: (panels: [SparsePanel], indices: [Int32], weights: [Float]) = ([], [], [])
        for panel in 0..<panels {
            let even = columnsOfPanel[panel].filter { $0 % 2 == 0 }
            let odd = columnsOfPanel[panel].filter { $0 % 2 == 1 }
            let pairs = min(even.count, odd.count)
            let rest = even.count > odd.count ? even[pairs...] : odd[pairs...]
            result.panels.append(
                SparsePanel(
                    pairs: Int32(pairs), rest: Int32(rest.count), restIsOdd: even.count > odd.count ? 0 : 1))
            for column in zip(even, odd).flatMap({ [$0, $1] }) + rest {
                result.indices.append(Int32(column))
                for output in panel * width..<(panel + 1) * width {
                    result.weights.append(weight(output, column))
                }
            }
        }
        return result
    }
}
