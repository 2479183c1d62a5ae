import ONNX

extension TreeEnsemble {
    /// Reads a node of one of the three tree operators.
    ///
    /// Costs time and memory proportional to the attributes, within `TreeLimits`. Never traps, whatever the attributes.
    /// Refused although the specification has them: trees of float64 and float16, PROBIT, and the forms on which ONNX
    /// Runtime contradicts the specification (see `TreeForm`).
    ///
    /// - Parameter inputCount: Features of the node's input row.
    init(_ node: Node, inputCount: Int) throws(ModelError) {
        guard node.domain == "ai.onnx.ml" else {
            throw .node(
                name: node.name, operator: node.operatorName, reason: "it is not of domain 'ai.onnx.ml'")
        }
        guard (1...ModelLimits.features).contains(inputCount) else {
            throw .limit(
                what: "features of node '\(node.name)'", found: inputCount, limit: ModelLimits.features)
        }
        let form: TreeForm
        switch node.operatorName {
        case "TreeEnsemble": form = try TreeForm.ensemble(node, inputCount: inputCount)
        case "TreeEnsembleRegressor": form = try TreeForm.regressor(node, inputCount: inputCount)
        case "TreeEnsembleClassifier": form = try TreeForm.classifier(node, inputCount: inputCount)
        default:
            throw .node(name: node.name, operator: node.operatorName, reason: "it is no tree operator")
        }
        try self.init(form, inputCount: inputCount)
    }

    private init(_ form: TreeForm, inputCount: Int) throws(ModelError) {
        let built = try form.builder.build()
        self.inputCount = inputCount
        trees = built.trees
        branches = built.branches
        targetCount = form.targetCount
        outputCount = form.decision.isOneScore ? 2 : form.targetCount
        (leaves, votes) = TreeEnsemble.grouped(form.votes, leafCount: form.builder.leafCount)
        aggregate = form.aggregate
        baseValues =
            form.baseValues.isEmpty
            ? [Float](repeating: 0, count: form.targetCount) : form.baseValues
        transform = form.transform
        decision = form.decision
        labels = form.labels
        var isVoted = [Bool](repeating: !form.baseValues.isEmpty, count: form.targetCount)
        for vote in votes { isVoted[Int(vote.target)] = true }
        self.isVoted = isVoted
        segments = TreeEnsemble.segments(
            trees: built.trees, branches: built.branches, leaves: leaves, votes: votes,
            targetCount: form.targetCount)
        try form.builder.attributes.checkLimit("weights", tableElementCount, TreeLimits.tableElements)
    }

    /// Elements of the tables of all segments.
    var tableElementCount: Int {
        segments.reduce(0) { count, segment in
            count + segment.targets.count * segment.trees.reduce(1) { $0 + 2 * trees[$1].branches.count + 1 }
        }
    }

    /// Votes by leaf, those of one leaf in the order of the file.
    private static func grouped(
        _ votes: [(leaf: Int, vote: Vote)], leafCount: Int
    ) -> ([Range<Int>], [Vote]) {
        var starts = [Int](repeating: 0, count: leafCount + 1)
        for (leaf, _) in votes { starts[leaf + 1] += 1 }
        for leaf in 0..<leafCount { starts[leaf + 1] += starts[leaf] }
        let ranges = (0..<leafCount).map { starts[$0]..<starts[$0 + 1] }
        var grouped = [Vote](repeating: Vote(target: 0, weight: 0), count: votes.count)
        for (leaf, vote) in votes {
            grouped[starts[leaf]] = vote
            starts[leaf] += 1
        }
        return (ranges, grouped)
    }

    /// Trees by what they vote for: one target, or else all. In the order in which the file's trees first need them.
    private static func segments(
        trees: [Tree], branches: [Branch], leaves: [Range<Int>], votes: [Vote], targetCount: Int
    ) -> [Segment] {
        var result: [Segment] = []
        var places: [Int32: Int] = [:]
        for (index, tree) in trees.enumerated() {
            var target: Int32?
            var isMixed = false
            func add(_ child: Int32) {
                guard child < 0 else { return }
                for vote in votes[leaves[Int(~child)]] {
                    isMixed = isMixed || target.map { $0 != vote.target } ?? false
                    target = vote.target
                }
            }
            add(tree.root)
            for branch in branches[tree.branches] {
                add(branch.trueChild)
                add(branch.falseChild)
            }
            let key = isMixed ? -1 : target ?? 0
            if let place = places[key] {
                result[place].trees.append(index)
            } else {
                places[key] = result.count
                let targets = isMixed ? (0..<Int32(targetCount)).map { $0 } : [key]
                result.append(Segment(targets: targets, trees: [index]))
            }
        }
        return result
    }
}

extension TreeEnsemble.Decision {
    var isOneScore: Bool {
        if case .oneScore = self { true } else { false }
    }
}
