/// A layer in the form that the engine runs: numbers and offsets only, no references.
struct Step: BitwiseCopyable {
    enum Kind: UInt8 {
        case gather, copy, affine, linear, activation, add, subtract, multiply, softmax
        case gruLinearBeforeReset, gru, lstm
    }

    /// `Activation` without its bounds.
    enum Function: UInt8 {
        case identity, relu, tanh, sigmoid, clip
    }

    /// An operand: which memory, and how many floats from its start.
    struct Slot: BitwiseCopyable {
        var space: Operand.Space = .arena
        var offset = 0

        init() {}

        init(_ operand: Operand) {
            space = operand.space
            offset = operand.offset
        }
    }

    var kind: Kind
    var function: Function = .identity
    var low: Float = 0
    var high: Float = 0
    /// Elements of the destination.
    var count = 0
    /// Groups of 8 units of a recurrent step, width of a softmax.
    var width = 0
    var source = Slot()
    var second = Slot()
    var destination = Slot()
    /// Byte offset in the packed memory of a gather's indices, an affine map's scale.
    var table = 0
    /// Byte offset in the packed memory of an affine map's offset.
    var table2 = 0
    var product = PackedProduct()
    var hiddenProduct = PackedProduct()
    var resetProduct = PackedProduct()
    var inputSums = Slot()
    var hiddenSums = Slot()
    var cell = Slot()
    var nextCell = Slot()
    var resetHidden = Slot()
    var resetSums = Slot()

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
    /// `SparsePanel`s.
    var sparsePanels = 0
    /// Column indices of the blocks, `Int32` each.
    var indices = 0
}
