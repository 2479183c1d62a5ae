import ONNX

/// Decision trees whose leaves vote for scores: `TreeEnsemble`, `TreeEnsembleRegressor` and `TreeEnsembleClassifier` of the
/// ONNX-ML operator set, in one form.
///
/// Every comparison is brought to "feature ≤ threshold, and where to go without a value": < takes the next lower float, ≥
/// and > swap the sides, = is two nodes that share their false side, membership is a chain of =. That is exact, also for
/// infinite features and both zeros, and leaves the kernels one comparison. A feature that is not a number is missing.
///
/// What holds for every instance: each child is a branch of the same tree that comes later, or a leaf; features, targets
/// and leaves are in range; thresholds and weights are finite. That is what lets the kernels run without checks.
///
/// Order of additions, the same for all kernels and the scalar twin: trees stand in `segments`, in each in file order.
/// The tree at place p of a segment adds its weight to partial sum p mod 8 of each target of the segment. Partial sums
/// go on from segment to segment; at the end they are added as ((0+4)+(2+6)) + ((1+5)+(3+7)), averaged if asked for, and
/// then comes the base value.
struct TreeEnsemble: Sendable {
    /// Features of a row.
    let inputCount: Int
    /// Floats that are written for a row.
    let outputCount: Int
    /// Scores before the transform: as many as outputs, or one that becomes the two of a binary classifier.
    let targetCount: Int
    /// Trees in the file's order.
    let trees: [Tree]
    /// The branches of all trees, tree after tree.
    let branches: [Branch]
    /// The leaves of all trees: ranges of `votes`.
    let leaves: [Range<Int>]
    /// Weights of leaves.
    let votes: [Vote]
    /// Runs of trees with the same targets, which decide the order of additions.
    let segments: [Segment]
    let aggregate: Aggregate
    /// One for each target.
    let baseValues: [Float]
    let transform: Transform
    let decision: Decision
    /// The class labels of a classifier, in the order of its outputs; for labels that are text, their indices. Empty for a
    /// regressor.
    let labels: [Int64]
    /// Which targets any leaf votes for or a base value is given for. The others cannot be the answer of a classifier.
    let isVoted: [Bool]

    /// One comparison: true if the feature is at most the threshold.
    struct Branch: Sendable, Equatable {
        var feature: Int32
        /// Below +infinity, not NaN.
        var threshold: Float
        /// Which side a feature that is not a number takes.
        var missingIsTrue: Bool
        /// A later branch, or with all bits inverted a leaf.
        var trueChild: Int32
        /// As `trueChild`.
        var falseChild: Int32
    }

    struct Tree: Sendable, Equatable {
        /// As a child of a branch.
        var root: Int32
        var branches: Range<Int>
        /// The longest way from the root to a leaf, in branches.
        var depth: Int
    }

    struct Vote: Sendable, Equatable {
        var target: Int32
        var weight: Float
    }

    struct Segment: Sendable, Equatable {
        /// Ascending: one target, or all of the ensemble.
        var targets: [Int32]
        /// Indices of `trees`, ascending.
        var trees: [Int]
    }

    enum Aggregate: UInt8, Sendable { case average, sum, minimum, maximum }

    enum Transform: UInt8, Sendable { case none, softmax, logistic, softmaxZero }

    /// How a classifier chooses its label.
    enum Decision: Equatable, Sendable {
        /// A regressor: no label.
        case none
        /// Two classes from one score: the second class above the cutoff. Scores are the score s and 1 - s, or with
        /// negative weights among the votes s and -s; under LOGISTIC always of s and -s.
        case oneScore(isProbability: Bool)
        /// Two classes of which only the second is voted for: the second above the cutoff.
        case secondScore(cutoff: Float)
        /// The first class of the greatest score among those that are voted for.
        case greatest
    }
}

/// Limits of a tree ensemble. They bound the memory of an import at some 500 MB, and the time of a row.
enum TreeLimits {
    /// Nodes and leaves of the file, each. Ensembles for live use have some thousands.
    static let nodes = 1 << 21
    /// Comparisons of one tree: the walking kernel addresses the records of eight trees, two for each comparison and one for
    /// the root, by 19 bits.
    static let branchesPerTree = (1 << 15) - 1
    /// Comparisons from a root to a leaf.
    static let depth = 1_024
    /// Trees.
    static let trees = 1 << 16
    /// Regression targets or classes.
    static let targets = 1_024
    /// Weights in the packed tables, 64 MiB.
    static let tableElements = 1 << 24
}

extension TreeEnsemble {
    /// The side that `row[branch.feature]` takes.
    func next(_ branch: Branch, _ feature: Float) -> Int32 {
        let isTrue = feature.isNaN ? branch.missingIsTrue : feature <= branch.threshold
        return isTrue ? branch.trueChild : branch.falseChild
    }

    /// What a target's partial sums begin with: what changes nothing.
    var neutral: Float {
        switch aggregate {
        case .sum, .average: 0
        case .minimum: .infinity
        case .maximum: -.infinity
        }
    }

    /// The weight of a leaf for a target: its votes in the file's order, or `neutral` without any.
    func weight(leaf: Int, target: Int32) -> Float {
        var result = neutral
        for vote in votes[leaves[leaf]] where vote.target == target {
            result = aggregate.combine(result, vote.weight)
        }
        return result
    }
}

extension TreeEnsemble.Aggregate {
    @inline(__always)
    func combine(_ sum: Float, _ weight: Float) -> Float {
        switch self {
        case .sum, .average: sum + weight
        case .minimum: weight < sum ? weight : sum
        case .maximum: weight > sum ? weight : sum
        }
    }
}
