/// How operations and functions of layers are named in steps.
extension Arithmetic {
    var stepKind: Step.Kind {
        switch self {
        case .add: .add
        case .subtract: .subtract
        case .multiply: .multiply
        case .divide: .divide
        case .power: .power
        case .minimum: .minimum
        case .maximum: .maximum
        }
    }
}

extension Activation {
    var stepFunction: Step.Function {
        switch self {
        case .identity: .identity
        case .relu: .relu
        case .tanh: .tanh
        case .sigmoid: .sigmoid
        case .clip: .clip
        case .leakyRelu: .leakyRelu
        case .elu: .elu
        case .hardSigmoid: .hardSigmoid
        case .softplus: .softplus
        case .gelu: .gelu
        case .geluTanh: .geluTanh
        case .erf: .erf
        case .exp: .exp
        case .sqrt: .sqrt
        case .root: .root
        case .negative: .negative
        case .reciprocal: .reciprocal
        case .square: .square
        case .power: .power
        }
    }
}

extension Layer {
    /// Weights of the layer's matrix.
    var weightCount: Int {
        switch operation {
        case .linear(let linear): linear.matrix.weights.count
        case .integerLinear(let linear): linear.matrix.weights.count / 4
        default: 0
        }
    }
}
