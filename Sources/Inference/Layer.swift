/// Where a value lies while a model runs, in floats from the start of its memory.
struct Operand: Equatable, Sendable {
    enum Space: UInt8, Sendable {
        /// The engine's own memory.
        case arena
        /// The recurrent state of one instrument.
        case state
        /// The caller's feature vector.
        case features
    }

    var space: Space
    var offset: Int
    var count: Int
}

/// The rows are outputs, the columns inputs.
struct Matrix: Sendable {
    var rows: Int
    var columns: Int
    /// Row-major.
    var weights: [Float]
    /// One per row. Never -0, see `SparseKernels`.
    var bias: [Float]
    /// Partial sums of each output, by input index modulo this: 2, or 4 for a linear layer of few outputs.
    var chains = 2

    /// Outputs up to which a linear layer has 4 chains. With so few, 2 chains leave the multiply-adds waiting for each
    /// other: 91 of the 406 ns of a pruned 144-256-128-3 network.
    static let narrowRowsMax = 16

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

    var name: String {
        switch self {
        case .identity: "identity"
        case .relu: "relu"
        case .tanh: "tanh"
        case .sigmoid: "sigmoid"
        case .clip(let low, let high): "clip(\(low), \(high))"
        }
    }
}

/// One layer of a plan: what is computed, from where to where. The packed form and the scalar twin are both made of it.
struct Layer: Sendable {
    enum Operation: Sendable {
        /// Elements of `source` by index.
        case gather(source: Operand, indices: [Int32])
        case copy(source: Operand)
        /// `source * scale + offset`, fused.
        case affine(source: Operand, scale: [Float], offset: [Float])
        case linear(source: Operand, matrix: Matrix, activation: Activation)
        case activation(source: Operand, function: Activation)
        case add(Operand, Operand)
        case subtract(Operand, Operand)
        case multiply(Operand, Operand)
        /// Over each `width` neighbours.
        case softmax(source: Operand, width: Int)
        case gru(GatedLayer, linearBeforeReset: Bool)
        case lstm(GatedLayer)
    }

    /// Name of the node it was made of.
    var name: String
    var operation: Operation
    var destination: Operand
    /// The shape of the result, as the graph has it.
    var shape: [Int]
}

/// A recurrent step. Gates are stacked in ONNX's order along the rows: z, r, h for a GRU, i, o, f, c for an LSTM.
struct GatedLayer: Sendable {
    var units: Int
    var input: Operand
    var hidden: Operand
    /// Where `input · inputMatrix` goes, gates interleaved by 8 units.
    var inputSums: Operand
    /// Where `hidden · hiddenMatrix` goes, gates interleaved by 8 units.
    var hiddenSums: Operand
    var inputMatrix: Matrix
    var hiddenMatrix: Matrix
    /// The LSTM's cell before and after; empty for a GRU.
    var cell: Operand
    var nextCell: Operand
    /// Reset hidden state and its product, of a GRU with `linear_before_reset` = 0.
    var resetHidden: Operand
    var resetSums: Operand
}

/// A model's graph as a list of layers over flat memory.
struct LayerList: Sendable {
    var layers: [Layer] = []
    /// Floats of the arena.
    var arenaCount = 0
    /// Floats of one instrument's state.
    var stateCount = 0
    /// Values that are written into the arena once.
    var constants: [(operand: Operand, values: [Float])] = []
    /// Copies at the end of each step, from the arena to the state.
    var stateUpdates: [(source: Operand, destination: Operand)] = []
    /// Where the outputs of the model contract lie, by name.
    var outputs: [String: Operand] = [:]
}
