/// Turns layers into steps and packed weights, and chooses a kernel for each matrix.
struct Packer {
    /// The packed memory under construction. Each part begins on a cache line.
    private(set) var bytes: [UInt8] = []
    private(set) var steps: [Step] = []
    private(set) var plan: [PlannedLayer] = []
    /// What has no kernel of its own, with the place of its results.
    private(set) var generals: [(operation: GeneralOperation, destination: Operand)] = []
    /// Tree ensembles, by the steps that score them.
    private(set) var trees: [PackedTrees] = []
    /// Their classes, where somebody wants them.
    private(set) var labels: [[Int64]] = []
    /// Scratch memory of tree ensembles, in bytes.
    private(set) var scratchBytes = 0
    let placement: Placement
    let policy: KernelPolicy
    /// Whether the weights of the whole model are too large for the first-level cache.
    private let exceedsL1: Bool
    private let list: LayerList
    var planned = LayerFigures()
    /// What is packed already.
    private var shared = PackedShares()

    init(_ list: LayerList, policy: KernelPolicy) {
        self.list = list
        self.policy = policy
        placement = Placement(list)
        exceedsL1 = list.distinctWeightCount * 4 > PlannerCosts.l1Bytes
        for (index, layer) in list.layers.enumerated() {
            pack(layer, isLater: index >= list.laterStart, isAhead: index >= list.aheadStart)
        }
    }

    func slot(_ operand: Operand) -> Step.Slot { placement.slot(operand, list) }

    // MARK: Layers

    private mutating func pack(_ layer: Layer, isLater: Bool, isAhead: Bool) {
        let bytesBefore = bytes.count
        planned = LayerFigures()
        var step = Step(kind: .copy)
        step.count = layer.destination.count
        step.destination = slot(layer.destination)
        switch layer.operation {
        case .gather(let source, let indices, let fill): packGather(source, indices, fill, in: &step)
        case .copy(let source): step.source = slot(source)
        case .place(let source, let runs):
            step.kind = .copyRuns
            step.source = slot(source)
            step.rows = runs.count
            step.table = append(runs)
        case .affine(let source, let scale, let offset):
            step.kind = .affine
            step.source = slot(source)
            step.table = append(Packer.padded(scale))
            step.table2 = append(Packer.padded(offset))
        case .linear(let linear): packLinear(linear, in: &step)
        case .integerLinear(let linear): packIntegerLinear(linear, in: &step)
        case .activation(let source, let function):
            step.kind = .activation
            step.source = slot(source)
            set(function, in: &step)
        case .combine(let operation, let first, let second):
            step.kind = operation.stepKind
            step.source = slot(first)
            step.second = slot(second)
        case .softmax(let source, let width):
            step.kind = .softmax
            step.source = slot(source)
            step.width = width
        case .reduce(let reduction, let source, let starts, let taps):
            packReduction(reduction, source, starts, taps, in: &step)
        case .contract(let contraction): packContraction(contraction, in: &step)
        case .gates(let gates): packGates(gates, in: &step)
        case .trees(let source, let ensemble, let labels):
            packTrees(source, ensemble, labels, in: &step)
        case .quantize(let source, let quantization):
            step.kind = .quantize
            step.source = slot(source)
            step.table = append([quantization])
        case .dequantize(let source, let quantization):
            step.kind = .dequantize
            step.source = slot(source)
            step.table = append([quantization])
        case .push(let source): packPush(source, layer.destination, in: &step)
        case .general(let operation):
            step.kind = .general
            step.rows = generals.count
            generals.append((operation, layer.destination))
        }
        steps.append(step)
        plan.append(
            PlannedLayer(
                layer, planned, packedByteCount: bytes.count - bytesBefore, isLater: isLater, isAhead: isAhead))
    }

    private mutating func packGather(_ source: Operand, _ indices: [Int32], _ fill: Float, in step: inout Step) {
        step.source = slot(source)
        let runs = Packer.runs(indices)
        if runs.count * 4 <= indices.count, !indices.contains(where: { $0 < 0 }) {
            step.kind = .copyRuns
            step.rows = runs.count
            step.table = append(runs)
        } else {
            step.kind = .gather
            step.low = fill
            step.width = indices.contains { $0 < 0 } ? 1 : 0
            step.table = append(indices)
        }
    }

    /// Runs of neighbours in both source and destination.
    private static func runs(_ indices: [Int32]) -> [CopyRun] {
        var runs: [CopyRun] = []
        for (place, index) in indices.enumerated() {
            if let last = runs.last, last.source + last.count == index {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(CopyRun(source: index, destination: Int32(place), count: 1))
            }
        }
        return runs
    }

    private mutating func packReduction(
        _ reduction: Reduction, _ source: Operand, _ starts: [Int32], _ taps: [Int32], in step: inout Step
    ) {
        switch reduction {
        case .sum: step.kind = .reduceSum
        case .mean(let divisor):
            step.kind = .reduceMean
            step.low = divisor
        case .maximum: step.kind = .reduceMaximum
        }
        step.source = slot(source)
        step.table = append(starts)
        step.table2 = append(taps)
        step.width = taps.count
    }

    private mutating func packContraction(_ contraction: Contraction, in step: inout Step) {
        step.kind = .contract
        step.source = slot(contraction.first)
        step.second = slot(contraction.second)
        step.table = append(contraction.firstStarts)
        step.table2 = append(contraction.secondStarts)
        step.table3 = append(contraction.firstTaps)
        step.table4 = append(contraction.secondTaps)
        step.width = contraction.firstTaps.count
        planned.multiplyAdds += contraction.firstTaps.count * contraction.firstStarts.count
    }

    private mutating func packGates(_ gates: GateLayer, in step: inout Step) {
        switch gates.kind {
        case .lstm: step.kind = .lstm
        case .peephole(let weights):
            step.kind = .peephole
            step.table = append(
                (0..<3).flatMap { Packer.padded(Array(weights[$0 * gates.units..<($0 + 1) * gates.units])) })
        case .gru: step.kind = .gru
        case .gruReset: step.kind = .gruReset
        case .gruCandidate: step.kind = .gruCandidate
        case .rnn(let function):
            step.kind = .rnn
            set(function, in: &step)
        }
        step.source = slot(gates.inputSums)
        step.second = slot(gates.hiddenSums)
        step.third = slot(gates.hidden)
        if let cell = gates.cell { step.fourth = slot(cell) }
        if let next = gates.nextCell { step.fifth = slot(next) }
        step.width = (gates.units + 7) / 8
    }

    private mutating func packTrees(
        _ source: Operand, _ ensemble: TreeEnsemble, _ labels: Operand?, in step: inout Step
    ) {
        step.kind = .trees
        step.source = slot(source)
        if let labels { step.fourth = slot(labels) }
        let key = PackedShares.TreeKey(leaves: ArrayIdentity(ensemble.leaves), isLabelled: labels != nil)
        if !ensemble.leaves.isEmpty, let packed = shared.trees[key] {
            (step.rows, step.table) = packed
        } else {
            let packed = ensemble.packed()
            (step.rows, step.table) = (trees.count, append(packed.bytes))
            shared.trees[key] = (step.rows, step.table)
            trees.append(packed)
            self.labels.append(labels == nil ? [] : ensemble.labels)
            scratchBytes = max(scratchBytes, packed.layout.scratchBytes)
        }
        planned.kernels.append(trees[step.rows].summary)
        planned.predicted.other += trees[step.rows].predictedNanoseconds
    }

    private func packPush(_ source: Operand, _ destination: Operand, in step: inout Step) {
        guard case .ring(let depth, let width) = list.buffers[destination.buffer].place else {
            preconditionFailure("Rows are pushed into rings.")
        }
        step.kind = .push
        step.source = slot(source)
        let byteCount = list.buffers[destination.buffer].storage.byteCount
        // In floats: what is copied beyond a row of bytes is padding.
        step.count = (source.count * byteCount + 3) / 4
        // The second copy of the row is a whole ring before it.
        step.width = depth * width * byteCount
    }

    private func set(_ activation: Activation, in step: inout Step) {
        step.function = activation.stepFunction
        switch activation {
        case .clip(let low, let high), .hardSigmoid(let low, let high):
            step.low = low
            step.high = high
        case .leakyRelu(let parameter), .elu(let parameter), .power(let parameter): step.low = parameter
        default: break
        }
    }

    // MARK: Matrices

    private mutating func packLinear(_ linear: LinearLayer, in step: inout Step) {
        if linear.isByColumns { return packColumns(linear, in: &step) }
        step.source = slot(linear.source)
        // Without rows there is nothing to do: a copy of no elements.
        guard !linear.rowStarts.isEmpty else { return }
        set(linear.activation, in: &step)
        step.rows = linear.rowStarts.count
        // Vectors from one row of results to the next.
        step.width = linear.rowWidth / 8
        let matrixKey = MatrixPacking.Key(linear.matrix, linear.order)
        var packing = shared.matrices[matrixKey] ?? MatrixPacking(linear.matrix, order: linear.order)
        shared.matrices[matrixKey] = packing
        let isSingle = linear.rowStarts == [0]
        let needsTable = !linear.isContiguous
        choose(&packing, rows: linear.rowStarts.count, needsTable: needsTable)
        let isOneRow = isSingle && (packing.isSparse ? !packing.isNarrow : !needsTable)
        step.kind = isOneRow ? .linear : .linearRows
        if !isOneRow { step.table = append(linear.rowStarts) }
        let key = PackedShares.Key(
            matrix: matrixKey, isSparse: packing.isSparse, isOneRow: isOneRow,
            places: isOneRow && !packing.isSparse ? [] : linear.columnOffsets)
        if let product = shared.products[key] {
            step.product = product
        } else {
            step.product.columns = packing.columns
            if isOneRow {
                pack(packing, linear.columnOffsets, in: &step.product)
            } else {
                let panels = packing.rowPanels(linear.columnOffsets, keepsZeros: !packing.isSparse)
                step.product.panels = packing.outputVectors
                step.product.lastPanels = linear.matrix.chains
                step.product.sparsePanels = append(panels.chains)
                step.product.indices = append(panels.places)
                step.product.weights = append(panels.weights)
            }
            shared.products[key] = step.product
        }
        let bias = Packer.padded(packing.inPanelOrder(linear.matrix.bias)) + Array(repeating: 0, count: 8)
        step.product.bias = shared.biases[bias] ?? append(bias)
        shared.biases[bias] = step.product.bias
        planned.add(linear.matrix, packing, rows: linear.rowStarts.count, exceedsL1: exceedsL1)
    }

    private mutating func packColumns(_ linear: LinearLayer, in step: inout Step) {
        let matrix = linear.matrix
        (step.kind, step.source) = (.linearColumns, slot(linear.source))
        set(linear.activation, in: &step)
        step.width = linear.columnWidth / 8
        let packing = ColumnPacking(matrix, keepsZeros: policy == .dense)
        let inputs = packing.inputs
        step.product.columns = inputs.count
        step.product.panels = matrix.rows
        step.product.lastPanels = packing.passes.count
        step.product.sparsePanels = append(packing.passes)
        step.product.indices = append(inputs.map { linear.rowStarts[0] + linear.columnOffsets[$0] })
        step.product.weights = append(
            (0..<matrix.rows).flatMap { row in inputs.map { matrix.weights[row * matrix.columns + $0] } })
        step.product.bias = append(
            linear.offsets.isEmpty
                ? matrix.bias.flatMap { Array(repeating: $0, count: linear.columnWidth) } : linear.offsets)
        planned.add(columns: linear, inputs: inputs.count)
    }

    /// The cheaper of a matrix's dense and sparse form, by `PlannerCosts` or as the policy demands.
    private func choose(_ packing: inout MatrixPacking, rows: Int, needsTable: Bool) {
        let dense = PlannerCosts.denseCycles(packing, rows: rows, exceedsL1: exceedsL1)
        let sparse = PlannerCosts.sparseCycles(packing, rows: rows)
        switch policy {
        case .dense: packing.isSparse = false
        case .sparse: packing.isSparse = !packing.isNarrow || rows > 1
        case .predicted: packing.isSparse = sparse < dense && (!packing.isNarrow || rows > 1)
        }
        packing.denseCycles = dense
        packing.sparseCycles = packing.isNarrow && rows == 1 ? nil : sparse
    }

    private mutating func pack(_ packing: MatrixPacking, _ places: [Int32], in product: inout PackedProduct) {
        if packing.isSparse {
            product.form = [2: .sparse16, 3: .sparse24, 4: .sparse32][packing.vectors] ?? .sparse16
            product.panels = packing.panels
            let sparse = packing.sparse(places)
            product.weights = append(sparse.weights)
            product.indices = append(sparse.indices)
            product.sparsePanels = append(sparse.panels)
        } else if packing.isNarrow {
            product.form = packing.vectors == 1 ? .narrow8 : .narrow16
            product.weights = append(packing.dense(joining: 1))
        } else if packing.order == .rows {
            // Panels of 32 where there are two of 16 beside each other.
            product.form = .dense32
            product.panels = packing.panels / 2
            product.lastPanels = packing.panels % 2
            product.weights = append(packing.dense(joining: 2))
        } else {
            product.form = [2: .dense16, 3: .dense24, 4: .dense32][packing.vectors] ?? .dense16
            product.panels = packing.panels
            product.weights = append(packing.dense(joining: 1))
        }
    }

    private mutating func packIntegerLinear(_ linear: IntegerLinearLayer, in step: inout Step) {
        step.kind = .integerLinear
        step.source = slot(linear.source)
        set(linear.activation, in: &step)
        step.rows = linear.rowStarts.count
        step.width = linear.rowWidth / 8
        let arithmetic = IntegerArithmetic(
            inputs: linear.quantizer.range, isSigned: linear.quantizer.isSigned, matrix: linear.matrix)
        let order: IntegerPacking.Order
        switch linear.order {
        case .rows: order = .rows
        case .gates(let gates): order = .gates(gates)
        }
        let key = PackedShares.IntegerKey(
            weights: ArrayIdentity(linear.matrix.weights), rows: linear.matrix.rows, columns: linear.matrix.columns,
            order: linear.order, arithmetic: arithmetic)
        let packing = shared.integers[key] ?? IntegerPacking(linear.matrix, order: order, arithmetic: arithmetic)
        shared.integers[key] = packing
        let dense = PlannerCosts.integerCycles(packing, isSparse: false)
        let sparse = PlannerCosts.integerCycles(packing, isSparse: true)
        let isSparse = policy == .sparse || policy == .predicted && sparse < dense
        let weights: PackedShares.IntegerProduct
        if let packed = shared.integerProducts[key] {
            weights = packed
        } else {
            let made = isSparse ? packing.sparse() : packing.dense()
            weights = PackedShares.IntegerProduct(
                shape: made.shape, weights: append(made.bytes), panels: append(made.panels),
                offsets: append(made.offsets))
            shared.integerProducts[key] = weights
        }
        let product = PackedIntegerProduct(
            shape: weights.shape, weights: weights.weights, panels: weights.panels, offsets: weights.offsets,
            groupOffsets: linear.isContiguous ? -1 : append(linear.groupOffsets), starts: append(linear.rowStarts),
            corrections: append(
                packing.inPanelOrder(
                    linear.matrix.corrections(zeroPoint: linear.quantizer.zeroPoint), padding: 0)),
            scales: append(packing.inPanelOrder(linear.scales, padding: 0)),
            bias: append(packing.inPanelOrder(linear.bias, padding: 0)))
        step.table = append([product])
        if let output = linear.output {
            step.fifth = slot(output.sums)
            step.table2 = append([output.quantization])
        } else {
            step.table2 = -1
        }
        planned.add(linear, packing, isSparse: isSparse, dense: dense, sparse: sparse)
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

/// A run of elements that are copied together.
struct CopyRun: BitwiseCopyable, Sendable {
    var source: Int32
    var destination: Int32
    var count: Int32
}
