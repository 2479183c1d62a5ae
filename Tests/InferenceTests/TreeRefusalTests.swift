import ONNX
import TestSupport
import Testing

@testable import Inference

/// Goal: trees that cannot be run are refused by name and reason, and no attributes trap.
@Suite struct TreeRefusalTests {
    /// An attribute set or taken away from a file that is accepted, and what is said about it.
    struct Change: Sendable, CustomTestStringConvertible {
        let name: String
        let value: Attribute?
        let reason: String
        var testDescription: String { "\(name): \(reason)" }

        init(_ name: String, _ value: Attribute?, _ reason: String) {
            (self.name, self.value, self.reason) = (name, value, reason)
        }
    }

    /// Two trees: one comparison and two leaves, and a leaf.
    static let nodes: [String: Attribute] = [
        "nodes_treeids": .integers([0, 0, 0, 5]), "nodes_nodeids": .integers([0, 1, 2, 0]),
        "nodes_featureids": .integers([1, 0, 0, 0]), "nodes_values": .floats([0.5, 0, 0, 0]),
        "nodes_modes": .strings(["BRANCH_LT", "LEAF", "LEAF", "LEAF"]),
        "nodes_truenodeids": .integers([1, 0, 0, 0]), "nodes_falsenodeids": .integers([2, 0, 0, 0]),
    ]
    static let regressor = nodes.merging([
        "target_treeids": .integers([0, 0, 5]), "target_nodeids": .integers([1, 2, 0]),
        "target_ids": .integers([0, 0, 0]), "target_weights": .floats([1, 2, 3]),
    ]) { $1 }
    static let classifier = nodes.merging([
        "class_treeids": .integers([0, 0, 5]), "class_nodeids": .integers([1, 2, 0]),
        "class_ids": .integers([0, 0, 0]), "class_weights": .floats([1, -2, 3]),
        "classlabels_int64s": .integers([0, 1]),
    ]) { $1 }
    static let ensemble: [String: Attribute] = [
        "tree_roots": .integers([0]), "nodes_featureids": .integers([1, 0]),
        "nodes_modes": .tensor(Tensor(name: "m", shape: [2], elements: .uint8([0, 6]))),
        "nodes_splits": .tensor(Tensor(name: "s", shape: [2], elements: .float([0.5, 0]))),
        "nodes_truenodeids": .integers([0, 1]), "nodes_trueleafs": .integers([1, 1]),
        "nodes_falsenodeids": .integers([1, 2]), "nodes_falseleafs": .integers([0, 1]),
        "membership_values": .tensor(Tensor(name: "v", shape: [3], elements: .float([1, 2, .nan]))),
        "leaf_weights": .tensor(Tensor(name: "w", shape: [3], elements: .float([1, 2, 3]))),
        "leaf_targetids": .integers([0, 0, 0]),
    ]

    private func refusal(_ name: String, _ attributes: [String: Attribute], inputs: Int = 2) -> String? {
        do {
            _ = try TreeEnsemble(treeNode(name, attributes), inputCount: inputs)
            return nil
        } catch {
            switch error {
            case .node("trees", name, let reason): return reason
            case .limit(let what, let found, let limit): return "\(what) \(found) \(limit)"
            default: return "another error: \(error)"
            }
        }
    }

    @Test func `the files that these tests change are accepted`() {
        #expect(refusal("TreeEnsembleRegressor", TreeRefusalTests.regressor) == nil)
        #expect(refusal("TreeEnsembleClassifier", TreeRefusalTests.classifier) == nil)
        #expect(refusal("TreeEnsemble", TreeRefusalTests.ensemble) == nil)
    }

    static let regressorChanges: [Change] = [
        Change("nodes_values", .floats([1]), "'nodes_values' has 1 elements, expected 4"),
        Change("nodes_values", nil, "'nodes_values' has 0 elements, expected 4"),
        Change("nodes_values", .integers([1]), "attribute 'nodes_values' is not a list of floats"),
        Change("nodes_values", .floats([.nan, 0, 0, 0]), "'nodes_values' has nan at 0, expected a finite number"),
        Change(
            "nodes_values", .floats([-.infinity, 0, 0, 0]), "'nodes_values' has -inf at 0, expected a finite number"),
        Change(
            "nodes_values_as_tensor", .tensor(Tensor(name: "t", shape: [1], elements: .double([1]))),
            "attribute 'nodes_values_as_tensor' is of float64: only float32 trees are supported"),
        Change(
            "nodes_values_as_tensor", .tensor(Tensor(name: "t", shape: [1], elements: .float([1]))),
            "attributes 'nodes_values' and 'nodes_values_as_tensor' are both there"),
        Change("nodes_treeids", .integers([]), "'nodes_nodeids' has 4 elements, expected 0"),
        Change("nodes_nodeids", .integers([0, 1, 1, 0]), "node 1 of tree 0 stands twice"),
        Change("nodes_nodeids", .strings([]), "attribute 'nodes_nodeids' is not a list of integers"),
        Change("nodes_featureids", .integers([2, 0, 0, 0]), "'nodes_featureids' has 2 at 0, expected 0 to 1"),
        Change("nodes_featureids", .integers([-1, 0, 0, 0]), "'nodes_featureids' has -1 at 0, expected 0 to 1"),
        Change("nodes_truenodeids", .integers([0, 0, 0, 0]), "node 0 has two parents"),
        Change("nodes_truenodeids", .integers([9, 0, 0, 0]), "node 0 of tree 0 has child 9, which is not there"),
        Change(
            "nodes_falsenodeids", .integers([.min, 0, 0, 0]),
            "node 0 of tree 0 has child -9223372036854775808, which is not there"),
        Change("nodes_falsenodeids", .integers([1, 0, 0, 0]), "leaf 1 is in no tree"),
        Change(
            "nodes_modes", .strings(["BRANCH_MEMBER", "LEAF", "LEAF", "LEAF"]),
            "'nodes_modes' has 'BRANCH_MEMBER' at 0, which is not known"),
        Change("nodes_modes", .strings(["LEAF", "LEAF", "LEAF", "LEAF"]), "leaf 1 is in no tree"),
        Change(
            "nodes_missing_value_tracks_true", .integers([2, 0, 0, 0]),
            "'nodes_missing_value_tracks_true' has 2 at 0, expected 0 or 1"),
        Change("target_ids", .integers([0, 0, 1]), "'target_ids' has 1 at 2, expected 0 to 0"),
        Change("target_nodeids", .integers([1, 2]), "'target_nodeids' has 2 elements, expected 3"),
        Change("target_nodeids", .integers([1, 2, 7]), "vote 2 is of node 7 of tree 5, which is not there"),
        Change(
            "target_weights", .floats([1, 2, .infinity]), "'target_weights' has inf at 2, expected a finite number"),
        Change("base_values", .floats([1, 2]), "'base_values' has 2 elements, expected 1"),
        Change("base_values", .floats([.nan]), "'base_values' has nan at 0, expected a finite number"),
        Change("n_targets", .integer(0), "'n_targets' is 0, expected at least 1"),
        Change("n_targets", .integer(.max), "targets of node 'trees' 9223372036854775807 1024"),
        Change("aggregate_function", .string("MEDIAN"), "'aggregate_function' is 'MEDIAN', which is not known"),
        Change("aggregate_function", .integer(1), "attribute 'aggregate_function' is not a string"),
        Change("post_transform", .string("PROBIT"), "'post_transform' PROBIT is not supported"),
        Change("post_transform", .string("TANH"), "'post_transform' is 'TANH', which is not known"),
        Change(
            "post_transform", .string("LOGISTIC"),
            "a transform of a single target, which ONNX Runtime leaves out: use a node of its own, such as Sigmoid"),
        Change("nodes_colour", .integer(1), "attribute 'nodes_colour' is not known"),
    ]

    @Test(arguments: regressorChanges)
    func `a regressor with a fault is refused`(_ change: Change) {
        var attributes = TreeRefusalTests.regressor
        attributes[change.name] = change.value
        #expect(refusal("TreeEnsembleRegressor", attributes) == change.reason)
    }

    static let classifierChanges: [Change] = [
        Change(
            "classlabels_strings", .strings(["a", "b"]),
            "one of 'classlabels_int64s' and 'classlabels_strings' must be there, and only one"),
        Change(
            "classlabels_int64s", nil,
            "one of 'classlabels_int64s' and 'classlabels_strings' must be there, and only one"),
        Change("classlabels_int64s", .integers([1]), "a classifier of one class"),
        Change("class_ids", .integers([0, 2, 0]), "'class_ids' has 2 at 1, expected 0 to 1"),
        Change("base_values", .floats([1, 2]), "two base values of a binary classifier with one score"),
        Change(
            "post_transform", .string("SOFTMAX"),
            "a softmax of a binary classifier with one score, which ONNX Runtime leaves out"),
    ]

    @Test(arguments: classifierChanges)
    func `a classifier with a fault is refused`(_ change: Change) {
        var attributes = TreeRefusalTests.classifier
        attributes[change.name] = change.value
        #expect(refusal("TreeEnsembleClassifier", attributes) == change.reason)
    }

    static let ensembleChanges: [Change] = [
        Change("tree_roots", nil, "it has no trees"),
        Change("tree_roots", .integers([2]), "'tree_roots' has 2 at 0, expected a node below 2"),
        Change("tree_roots", .integers([1]), "node 0 is in no tree"),
        Change("tree_roots", .integers([0, 1]), "node 1 has two parents"),
        Change("nodes_modes", .integers([0, 1]), "attribute 'nodes_modes' is not a tensor of uint8"),
        Change(
            "nodes_modes", .tensor(Tensor(name: "m", shape: [2], elements: .uint8([0, 7]))),
            "'nodes_modes' has 7 at 1, expected 0 to 6"),
        Change("membership_values", nil, "'membership_values' has 0 sets for 1 memberships"),
        Change(
            "membership_values", .tensor(Tensor(name: "v", shape: [2], elements: .float([.nan, .nan]))),
            "'membership_values' has a set without members"),
        Change(
            "membership_values", .tensor(Tensor(name: "v", shape: [1], elements: .float([.infinity]))),
            "'membership_values' has inf, expected finite numbers"),
        Change("nodes_trueleafs", .integers([1, 2]), "'nodes_trueleafs' has 2 at 1, expected 0 or 1"),
        Change("nodes_truenodeids", .integers([0, 3]), "'nodes_truenodeids' has 3 at 1, expected a leaf below 3"),
        Change("nodes_truenodeids", .integers([2, 1]), "leaf 2 has two parents"),
        Change("nodes_falsenodeids", .integers([0, 2]), "node 0 has two parents"),
        Change("leaf_targetids", .integers([0, 0]), "'leaf_targetids' has 2 elements, expected 3"),
        Change("aggregate_function", .integer(4), "'aggregate_function' is 4, expected 0 to 3"),
        Change("post_transform", .integer(4), "'post_transform' is 4, expected 0 to 3"),
        Change(
            "post_transform", .integer(2),
            "'post_transform' 1 and 2, which ONNX Runtime takes for each other: use a node of its own"),
    ]

    @Test(arguments: ensembleChanges)
    func `an ensemble with a fault is refused`(_ change: Change) {
        var attributes = TreeRefusalTests.ensemble
        attributes[change.name] = change.value
        #expect(refusal("TreeEnsemble", attributes) == change.reason)
    }

    @Test func `too deep a tree, too many features and other operators are refused`() {
        #expect(refusal("TreeEnsembleRegressor", chain(1_024)) == nil)
        #expect(
            refusal("TreeEnsembleRegressor", chain(1_025))
                == "comparisons from a root to a leaf of node 'trees' 1025 1024")
        #expect(refusal("TreeEnsembleRegressor", chain(1), inputs: 4_097) == "features of node 'trees' 4097 4096")
        #expect(refusal("SVMRegressor", [:]) == "it is no tree operator")
    }

    /// A tree of as many comparisons in a row.
    private func chain(_ depth: Int) -> [String: Attribute] {
        let count = 2 * depth + 1
        let isLeaf = (0..<count).map { $0 % 2 == 1 || $0 == count - 1 }
        let zeros = [Int64](repeating: 0, count: count)
        return [
            "nodes_treeids": .integers(zeros), "nodes_nodeids": .integers((0..<count).map(Int64.init)),
            "nodes_featureids": .integers(zeros), "nodes_values": .floats(zeros.map { Float($0) }),
            "nodes_modes": .strings(isLeaf.map { $0 ? "LEAF" : "BRANCH_LEQ" }),
            "nodes_truenodeids": .integers((0..<count).map { isLeaf[$0] ? 0 : Int64($0 + 1) }),
            "nodes_falsenodeids": .integers((0..<count).map { isLeaf[$0] ? 0 : Int64($0 + 2) }),
        ]
    }

    @Test func `attributes with random faults are refused or scored alike, and never trap`() {
        var random = SplitMix64(seed: 77)
        var accepted = 0
        for round in 0..<3_000 {
            let (name, base) = [
                ("TreeEnsembleRegressor", TreeRefusalTests.regressor),
                ("TreeEnsembleClassifier", TreeRefusalTests.classifier),
                ("TreeEnsemble", TreeRefusalTests.ensemble),
            ][round % 3]
            var attributes = base
            for _ in 0...random.below(2) { spoil(&attributes, &random) }
            guard let ensemble = try? TreeEnsemble(treeNode(name, attributes), inputCount: 2) else { continue }
            accepted += 1
            for form in [TreeLayout.Form.masks, .walk] {
                let scorer = TreeScorer(ensemble.packed(as: form))
                for row: [Float] in [[0, 0], [.nan, 1], [.infinity, .nan]] {
                    let (found, expected) = (scorer.score(row), ensemble.score(row))
                    #expect(
                        found.outputs.map(\.bitPattern) == expected.outputs.map(\.bitPattern)
                            && found.label == expected.label && scorer.guardsHold)
                }
            }
        }
        #expect(accepted > 100 && accepted < 2_900)
    }

    private func spoil(_ attributes: inout [String: Attribute], _ random: inout SplitMix64) {
        let names = attributes.keys.sorted()
        let name = names[random.below(names.count)]
        let integers: [Int64] = [0, 1, 2, 3, 4, -1, .max, .min, 1 << 31, 1 << 32]
        let floats: [Float] = [0, -0.0, 1, .nan, .infinity, .greatestFiniteMagnitude, -.greatestFiniteMagnitude]
        switch attributes[name] {
        case .integers(var values):
            if random.below(8) == 0 { values.append(0) }
            if !values.isEmpty { values[random.below(values.count)] = integers[random.below(integers.count)] }
            attributes[name] = .integers(values)
        case .floats(var values):
            if random.below(8) == 0 { values.removeLast() }
            if !values.isEmpty { values[random.below(values.count)] = floats[random.below(floats.count)] }
            attributes[name] = .floats(values)
        case .tensor(let tensor):
            if case .float(var values) = tensor.elements {
                values[random.below(values.count)] = floats[random.below(floats.count)]
                attributes[name] = .tensor(Tensor(name: name, shape: tensor.shape, elements: .float(values)))
            } else {
                let modes = (0..<tensor.count).map { _ in UInt8(random.below(8)) }
                attributes[name] = .tensor(Tensor(name: name, shape: tensor.shape, elements: .uint8(modes)))
            }
        default: attributes[name] = nil
        }
    }
}
