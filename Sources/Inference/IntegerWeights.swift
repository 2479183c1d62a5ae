/// One panel of a block-sparse integer matrix: how many of its blocks are not zero.
struct IntegerPanel: BitwiseCopyable {
    /// Pairs of blocks.
    var pairs: Int32
    /// 1 if a block is left over.
    var rest: Int32
}

/// What the kernels have to know of a packed matrix beside its bytes.
struct IntegerShape: BitwiseCopyable {
    var arithmetic: IntegerArithmetic = .sevenBit
    var isSparse = false
    /// Groups of 4 inputs.
    var groups = 0
    var panels = 0
    /// Vectors of 8 outputs in each panel, 1...4. A dense matrix has panels of 4.
    var vectors = 0
    /// Vectors of one more panel of a dense matrix, 0...3.
    var lastVectors = 0

    /// Vectors of 8 sums that a product writes.
    var sumVectors: Int { panels &* vectors &+ lastVectors }
    /// Bytes that a product reads of a contiguous source: the columns, padded to whole groups. What stands in the padding
    /// does not matter.
    var sourceBytes: Int { groups &* 4 }
}

/// A matrix's bytes as the kernels read them.
struct IntegerWeights {
    var shape = IntegerShape()
    /// Of a sparse matrix only.
    var panels: [IntegerPanel] = []
    /// Of a sparse matrix only: for each block four times the index of its group, which is the byte offset of the group in
    /// a contiguous source and of its entry in a table of offsets.
    var offsets: [Int32] = []
    var bytes: [UInt8] = []
}
