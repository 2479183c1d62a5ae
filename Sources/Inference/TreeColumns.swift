/// The columns that the kernels compare: each a feature and the number in the place of a missing value.
///
/// A missing value takes the false side of some comparisons and the true side of others. A number above the thresholds of
/// the former and not above those of the latter does the same, so that one column serves a feature if there is such a number.
/// There is one where nothing was missing in training and NaN counts as 0. Otherwise the feature has a column for each side.
struct TreeColumns {
    struct Column: Hashable {
        var feature: Int32
        /// Which comparisons of a feature with two columns this is for; false for the only one.
        var missingIsTrue: Bool
    }

    /// By feature: whether one column does.
    private let isOne: [Bool]
    /// What a missing value is taken for: the least threshold whose true side it takes, or infinity.
    let missingValues: [Column: Float]

    init(_ ensemble: TreeEnsemble) {
        var greatestFalse = [Float](repeating: -.infinity, count: ensemble.inputCount)
        var leastTrue = [Float](repeating: .infinity, count: ensemble.inputCount)
        // A threshold may be -infinity itself.
        var hasFalse = [Bool](repeating: false, count: ensemble.inputCount)
        for branch in ensemble.branches {
            let feature = Int(branch.feature)
            if branch.missingIsTrue {
                leastTrue[feature] = min(leastTrue[feature], branch.threshold)
            } else {
                greatestFalse[feature] = max(greatestFalse[feature], branch.threshold)
                hasFalse[feature] = true
            }
        }
        isOne = (0..<ensemble.inputCount).map { !hasFalse[$0] || greatestFalse[$0] < leastTrue[$0] }
        var values: [Column: Float] = [:]
        for branch in ensemble.branches {
            let feature = Int(branch.feature)
            let isTrue = isOne[feature] || branch.missingIsTrue
            let column = Column(feature: branch.feature, missingIsTrue: !isOne[feature] && branch.missingIsTrue)
            values[column] = isTrue ? leastTrue[feature] : .infinity
        }
        missingValues = values
    }

    func column(_ branch: TreeEnsemble.Branch) -> Column {
        Column(
            feature: branch.feature, missingIsTrue: !isOne[Int(branch.feature)] && branch.missingIsTrue)
    }
}
