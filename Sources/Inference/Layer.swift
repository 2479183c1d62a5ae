import ONNX

/// The rows are outputs, the columns inputs.
struct Matrix: Sendable {
    var rows: Int
    var columns: Int
    /// Row-major.
    var weights: [Float]
    /// One per row. Never -0, see `SparseKernels`.
    var bias: [Float]
    /// Partial sums of each output, by input index modulo this: 2, or 4 or 8 for a linear layer of few outputs.
    var chains = 2

    /// Chains of a linear layer. With few outputs, 2 chains leave the multiply-adds waiting for each other: 91 of the
    /// 406 ns of a pruned 144-256-128-3 network.
    static func chains(rows: Int) -> Int { rows <= 8 ? 8 : rows <= 16 ? 4 : 2 }

    /// Share of weights that are not zero.
    var density: Double {
        weights.isEmpty ? 1 : Double(weights.count { $0 != 0 }) / Double(weights.count)
    }

    /// Some rows of this matrix.
    func slice(rows range: Range<Int>) -> Matrix {
        Matrix(
            rows: range.count, columns: columns,
            weights: Array(weights[range.lowerBound * columns..<range.upperBound * columns]),
            bias: Array(bias[range]))
    }
}

/// A function of one number.
enum Activation: Equatable, Sendable {
    case identity
    case relu
    case tanh
    case sigmoid
    case clip(Float, Float)
    case leakyRelu(Float)
    case elu(Float)
    case hardSigmoid(Float, Float)
    case softplus
    case gelu
    case geluTanh
    case erf
    case exp
    case sqrt
    /// A power of 1/2, which differs from a square root at -0 and -infinity.
    case root
    case negative
    case reciprocal
    case square
    case power(Float)

    var name: String {
        switch self {
        case .identity: "identity"
        case .relu: "relu"
        case .tanh: "tanh"
        case .sigmoid: "sigmoid"
        case .clip(let low, let high): "clip(\(low), \(high))"
        case .leakyRelu(let slope): "leaky relu(\(slope))"
        case .elu(let alpha): "elu(\(alpha))"
        case .hardSigmoid: "hard sigmoid"
        case .softplus: "softplus"
        case .gelu: "gelu"
        case .geluTanh: "gelu (tanh)"
        case .erf: "erf"
        case .exp: "exp"
        case .sqrt, .root: "square root"
        case .negative: "negative"
        case .reciprocal: "reciprocal"
        case .square: "square"
        case .power(let exponent): "power(\(exponent))"
        }
    }
}

/// An operation on two numbers.
enum Arithmetic: UInt8, Sendable {
    case add, subtract, multiply, divide, power, minimum, maximum

    var name: String { "\(self)" }
}

/// How many elements become one.
enum Reduction: Equatable, Sendable {
    case sum
    /// The sum divided by a number.
    case mean(Float)
    case maximum

    var name: String {
        switch self {
        case .sum: "sum"
        case .mean: "mean"
        case .maximum: "maximum"
        }
    }
}

/// In which order a product's outputs lie in memory.
enum OutputOrder: Hashable, Sendable {
    /// As the matrix's rows.
    case rows
    /// 8 units of each gate, group after group, so that all that 8 units need is side by side. The matrix's rows are
    /// the gates one after the other.
    case gates(Int)
}

/// `source · matrix`, for one or more rows of inputs.
struct LinearLayer: Sendable {
    var source: Operand
    /// Where the inputs of each row begin in the source.
    var rowStarts: [Int32]
    /// Where each input is, from the start of its row.
    var columnOffsets: [Int32]
    var matrix: Matrix
    var order = OutputOrder.rows
    var activation = Activation.identity
    /// Whether the results stand output after output, each for all rows of inputs, and not row after row. The rows then
    /// begin side by side in the source.
    var isByColumns = false
    /// Of a layer by columns: one number for each result, added instead of the bias, in the results' own order and with
    /// their padding; empty where the bias is added.
    var offsets: [Float] = []

    /// Whether the inputs of a row lie side by side.
    var isContiguous: Bool { columnOffsets.enumerated().allSatisfy { $1 == Int32($0) } }

    /// Floats of one row of results, padding included.
    var rowWidth: Int {
        switch order {
        case .rows: matrix.rows <= 8 ? 8 : (matrix.rows + 15) / 16 * 16
        case .gates(let gates): (matrix.rows / gates + 7) / 8 * 8 * gates
        }
    }
}

/// What stands between the products of a recurrent step and its new state.
struct GateLayer: Sendable {
    enum Kind: Sendable {
        case lstm
        /// An LSTM whose gates see the cell: weights of i, o and f, one for each unit.
        case peephole([Float])
        /// `linear_before_reset` = 1.
        case gru
        /// `linear_before_reset` = 0, first half: the reset hidden state.
        case gruReset
        /// `linear_before_reset` = 0, second half.
        case gruCandidate
        case rnn(Activation)
    }

    var kind: Kind
    var units: Int
    /// Products of the input and of the hidden state, gates interleaved by 8 units.
    var inputSums: Operand
    var hiddenSums: Operand
    /// The hidden state before the step.
    var hidden: Operand
    /// The LSTM's cell before and after. For the second half of a GRU the products of the reset hidden state.
    var cell: Operand?
    var nextCell: Operand?
}

/// One layer of a plan: what is computed, from where to where. The packed form and the scalar twin are both made of it.
struct Layer: Sendable {
    enum Operation: Sendable {
        /// Elements of `source` by index; `fill` where the index is negative.
        case gather(source: Operand, indices: [Int32], fill: Float)
        case copy(source: Operand)
        /// Runs of elements to their places in the destination, other parts of which may be written by other layers.
        case place(source: Operand, runs: [CopyRun])
        /// `source * scale + offset`, fused.
        case affine(source: Operand, scale: [Float], offset: [Float])
        case linear(LinearLayer)
        case integerLinear(IntegerLinearLayer)
        case activation(source: Operand, function: Activation)
        /// Element by element.
        case combine(Arithmetic, Operand, Operand)
        /// Over each `width` neighbours.
        case softmax(source: Operand, width: Int)
        /// Each result is of the elements at `starts[i] + taps[j]`.
        case reduce(Reduction, source: Operand, starts: [Int32], taps: [Int32])
        /// Sums of products of elements at `firstStarts[i] + firstTaps[j]` and `secondStarts[i] + secondTaps[j]`.
        case contract(Contraction)
        case gates(GateLayer)
        case trees(source: Operand, ensemble: TreeEnsemble, labels: Operand?)
        /// `QuantizeLinear` of floats to bytes, after clipping them.
        case quantize(source: Operand, Quantization)
        /// `DequantizeLinear` of bytes.
        case dequantize(source: Operand, Quantization)
        /// Puts a row into the ring of the destination, as its newest.
        case push(source: Operand)
        /// What has no kernel of its own: integers, 64-bit floats, conversions.
        case general(GeneralOperation)
    }

    /// Name of the node it was made of.
    var name: String
    var operation: Operation
    var destination: Operand
    /// The shape of the result, as the graph has it.
    var shape: [Int]
}

/// A product of two values that are both known only at run time.
struct Contraction: Sendable {
    var first: Operand
    var second: Operand
    var firstStarts: [Int32]
    var secondStarts: [Int32]
    var firstTaps: [Int32]
    var secondTaps: [Int32]
}

/// A model's graph as a list of layers over flat memory.
struct LayerList: Sendable {
    var layers: [Layer] = []
    var buffers: [Buffer] = []
    /// Copies at the end of each step, from the arena to the state.
    var stateUpdates: [(source: Operand, destination: Operand)] = []
    /// Where the outputs lie, by name, and what they are.
    var outputs: [String: (view: View, type: ElementType)] = [:]
    /// The inputs of a graph that is no model of the contract, by name.
    var inputs: [String: (operand: Operand, shape: [Int], type: ElementType)] = [:]
    /// Layers from this index on are not needed for the outputs: they run when these are out.
    var laterStart = Int.max
    /// Layers from this index on depend on the state alone: they run ahead of the next tick.
    var aheadStart = Int.max

    /// Of each buffer how often it is read: by layers, as an output, for a state.
    var readerCounts: [Int] {
        var counts = Array(repeating: 0, count: buffers.count)
        for layer in layers { for operand in layer.reads { counts[operand.buffer] += 1 } }
        for output in outputs.values { counts[output.view.operand.buffer] += 1 }
        for update in stateUpdates { counts[update.source.buffer] += 1 }
        return counts
    }

    /// Takes out layers by their indices.
    mutating func remove(_ indices: Set<Int>) {
        layers = layers.indices.filter { !indices.contains($0) }.map { layers[$0] }
    }
}

extension Layer {
    /// The operands that the layer reads.
    var reads: [Operand] {
        switch operation {
        case .gather(let source, _, _), .copy(let source), .place(let source, _), .affine(let source, _, _),
            .activation(let source, _), .softmax(let source, _), .reduce(_, let source, _, _),
            .trees(let source, _, _), .quantize(let source, _), .dequantize(let source, _), .push(let source):
            return [source]
        case .linear(let linear): return [linear.source]
        case .integerLinear(let linear): return [linear.source]
        case .combine(_, let first, let second): return [first, second]
        case .contract(let contraction): return [contraction.first, contraction.second]
        case .gates(let gates):
            return [gates.inputSums, gates.hiddenSums, gates.hidden] + [gates.cell].compactMap { $0 }
        case .general(let operation): return operation.sources
        }
    }

    /// The operands that the layer writes.
    var writes: [Operand] {
        switch operation {
        case .gates(let gates):
            var operands = [destination]
            if let next = gates.nextCell { operands.append(next) }
            // Its kernel computes in their place.
            if case .gru = gates.kind { operands.append(gates.hiddenSums) }
            return operands
        case .trees(_, _, let labels?): return [destination, labels]
        case .integerLinear(let linear): return [destination] + [linear.output?.sums].compactMap { $0 }
        case .general(let operation): return [destination] + operation.furtherDestinations
        default: return [destination]
        }
    }
}
