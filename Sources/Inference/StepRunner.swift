/// Executes single steps of a plan on packed weights.
struct StepRunner {
    typealias Vector = SIMD8<Float>

    let packed: UnsafeRawPointer
    let arena: UnsafeMutablePointer<Float>

    /// Where a step's operands lie for one tick.
    private struct Memory {
        let arena: UnsafeMutablePointer<Float>
        let state: UnsafeMutablePointer<Float>
        let features: UnsafePointer<Float>

        @inline(__always)
        func read(_ slot: Step.Slot) -> UnsafePointer<Float> {
            switch slot.space {
            case .arena: UnsafePointer(arena + slot.offset)
            case .state: UnsafePointer(state + slot.offset)
            case .features: features + slot.offset
            }
        }

        /// As `read`, for operands on cache lines: all but those in the features.
        @inline(__always)
        func vectors(_ slot: Step.Slot) -> UnsafePointer<Vector> {
            UnsafeRawPointer(read(slot)).assumingMemoryBound(to: Vector.self)
        }

        /// Results are in the arena.
        @inline(__always)
        func write(_ slot: Step.Slot) -> UnsafeMutablePointer<Vector> {
            UnsafeMutableRawPointer(arena + slot.offset).assumingMemoryBound(to: Vector.self)
        }
    }

    /// One function holds the branching; each case is one loop nest.
    @inline(__always)
    func run(_ step: UnsafePointer<Step>, features: UnsafePointer<Float>, state: UnsafeMutablePointer<Float>) {
        let memory = Memory(arena: arena, state: state, features: features)
        let vectorCount = (step.pointee.count &+ 7) >> 3
        let destination = memory.write(step.pointee.destination)
        switch step.pointee.kind {
        case .gather:
            let source = memory.read(step.pointee.source)
            let indices = table(step.pointee.table, of: Int32.self)
            let target = arena + step.pointee.destination.offset
            for index in 0..<step.pointee.count { target[index] = source[Int(indices[index])] }
        case .copy:
            StepRunner.copy(
                memory.read(step.pointee.source), arena + step.pointee.destination.offset,
                count: step.pointee.count)
        case .affine:
            let source = memory.vectors(step.pointee.source)
            let scale = table(step.pointee.table, of: Vector.self)
            let offset = table(step.pointee.table2, of: Vector.self)
            for index in 0..<vectorCount {
                destination[index] = offset[index].addingProduct(source[index], scale[index])
            }
        case .linear:
            let floor: Float = step.pointee.function == .relu ? 0 : -.infinity
            product(step.pointee.product, memory.read(step.pointee.source), destination, floor: floor)
            applyInPlace(step, destination, vectorCount: vectorCount)
        case .activation:
            let source = memory.vectors(step.pointee.source)
            for index in 0..<vectorCount { destination[index] = source[index] }
            if step.pointee.function == .relu {
                for index in 0..<vectorCount {
                    destination[index] = destination[index].replacing(with: 0, where: destination[index] .< 0)
                }
            }
            applyInPlace(step, destination, vectorCount: vectorCount)
        case .add, .subtract, .multiply:
            combine(
                step, memory.vectors(step.pointee.source), memory.vectors(step.pointee.second), destination)
        case .softmax:
            if step.pointee.width == 3 {
                softmaxOfThree(memory.read(step.pointee.source), step)
            } else {
                softmax(step, memory.read(step.pointee.source))
            }
        case .gruLinearBeforeReset, .gru:
            gru(step, memory)
        case .lstm:
            lstm(step, memory)
        }
    }

    @inline(__always)
    static func copy(_ source: UnsafePointer<Float>, _ destination: UnsafeMutablePointer<Float>, count: Int) {
        for index in 0..<count { destination[index] = source[index] }
    }

    @inline(__always)
    private func table<Element: BitwiseCopyable>(_ offset: Int, of type: Element.Type) -> UnsafePointer<
        Element
    > {
        (packed + offset).assumingMemoryBound(to: Element.self)
    }

    @inline(__always)
    private func product(
        _ product: PackedProduct, _ source: UnsafePointer<Float>, _ destination: UnsafeMutablePointer<Vector>,
        floor: Float = -.infinity
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

    /// The functions that the kernels do not apply themselves.
    @inline(__always)
    private func applyInPlace(
        _ step: UnsafePointer<Step>, _ values: UnsafeMutablePointer<Vector>, vectorCount: Int
    ) {
        switch step.pointee.function {
        case .identity, .relu: break
        case .tanh:
            for index in 0..<vectorCount { values[index] = VectorFunctions.tanh(values[index]) }
        case .sigmoid:
            for index in 0..<vectorCount { values[index] = VectorFunctions.sigmoid(values[index]) }
        case .clip:
            let low = Vector(repeating: step.pointee.low)
            let high = Vector(repeating: step.pointee.high)
            for index in 0..<vectorCount {
                let raised = values[index].replacing(with: low, where: values[index] .< low)
                values[index] = raised.replacing(with: high, where: raised .> high)
            }
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

    /// Exponentials of the differences to the greatest of each group, in vectors, then each divided by its group's sum,
    /// added up in ascending order.
    @inline(__always)
    private func softmax(_ step: UnsafePointer<Step>, _ source: UnsafePointer<Float>) {
        let count = step.pointee.count
        let width = step.pointee.width
        let target = arena + step.pointee.destination.offset
        var group = 0
        while group < count {
            var greatest = source[group]
            for index in group..<group &+ width {
                greatest = source[index] > greatest ? source[index] : greatest
            }
            for index in group..<group &+ width { target[index] = source[index] - greatest }
            group &+= width
        }
        let vectors = UnsafeMutableRawPointer(target).assumingMemoryBound(to: Vector.self)
        for index in 0..<(count &+ 7) >> 3 { vectors[index] = VectorFunctions.exp(vectors[index]) }
        group = 0
        while group < count {
            var sum = target[group]
            for index in group &+ 1..<group &+ width { sum += target[index] }
            let inverse = 1 / sum
            for index in group..<group &+ width { target[index] *= inverse }
            group &+= width
        }
    }

    /// As `softmax`, for the three classes of a direction or a trend, four groups at a time: their first elements side by
    /// side in one half of a vector, their second ones in the other, the third ones in another vector. So nothing is
    /// stored in small pieces and read back whole, which would wait for the store buffer.
    @inline(__always)
    private func softmaxOfThree(_ source: UnsafePointer<Float>, _ step: UnsafePointer<Step>) {
        let target = arena + step.pointee.destination.offset
        let last = step.pointee.count &- 3
        var first = 0
        while first <= last {
            // Where there are no four groups any more, the last one is done again.
            let second = min(first &+ 3, last)
            let third = min(first &+ 6, last)
            let fourth = min(first &+ 9, last)
            let a = SIMD4(source[first], source[second], source[third], source[fourth])
            let b = SIMD4(source[first &+ 1], source[second &+ 1], source[third &+ 1], source[fourth &+ 1])
            let c = SIMD4(source[first &+ 2], source[second &+ 2], source[third &+ 2], source[fourth &+ 2])
            var greatest = a.replacing(with: b, where: b .> a)
            greatest.replace(with: c, where: c .> greatest)
            let ab = VectorFunctions.exp(Vector(lowHalf: a - greatest, highHalf: b - greatest))
            let cc = VectorFunctions.exp(Vector(lowHalf: c - greatest, highHalf: c - greatest)).lowHalf
            let inverse = 1 / ((ab.lowHalf + ab.highHalf) + cc)
            let (x, y, z) = (ab.lowHalf * inverse, ab.highHalf * inverse, cc * inverse)
            store(x[0], y[0], z[0], to: target + first)
            store(x[1], y[1], z[1], to: target + second)
            store(x[2], y[2], z[2], to: target + third)
            store(x[3], y[3], z[3], to: target + fourth)
            first &+= 12
        }
    }

    @inline(__always)
    private func store(_ x: Float, _ y: Float, _ z: Float, to target: UnsafeMutablePointer<Float>) {
        target[0] = x
        target[1] = y
        target[2] = z
    }

    @inline(__always)
    private func gru(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let groups = step.pointee.width
        let inputSums = memory.write(step.pointee.inputSums)
        let hiddenSums = memory.write(step.pointee.hiddenSums)
        let hidden = memory.vectors(step.pointee.second)
        let destination = memory.write(step.pointee.destination)
        product(step.pointee.product, memory.read(step.pointee.source), inputSums)
        product(step.pointee.hiddenProduct, memory.read(step.pointee.second), hiddenSums)
        if step.pointee.kind == .gruLinearBeforeReset {
            GateKernels.gru(
                inputSums: inputSums, hiddenSums: hiddenSums, hidden: hidden, destination: destination,
                groups: groups)
            return
        }
        let resetSums = memory.write(step.pointee.resetSums)
        GateKernels.gruReset(
            inputSums: inputSums, hiddenSums: hiddenSums, hidden: hidden,
            resetHidden: memory.write(step.pointee.resetHidden), groups: groups)
        product(step.pointee.resetProduct, memory.read(step.pointee.resetHidden), resetSums)
        GateKernels.gruCandidate(
            inputSums: inputSums, hiddenSums: hiddenSums, resetSums: resetSums, hidden: hidden,
            destination: destination, groups: groups)
    }

    @inline(__always)
    private func lstm(_ step: UnsafePointer<Step>, _ memory: Memory) {
        let inputSums = memory.write(step.pointee.inputSums)
        let hiddenSums = memory.write(step.pointee.hiddenSums)
        product(step.pointee.product, memory.read(step.pointee.source), inputSums)
        product(step.pointee.hiddenProduct, memory.read(step.pointee.second), hiddenSums)
        GateKernels.lstm(
            inputSums: inputSums, hiddenSums: hiddenSums, cell: memory.vectors(step.pointee.cell),
            destination: memory.write(step.pointee.destination),
            nextCell: memory.write(step.pointee.nextCell),
            groups: step.pointee.width)
    }
}
