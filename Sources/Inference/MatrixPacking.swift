/// A matrix cut into panels of outputs, with gates and padding in their final order. Only then are empty blocks
/// looked for: a block that training emptied is empty in this order.
struct MatrixPacking {
    let order: OutputOrder
    let columns: Int
    let panels: Int
    /// Vectors of 8 outputs per panel.
    let vectors: Int
    /// For each panel the columns that hold a weight that is not zero, ascending.
    let columnsOfPanel: [[Int]]
    /// Weights that are not zero.
    let nonZeroCount: Int
    /// Whether the matrix is one panel, summed in 4 chains.
    let isNarrow: Bool
    var isSparse = false
    /// Predicted cost of either form; nil where there is none.
    var denseCycles = 0.0
    var sparseCycles: Double?
    var predictedCycles: Double { isSparse ? sparseCycles ?? denseCycles : denseCycles }

    /// What a packing depends on: matrices of the same weights share it.
    struct Key: Hashable {
        private let weights: ArrayIdentity
        private let shape: [Int]
        private let order: OutputOrder

        init(_ matrix: Matrix, _ order: OutputOrder) {
            weights = ArrayIdentity(matrix.weights)
            shape = [matrix.rows, matrix.columns, matrix.chains]
            self.order = order
        }
    }

    private let matrix: Matrix
    /// For each output in panel order the matrix row, or nil for padding.
    private let rows: [Int?]

    init(_ matrix: Matrix, order: OutputOrder) {
        self.matrix = matrix
        self.order = order
        columns = matrix.columns
        isNarrow = matrix.chains > 2
        let rows: [Int?]
        switch order {
        case .rows where isNarrow:
            vectors = (matrix.rows + 7) / 8
            panels = 1
            rows = (0..<vectors * 8).map { $0 < matrix.rows ? $0 : nil }
        case .rows:
            vectors = 2
            panels = (matrix.rows + 15) / 16
            rows = (0..<panels * 16).map { $0 < matrix.rows ? $0 : nil }
        case .gates(let gates):
            let units = matrix.rows / gates
            vectors = gates
            panels = (units + 7) / 8
            rows = (0..<panels * gates * 8).map { index in
                let unit = index / (gates * 8) * 8 + index % 8
                let gate = index / 8 % gates
                return unit < units ? gate * units + unit : nil
            }
        }
        self.rows = rows
        nonZeroCount = matrix.weights.count { $0 != 0 }
        columnsOfPanel = MatrixPacking.columns(matrix, rows, panels: panels, width: vectors * 8)
    }

    /// For each panel of `width` outputs the columns that hold a weight that is not zero.
    private static func columns(_ matrix: Matrix, _ rows: [Int?], panels: Int, width: Int) -> [[Int]] {
        (0..<panels).map { panel in
            var isUsed = Array(repeating: false, count: matrix.columns)
            for case let row? in rows[panel * width..<min((panel + 1) * width, rows.count)] {
                let start = row * matrix.columns
                for column in 0..<matrix.columns where matrix.weights[start + column] != 0 { isUsed[column] = true }
            }
            return isUsed.indices.filter { isUsed[$0] }
        }
    }

    /// One for each output, in panel order.
    func inPanelOrder(_ bias: [Float]) -> [Float] {
        rows.map { row in row.map { bias[$0] } ?? 0 }
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

    /// The blocks that are not empty, in the order of `SparseKernels`; `places` says where each input is.
    func sparse(_ places: [Int32]) -> (panels: [SparsePanel], indices: [Int32], weights: [Float]) {
        let width = vectors * 8
        var result: (panels: [SparsePanel], indices: [Int32], weights: [Float]) = ([], [], [])
        for panel in 0..<panels {
            let even = columnsOfPanel[panel].filter { $0 % 2 == 0 }
            let odd = columnsOfPanel[panel].filter { $0 % 2 == 1 }
            let pairs = min(even.count, odd.count)
            result.panels.append(
                SparsePanel(
                    pairs: Int32(pairs), evens: Int32(even.count - pairs), odds: Int32(odd.count - pairs)))
            for column in zip(even, odd).flatMap({ [$0, $1] }) + even[pairs...] + odd[pairs...] {
                result.indices.append(places[column])
                for output in panel * width..<(panel + 1) * width {
                    result.weights.append(weight(output, column))
                }
            }
        }
        return result
    }

    /// The columns of each chain of each panel of 16 outputs, or 8 at the end, in the order of `RowKernels`: all
    /// columns, or those with a weight that is not zero.
    func rowPanels(
        _ places: [Int32], keepsZeros: Bool
    ) -> (chains: [Int32], places: [Int32], weights: [Float]) {
        var result: (chains: [Int32], places: [Int32], weights: [Float]) = ([], [], [])
        let count = (rows.count + 15) / 16
        let used = MatrixPacking.columns(matrix, rows, panels: count, width: 16)
        for panel in 0..<count {
            let outputs = panel * 16..<min((panel + 1) * 16, rows.count)
            let listed = keepsZeros ? Array(0..<columns) : used[panel]
            for chain in 0..<matrix.chains {
                let members = listed.filter { $0 % matrix.chains == chain }
                result.chains.append(Int32(members.count))
                for column in members {
                    result.places.append(places[column])
                    for output in outputs { result.weights.append(weight(output, column)) }
                }
            }
        }
        return result
    }

    /// Vectors of outputs.
    var outputVectors: Int { rows.count / 8 }
}
