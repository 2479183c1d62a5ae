/// Steps that work by tables, several rows at once, or seldom: apart from those of small recurrent models.
extension StepRunner {
    @inline(never)
    func runTables(_ step: UnsafePointer<Step>, _ memory: Memory) {
        switch step.pointee.kind {
        case .gather, .copyRuns: gather(step, memory)
        case .linearRows: linearRows(step, memory)
        case .linearColumns: linearColumns(step, memory)
        case .divide, .power, .minimum, .maximum: combineRarely(step, memory)
        case .reduceSum, .reduceMean, .reduceMaximum: reduce(step, memory)
        case .contract:
            TableKernels.contract(
                memory.read(step.pointee.source), memory.read(step.pointee.second),
                table(step.pointee.table, of: Int32.self), table(step.pointee.table2, of: Int32.self),
                count: step.pointee.count, table(step.pointee.table3, of: Int32.self),
                table(step.pointee.table4, of: Int32.self), tapCount: step.pointee.width,
                memory.floats(step.pointee.destination))
        case .rnn: rnn(step, memory)
        case .peephole: peephole(step, memory)
        case .dequantize:
            let quantization = table(step.pointee.table, of: Quantization.self).pointee
            QuantizationKernels.dequantize(
                memory.address(step.pointee.source), scale: quantization.scale, zeroPoint: quantization.zeroPoint,
                isSigned: quantization.isSigned, destination: memory.write(step.pointee.destination),
                vectors: (step.pointee.count &+ 7) >> 3)
        case .trees: cold.score(step, self, memory)
        case .general: cold.run(step.pointee.rows)
        default: preconditionFailure("Every kind of step is run in one place.")
        }
    }

    private func gather(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let source = memory.read(step.pointee.source)
        let target = memory.floats(step.pointee.destination)
        if step.pointee.kind == .copyRuns {
            let runs = table(step.pointee.table, of: CopyRun.self)
            for run in 0..<step.pointee.rows {
                StepRunner.copy(
                    source + Int(runs[run].source), target + Int(runs[run].destination), count: Int(runs[run].count))
            }
            return
        }
        let indices = table(step.pointee.table, of: Int32.self)
        if step.pointee.width == 0 {
            for index in 0..<step.pointee.count { target[index] = source[Int(indices[index])] }
        } else {
            let fill = step.pointee.low
            for index in 0..<step.pointee.count {
                let place = Int(indices[index])
                target[index] = place < 0 ? fill : source[place]
            }
        }
    }

    private func linearRows(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let product = step.pointee.product
        let floor: Float = step.pointee.function == .relu ? 0 : -.infinity
        let destination = memory.write(step.pointee.destination)
        let panel = RowKernels.Panel(
            chains: table(product.sparsePanels, of: Int32.self), places: table(product.indices, of: Int32.self),
            weights: table(product.weights, of: Vector.self), bias: table(product.bias, of: Vector.self))
        RowKernels.run(
            panel, source: memory.read(step.pointee.source), starts: table(step.pointee.table, of: Int32.self),
            rows: step.pointee.rows, vectors: product.panels, destination: destination, stride: step.pointee.width,
            chainCount: product.lastPanels, floor: Vector(repeating: floor))
        if step.pointee.function != .identity, step.pointee.function != .relu {
            activate(step, destination, vectorCount: (step.pointee.count &+ 7) >> 3)
        }
    }

    private func linearColumns(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let product = step.pointee.product
        let floor: Float = step.pointee.function == .relu ? 0 : -.infinity
        let destination = memory.write(step.pointee.destination)
        let matrix = ColumnKernels.Matrix(
            passes: table(product.sparsePanels, of: ColumnKernels.Pass.self), passCount: product.lastPanels,
            places: table(product.indices, of: Int32.self), weights: table(product.weights, of: Float.self),
            offsets: table(product.bias, of: Vector.self), inputs: product.columns, outputs: product.panels)
        ColumnKernels.run(
            matrix, source: memory.read(step.pointee.source), destination: destination, vectors: step.pointee.width,
            floor: Vector(repeating: floor))
        if step.pointee.function != .identity, step.pointee.function != .relu {
            activate(step, destination, vectorCount: product.panels &* step.pointee.width)
        }
    }

    private func combineRarely(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let vectorCount = (step.pointee.count &+ 7) >> 3
        let first = memory.vectors(step.pointee.source)
        let second = memory.vectors(step.pointee.second)
        let destination = memory.write(step.pointee.destination)
        switch step.pointee.kind {
        case .divide: for index in 0..<vectorCount { destination[index] = first[index] / second[index] }
        case .power:
            for index in 0..<vectorCount { destination[index] = VectorFunctions.pow(first[index], second[index]) }
        case .minimum:
            for index in 0..<vectorCount {
                destination[index] = first[index].replacing(with: second[index], where: second[index] .< first[index])
            }
        default:
            for index in 0..<vectorCount {
                destination[index] = first[index].replacing(with: second[index], where: second[index] .> first[index])
            }
        }
    }

    private func reduce(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let destination = memory.floats(step.pointee.destination)
        TableKernels.reduce(
            memory.read(step.pointee.source), table(step.pointee.table, of: Int32.self), count: step.pointee.count,
            table(step.pointee.table2, of: Int32.self), tapCount: step.pointee.width,
            isMaximum: step.pointee.kind == .reduceMaximum, destination)
        guard step.pointee.kind == .reduceMean else { return }
        let divisor = Vector(repeating: step.pointee.low)
        let vectors = memory.write(step.pointee.destination)
        for index in 0..<(step.pointee.count &+ 7) >> 3 { vectors[index] = vectors[index] / divisor }
    }

    /// An LSTM whose gates see the cell. Weights of i, o and f follow each other.
    private func peephole(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let groups = step.pointee.width
        let (inputSums, hiddenSums) = (memory.vectors(step.pointee.source), memory.vectors(step.pointee.second))
        let cell = memory.vectors(step.pointee.fourth)
        let destination = memory.write(step.pointee.destination)
        let nextCell = memory.write(step.pointee.fifth)
        let weights = table(step.pointee.table, of: Vector.self)
        for group in 0..<groups {
            let at = group &* 4
            let old = cell[group]
            let input = VectorFunctions.sigmoid(
                (inputSums[at] + hiddenSums[at]).addingProduct(weights[group], old))
            let forget = VectorFunctions.sigmoid(
                (inputSums[at &+ 2] + hiddenSums[at &+ 2]).addingProduct(weights[2 &* groups &+ group], old))
            let candidate = VectorFunctions.tanh(inputSums[at &+ 3] + hiddenSums[at &+ 3])
            let next = (forget * old).addingProduct(input, candidate)
            let output = VectorFunctions.sigmoid(
                (inputSums[at &+ 1] + hiddenSums[at &+ 1]).addingProduct(weights[groups &+ group], next))
            nextCell[group] = next
            destination[group] = output * VectorFunctions.tanh(next)
        }
    }

    private func rnn(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let inputSums = memory.vectors(step.pointee.source)
        let hiddenSums = memory.vectors(step.pointee.second)
        let destination = memory.write(step.pointee.destination)
        for group in 0..<step.pointee.width { destination[group] = inputSums[group] + hiddenSums[group] }
        activate(step, destination, vectorCount: step.pointee.width)
    }
}

/// The steps that need more than numbers and offsets. One for each engine.
///
/// `@unchecked Sendable`: an engine is used on one thread at a time, and this belongs to it.
final class ColdSteps: @unchecked Sendable, OperandMemory {
    private let generals: [(operation: GeneralOperation, destination: Operand)]
    private let trees: [PackedTrees]
    private let labels: [[Int64]]
    private let scratch: UnsafeMutableRawPointer
    /// Where each buffer of the engine's memory begins.
    private let addresses: UnsafeMutablePointer<UnsafeMutableRawPointer>

    init(_ storage: PlanStorage, arena: UnsafeMutableRawPointer) {
        generals = storage.generals
        trees = storage.trees
        labels = storage.labels
        scratch = .allocate(byteCount: max(storage.scratchBytes, 64), alignment: 64)
        let offsets = storage.placement.offsets
        addresses = .allocate(capacity: max(offsets.count, 1))
        for (index, offset) in offsets.enumerated() { (addresses + index).initialize(to: arena + offset) }
    }

    deinit {
        scratch.deallocate()
        addresses.deallocate()
    }

    func address(_ operand: Operand, _ storage: Storage) -> UnsafeMutableRawPointer {
        addresses[operand.buffer] + operand.offset * storage.byteCount
    }

    func run(_ index: Int) {
        generals[index].operation.run(self, destination: generals[index].destination)
    }

    func score(_ step: UnsafePointer<Step>, _ runner: StepRunner, _ memory: StepRunner.Memory) {
        let index = step.pointee.rows
        let label = TreeKernels.run(
            source: memory.read(step.pointee.source), packed: runner.packed + step.pointee.table,
            layout: trees[index].layout, scratch: scratch, destination: memory.floats(step.pointee.destination))
        if !labels[index].isEmpty {
            memory.address(step.pointee.fourth).storeBytes(of: labels[index][label], as: Int64.self)
        }
    }
}
