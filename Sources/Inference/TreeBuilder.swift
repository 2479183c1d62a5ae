import ONNX

/// The trees of a file as its attributes say, before comparisons are brought to one form.
struct TreeBuilder {
    /// Comparisons by the specification's numbers.
    enum Mode: UInt8 {
        case lessOrEqual, less, greaterOrEqual, greater, equal, notEqual, member

        /// The names of TreeEnsembleRegressor and TreeEnsembleClassifier, which have no membership.
        init?(name: String) {
            switch name {
            case "BRANCH_LEQ": self = .lessOrEqual
            case "BRANCH_LT": self = .less
            case "BRANCH_GTE": self = .greaterOrEqual
            case "BRANCH_GT": self = .greater
            case "BRANCH_EQ": self = .equal
            case "BRANCH_NEQ": self = .notEqual
            default: return nil
            }
        }
    }

    struct Branch {
        var mode: Mode
        var feature: Int32
        var threshold: Float
        /// The numbers of a membership, in `members`.
        var members: Range<Int> = 0..<0
        var missingIsTrue: Bool
        /// A branch, or with all bits inverted a leaf.
        var trueChild: Int32
        var falseChild: Int32

        /// Comparisons of the one form that stand for this one.
        var comparisons: Int {
            switch mode {
            case .lessOrEqual, .less, .greaterOrEqual, .greater: 1
            case .equal, .notEqual: 2
            case .member: 2 * members.count
            }
        }
    }

    let attributes: TreeAttributes
    var branches: [Branch] = []
    /// Finite numbers.
    var members: [Float] = []
    var leafCount = 0
    /// As children.
    var roots: [Int32] = []

    /// Brings all trees to the one form.
    ///
    /// - Throws: If a branch or leaf has two parents or none, which cycles are a case of, or a limit is exceeded.
    func build() throws(ModelError) -> (trees: [TreeEnsemble.Tree], branches: [TreeEnsemble.Branch]) {
        guard !roots.isEmpty else { throw attributes.refused("it has no trees") }
        try attributes.checkLimit("trees", roots.count, TreeLimits.trees)
        // Where the first comparison of each branch will stand.
        var places = [Int32](repeating: -1, count: branches.count)
        var trees: [TreeEnsemble.Tree] = []
        var order: [Int] = []
        order.reserveCapacity(branches.count)
        var count = 0
        var leafSeen = [Bool](repeating: false, count: leafCount)
        for root in roots {
            let start = count
            let depth = try visit(
                root, places: &places, order: &order, count: &count, leafSeen: &leafSeen, start: start)
            trees.append(TreeEnsemble.Tree(root: root, branches: start..<count, depth: depth))
        }
        if let lost = places.firstIndex(of: -1) {
            throw attributes.refused("node \(lost) is in no tree")
        }
        if let lost = leafSeen.firstIndex(of: false) {
            throw attributes.refused("leaf \(lost) is in no tree")
        }
        var result: [TreeEnsemble.Branch] = []
        result.reserveCapacity(count)
        for index in order {
            emit(branches[index], places: places, to: &result)
        }
        for index in trees.indices where trees[index].root >= 0 {
            trees[index].root = places[Int(trees[index].root)]
        }
        return (trees, result)
    }

    /// Gives a place to each branch of a tree, parents first, and returns the tree's depth.
    private func visit(
        _ root: Int32, places: inout [Int32], order: inout [Int], count: inout Int, leafSeen: inout [Bool],
        start: Int
    ) throws(ModelError) -> Int {
        var pending = [(child: root, depth: 0)]
        var deepest = 0
        while let (child, depth) = pending.popLast() {
            if child < 0 {
                let leaf = Int(~child)
                // The specification's tree of one leaf is a branch both of whose sides are it.
                guard !leafSeen[leaf] || isTwin(leaf, order.last) else {
                    throw attributes.refused("leaf \(leaf) has two parents")
                }
                leafSeen[leaf] = true
                deepest = max(deepest, depth)
                continue
            }
            let index = Int(child)
            guard places[index] < 0 else { throw attributes.refused("node \(index) has two parents") }
            places[index] = Int32(count)
            order.append(index)
            count += branches[index].comparisons
            let below = depth + branches[index].comparisons
            try attributes.checkLimit(
                "comparisons in one tree", count - start, TreeLimits.branchesPerTree)
            try attributes.checkLimit("comparisons from a root to a leaf", below, TreeLimits.depth)
            try attributes.checkLimit("comparisons", count, 4 * TreeLimits.nodes)
            pending.append((branches[index].falseChild, below))
            pending.append((branches[index].trueChild, below))
        }
        return deepest
    }

    private func isTwin(_ leaf: Int, _ parent: Int?) -> Bool {
        guard let parent else { return false }
        let child = ~Int32(leaf)
        return branches[parent].trueChild == child && branches[parent].falseChild == child
    }

    /// Appends the comparisons that stand for a branch.
    private func emit(_ branch: Branch, places: [Int32], to result: inout [TreeEnsemble.Branch]) {
        let onTrue = branch.trueChild < 0 ? branch.trueChild : places[Int(branch.trueChild)]
        let onFalse = branch.falseChild < 0 ? branch.falseChild : places[Int(branch.falseChild)]
        let missing = branch.missingIsTrue
        func append(_ threshold: Float, _ missingIsTrue: Bool, _ trueChild: Int32, _ falseChild: Int32) {
            // One zero, so that equal thresholds have equal bits.
            result.append(
                TreeEnsemble.Branch(
                    feature: branch.feature, threshold: threshold == 0 ? 0 : threshold,
                    missingIsTrue: missingIsTrue, trueChild: trueChild, falseChild: falseChild))
        }
        // At most the number, and not at most the next lower one. A missing value that gets past the first shall be equal.
        func appendEqual(_ number: Float, _ missingIsTrue: Bool, _ equal: Int32, _ other: Int32) {
            append(number, missingIsTrue, Int32(result.count + 1), other)
            append(number.nextDown, false, other, equal)
        }
        switch branch.mode {
        case .lessOrEqual: append(branch.threshold, missing, onTrue, onFalse)
        case .less: append(branch.threshold.nextDown, missing, onTrue, onFalse)
        case .greater: append(branch.threshold, !missing, onFalse, onTrue)
        case .greaterOrEqual: append(branch.threshold.nextDown, !missing, onFalse, onTrue)
        case .equal: appendEqual(branch.threshold, missing, onTrue, onFalse)
        case .notEqual: appendEqual(branch.threshold, !missing, onFalse, onTrue)
        case .member:
            for index in branch.members {
                let isLast = index + 1 == branch.members.upperBound
                appendEqual(members[index], missing, onTrue, isLast ? onFalse : Int32(result.count + 2))
            }
        }
    }
}
