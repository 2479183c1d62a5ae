import ONNX

/// TreeEnsembleRegressor and TreeEnsembleClassifier, versions 1 to 5: nodes are named by tree and number, leaves are
/// nodes, and votes name their leaf.
extension TreeForm {
    private static let nodeAttributes: Set<String> = [
        "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates", "nodes_hitrates_as_tensor",
        "nodes_missing_value_tracks_true", "nodes_modes", "nodes_nodeids", "nodes_treeids",
        "nodes_truenodeids", "nodes_values", "nodes_values_as_tensor", "base_values", "base_values_as_tensor",
        "post_transform",
    ]

    static func regressor(_ node: Node, inputCount: Int) throws(ModelError) -> TreeForm {
        let attributes = try TreeAttributes(
            node,
            known: nodeAttributes.union([
                "aggregate_function", "n_targets", "target_ids", "target_nodeids", "target_treeids",
                "target_weights", "target_weights_as_tensor",
            ]))
        let (builder, numbers) = try ClassicNodes(attributes, inputCount: inputCount).read()
        var form = TreeForm(builder: builder)
        form.targetCount = try targets(try attributes.integer("n_targets"), attributes)
        form.aggregate = try aggregate(try attributes.string("aggregate_function"), attributes)
        form.transform = try transform(try attributes.string("post_transform"), attributes)
        try form.readVotes("target", numbers: numbers, targetCount: form.targetCount)
        form.baseValues = try attributes.floats("base_values")
        try attributes.checkFinite("base_values", form.baseValues)
        if !form.baseValues.isEmpty {
            try attributes.check("base_values", count: form.baseValues.count, expected: form.targetCount)
        }
        try form.checkTransform()
        return form
    }

    static func classifier(_ node: Node, inputCount: Int) throws(ModelError) -> TreeForm {
        let attributes = try TreeAttributes(
            node,
            known: nodeAttributes.union([
                "class_ids", "class_nodeids", "class_treeids", "class_weights", "class_weights_as_tensor",
                "classlabels_int64s", "classlabels_strings",
            ]))
        let (builder, numbers) = try ClassicNodes(attributes, inputCount: inputCount).read()
        var form = TreeForm(builder: builder)
        form.labels = try attributes.integers("classlabels_int64s")
        let names = try attributes.strings("classlabels_strings")
        guard form.labels.isEmpty != names.isEmpty else {
            throw attributes.refused(
                "one of 'classlabels_int64s' and 'classlabels_strings' must be there, and only one")
        }
        if form.labels.isEmpty { form.labels = names.indices.map(Int64.init) }
        guard form.labels.count >= 2 else { throw attributes.refused("a classifier of one class") }
        try attributes.checkLimit("classes", form.labels.count, TreeLimits.targets)
        form.transform = try transform(try attributes.string("post_transform"), attributes)
        form.baseValues = try attributes.floats("base_values")
        try attributes.checkFinite("base_values", form.baseValues)
        try form.readVotes("class", numbers: numbers, targetCount: form.labels.count)
        form.targetCount = form.labels.count
        try form.decide()
        return form
    }

    /// Reads the votes of leaves; those of nodes that are no leaves are passed over, as ONNX Runtime does.
    private mutating func readVotes(
        _ prefix: String, numbers: ClassicNodes.Numbers, targetCount: Int
    ) throws(ModelError) {
        let targets = try attributes.integers("\(prefix)_ids")
        let nodes = try attributes.integers("\(prefix)_nodeids")
        let trees = try attributes.integers("\(prefix)_treeids")
        let weights = try attributes.floats("\(prefix)_weights")
        try attributes.checkLimit("votes", targets.count, TreeLimits.nodes)
        try attributes.check("\(prefix)_nodeids", count: nodes.count, expected: targets.count)
        try attributes.check("\(prefix)_treeids", count: trees.count, expected: targets.count)
        try attributes.check("\(prefix)_weights", count: weights.count, expected: targets.count)
        try attributes.checkFinite("\(prefix)_weights", weights)
        votes.reserveCapacity(targets.count)
        for index in targets.indices {
            let target = try target(targets[index], "\(prefix)_ids", at: index, below: targetCount)
            guard let child = numbers[.init(tree: trees[index], node: nodes[index])] else {
                throw attributes.refused(
                    "vote \(index) is of node \(nodes[index]) of tree \(trees[index]), which is not there")
            }
            guard child < 0 else { continue }
            votes.append((Int(~child), TreeEnsemble.Vote(target: target, weight: weights[index])))
        }
    }

    /// How the classifier answers, after the votes are read. See `TreeForm` for what is refused.
    private mutating func decide() throws(ModelError) {
        let isPositive = votes.allSatisfy { $0.vote.weight >= 0 }
        let voted = Set(votes.map { $0.vote.target })
        guard targetCount == 2, voted.count == 1 else {
            decision = .greatest
            if !baseValues.isEmpty {
                try attributes.check("base_values", count: baseValues.count, expected: targetCount)
            }
            return
        }
        if voted == [0] {
            guard transform == .none || transform == .logistic else {
                throw attributes.refused(
                    "a softmax of a binary classifier with one score, which ONNX Runtime leaves out")
            }
            guard baseValues.count <= 1 else {
                throw attributes.refused("two base values of a binary classifier with one score")
            }
            targetCount = 1
            decision = .oneScore(isProbability: isPositive)
        } else {
            guard baseValues.isEmpty else {
                throw attributes.refused(
                    "base values of a binary classifier that votes for the second class only")
            }
            decision = .secondScore(cutoff: isPositive ? 0.5 : 0)
        }
    }
}

/// The nodes of the classic operators.
private struct ClassicNodes {
    struct Number: Hashable {
        var tree: Int64
        var node: Int64
    }

    /// Branches and leaves by their numbers, as children.
    typealias Numbers = [Number: Int32]

    let attributes: TreeAttributes
    let inputCount: Int

    init(_ attributes: TreeAttributes, inputCount: Int) {
        self.attributes = attributes
        self.inputCount = inputCount
    }

    func read() throws(ModelError) -> (TreeBuilder, Numbers) {
        let treeNumbers = try attributes.integers("nodes_treeids")
        let count = treeNumbers.count
        try attributes.checkLimit("nodes", count, TreeLimits.nodes)
        let nodeNumbers = try list("nodes_nodeids", count)
        let features = try list("nodes_featureids", count)
        let onTrue = try list("nodes_truenodeids", count)
        let onFalse = try list("nodes_falsenodeids", count)
        let modeNames = try attributes.strings("nodes_modes")
        try attributes.check("nodes_modes", count: modeNames.count, expected: count)
        let thresholds = try attributes.floats("nodes_values")
        try attributes.check("nodes_values", count: thresholds.count, expected: count)
        let missing = try attributes.missingTracks(count: count)
        var builder = TreeBuilder(attributes: attributes)
        var numbers: Numbers = [:]
        numbers.reserveCapacity(count)
        var modes: [TreeBuilder.Mode?] = []
        var branchCount: Int32 = 0
        for index in 0..<count {
            let mode = try mode(modeNames[index], at: index)
            modes.append(mode)
            let child = mode == nil ? ~Int32(builder.leafCount) : branchCount
            if mode == nil { builder.leafCount += 1 } else { branchCount += 1 }
            let number = Number(tree: treeNumbers[index], node: nodeNumbers[index])
            guard numbers.updateValue(child, forKey: number) == nil else {
                throw attributes.refused("node \(number.node) of tree \(number.tree) stands twice")
            }
        }
        var seen: Set<Int64> = []
        for index in 0..<count {
            let number = Number(tree: treeNumbers[index], node: nodeNumbers[index])
            // The first node of a tree that the file names is its root.
            if seen.insert(number.tree).inserted, let root = numbers[number] { builder.roots.append(root) }
            guard let mode = modes[index] else { continue }
            guard thresholds[index].isFinite else {
                throw attributes.refused(
                    "'nodes_values' has \(thresholds[index]) at \(index), expected a finite number")
            }
            builder.branches.append(
                TreeBuilder.Branch(
                    mode: mode,
                    feature: try attributes.feature(features[index], at: index, inputCount: inputCount),
                    threshold: thresholds[index], missingIsTrue: missing[index],
                    trueChild: try child(onTrue[index], of: number, numbers),
                    falseChild: try child(onFalse[index], of: number, numbers)))
        }
        return (builder, numbers)
    }

    private func list(_ name: String, _ count: Int) throws(ModelError) -> [Int64] {
        let values = try attributes.integers(name)
        try attributes.check(name, count: values.count, expected: count)
        return values
    }

    /// Nil for a leaf.
    private func mode(_ name: String, at index: Int) throws(ModelError) -> TreeBuilder.Mode? {
        if name == "LEAF" { return nil }
        guard let mode = TreeBuilder.Mode(name: name) else {
            throw attributes.refused("'nodes_modes' has '\(name)' at \(index), which is not known")
        }
        return mode
    }

    private func child(_ node: Int64, of parent: Number, _ numbers: Numbers) throws(ModelError) -> Int32 {
        guard let child = numbers[Number(tree: parent.tree, node: node)] else {
            throw attributes.refused(
                "node \(parent.node) of tree \(parent.tree) has child \(node), which is not there")
        }
        return child
    }
}
