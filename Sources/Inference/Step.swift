/// A layer in the form that the engine runs: numbers and offsets only, no references.
struct Step: BitwiseCopyable {
    enum Kind: UInt8 {
        case gather, copy, copyRuns, affine, linear, linearRows, linearColumns, integerLinear, activation
        case add, subtract, multiply, divide, power, minimum, maximum
        case softmax, reduceSum, reduceMean, reduceMaximum, contract
        case lstm, peephole, gru, gruReset, gruCandidate, rnn
        case trees, quantize, dequantize, push, general
    }

    /// `Activation` without its parameters.
    enum Function: UInt8 {
        case identity, relu, tanh, sigmoid, clip, leakyRelu, elu, hardSigmoid, softplus, gelu, geluTanh, erf, exp
        case sqrt, root, negative, reciprocal, square, power
    }

    enum Space: UInt8 {
        case arena, state, features, ring
    }

    /// An operand: which memory, and how many bytes from its start.
    struct Slot: BitwiseCopyable {
        var space = Space.arena
        /// The ring whose newest rows the operand is in.
        var ring: Int32 = 0
        var offset = 0
    }

    var kind: Kind
    var function = Function.identity
    /// Parameters of the function, fill of a gather, divisor of a mean.
    var low: Float = 0
    var high: Float = 0
    /// Elements of the destination.
    var count = 0
    /// Groups of 8 units of a recurrent step, width of a softmax, taps of a sum, bytes of a ring's row.
    var width = 0
    /// Rows of inputs, runs of a copy, depth of a ring, place of a general operation.
    var rows = 0
    var source = Slot()
    var second = Slot()
    var third = Slot()
    var fourth = Slot()
    var fifth = Slot()
    var destination = Slot()
    /// Byte offsets in the packed memory: indices, scales, places.
    var table = 0
    var table2 = 0
    var table3 = 0
    var table4 = 0
    var product = PackedProduct()

    init(kind: Kind) {
        self.kind = kind
    }
}

/// A matrix in panels. Offsets are in bytes from the start of the packed memory.
struct PackedProduct: BitwiseCopyable {
    enum Form: UInt8 {
        case narrow8, narrow16, dense16, dense24, dense32, sparse16, sparse24, sparse32
    }

    var form: Form = .dense16
    var columns = 0
    var panels = 0
    /// Panels of 16 outputs after those of 32, in form `dense32` of a linear layer.
    var lastPanels = 0
    var weights = 0
    var bias = 0
    /// `SparsePanel`s, or the chains of `RowKernels` and `ColumnKernels`.
    var sparsePanels = 0
    /// Places of the blocks' inputs, `Int32` each.
    var indices = 0
}
