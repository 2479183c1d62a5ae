/// What is packed already, so that weights that several layers use are packed once: they take the memory of one, and stay
/// in the caches from one use to the next. The layers keep the arrays that the keys name.
struct PackedShares {
    struct Key: Hashable {
        var matrix: MatrixPacking.Key
        var isSparse: Bool
        var isOneRow: Bool
        /// Of the inputs, where the packed form holds them.
        var places: [Int32]
    }

    struct IntegerKey: Hashable {
        var weights: ArrayIdentity
        var rows: Int
        var columns: Int
        var order: OutputOrder
        var arithmetic: IntegerArithmetic
    }

    /// Where the parts of an integer matrix lie that do not depend on its inputs.
    struct IntegerProduct {
        var shape: IntegerShape
        var weights: Int
        var panels: Int
        var offsets: Int
    }

    struct TreeKey: Hashable {
        var leaves: ArrayIdentity
        var isLabelled: Bool
    }

    var matrices: [MatrixPacking.Key: MatrixPacking] = [:]
    var products: [Key: PackedProduct] = [:]
    /// Biases by their values, in panel order.
    var biases: [[Float]: Int] = [:]
    var integers: [IntegerKey: IntegerPacking] = [:]
    var integerProducts: [IntegerKey: IntegerProduct] = [:]
    /// The number of a packed ensemble, and where it lies.
    var trees: [TreeKey: (index: Int, table: Int)] = [:]
}

/// An integer matrix as packed. Offsets are in bytes from the start of the packed memory.
struct PackedIntegerProduct: BitwiseCopyable {
    var shape: IntegerShape
    var weights: Int
    var panels: Int
    var offsets: Int
    /// -1 where the groups of a row lie side by side.
    var groupOffsets: Int
    var starts: Int
    var corrections: Int
    var scales: Int
    var bias: Int
}

extension LayerList {
    /// Weights of all matrices, those that several layers use counted once.
    var distinctWeightCount: Int {
        var seen: Set<ArrayIdentity> = []
        return layers.reduce(0) { count, layer in
            let isNew =
                switch layer.operation {
                case .linear(let linear): seen.insert(ArrayIdentity(linear.matrix.weights)).inserted
                case .integerLinear(let linear): seen.insert(ArrayIdentity(linear.matrix.weights)).inserted
                default: false
                }
            return count + (isNew ? layer.weightCount : 0)
        }
    }
}
