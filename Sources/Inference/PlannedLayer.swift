/// What is known of a layer while it is packed.
struct LayerFigures {
    /// Multiply-adds as if the matrices were full.
    var multiplyAdds = 0
    var weights = 0
    var nonZeroWeights = 0
    var blocks = 0
    var keptBlocks = 0
    /// Multiply-adds that the chosen kernels do, padding included.
    var executedMultiplyAdds = 0
    var kernels: [String] = []
    var predicted = PredictedTime()
    /// What all matrices cost as dense ones, and as sparse ones.
    var denseNanoseconds = 0.0
    var sparseNanoseconds = 0.0
    var hasAlternative = false
    var precision = "fp32"

    mutating func add(_ matrix: Matrix, _ packing: MatrixPacking, rows: Int, exceedsL1: Bool) {
        multiplyAdds += matrix.weights.count * rows
        weights += matrix.weights.count
        nonZeroWeights += packing.nonZeroCount
        blocks += packing.panels * packing.columns
        keptBlocks += packing.blockCount
        let blocks = packing.isSparse ? packing.blockCount : packing.panels * packing.columns
        executedMultiplyAdds += blocks * packing.vectors * 8 * rows
        kernels.append(
            "\(packing.isSparse ? "block-sparse" : "dense") \(packing.vectors * 8)×1"
                + (rows > 1 ? ", \(rows) rows" : ""))
        add(dense: packing.denseCycles, sparse: packing.sparseCycles, isSparse: packing.isSparse)
        let nanoseconds = packing.predictedCycles / PlannerCosts.gigahertz
        if rows > 1 {
            predicted.arithmetic += nanoseconds
        } else if exceedsL1 {
            predicted.secondLevel += nanoseconds
        } else {
            predicted.firstLevel += nanoseconds
        }
    }

    /// - Parameter inputs: Those that the kernel reads.
    mutating func add(columns linear: LinearLayer, inputs: Int) {
        let (matrix, rows) = (linear.matrix, linear.rowStarts.count)
        multiplyAdds += matrix.weights.count * rows
        weights += matrix.weights.count
        let packing = MatrixPacking(matrix, order: .rows)
        nonZeroWeights += packing.nonZeroCount
        blocks += matrix.columns
        keptBlocks += inputs
        executedMultiplyAdds += inputs * matrix.rows * linear.columnWidth
        kernels.append("\(inputs < matrix.columns ? "block-sparse" : "dense") 1×4 by columns, \(rows) rows")
        add(
            dense: PlannerCosts.denseCycles(packing, rows: rows, exceedsL1: false),
            sparse: PlannerCosts.sparseCycles(packing, rows: rows), isSparse: false)
        predicted.arithmetic += PlannerCosts.columnCycles(linear, inputs: inputs) / PlannerCosts.gigahertz
    }

    /// - Parameter dense: Cycles of one row; `sparse` likewise.
    mutating func add(
        _ linear: IntegerLinearLayer, _ packing: IntegerPacking, isSparse: Bool, dense: Double, sparse: Double
    ) {
        let rows = linear.rowStarts.count
        multiplyAdds += linear.matrix.weights.count * rows
        weights += linear.matrix.weights.count
        nonZeroWeights += linear.matrix.weights.count { $0 != 0 }
        blocks += packing.groupsOfPanel.count * packing.groups
        keptBlocks += packing.blockCount
        let blockOutputs = packing.blockVectors * 8
        executedMultiplyAdds +=
            (isSparse ? packing.blockCount * blockOutputs : packing.outputVectors * 8 * packing.groups) * 4 * rows
        kernels.append(
            "\(isSparse ? "block-sparse" : "dense") \(blockOutputs)×4, \(packing.arithmetic)"
                + (rows > 1 ? ", \(rows) rows" : ""))
        add(dense: dense * Double(rows), sparse: sparse * Double(rows), isSparse: isSparse)
        predicted.arithmetic += (isSparse ? sparse : dense) * Double(rows) / PlannerCosts.gigahertz
        precision = "int8"
    }

    private mutating func add(dense: Double, sparse: Double?, isSparse: Bool) {
        denseNanoseconds += dense / PlannerCosts.gigahertz
        // The cost of the matrix as a sparse one, or as it is where there is no sparse kernel for it.
        sparseNanoseconds += (sparse ?? dense) / PlannerCosts.gigahertz
        hasAlternative = hasAlternative || sparse != nil
    }
}

/// A predicted time by what bounds it, so that it can be scaled to another machine.
public struct PredictedTime: Sendable, Equatable {
    /// Nanoseconds that loads from the first-level cache take.
    public var firstLevel = 0.0
    /// Nanoseconds that loads from the second-level cache take.
    public var secondLevel = 0.0
    /// Nanoseconds that multiply-adds take.
    public var arithmetic = 0.0
    /// Nanoseconds of anything else.
    public var other = 0.0

    /// Nanoseconds on the machine that the planner's constants are of.
    public var total: Double { firstLevel + secondLevel + arithmetic + other }
}

/// One layer of a model's plan, as people read it.
public struct PlannedLayer: Sendable, CustomStringConvertible {
    /// Name of the node that it was made of.
    public let name: String
    /// What is computed, such as `GRU` or `linear + relu`.
    public let operation: String
    /// Shape of the result, as the graph has it.
    public let shape: [Int]
    /// Multiply-adds of the layer's matrices as if they were full.
    public let multiplyAdds: Int
    /// Weights of the layer's matrices.
    public let weightCount: Int
    /// Share of weights that are not zero; 1 without weights.
    public let density: Double
    /// Share of blocks that are not empty, in the blocks of the layer's kernels; 1 without weights.
    public let blockDensity: Double
    /// Kernels of the layer's matrices, such as `dense 16×1, block-sparse 24×1`; empty without any.
    public let kernel: String
    /// `fp32` or `int8`.
    public let precision: String
    /// Bytes of packed weights, indices and biases; of weights that an earlier layer has, none.
    public let packedByteCount: Int
    /// Predicted time of the layer's products.
    public var predictedNanoseconds: Double { predicted.total }
    /// The same by what bounds it.
    public let predicted: PredictedTime
    /// Predicted time of the products if their matrices were packed as dense and as sparse: why the kernel was chosen. Nil
    /// where there was nothing to choose.
    public let alternatives: (denseNanoseconds: Double, sparseNanoseconds: Double)?
    /// Multiply-adds that the chosen kernels do: fewer than `multiplyAdds` where blocks are left out, more where
    /// outputs are padded.
    public let executedMultiplyAdds: Int
    /// Whether the layer runs when the outputs are out: it is needed by later ticks only.
    public let isLater: Bool
    /// Whether the layer depends on the state alone and runs ahead of the next tick.
    public let isAhead: Bool

    init(_ layer: Layer, _ figures: LayerFigures, packedByteCount: Int, isLater: Bool, isAhead: Bool) {
        name = layer.name
        operation = layer.operation.name
        shape = layer.shape
        multiplyAdds = figures.multiplyAdds
        weightCount = figures.weights
        density = figures.weights == 0 ? 1 : Double(figures.nonZeroWeights) / Double(figures.weights)
        blockDensity = figures.blocks == 0 ? 1 : Double(figures.keptBlocks) / Double(figures.blocks)
        kernel = figures.kernels.joined(separator: ", ")
        precision = figures.precision
        self.packedByteCount = packedByteCount
        predicted = figures.predicted
        alternatives = figures.hasAlternative ? (figures.denseNanoseconds, figures.sparseNanoseconds) : nil
        // Products of two values have no packing: all of it is done.
        executedMultiplyAdds = figures.weights == 0 ? figures.multiplyAdds : figures.executedMultiplyAdds
        self.isLater = isLater
        self.isAhead = isAhead
    }

    public var description: String {
        let head =
            "\(name): \(operation), shape \(shape)"
            + (isAhead ? ", ahead of the tick" : isLater ? ", after the outputs" : "")
        guard multiplyAdds > 0 else { return head }
        let percent = { (share: Double) in "\((share * 1000).rounded() / 10) %" }
        return head
            + ", \(multiplyAdds) multiply-adds, density \(percent(density)), blocks \(percent(blockDensity)), "
            + "\(kernel), \(packedByteCount) bytes, \(Int(predictedNanoseconds.rounded())) ns predicted"
    }
}

extension Layer.Operation {
    /// What is computed, for people.
    var name: String {
        switch self {
        case .gather: "gather"
        case .copy: "copy"
        case .place: "place"
        case .affine: "scale and offset"
        case .linear(let linear):
            linear.activation == .identity ? "linear" : "linear + \(linear.activation.name)"
        case .integerLinear(let linear):
            "integer linear" + (linear.activation == .identity ? "" : " + \(linear.activation.name)")
                + (linear.output == nil ? "" : " + quantize")
        case .activation(_, let function): function.name
        case .combine(let operation, _, _): operation.name
        case .softmax(_, let width): "softmax over \(width)"
        case .reduce(let reduction, _, _, let taps): "\(reduction.name) of \(taps.count)"
        case .contract: "product"
        case .gates(let gates):
            switch gates.kind {
            case .lstm, .peephole: "LSTM"
            case .gru: "GRU"
            case .gruReset: "GRU, reset"
            case .gruCandidate: "GRU, candidate"
            case .rnn: "RNN"
            }
        case .trees: "trees"
        case .quantize: "quantize"
        case .dequantize: "dequantize"
        case .push: "push"
        case .general: "general"
        }
    }
}

/// Predicted cost of a product in core cycles, from the loads that it makes: two of 32 bytes per cycle from the
/// first-level cache, one from the second (measured on Zen 4: 170 and 90 GB/s at 2.8 GHz).
enum PlannerCosts {
    static let l1Bytes = 32 << 10
    static let gigahertz = 2.8
    /// Loop start, sums and store of a panel.
    static let panelCycles = 8.0

    static func denseCycles(_ packing: MatrixPacking, rows: Int, exceedsL1: Bool) -> Double {
        let vectors = Double(packing.vectors)
        guard rows == 1 else {
            // Two multiply-adds per cycle.
            return Double(packing.panels * rows) * (Double(packing.columns) * vectors / 2 + panelCycles)
        }
        let perColumn = exceedsL1 ? max(vectors, (vectors + 1) / 2) : (vectors + 1) / 2
        return Double(packing.panels) * (Double(packing.columns) * perColumn + panelCycles)
    }

    static func sparseCycles(_ packing: MatrixPacking, rows: Int) -> Double {
        guard rows == 1 else {
            return Double(rows)
                * (Double(packing.blockCount * packing.vectors) / 2 * 1.1 + Double(packing.panels) * panelCycles)
        }
        // Beside the weights a block loads its index and its input.
        return Double(packing.blockCount) * Double(packing.vectors + 2) / 2 + Double(packing.panels) * panelCycles
            * 2
    }

    /// Of a product by columns: for each input of an output, three loads for two vectors of rows.
    static func columnCycles(_ layer: LinearLayer, inputs: Int) -> Double {
        let pairs = (layer.columnWidth / 8 + 1) / 2
        return Double(layer.matrix.rows * pairs) * (Double(inputs) * 1.5 + panelCycles / 2)
    }

    /// Whether a product is faster by columns than in either form of rows.
    static func prefersColumns(_ layer: LinearLayer) -> Bool {
        let packing = MatrixPacking(layer.matrix, order: .rows)
        let rows = layer.rowStarts.count
        let inputs = ColumnPacking(layer.matrix, keepsZeros: false).inputs.count
        return columnCycles(layer, inputs: inputs)
            < min(denseCycles(packing, rows: rows, exceedsL1: false), sparseCycles(packing, rows: rows))
    }

    static func integerCycles(_ packing: IntegerPacking, isSparse: Bool) -> Double {
        // 12 multiplications for two groups of 32 outputs in 7 bits, two per cycle; twice the loads when widened.
        let perVector = packing.arithmetic == .sevenBit ? 0.75 : 1.5
        guard isSparse else {
            return Double(packing.outputVectors * packing.groups) * perVector + Double(packing.outputVectors) * 2
        }
        return Double(packing.blockCount * packing.blockVectors) * (perVector + 0.5)
            + Double(packing.groupsOfPanel.count) * panelCycles
    }
}
