/// Executes single steps of a plan on packed weights.
struct StepRunner {
    typealias Vector = SIMD8<Float>

    let packed: UnsafeRawPointer
    let arena: UnsafeMutableRawPointer
    /// What has no kernel of its own; empty for most models.
    let cold: ColdSteps

    /// Where a step's operands lie for one tick.
    struct Memory {
        let arena: UnsafeMutableRawPointer
        let state: UnsafeMutableRawPointer
        let features: UnsafePointer<Float>

        @inline(__always)
        func address(_ slot: Step.Slot) -> UnsafeMutableRawPointer {
            switch slot.space {
            case .arena: return arena + slot.offset
            case .state: return state + slot.offset
            case .features: return UnsafeMutableRawPointer(mutating: features) + slot.offset
            case .ring:
                // The cursors of the rings stand at the start of the state.
                let cursor = state.load(fromByteOffset: Int(slot.ring) &* 4, as: Int32.self)
                return state + (slot.offset &+ Int(cursor))
            }
        }

        @inline(__always)
        func read(_ slot: Step.Slot) -> UnsafePointer<Float> {
            UnsafePointer(address(slot).assumingMemoryBound(to: Float.self))
        }

        /// As `read`, for operands on cache lines: all but those in the features.
        @inline(__always)
        func vectors(_ slot: Step.Slot) -> UnsafePointer<Vector> {
            UnsafePointer(address(slot).assumingMemoryBound(to: Vector.self))
        }

        @inline(__always)
        func write(_ slot: Step.Slot) -> UnsafeMutablePointer<Vector> {
            address(slot).assumingMemoryBound(to: Vector.self)
        }

        @inline(__always)
        func floats(_ slot: Step.Slot) -> UnsafeMutablePointer<Float> {
            address(slot).assumingMemoryBound(to: Float.self)
        }
    }

    /// One function holds the branching; each case is one loop nest.
    @inline(__always)
    func run(
        _ step: UnsafePointer<Step>, features: UnsafePointer<Float>, state: UnsafeMutableRawPointer
    ) {
        let memory = Memory(arena: arena, state: state, features: features)
        let vectorCount = (step.pointee.count &+ 7) >> 3
        switch step.pointee.kind {
        case .copy:
            StepRunner.copy(
                memory.read(step.pointee.source), memory.floats(step.pointee.destination), count: step.pointee.count)
        case .affine:
            let source = memory.vectors(step.pointee.source)
            let scale = table(step.pointee.table, of: Vector.self)
            let offset = table(step.pointee.table2, of: Vector.self)
            let destination = memory.write(step.pointee.destination)
            for index in 0..<vectorCount {
                destination[index] = offset[index].addingProduct(source[index], scale[index])
            }
        case .linear:
            let destination = memory.write(step.pointee.destination)
            let floor: Float = step.pointee.function == .relu ? 0 : -.infinity
            product(step.pointee.product, memory.read(step.pointee.source), destination, floor: floor)
            if step.pointee.function != .identity, step.pointee.function != .relu {
                activate(step, destination, vectorCount: vectorCount)
            }
        case .integerLinear: integerLinear(step, memory)
        case .activation:
            let source = memory.vectors(step.pointee.source)
            let destination = memory.write(step.pointee.destination)
            for index in 0..<vectorCount { destination[index] = source[index] }
            activate(step, destination, vectorCount: vectorCount)
        case .add, .subtract, .multiply:
            combine(
                step, memory.vectors(step.pointee.source), memory.vectors(step.pointee.second),
                memory.write(step.pointee.destination))
        case .softmax:
            if step.pointee.width == 3 {
                StepRunner.softmaxOfThree(
                    memory.read(step.pointee.source), memory.floats(step.pointee.destination),
                    count: step.pointee.count)
            } else {
                softmax(step, memory.read(step.pointee.source), memory.floats(step.pointee.destination))
            }
        case .lstm, .gru, .gruReset, .gruCandidate: gates(step, memory)
        case .push: push(step, memory)
        case .quantize: quantize(step, memory)
        default: runTables(step, memory)
        }
    }

    @inline(__always)
    static func copy(_ source: UnsafePointer<Float>, _ destination: UnsafeMutablePointer<Float>, count: Int) {
        var index = 0
        while index &+ 8 <= count {
            let vector = UnsafeRawPointer(source + index).loadUnaligned(as: Vector.self)
            UnsafeMutableRawPointer(destination + index).storeBytes(of: vector, as: Vector.self)
            index &+= 8
        }
        while index < count {
            destination[index] = source[index]
            index &+= 1
        }
    }

    @inline(__always)
    func table<Element: BitwiseCopyable>(_ offset: Int, of type: Element.Type) -> UnsafePointer<Element> {
        (packed + offset).assumingMemoryBound(to: Element.self)
    }

    @inline(__always)
    private func product(
        _ product: PackedProduct, _ source: UnsafePointer<Float>, _ destination: UnsafeMutablePointer<Vector>,
        floor: Float
    ) {
        let weights = table(product.weights, of: Vector.self)
        let bias = table(product.bias, of: Vector.self)
        let floor = Vector(repeating: floor)
        switch product.form {
        case .narrow8:
            NarrowKernels.run8(
                source, columns: product.columns, weights: weights, bias: bias, destination: destination,
                floor: floor)
        case .narrow16:
            NarrowKernels.run16(
                source, columns: product.columns, weights: weights, bias: bias, destination: destination,
                floor: floor)
        case .dense16:
            DenseKernels.run16(
                source, columns: product.columns, weights: weights, bias: bias, destination: destination,
                panels: product.panels, floor: floor)
        case .dense24:
            DenseKernels.run24(
                source, columns: product.columns, weights: weights, bias: bias, destination: destination,
                panels: product.panels)
        case .dense32:
            DenseKernels.run32(
                source, columns: product.columns, weights: weights, bias: bias, destination: destination,
                panels: product.panels, floor: floor)
            DenseKernels.run16(
                source, columns: product.columns, weights: weights + product.panels &* product.columns &* 4,
                bias: bias + product.panels &* 4, destination: destination + product.panels &* 4,
                panels: product.lastPanels, floor: floor)
        case .sparse16:
            SparseKernels.run16(
                source, panels: table(product.sparsePanels, of: SparsePanel.self),
                indices: table(product.indices, of: Int32.self), weights: weights, bias: bias,
                destination: destination, panelCount: product.panels, floor: floor)
        case .sparse24:
            SparseKernels.run24(
                source, panels: table(product.sparsePanels, of: SparsePanel.self),
                indices: table(product.indices, of: Int32.self), weights: weights, bias: bias,
                destination: destination, panelCount: product.panels)
        case .sparse32:
            SparseKernels.run32(
                source, panels: table(product.sparsePanels, of: SparsePanel.self),
                indices: table(product.indices, of: Int32.self), weights: weights, bias: bias,
                destination: destination, panelCount: product.panels)
        }
    }

    @inline(__always)
    private func integerLinear(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let product = table(step.pointee.table, of: PackedIntegerProduct.self)
        let matrix = IntegerKernels.Matrix(
            shape: product.pointee.shape, weights: packed + product.pointee.weights,
            panels: table(product.pointee.panels, of: IntegerPanel.self),
            offsets: table(product.pointee.offsets, of: Int32.self))
        let groups =
            product.pointee.groupOffsets < 0 ? nil : table(product.pointee.groupOffsets, of: Int32.self)
        let starts = table(product.pointee.starts, of: Int32.self)
        let source = UnsafeRawPointer(memory.address(step.pointee.source))
        let isQuantized = step.pointee.table2 >= 0
        let destination = memory.address(isQuantized ? step.pointee.fifth : step.pointee.destination)
        let vectors = product.pointee.shape.sumVectors
        let corrections = table(product.pointee.corrections, of: SIMD8<Int32>.self)
        let scale = table(product.pointee.scales, of: Vector.self)
        let bias = table(product.pointee.bias, of: Vector.self)
        for row in 0..<step.pointee.rows {
            // The sums take the place of the floats that they become; those that become bytes are wanted for one row only.
            let target = destination + (isQuantized ? 0 : row &* step.pointee.width &* 32)
            let sums = target.assumingMemoryBound(to: SIMD8<Int32>.self)
            IntegerKernels.run(
                matrix, source: source + Int(starts[row]), groupOffsets: groups, destination: sums)
            if isQuantized {
                QuantizationKernels.finishQuantized(
                    sums, corrections: corrections, scale: scale, bias: bias,
                    table(step.pointee.table2, of: Quantization.self).pointee,
                    destination: memory.address(step.pointee.destination) + row &* step.pointee.width &* 8,
                    vectors: vectors)
            } else {
                QuantizationKernels.finish(
                    sums, corrections: corrections, scale: scale, bias: bias,
                    destination: target.assumingMemoryBound(to: Vector.self), vectors: vectors)
            }
        }
        if step.pointee.function != .identity {
            activate(
                step, destination.assumingMemoryBound(to: Vector.self),
                vectorCount: step.pointee.rows &* step.pointee.width)
        }
    }

    @inline(__always)
    private func combine(
        _ step: UnsafePointer<Step>, _ first: UnsafePointer<Vector>, _ second: UnsafePointer<Vector>,
        _ destination: UnsafeMutablePointer<Vector>
    ) {
        let vectorCount = (step.pointee.count &+ 7) >> 3
        switch step.pointee.kind {
        case .subtract: for index in 0..<vectorCount { destination[index] = first[index] - second[index] }
        case .multiply: for index in 0..<vectorCount { destination[index] = first[index] * second[index] }
        default: for index in 0..<vectorCount { destination[index] = first[index] + second[index] }
        }
    }

    @inline(__always)
    private func gates(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let groups = step.pointee.width
        let inputSums = memory.vectors(step.pointee.source)
        // The kernels of a GRU use its place for what they compute on the way.
        let hiddenSums = memory.write(step.pointee.second)
        let hidden = memory.vectors(step.pointee.third)
        let destination = memory.write(step.pointee.destination)
        switch step.pointee.kind {
        case .lstm:
            GateKernels.lstm(
                inputSums: inputSums, hiddenSums: hiddenSums, cell: memory.vectors(step.pointee.fourth),
                destination: destination, nextCell: memory.write(step.pointee.fifth), groups: groups)
        case .gru:
            GateKernels.gru(
                inputSums: inputSums, hiddenSums: hiddenSums, hidden: hidden, destination: destination,
                groups: groups)
        case .gruReset:
            GateKernels.gruReset(
                inputSums: inputSums, hiddenSums: hiddenSums, hidden: hidden, resetHidden: destination,
                groups: groups)
        default:
            GateKernels.gruCandidate(
                inputSums: inputSums, hiddenSums: hiddenSums, resetSums: memory.vectors(step.pointee.fourth),
                hidden: hidden, destination: destination, groups: groups)
        }
    }

    @inline(__always)
    private func push(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let source = memory.read(step.pointee.source)
        let newest = memory.floats(step.pointee.destination)
        StepRunner.copy(source, newest, count: step.pointee.count)
        StepRunner.copy(source, newest - step.pointee.width / 4, count: step.pointee.count)
    }

    @inline(__always)
    private func quantize(_ step: UnsafePointer<Step>, _ memory: Memory) {
        QuantizationKernels.quantize(
            memory.vectors(step.pointee.source), table(step.pointee.table, of: Quantization.self).pointee,
            destination: memory.address(step.pointee.destination), vectors: (step.pointee.count &+ 7) >> 3)
    }
}
