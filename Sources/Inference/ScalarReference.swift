/// The plain twin of `InferenceEngine`: the same layers, one number at a time, from the weights as they are in the
/// layers. For tests and for looking into a model; slow and allocating.
///
/// It gives the same bits as the engine for finite inputs.
public struct ScalarReference {
    private let list: LayerList
    private var arena: [Float]
    private var state: [Float]

    /// Starts from a state of zeros.
    public init(model: Model) {
        list = model.storage.list
        arena = Array(repeating: 0, count: list.arenaCount)
        state = Array(repeating: 0, count: list.stateCount)
        for (operand, values) in list.constants {
            arena.replaceSubrange(operand.offset..<operand.offset + values.count, with: values)
        }
    }

    /// The recurrent state, as in `ModelState.values`.
    public var stateValues: [Float] { state }

    /// Forgets all ticks.
    public mutating func reset() {
        state = Array(repeating: 0, count: state.count)
    }

    /// Computes the outputs of one tick, by name, and moves the state on.
    ///
    /// - Precondition: `features` is as long as the feature set.
    public mutating func step(features: [Float]) -> [String: [Float]] {
        for layer in list.layers {
            let values = result(layer, features)
            arena.replaceSubrange(
                layer.destination.offset..<layer.destination.offset + values.count, with: values)
        }
        for (source, destination) in list.stateUpdates {
            state.replaceSubrange(
                destination.offset..<destination.offset + source.count,
                with: arena[source.offset..<source.offset + source.count])
        }
        return list.outputs.mapValues { Array(arena[$0.offset..<$0.offset + $0.count]) }
    }

    private func read(_ operand: Operand, _ features: [Float]) -> ArraySlice<Float> {
        let range = operand.offset..<operand.offset + operand.count
        switch operand.space {
        case .arena: return arena[range]
        case .state: return state[range]
        case .features: return features[range]
        }
    }

    private mutating func result(_ layer: Layer, _ features: [Float]) -> [Float] {
        switch layer.operation {
        case .gather(let source, let indices):
            let values = Array(read(source, features))
            return indices.map { values[Int($0)] }
        case .copy(let source):
            return Array(read(source, features))
        case .affine(let source, let scale, let offset):
            return zip(read(source, features), zip(scale, offset)).map { $1.1.addingProduct($0, $1.0) }
        case .linear(let source, let matrix, let activation):
            return ScalarReference.product(matrix, Array(read(source, features))).map {
                ScalarFunctions.apply(activation, $0)
            }
        case .activation(let source, let function):
            return read(source, features).map { ScalarFunctions.apply(function, $0) }
        case .add(let first, let second):
            return zip(read(first, features), read(second, features)).map(+)
        case .subtract(let first, let second):
            return zip(read(first, features), read(second, features)).map(-)
        case .multiply(let first, let second):
            return zip(read(first, features), read(second, features)).map(*)
        case .softmax(let source, let width):
            return ScalarReference.softmax(Array(read(source, features)), width: width)
        case .gru(let gated, let linearBeforeReset):
            return gru(gated, linearBeforeReset: linearBeforeReset, features)
        case .lstm(let gated):
            return lstm(gated, features)
        }
    }

    /// Chains of multiply-adds by input index modulo 2 or 4; then (0 + 1) + (2 + 3), then + bias.
    private static func product(_ matrix: Matrix, _ source: [Float]) -> [Float] {
        (0..<matrix.rows).map { row in
            var chains = Array(repeating: Float(0), count: matrix.chains)
            for column in 0..<matrix.columns {
                let weight = matrix.weights[row * matrix.columns + column]
                chains[column % matrix.chains].addProduct(source[column], weight)
            }
            let first = chains[0] + chains[1]
            let sum = matrix.chains == 4 ? first + (chains[2] + chains[3]) : first
            return sum + matrix.bias[row]
        }
    }

    private static func softmax(_ source: [Float], width: Int) -> [Float] {
        stride(from: 0, to: source.count, by: width).flatMap { start -> [Float] in
            let group = source[start..<start + width]
            let greatest = group.reduce(group[start]) { $1 > $0 ? $1 : $0 }
            let powers = group.map { ScalarFunctions.exp($0 - greatest) }
            let inverse = 1 / powers.dropFirst().reduce(powers[0], +)
            return powers.map { $0 * inverse }
        }
    }

    private func gru(_ gated: GatedLayer, linearBeforeReset: Bool, _ features: [Float]) -> [Float] {
        let units = gated.units
        let hidden = Array(read(gated.hidden, features))
        let inputSums = ScalarReference.product(gated.inputMatrix, Array(read(gated.input, features)))
        let hiddenSums = ScalarReference.product(gated.hiddenMatrix, hidden)
        let update = (0..<units).map { ScalarFunctions.sigmoid(inputSums[$0] + hiddenSums[$0]) }
        let reset = (0..<units).map {
            ScalarFunctions.sigmoid(inputSums[units + $0] + hiddenSums[units + $0])
        }
        let candidate: [Float]
        if linearBeforeReset {
            candidate = (0..<units).map {
                ScalarFunctions.tanh(
                    inputSums[2 * units + $0].addingProduct(reset[$0], hiddenSums[2 * units + $0]))
            }
        } else {
            let matrix = gated.hiddenMatrix.slice(rows: 2 * units..<3 * units)
            let resetSums = ScalarReference.product(matrix, zip(reset, hidden).map(*))
            candidate = (0..<units).map { ScalarFunctions.tanh(inputSums[2 * units + $0] + resetSums[$0]) }
        }
        return (0..<units).map { candidate[$0].addingProduct(update[$0], hidden[$0] - candidate[$0]) }
    }

    private mutating func lstm(_ gated: GatedLayer, _ features: [Float]) -> [Float] {
        let units = gated.units
        let cell = Array(read(gated.cell, features))
        let inputSums = ScalarReference.product(gated.inputMatrix, Array(read(gated.input, features)))
        let hiddenSums = ScalarReference.product(gated.hiddenMatrix, Array(read(gated.hidden, features)))
        let sums = zip(inputSums, hiddenSums).map(+)
        let next = (0..<units).map { unit in
            let input = ScalarFunctions.sigmoid(sums[unit])
            let forget = ScalarFunctions.sigmoid(sums[2 * units + unit])
            let candidate = ScalarFunctions.tanh(sums[3 * units + unit])
            return (forget * cell[unit]).addingProduct(input, candidate)
        }
        let range = gated.nextCell.offset..<gated.nextCell.offset + units
        arena.replaceSubrange(range, with: next)
        return (0..<units).map {
            ScalarFunctions.sigmoid(sums[units + $0]) * ScalarFunctions.tanh(next[$0])
        }
    }
}
