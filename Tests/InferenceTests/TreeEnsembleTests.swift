import CMallocCounter
import Foundation
import ONNX
import TestSupport
import Testing

@testable import Inference

/// Goal: trees are scored as the specification says and as ONNX Runtime does, with the same bits by each kernel and the
/// scalar twin. Method: models of `python/oracles/make_trees.py` with ONNX Runtime's outputs, and random trees beside
/// a plain walk of the file's own lists.
@Suite struct TreeEnsembleTests {
    struct Golden: Sendable, CustomTestStringConvertible {
        let name: String
        let width: Int
        let outputs: Int
        let hasLabels: Bool
        var testDescription: String { name }

        static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

        static let all: [Golden] = {
            do {
                let list = try String(contentsOf: folder.appending(path: "trees.txt"), encoding: .utf8)
                return list.split(separator: "\n").map { line in
                    let words = line.split(separator: " ").map(String.init)
                    return Golden(
                        name: words[0], width: Int(words[1]) ?? 0, outputs: Int(words[2]) ?? 0,
                        hasLabels: words[3] == "labels")
                }
            } catch { preconditionFailure("The golden trees cannot be read: \(error)") }
        }()

        func rows<Value: BitwiseCopyable>(_ suffix: String, width: Int, _ type: Value.Type) throws
            -> [[Value]]
        {
            let data = try Data(contentsOf: Golden.folder.appending(path: "\(name).\(suffix)"))
            let values = data.withUnsafeBytes { bytes in
                stride(from: 0, to: bytes.count, by: MemoryLayout<Value>.size).map {
                    bytes.loadUnaligned(fromByteOffset: $0, as: type)
                }
            }
            return stride(from: 0, to: values.count, by: width).map { Array(values[$0..<$0 + width]) }
        }

        func ensemble() throws -> TreeEnsemble {
            let bytes = [UInt8](try Data(contentsOf: Golden.folder.appending(path: "\(name).onnx")))
            return try TreeEnsemble(try Graph(onnx: bytes).nodes[0], inputCount: width)
        }
    }

    /// Scores rows by the twin and all kernels, and expects equal bits. Returns the twin's results.
    private func scores(
        _ ensemble: TreeEnsemble, _ rows: [[Float]], _ what: String
    ) -> [(outputs: [Float], label: Int)] {
        let scorers = [TreeLayout.Form.masks, .walk].map { TreeScorer(ensemble.packed(as: $0)) }
        return rows.map { row in
            let expected = ensemble.score(row)
            for scorer in scorers {
                let found = scorer.score(row)
                #expect(
                    found.outputs.map(\.bitPattern) == expected.outputs.map(\.bitPattern)
                        && found.label == expected.label && scorer.guardsHold,
                    "\(what), \(scorer.packed.layout.form), \(row): \(found), twin \(expected)")
            }
            return expected
        }
    }

    @Test(arguments: Golden.all)
    func `a golden ensemble agrees with ONNX Runtime, in each kernel`(_ golden: Golden) throws {
        let ensemble = try golden.ensemble()
        #expect(ensemble.outputCount == golden.outputs)
        let expected = try golden.rows("scores.f32", width: golden.outputs, Float.self)
        let labels =
            golden.hasLabels ? try golden.rows("labels.i64", width: 1, Int64.self).map { $0[0] } : []
        let results = scores(
            ensemble, try golden.rows("features.f32", width: golden.width, Float.self), golden.name)
        #expect(results.count == expected.count && results.count > 40)
        for (index, result) in results.enumerated() {
            for (value, wanted) in zip(result.outputs, expected[index]) {
                #expect(abs(value - wanted) <= 1e-6 * max(1, abs(wanted)), "row \(index)")
            }
            if golden.hasLabels { #expect(ensemble.labels[result.label] == labels[index], "row \(index)") }
        }
    }

    static let shapes: [RandomTrees.Shape] = [
        .init(seed: 1), .init(seed: 2, trees: 1, leaves: 1), .init(seed: 3, trees: 33, leaves: 8),
        .init(seed: 4, leaves: 16, targets: 3, votesPerLeaf: 2, aggregate: "AVERAGE"),
        .init(seed: 5, trees: 70, leaves: 30, targets: 2, aggregate: "MIN", isByTree: true),
        .init(seed: 6, trees: 9, leaves: 64, modes: ["BRANCH_LEQ"]),
        .init(seed: 7, leaves: 11, targets: 4, votesPerLeaf: 3, aggregate: "MAX"),
        .init(seed: 8, trees: 250, leaves: 20, features: 60, modes: ["BRANCH_LEQ"], hasFewThresholds: false),
        .init(
            seed: 9, trees: 60, leaves: 30, features: 1, modes: ["BRANCH_LEQ", "BRANCH_GT"], hasFewThresholds: false),
        .init(seed: 10, trees: 60, leaves: 20, features: 150, targets: 5, hasFewThresholds: false, isByTree: true),
        .init(seed: 11, trees: 5, leaves: 400, features: 30, hasFewThresholds: false),
    ]

    @Test(arguments: shapes)
    func `random trees are scored as a plain walk of the file does, in each kernel`(_ shape: RandomTrees.Shape) throws {
        var trees = RandomTrees(shape)
        let ensemble = try trees.ensemble()
        let rows = (0..<60).map { _ in trees.row() }
        for (row, result) in zip(rows, scores(ensemble, rows, "\(shape)")) {
            for (value, wanted) in zip(result.outputs, trees.plainScores(row)) {
                #expect(abs(Double(value) - wanted) <= 1e-5, "\(row)")
            }
        }
    }

    @Test func `the masks hold what they are made for, and the walk the rest`() throws {
        func form(_ shape: RandomTrees.Shape) throws -> TreeLayout {
            try RandomTrees(shape).ensemble().packed(as: .masks).layout
        }
        let common = try form(TreeEnsembleTests.shapes[7])
        #expect(common.form == .masks && common.passCount == 2)
        #expect(try RandomTrees(TreeEnsembleTests.shapes[7]).ensemble().packed().layout.form == .masks)
        // Of one feature and both sides for missing values there are more thresholds than a column holds.
        let oneFeature = try form(TreeEnsembleTests.shapes[8])
        #expect(oneFeature.form == .masks && oneFeature.columnGroupCount == 1)
        #expect(try form(TreeEnsembleTests.shapes[10]).form == .walk)
    }

    /// Goal: ranks are right up to the last of a column's 255 thresholds, and missing values take the sides that the file says.
    /// Method: stumps, one for each threshold; the upper share of them sends missing values to the true side.
    @Test(arguments: [0, 0.5, 1], [2, 254, 255, 256, 600])
    func `stumps count the thresholds below a feature`(_ share: Double, _ stumps: Int) throws {
        let zeros = [Int64](repeating: 0, count: 3 * stumps)
        let leaves = (0..<2 * stumps)
        let missingFalse = stumps - Int(share * Double(stumps))
        let attributes: [String: Attribute] = [
            "nodes_treeids": .integers((0..<3 * stumps).map { Int64($0 / 3) }),
            "nodes_nodeids": .integers((0..<3 * stumps).map { Int64($0 % 3) }),
            "nodes_featureids": .integers(zeros),
            "nodes_values": .floats((0..<3 * stumps).map { $0 % 3 == 0 ? Float($0 / 3) : 0 }),
            "nodes_modes": .strings((0..<3 * stumps).map { $0 % 3 == 0 ? "BRANCH_LEQ" : "LEAF" }),
            "nodes_truenodeids": .integers(zeros.map { $0 + 1 }),
            "nodes_falsenodeids": .integers(zeros.map { $0 + 2 }),
            "nodes_missing_value_tracks_true": .integers(
                (0..<3 * stumps).map { $0 / 3 >= missingFalse ? 1 : 0 }),
            "target_treeids": .integers(leaves.map { Int64($0 / 2) }),
            "target_nodeids": .integers(leaves.map { Int64(1 + $0 % 2) }),
            "target_ids": .integers(leaves.map { _ in 0 }),
            "target_weights": .floats(leaves.map { Float($0 % 2) }),
        ]
        let ensemble = try TreeEnsemble(treeNode("TreeEnsembleRegressor", attributes), inputCount: 1)
        #expect(ensemble.packed(as: .masks).layout.form == .masks)
        let rows = (-1...stumps).map { [Float($0) + 0.5] } + [[.nan], [-.infinity], [.infinity]]
        let expected = (-1...stumps).map { min($0 + 1, stumps) } + [missingFalse, 0, stumps]
        #expect(scores(ensemble, rows, "stumps").map { $0.outputs[0] } == expected.map { Float($0) })
    }

    /// A tree of two leaves, 1 for features of at most 0 and 2 for the others.
    private func stump(
        _ prefix: String, _ votes: [(leaf: Int64, target: Int64, weight: Float)]
    ) -> [String: Attribute] {
        [
            "nodes_treeids": .integers([0, 0, 0]), "nodes_nodeids": .integers([0, 1, 2]),
            "nodes_featureids": .integers([0, 0, 0]), "nodes_values": .floats([0, 0, 7]),
            "nodes_modes": .strings(["BRANCH_LEQ", "LEAF", "LEAF"]), "nodes_truenodeids": .integers([1, 0, 0]),
            "nodes_falsenodeids": .integers([2, 0, 0]), "\(prefix)_treeids": .integers(votes.map { _ in 0 }),
            "\(prefix)_nodeids": .integers(votes.map(\.leaf)), "\(prefix)_ids": .integers(votes.map(\.target)),
            "\(prefix)_weights": .floats(votes.map(\.weight)),
        ]
    }

    private func classifier(
        _ votes: [(leaf: Int64, target: Int64, weight: Float)], labels: [Int64], base: [Float] = []
    ) throws -> TreeEnsemble {
        let attributes = stump("class", votes)
            .merging(["classlabels_int64s": .integers(labels), "base_values": .floats(base)]) { $1 }
        return try TreeEnsemble(treeNode("TreeEnsembleClassifier", attributes), inputCount: 1)
    }

    @Test func `two voted classes are answered by the greater score`() throws {
        let ensemble = try classifier(
            [(1, 0, 0.75), (1, 1, 0.25), (2, 0, 0.125), (2, 1, 0.875)], labels: [7, 3], base: [0.5, 0.25])
        let results = scores(ensemble, [[-1], [1]], "two classes")
        #expect(results.map { ensemble.labels[$0.label] } == [7, 3])
        #expect(results[0].outputs == [1.25, 0.5])
        #expect(results[1].outputs == [0.625, 1.125])
    }

    @Test func `a class without a vote in a row has the score 0, which may be the greatest`() throws {
        let ensemble = try classifier([(1, 0, -2), (1, 1, -1), (2, 2, -1), (2, 0, -3)], labels: [7, 3, 5])
        let results = scores(ensemble, [[-1], [1]], "three classes")
        #expect(results.map(\.outputs) == [[-2, -1, 0], [-3, 0, -1]])
        #expect(results.map { ensemble.labels[$0.label] } == [5, 3])
        // A class without any vote is no label.
        let never = try classifier([(1, 0, -2), (1, 1, -1), (2, 1, -1), (2, 0, -3)], labels: [7, 3, 5])
        #expect(scores(never, [[-1], [1]], "never").map { never.labels[$0.label] } == [3, 3])
        let none = try classifier([(1, 0, -2), (1, 1, -1), (1, 2, -1)], labels: [7, 3, 5])
        #expect(scores(none, [[-1], [1]], "none").map { none.labels[$0.label] } == [3, 7])
    }

    @Test(arguments: ["SUM", "AVERAGE", "MIN", "MAX"])
    func `a target without a vote in a row has its base value`(_ aggregate: String) throws {
        let attributes = stump("target", [(1, 0, 1), (2, 1, 2)]).merging([
            "n_targets": .integer(2), "aggregate_function": .string(aggregate), "base_values": .floats([0.5, 0.25]),
        ]) { $1 }
        let ensemble = try TreeEnsemble(treeNode("TreeEnsembleRegressor", attributes), inputCount: 1)
        #expect(scores(ensemble, [[-1], [1]], aggregate).map(\.outputs) == [[1.5, 0.25], [0.5, 2.25]])
    }

    @Test func `all votes of a leaf for one target count, and a leaf without votes gives 0`() throws {
        let attributes = stump("target", [(1, 0, 1), (1, 0, 2)]).merging(["n_targets": .integer(1)]) { $1 }
        let ensemble = try TreeEnsemble(treeNode("TreeEnsembleRegressor", attributes), inputCount: 1)
        #expect(scores(ensemble, [[-1], [1]], "votes").map(\.outputs) == [[3], [0]])
    }

    @Test func `scoring allocates nothing`() throws {
        var trees = RandomTrees(TreeEnsembleTests.shapes[7])
        let row = trees.row()
        for form in [TreeLayout.Form.masks, .walk] {
            let scorer = TreeScorer(try trees.ensemble().packed(as: form))
            row.withUnsafeBufferPointer { row in
                guard let base = row.baseAddress else { return }
                _ = scorer.run(base)
                let before = martlet_malloc_count_thread()
                for _ in 0..<100 { _ = scorer.run(base) }
                let made = martlet_malloc_count_thread() - before
                #expect(!martlet_malloc_counter_is_active() || made == 0, "\(form): \(made)")
            }
        }
    }
}
