/// What is known of a layer while it is packed.
struct LayerFigures {
    /// Multiply-adds as if the matrices were full.
    var multiplyAdds = 0
    var weights = 0
    var nonZeroWeights = 0
    var blocks = 0
    var keptBlocks = 0
    var kernels: [String] = []
    var nanoseconds = 0.0
    var precision = "fp32"

    mutating func add(_ matrix: Matrix, _ packing: MatrixPacking, rows: Int) {
        multiplyAdds += matrix.weights.count * rows
        weights += matrix.weights.count
        nonZeroWeights += matrix.weights.count { $0 != 0 }
        blocks += packing.panels * packing.columns
        keptBlocks += packing.blockCount
        kernels.append(
            "\(packing.isSparse ? "block-sparse" : "dense") \(packing.vectors * 8)×1"
                + (rows > 1 ? ", \(rows) rows" : ""))
        nanoseconds += packing.predictedCycles / PlannerCosts.gigahertz
    }

    mutating func add(_ linear: IntegerLinearLayer, _ packing: IntegerPacking, isSparse: Bool, cycles: Double) {
        let rows = linear.rowStarts.count
        multiplyAdds += linear.matrix.weights.count * rows
        weights += linear.matrix.weights.count
        nonZeroWeights += linear.matrix.weights.count { $0 != 0 }
        blocks += packing.groupsOfPanel.count * packing.groups
        keptBlocks += packing.blockCount
        kernels.append(
            "\(isSparse ? "block-sparse" : "dense") \(packing.blockVectors * 8)×4, \(packing.arithmetic)"
                + (rows > 1 ? ", \(rows) rows" : ""))
        nanoseconds += cycles * Double(rows) / PlannerCosts.gigahertz
        precision = "int8"
    }
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
    /// Bytes of packed weights, indices and biases.
    public let packedByteCount: Int
    /// Predicted time of the layer's products.
    public let predictedNanoseconds: Double
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
        predictedNanoseconds = figures.nanoseconds
        self.isLater = isLater
        self.isAhead = isAhead
    }

    public var description: String {
        let head = "\(name): \(operation), shape \(shape)" + (isAhead ? ", ahead of the tick" : isLater ? ", after the outputs" : "")
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
            linear.activation == .identity ? "integer linear" : "integer linear + \(linear.activation.name)"
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
            return Double(rows) * (Double(packing.blockCount * packing.vectors) / 2 * 1.1 + Double(packing.panels) * panelCycles)
        }
        // Beside the weights a block loads its index and its input.
        return Double(packing.blockCount) * Double(packing.vectors + 2) / 2 + Double(packing.panels) * panelCycles
            * 2
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
