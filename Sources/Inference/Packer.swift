/// Turns layers into steps and packed weights, and chooses a kernel for each matrix.
struct Packer {
    /// The packed memory under construction. Each part begins on a cache line.
    private(set) var bytes: [UInt8] = []
    private(set) var steps: [Step] = []
    private(set) var plan: [PlannedLayer] = []
    private let policy: KernelPolicy
    /// Whether the dense weights of the whole model are too large for the first-level cache.
    private let exceedsL1: Bool

    init(_ list: LayerList, policy: KernelPolicy) {
        self.policy = policy
        let weightBytes = list.layers.reduce(0) { $0 + Packer.multiplyAdds($1) * 4 }
        exceedsL1 = weightBytes > PlannerCosts.l1Bytes
        for layer in list.layers {
            pack(layer)
        }
    }

    /// Multiply-adds of a layer's matrices as if they were full.
    private static func multiplyAdds(_ layer: Layer) -> Int {
        switch layer.operation {
        case .linear(_, let matrix, _): matrix.weights.count
        case .gru(let gated, _), .lstm(let gated):
            gated.inputMatrix.weights.count + gated.hiddenMatrix.weights.count
        default: 0
        }
    }

    // MARK: Layers

    private mutating func pack(_ layer: Layer) {
        let bytesBefore = bytes.count
        var products: [(matrix: Matrix, packing: MatrixPacking)] = []
        var step = Step(kind: .copy)
        step.count = layer.destination.count
        step.destination = Step.Slot(layer.destination)
        switch layer.operation {
        case .gather(let source, let indices):
            step.kind = .gather
            step.source = Step.Slot(source)
            step.table = append(indices)
        case .copy(let source):
            step.source = Step.Slot(source)
        case .affine(let source, let scale, let offset):
            step.kind = .affine
            step.source = Step.Slot(source)
            step.table = append(Packer.padded(scale))
            step.table2 = append(Packer.padded(offset))
        case .linear(let source, let matrix, let activation):
            step.kind = .linear
            step.source = Step.Slot(source)
            set(activation, in: &step)
            let packing = choose(
                matrix, order: matrix.chains == 4 ? .narrow(matrix.rows) : .rows(matrix.rows))
            step.product = pack(packing)
            products = [(matrix, packing)]
        case .activation(let source, let function):
            step.kind = .activation
            step.source = Step.Slot(source)
            set(function, in: &step)
        case .add(let first, let second): setPair(.add, first, second, in: &step)
        case .subtract(let first, let second): setPair(.subtract, first, second, in: &step)
        case .multiply(let first, let second): setPair(.multiply, first, second, in: &step)
        case .softmax(let source, let width):
            step.kind = .softmax
            step.source = Step.Slot(source)
            step.width = width
        case .gru(let gated, let linearBeforeReset):
            step.kind = linearBeforeReset ? .gruLinearBeforeReset : .gru
            products = packGRU(gated, linearBeforeReset: linearBeforeReset, in: &step)
        case .lstm(let gated):
            step.kind = .lstm
            products = packLSTM(gated, in: &step)
        }
        steps.append(step)
        plan.append(
            PlannedLayer(
                layer, products: products, packedByteCount: bytes.count - bytesBefore, exceedsL1: exceedsL1))
    }

    private mutating func packGRU(
        _ gated: GatedLayer, linearBeforeReset: Bool, in step: inout Step
    ) -> [(matrix: Matrix, packing: MatrixPacking)] {
        setGated(gated, in: &step)
        let input = choose(gated.inputMatrix, order: .gates(3, units: gated.units))
        step.product = pack(input)
        guard !linearBeforeReset else {
            let hidden = choose(gated.hiddenMatrix, order: .gates(3, units: gated.units))
            step.hiddenProduct = pack(hidden)
            return [(gated.inputMatrix, input), (gated.hiddenMatrix, hidden)]
        }
        let gateMatrix = gated.hiddenMatrix.slice(rows: 0..<2 * gated.units)
        let candidateMatrix = gated.hiddenMatrix.slice(rows: 2 * gated.units..<3 * gated.units)
        let gates = choose(gateMatrix, order: .gates(2, units: gated.units))
        let candidate = choose(candidateMatrix, order: .rows(gated.units))
        step.hiddenProduct = pack(gates)
        step.resetProduct = pack(candidate)
        step.resetHidden = Step.Slot(gated.resetHidden)
        step.resetSums = Step.Slot(gated.resetSums)
        return [(gated.inputMatrix, input), (gateMatrix, gates), (candidateMatrix, candidate)]
    }

    private mutating func packLSTM(
        _ gated: GatedLayer, in step: inout Step
    ) -> [(matrix: Matrix, packing: MatrixPacking)] {
        setGated(gated, in: &step)
        let input = choose(gated.inputMatrix, order: .gates(4, units: gated.units))
        let hidden = choose(gated.hiddenMatrix, order: .gates(4, units: gated.units))
        step.product = pack(input)
        step.hiddenProduct = pack(hidden)
        step.cell = Step.Slot(gated.cell)
        step.nextCell = Step.Slot(gated.nextCell)
        return [(gated.inputMatrix, input), (gated.hiddenMatrix, hidden)]
    }

    private func setGated(_ gated: GatedLayer, in step: inout Step) {
        step.source = Step.Slot(gated.input)
        step.second = Step.Slot(gated.hidden)
        step.inputSums = Step.Slot(gated.inputSums)
        step.hiddenSums = Step.Slot(gated.hiddenSums)
        step.width = (gated.units + 7) / 8
    }

    private func setPair(_ kind: Step.Kind, _ first: Operand, _ second: Operand, in step: inout Step) {
        step.kind = kind
        step.source = Step.Slot(first)
        step.second = Step.Slot(second)
    }

    private func set(_ activation: Activation, in step: inout Step) {
        switch activation {
        case .identity: step.function = .identity
        case .relu: step.function = .relu
        case .tanh: step.function = .tanh
        case .sigmoid: step.function = .sigmoid
        case .clip(let low, let high):
            step.function = .clip
            step.low = low
            step.high = high
        }
    }

    // MARK: Matrices

    /// The cheaper of a matrix's dense and sparse form, by `PlannerCosts` or as the policy demands.
    private func choose(_ matrix: Matrix, order: MatrixPacking.Order) -> MatrixPacking {
        var packing = MatrixPacking(matrix, order: order)
        let dense = PlannerCosts.denseCycles(packing, exceedsL1: exceedsL1)
        let sparse = PlannerCosts.sparseCycles(packing)
        switch (order, policy) {
        case (.narrow, _), (_, .dense): packing.isSparse = false
        case (_, .predicted): packing.isSparse = sparse < dense
        case (_, .sparse): packing.isSparse = true
        }
        packing.predictedCycles = packing.isSparse ? sparse : dense
        return packing
    }

    private mutating func pack(_ packing: MatrixPacking) -> PackedProduct {
        var product = PackedProduct()
        product.columns = packing.columns
        if packing.isSparse {
            product.form = [2: .sparse16, 3: .sparse24, 4: .sparse32][packing.vectors] ?? .sparse16
            product.panels = packing.panels
            let sparse = packing.sparse()
            product.weights = append(sparse.weights)
            product.indices = append(sparse.indices)
            product.sparsePanels = append(sparse.panels)
        } else if case .rows = packing.order {
            // Panels of 32 where there are two of 16 beside each other.
            product.form = .dense32
            product.panels = packing.panels / 2
            product.lastPanels = packing.panels % 2
            product.weights = append(packing.dense(joining: 2))
        } else if case .narrow = packing.order {
            product.form = packing.vectors == 1 ? .narrow8 : .narrow16
            product.weights = append(packing.dense(joining: 1))
        } else {
            product.form = [2: .dense16, 3: .dense24, 4: .dense32][packing.vectors] ?? .dense16
            product.panels = packing.panels
            product.weights = append(packing.dense(joining: 1))
        }
        product.bias = append(packing.bias)
        return product
    }

    // MARK: Memory

    /// The values padded with zeros to whole vectors.
    private static func padded(_ values: [Float]) -> [Float] {
        values + Array(repeating: 0, count: (values.count + 7) / 8 * 8 - values.count)
    }

    /// Appends values on a cache line and returns their byte offset.
    private mutating func append<Element: BitwiseCopyable>(_ values: [Element]) -> Int {
        let start = (bytes.count + 63) / 64 * 64
        bytes.append(contentsOf: repeatElement(0, count: start - bytes.count))
        values.withUnsafeBytes { bytes.append(contentsOf: $0) }
        return start
    }
}

/// Which kernels a model is packed for. Other than `.predicted` is for tests and measurements.
public enum KernelPolicy: Sendable {
    /// The cheaper one by predicted cost, matrix by matrix.
    case predicted
    case dense
    case sparse
}

/// Predicted cost of a product in core cycles, from the loads that it makes: two of 32 bytes per cycle from the
/// first-level cache, one from the second (measured on Zen 4: 170 and 90 GB/s at 2.8 GHz).
enum PlannerCosts {
    static let l1Bytes = 32 << 10
    static let gigahertz = 2.8
    /// Loop start, sums and store of a panel.
    static let panelCycles = 8.0

    static func denseCycles(_ packing: MatrixPacking, exceedsL1: Bool) -> Double {
        let vectors = Double(packing.vectors)
        let perColumn = exceedsL1 ? max(vectors, (vectors + 1) / 2) : (vectors + 1) / 2
        return Double(packing.panels) * (Double(packing.columns) * perColumn + panelCycles)
    }

    static func sparseCycles(_ packing: MatrixPacking) -> Double {
        // Beside the weights a block loads its index and its input.
        Double(packing.blockCount) * Double(packing.vectors + 2) / 2 + Double(packing.panels) * panelCycles
            * 2
    }
}
