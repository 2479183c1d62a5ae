/// The plain twin of `InferenceEngine`: the same layers, one number at a time, from the weights as they are in the
/// layers. For tests and for looking into a model; slow and allocating.
///
/// It gives the same bits as the engine for finite inputs.
public struct ScalarReference {
    let list: LayerList
    private(set) var memory: ScalarMemory

    /// Starts from a state of zeros.
    public init(model: Model) {
        self.init(list: model.storage.plan.list)
    }

    init(list: LayerList) {
        self.list = list
        memory = ScalarMemory(list)
        runAhead()
    }

    /// Forgets all ticks.
    public mutating func reset() {
        memory = ScalarMemory(list)
        runAhead()
    }

    /// Computes the outputs of one tick, by name, and moves the state on.
    ///
    /// - Precondition: `features` is as long as the feature set.
    public mutating func step(features: [Float]) -> [String: [Float]] {
        for (index, buffer) in list.buffers.enumerated() where buffer.place == .features {
            memory.store(features, Operand(buffer: index, count: features.count))
        }
        for layer in list.layers[..<min(list.aheadStart, list.layers.count)] { run(layer) }
        let result = list.outputs.mapValues { output in
            let floats = memory.floats(output.view.operand)
            return output.view.indices.map { floats[$0] }
        }
        for update in list.stateUpdates { memory.store(read(update.source), update.destination) }
        runAhead()
        return result
    }

    func runAhead() {
        guard list.aheadStart < list.layers.count else { return }
        for layer in list.layers[list.aheadStart...] { run(layer) }
    }

    private func read(_ operand: Operand) -> [Float] {
        let floats = memory.floats(operand)
        return (0..<operand.count).map { floats[$0] }
    }

    func run(_ layer: Layer) {
        switch layer.operation {
        case .gather(let source, let indices, let fill):
            let floats = memory.floats(source)
            memory.store(indices.map { $0 < 0 ? fill : floats[Int($0)] }, layer.destination)
        case .copy(let source): memory.store(read(source), layer.destination)
        case .place(let source, let runs):
            let (from, to) = (memory.floats(source), memory.floats(layer.destination))
            for run in runs {
                for index in 0..<Int(run.count) { to[Int(run.destination) + index] = from[Int(run.source) + index] }
            }
        case .affine(let source, let scale, let offset):
            memory.store(
                zip(read(source), zip(scale, offset)).map { $1.1.addingProduct($0, $1.0) }, layer.destination)
        case .linear(let linear): run(linear, layer.destination)
        case .integerLinear(let linear): run(linear, layer.destination)
        case .activation(let source, let function):
            memory.store(read(source).map { ScalarFunctions.apply(function, $0) }, layer.destination)
        case .combine(let operation, let first, let second):
            memory.store(
                zip(read(first), read(second)).map { operation.apply($0, $1) }, layer.destination)
        case .softmax(let source, let width):
            memory.store(ScalarReference.softmax(read(source), width: width), layer.destination)
        case .reduce(let reduction, let source, let starts, let taps):
            memory.store(reduce(reduction, source, starts, taps), layer.destination)
        case .contract(let contraction): memory.store(contract(contraction), layer.destination)
        case .gates(let gates): run(gates, layer.destination)
        case .trees(let source, let ensemble, let labels):
            let (outputs, label) = ensemble.score(read(source))
            memory.store(outputs, layer.destination)
            if let labels { memory.integers(labels)[0] = ensemble.labels[label] }
        case .quantize(let source, let quantization):
            quantize(source, quantization, layer.destination)
        case .dequantize(let source, let quantization):
            memory.store(
                (0..<source.count).map {
                    IntegerReference.dequantize(
                        code(source, $0, quantization), scale: quantization.scale, zeroPoint: quantization.zeroPoint)
                }, layer.destination)
        case .push(let source):
            memory.push(source, layer.destination)
        case .general(let operation): operation.run(memory, destination: layer.destination)
        }
    }

    private func code(_ operand: Operand, _ index: Int, _ quantization: Quantization) -> Int32 {
        let byte = memory.bytes(operand)[index]
        return quantization.isSigned ? Int32(Int8(bitPattern: byte)) : Int32(byte)
    }

    // MARK: Products

    /// Chains of multiply-adds by input index modulo 2, 4 or 8; then neighbours are added until one is left, then + bias.
    private func run(_ linear: LinearLayer, _ destination: Operand) {
        let source = memory.floats(linear.source)
        let matrix = linear.matrix
        for (index, start) in linear.rowStarts.enumerated() {
            let sums = (0..<matrix.rows).map { row in
                var chains = Array(repeating: Float(0), count: matrix.chains)
                for column in 0..<matrix.columns {
                    chains[column % matrix.chains].addProduct(
                        source[Int(start + linear.columnOffsets[column])], matrix.weights[row * matrix.columns + column]
                    )
                }
                while chains.count > 1 {
                    chains = stride(from: 0, to: chains.count, by: 2).map { chains[$0] + chains[$0 + 1] }
                }
                let offset =
                    linear.offsets.isEmpty ? matrix.bias[row] : linear.offsets[row * linear.columnWidth + index]
                return ScalarFunctions.apply(linear.activation, chains[0] + offset)
            }
            if linear.isByColumns {
                let target = memory.floats(destination)
                for (row, sum) in sums.enumerated() { target[row * linear.columnWidth + index] = sum }
            } else {
                store(sums, linear.order, to: destination.part(index * linear.rowWidth, linear.rowWidth))
            }
        }
    }

    private func run(_ linear: IntegerLinearLayer, _ destination: Operand) {
        let corrections = linear.matrix.corrections(zeroPoint: linear.quantizer.zeroPoint)
        for (index, start) in linear.rowStarts.enumerated() {
            let inputs = (0..<linear.matrix.columns).map { column in
                code(linear.source, Int(start + linear.groupOffsets[column / 4]) + column % 4, linear.quantizer)
            }
            let sums = IntegerReference.product(linear.matrix, inputs)
            let floats = sums.indices.map { row in
                ScalarFunctions.apply(
                    linear.activation,
                    IntegerReference.finish(
                        sums[row], correction: corrections[row], scale: linear.scales[row], bias: linear.bias[row]))
            }
            let row = linear.output?.sums ?? destination
            store(floats, linear.order, to: row.part(index * linear.rowWidth, linear.rowWidth))
        }
        if let output = linear.output { quantize(output.sums, output.quantization, destination) }
    }

    private func quantize(_ source: Operand, _ quantization: Quantization, _ destination: Operand) {
        let bytes = memory.bytes(destination)
        for (index, value) in read(source).enumerated() {
            bytes[index] = UInt8(truncatingIfNeeded: IntegerReference.quantize(value, quantization))
        }
    }

    /// Puts one value per matrix row where the order wants it.
    private func store(_ values: [Float], _ order: OutputOrder, to destination: Operand) {
        guard case .gates(let gates) = order else { return memory.store(values, destination) }
        let units = values.count / gates
        let floats = memory.floats(destination)
        for gate in 0..<gates {
            for unit in 0..<units {
                floats[unit / 8 * 8 * gates + gate * 8 + unit % 8] = values[gate * units + unit]
            }
        }
    }

    private func contract(_ contraction: Contraction) -> [Float] {
        let (first, second) = (memory.floats(contraction.first), memory.floats(contraction.second))
        return contraction.firstStarts.indices.map { index in
            var chains: [Float] = [0, 0]
            for tap in contraction.firstTaps.indices {
                chains[tap % 2].addProduct(
                    first[Int(contraction.firstStarts[index] + contraction.firstTaps[tap])],
                    second[Int(contraction.secondStarts[index] + contraction.secondTaps[tap])])
            }
            return chains[0] + chains[1]
        }
    }

    private func reduce(
        _ reduction: Reduction, _ source: Operand, _ starts: [Int32], _ taps: [Int32]
    ) -> [Float] {
        let floats = memory.floats(source)
        return starts.map { start in
            let values = taps.map { floats[Int(start + $0)] }
            if reduction == .maximum { return values.reduce(-Float.infinity) { $1 > $0 ? $1 : $0 } }
            var chains: [Float] = [0, 0]
            for (index, value) in values.enumerated() { chains[index % 2] += value }
            let sum = chains[0] + chains[1]
            if case .mean(let divisor) = reduction { return sum / divisor }
            return sum
        }
    }

    private static func softmax(_ source: [Float], width: Int) -> [Float] {
        stride(from: 0, to: source.count, by: width).flatMap { start -> [Float] in
            let group = source[start..<start + width]
            let greatest = group.reduce(group[start]) { $1 > $0 ? $1 : $0 }
            let powers = group.map { ScalarFunctions.expNonPositive($0 - greatest) }
            let inverse = 1 / powers.dropFirst().reduce(powers[0], +)
            return powers.map { $0 * inverse }
        }
    }

    // MARK: Gates

    private func run(_ layer: GateLayer, _ destination: Operand) {
        let (inputSums, hiddenSums) = (memory.floats(layer.inputSums), memory.floats(layer.hiddenSums))
        let hidden = memory.floats(layer.hidden)
        let target = memory.floats(destination)
        for unit in 0..<layer.units {
            func input(_ gate: Int, of gates: Int) -> Float { inputSums[unit / 8 * 8 * gates + gate * 8 + unit % 8] }
            func recurrent(_ gate: Int, of gates: Int) -> Float {
                hiddenSums[unit / 8 * 8 * gates + gate * 8 + unit % 8]
            }
            switch layer.kind {
            case .lstm:
                func sum(_ gate: Int) -> Float { input(gate, of: 4) + recurrent(gate, of: 4) }
                let cell = layer.cell.map { memory.floats($0)[unit] } ?? 0
                let next = ScalarGates.lstm(
                    input: sum(0), output: sum(1), forget: sum(2), candidate: sum(3), cell: cell)
                if let nextCell = layer.nextCell { memory.floats(nextCell)[unit] = next.cell }
                target[unit] = next.hidden
            case .peephole(let weights):
                func sum(_ gate: Int) -> Float { input(gate, of: 4) + recurrent(gate, of: 4) }
                let old = layer.cell.map { memory.floats($0)[unit] } ?? 0
                let input = ScalarFunctions.sigmoid(sum(0).addingProduct(weights[unit], old))
                let forget = ScalarFunctions.sigmoid(sum(2).addingProduct(weights[2 * layer.units + unit], old))
                let next = (forget * old).addingProduct(input, ScalarFunctions.tanh(sum(3)))
                let output = ScalarFunctions.sigmoid(sum(1).addingProduct(weights[layer.units + unit], next))
                if let nextCell = layer.nextCell { memory.floats(nextCell)[unit] = next }
                target[unit] = output * ScalarFunctions.tanh(next)
            case .gru:
                target[unit] = ScalarGates.gru(
                    input: (input(0, of: 3), input(1, of: 3), input(2, of: 3)),
                    hiddenSums: (recurrent(0, of: 3), recurrent(1, of: 3), recurrent(2, of: 3)), hidden: hidden[unit])
            case .gruReset:
                target[unit] = ScalarGates.gruReset(
                    input: input(1, of: 3), hiddenSum: recurrent(1, of: 2), hidden: hidden[unit])
            case .gruCandidate:
                target[unit] = ScalarGates.gruCandidate(
                    input: (input(0, of: 3), input(2, of: 3)), updateSum: recurrent(0, of: 2),
                    resetSum: layer.cell.map { memory.floats($0)[unit] } ?? 0, hidden: hidden[unit])
            case .rnn(let function):
                target[unit] = ScalarFunctions.apply(function, inputSums[unit] + hiddenSums[unit])
            }
        }
    }
}

/// The memory of a scalar twin: each buffer by itself.
final class ScalarMemory: OperandMemory {
    private let list: LayerList
    private let addresses: [UnsafeMutableRawPointer]

    init(_ list: LayerList) {
        self.list = list
        addresses = list.buffers.map { buffer in
            let size = max((buffer.count + 64) * 8, 64)
            let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
            return memory
        }
        for (address, buffer) in zip(addresses, list.buffers) {
            switch buffer.values {
            case .float(let values): ScalarMemory.store(values, address)
            case .double(let values): ScalarMemory.store(values, address)
            case .integer(let values): ScalarMemory.store(values, address)
            case .byte(let values): ScalarMemory.store(values, address)
            case nil: break
            }
        }
    }

    deinit { for address in addresses { address.deallocate() } }

    private static func store<Element: BitwiseCopyable>(_ values: [Element], _ target: UnsafeMutableRawPointer) {
        values.withUnsafeBytes { if let base = $0.baseAddress { target.copyMemory(from: base, byteCount: $0.count) } }
    }

    func address(_ operand: Operand, _ storage: Storage) -> UnsafeMutableRawPointer {
        addresses[operand.buffer] + operand.offset * storage.byteCount
    }

    func store(_ values: [Float], _ operand: Operand) {
        ScalarMemory.store(values, address(operand, .float))
    }

    /// Moves the rows of a ring on by one and puts in the newest.
    func push(_ source: Operand, _ newest: Operand) {
        guard case .ring(let depth, let width) = list.buffers[newest.buffer].place else { return }
        let storage = list.buffers[newest.buffer].storage
        let row = width * storage.byteCount
        let ring = addresses[newest.buffer].assumingMemoryBound(to: UInt8.self)
        for index in 0..<(depth - 1) * row { ring[index] = ring[index + row] }
        address(newest, storage).copyMemory(from: address(source, storage), byteCount: source.count * storage.byteCount)
    }
}

extension Arithmetic {
    /// As the kernels do it on 32-bit floats.
    func apply(_ x: Float, _ y: Float) -> Float {
        switch self {
        case .add: x + y
        case .subtract: x - y
        case .multiply: x * y
        case .divide: x / y
        case .power: ScalarFunctions.pow(x, y)
        case .minimum: y < x ? y : x
        case .maximum: y > x ? y : x
        }
    }
}
