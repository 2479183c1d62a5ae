/// Where the parts of packed trees lie and what to do with them: all that `TreeKernels` needs beside the bytes.
///
/// Offsets are in bytes from the start of the packed bytes or of the scratch memory, and multiples of 64.
struct TreeLayout: BitwiseCopyable, Sendable, Equatable {
    /// How the leaves are found.
    enum Form: UInt8, BitwiseCopyable, Sendable {
        /// Without a walk: all nodes are compared, each takes out leaves; see `martlet_tree_group`. For trees of at most 64
        /// leaves.
        case masks
        /// Eight trees walked side by side.
        case walk
    }

    var form: Form
    var aggregate: TreeEnsemble.Aggregate
    var transform: TreeEnsemble.Transform
    var decision: TreeEnsemble.Decision
    var treeCount: Int
    var targetCount: Int
    var outputCount: Int
    var segmentCount: Int

    /// Groups of 8 columns. A column is a `TreeColumns.Column`, for `masks` with up to 255 of its thresholds.
    var columnGroupCount: Int
    /// Passes of 64 columns, for `masks`.
    var passCount: Int
    /// Groups of 32 trees for `masks`, of 8 trees for `walk`.
    var treeGroupCount: Int

    /// For `masks`: for each column group the number of its threshold vectors, 32 bits.
    var columnCountsOffset = 0
    /// For each column group 8 features and 8 floats in the place of NaN, 32 bits each; for `masks` then the vectors of
    /// thresholds.
    var columnsOffset = 0
    /// For `masks`: for each tree group the planes and the slots of each pass, 32 bits each.
    /// For `walk`: for each tree group the first record and the depth, 32 bits each.
    var treeGroupsOffset = 0
    /// For `masks`: for each tree the table place of its first leaf, 32 bits.
    /// For `walk`: for each tree group 8 first records, then what is added to a record for its table place, 32 bits each.
    var placesOffset = 0
    /// For `masks`: the slots. For `walk`: the records.
    var nodesOffset = 0
    /// For each segment a `TreeSegment`.
    var segmentsOffset = 0
    /// The targets of all segments, 32 bits.
    var targetsOffset = 0
    /// The weights: for each segment and target of it one float per place.
    var tablesOffset = 0
    /// One float for each target.
    var baseValuesOffset = 0
    /// One byte for each target.
    var votedOffset = 0

    /// In the scratch memory: the place of each tree's leaf, 32 bits. The columns are before it, from 0 on.
    var leavesOffset = 0
    /// In the scratch memory: 8 partial sums for each target.
    var sumsOffset = 0
    /// Size of the scratch memory that a run needs, aligned to 64.
    var scratchBytes = 0
}

/// A run of tree groups with the same targets, as packed.
struct TreeSegment: BitwiseCopyable, Sendable {
    /// In groups of 8 trees.
    var start: Int32
    var count: Int32
    /// In `targetsOffset`'s array.
    var targetStart: Int32
    var targetCount: Int32
    /// In `tablesOffset`'s array.
    var tableStart: Int32
    /// Places of one target.
    var tablePlaces: Int32
}

/// A tree ensemble in the form in which it is scored.
struct PackedTrees: Sendable {
    /// To be copied to memory aligned to 64.
    let bytes: [UInt8]
    let layout: TreeLayout
    /// What a row is expected to take on a Zen 4 core at 2.8 GHz with the data in its caches.
    let predictedNanoseconds: Double
    let summary: String
}

extension TreeEnsemble.Aggregate: BitwiseCopyable {}
extension TreeEnsemble.Transform: BitwiseCopyable {}
extension TreeEnsemble.Decision: BitwiseCopyable {}
