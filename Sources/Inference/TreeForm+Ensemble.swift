import ONNX

/// TreeEnsemble, version 5: branches and leaves are two lists, children say by a flag which they are.
extension TreeForm {
    static func ensemble(_ node: Node, inputCount: Int) throws(ModelError) -> TreeForm {
        let attributes = try TreeAttributes(
            node,
            known: [
                "aggregate_function", "leaf_targetids", "leaf_weights", "membership_values", "n_targets",
                "nodes_falseleafs", "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates",
                "nodes_missing_value_tracks_true", "nodes_modes", "nodes_splits", "nodes_trueleafs",
                "nodes_truenodeids", "post_transform", "tree_roots",
            ])
        var form = TreeForm(builder: TreeBuilder(attributes: attributes))
        form.targetCount = try targets(try attributes.integer("n_targets"), attributes)
        form.aggregate = try form.choice("aggregate_function", [.average, .sum, .minimum, .maximum]) ?? .sum
        form.transform =
            try form.choice("post_transform", [.none, .softmax, .logistic, .softmaxZero]) ?? .none
        guard form.transform == .none || form.transform == .softmaxZero else {
            throw attributes.refused(
                "'post_transform' 1 and 2, which ONNX Runtime takes for each other: use a node of its own")
        }
        try form.readLeaves()
        try form.readBranches(inputCount: inputCount)
        for (index, root) in try attributes.integers("tree_roots").enumerated() {
            form.builder.roots.append(
                try form.child(root, isLeaf: false, "tree_roots", at: index))
        }
        try form.checkTransform()
        return form
    }

    private func choice<Value>(_ name: String, _ values: [Value]) throws(ModelError) -> Value? {
        guard let number = try attributes.integer(name) else { return nil }
        guard let index = Int(exactly: number), values.indices.contains(index) else {
            throw attributes.refused("'\(name)' is \(number), expected 0 to \(values.count - 1)")
        }
        return values[index]
    }

    private mutating func readLeaves() throws(ModelError) {
        let weights = try attributes.floatTensor("leaf_weights")
        let targets = try attributes.integers("leaf_targetids")
        try attributes.checkLimit("leaves", weights.count, TreeLimits.nodes)
        try attributes.check("leaf_targetids", count: targets.count, expected: weights.count)
        try attributes.checkFinite("leaf_weights", weights)
        builder.leafCount = weights.count
        for index in weights.indices {
            let target = try target(targets[index], "leaf_targetids", at: index, below: targetCount)
            votes.append((index, TreeEnsemble.Vote(target: target, weight: weights[index])))
        }
    }

    private mutating func readBranches(inputCount: Int) throws(ModelError) {
        let features = try attributes.integers("nodes_featureids")
        let count = features.count
        try attributes.checkLimit("nodes", count, TreeLimits.nodes)
        let modes = try modes(count: count)
        let thresholds = try attributes.floatTensor("nodes_splits")
        try attributes.check("nodes_splits", count: thresholds.count, expected: count)
        let lists = try [
            "nodes_truenodeids", "nodes_trueleafs", "nodes_falsenodeids", "nodes_falseleafs",
        ].map { name throws(ModelError) in
            let values = try attributes.integers(name)
            try attributes.check(name, count: values.count, expected: count)
            return values
        }
        let missing = try attributes.missingTracks(count: count)
        var memberships = try memberships(modes.count { $0 == .member })[...]
        builder.branches.reserveCapacity(count)
        for index in 0..<count {
            let isMember = modes[index] == .member
            guard isMember || thresholds[index].isFinite else {
                throw attributes.refused(
                    "'nodes_splits' has \(thresholds[index]) at \(index), expected a finite number")
            }
            builder.branches.append(
                TreeBuilder.Branch(
                    mode: modes[index],
                    feature: try attributes.feature(features[index], at: index, inputCount: inputCount),
                    threshold: isMember ? 0 : thresholds[index],
                    members: isMember ? memberships.popFirst() ?? 0..<0 : 0..<0,
                    missingIsTrue: missing[index],
                    trueChild: 0, falseChild: 0))
        }
        for index in 0..<count {
            let onTrue = try flag(lists[1][index], "nodes_trueleafs", at: index)
            let onFalse = try flag(lists[3][index], "nodes_falseleafs", at: index)
            builder.branches[index].trueChild = try child(
                lists[0][index], isLeaf: onTrue, "nodes_truenodeids", at: index)
            builder.branches[index].falseChild = try child(
                lists[2][index], isLeaf: onFalse, "nodes_falsenodeids", at: index)
        }
    }

    private func modes(count: Int) throws(ModelError) -> [TreeBuilder.Mode] {
        guard case .tensor(let tensor) = attributes.node.attributes["nodes_modes"],
            case .uint8(let numbers) = tensor.elements
        else { throw attributes.refused("attribute 'nodes_modes' is not a tensor of uint8") }
        try attributes.check("nodes_modes", count: numbers.count, expected: count)
        var modes: [TreeBuilder.Mode] = []
        modes.reserveCapacity(count)
        for (index, number) in numbers.enumerated() {
            guard let mode = TreeBuilder.Mode(rawValue: number) else {
                throw attributes.refused("'nodes_modes' has \(number) at \(index), expected 0 to 6")
            }
            modes.append(mode)
        }
        return modes
    }

    /// The numbers of each membership, which NaN ends, into `builder.members`.
    private mutating func memberships(_ count: Int) throws(ModelError) -> [Range<Int>] {
        let values = try attributes.floatTensor("membership_values")
        try attributes.checkLimit("membership values", values.count, TreeLimits.nodes)
        var ranges: [Range<Int>] = []
        var start = 0
        for value in values {
            guard !value.isNaN else {
                guard builder.members.count > start else {
                    throw attributes.refused("'membership_values' has a set without members")
                }
                ranges.append(start..<builder.members.count)
                start = builder.members.count
                continue
            }
            guard value.isFinite else {
                throw attributes.refused("'membership_values' has \(value), expected finite numbers")
            }
            builder.members.append(value)
        }
        // The last set's end may be left out, as exporters do.
        if builder.members.count > start { ranges.append(start..<builder.members.count) }
        guard ranges.count == count else {
            throw attributes.refused("'membership_values' has \(ranges.count) sets for \(count) memberships")
        }
        return ranges
    }

    private func flag(_ value: Int64, _ name: String, at index: Int) throws(ModelError) -> Bool {
        guard value == 0 || value == 1 else {
            throw attributes.refused("'\(name)' has \(value) at \(index), expected 0 or 1")
        }
        return value == 1
    }

    private func child(_ number: Int64, isLeaf: Bool, _ name: String, at index: Int) throws(ModelError) -> Int32 {
        let count = isLeaf ? builder.leafCount : builder.branches.count
        guard number >= 0, number < count else {
            throw attributes.refused(
                "'\(name)' has \(number) at \(index), expected \(isLeaf ? "a leaf" : "a node") below \(count)")
        }
        return isLeaf ? ~Int32(number) : Int32(number)
    }
}
