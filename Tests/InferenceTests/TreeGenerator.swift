import ONNX
import TestSupport

@testable import Inference

/// Random trees as a node of TreeEnsembleRegressor, with the plainest way to score them beside it.
struct RandomTrees {
    struct Shape: Sendable, CustomStringConvertible {
        var seed: UInt64
        var trees = 40
        /// The most leaves of a tree.
        var leaves = 12
        var features = 9
        var targets = 1
        /// Of how many targets each leaf votes for a random one.
        var votesPerLeaf = 1
        var aggregate = "SUM"
        var modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
        /// Whether thresholds are drawn from few values, on which features lie, or from all floats.
        var hasFewThresholds = true
        /// Whether all leaves of a tree vote for the same target.
        var isByTree = false

        var description: String {
            "seed \(seed): \(trees) trees of \(leaves) leaves, \(features) features, \(targets) targets, \(aggregate)"
        }
    }

    static let fewThresholds: [Float] = [-2, -1, -0.5, -0.0, 0, 0.25, 1, 3, .leastNonzeroMagnitude]

    let shape: Shape
    private var random: SplitMix64
    private(set) var lists: [String: [Int64]] = [:]
    private(set) var thresholds: [Float] = []
    private(set) var modes: [String] = []
    private(set) var weights: [Float] = []
    /// Votes by the position of their leaf.
    private var votesByLeaf: [Int: [Int]] = [:]

    init(_ shape: Shape) {
        self.shape = shape
        random = SplitMix64(seed: shape.seed)
        for tree in 0..<shape.trees { addTree(Int64(tree)) }
    }

    private mutating func addTree(_ tree: Int64) {
        let first = modes.count
        var pending = [(count: 1 + random.below(shape.leaves), parent: -1, side: "")]
        while let (count, parent, side) = pending.popLast() {
            let node = modes.count - first
            if parent >= 0 { lists[side]?[first + parent] = Int64(node) }
            modes.append(count == 1 ? "LEAF" : shape.modes[random.below(shape.modes.count)])
            thresholds.append(threshold())
            for (name, value) in [
                ("nodes_treeids", tree), ("nodes_nodeids", Int64(node)),
                ("nodes_featureids", Int64(random.below(shape.features))), ("nodes_truenodeids", 0),
                ("nodes_falsenodeids", 0), ("nodes_missing_value_tracks_true", Int64(random.below(2))),
            ] { lists[name, default: []].append(value) }
            guard count > 1 else {
                addVotes(tree: tree, node: Int64(node), position: first + node)
                continue
            }
            let left = 1 + random.below(count - 1)
            pending.append((count - left, node, "nodes_falsenodeids"))
            pending.append((left, node, "nodes_truenodeids"))
        }
    }

    private mutating func addVotes(tree: Int64, node: Int64, position: Int) {
        for _ in 0..<shape.votesPerLeaf {
            let target = shape.isByTree ? Int(tree) % shape.targets : random.below(shape.targets)
            for (name, value) in [
                ("target_treeids", tree), ("target_nodeids", node), ("target_ids", Int64(target)),
            ] { lists[name, default: []].append(value) }
            votesByLeaf[position, default: []].append(weights.count)
            weights.append(Float.random(in: -1...1, using: &random))
        }
    }

    private mutating func threshold() -> Float {
        if shape.hasFewThresholds {
            return RandomTrees.fewThresholds[random.below(RandomTrees.fewThresholds.count)]
        }
        return Float.random(in: -2...2, using: &random)
    }

    /// A row of which a fifth are boundary values and another are thresholds of the trees or their neighbours.
    mutating func row() -> [Float] {
        let boundaries: [Float] = [
            .nan, .infinity, -.infinity, 0, -0.0, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
            .greatestFiniteMagnitude, -.greatestFiniteMagnitude, -.nan,
        ]
        return (0..<shape.features).map { _ in
            switch random.below(5) {
            case 0: return boundaries[random.below(boundaries.count)]
            case 1:
                let threshold = thresholds[random.below(thresholds.count)]
                return [threshold, threshold.nextUp, threshold.nextDown][random.below(3)]
            default: return Float.random(in: -3...3, using: &random)
            }
        }
    }

    var attributes: [String: Attribute] {
        var result = lists.mapValues { Attribute.integers($0) }
        result["nodes_modes"] = .strings(modes)
        result["nodes_values"] = .floats(thresholds)
        result["target_weights"] = .floats(weights)
        result["n_targets"] = .integer(Int64(shape.targets))
        result["aggregate_function"] = .string(shape.aggregate)
        return result
    }

    func ensemble() throws -> TreeEnsemble {
        try TreeEnsemble(treeNode("TreeEnsembleRegressor", attributes), inputCount: shape.features)
    }

    /// The scores by the words of the specification, in float64.
    func plainScores(_ row: [Float]) -> [Double] {
        var votes = [[Double]](repeating: [], count: shape.targets)
        for (first, number) in (lists["nodes_nodeids"] ?? []).enumerated() where number == 0 {
            var at = first
            while modes[at] != "LEAF" {
                let side = isTrue(at, row) ? "nodes_truenodeids" : "nodes_falsenodeids"
                at = first + Int(lists[side]?[at] ?? 0)
            }
            for vote in votesByLeaf[at] ?? [] {
                votes[Int(lists["target_ids"]?[vote] ?? 0)].append(Double(weights[vote]))
            }
        }
        return votes.map { votes in
            switch shape.aggregate {
            case "SUM": votes.reduce(0, +)
            case "AVERAGE": votes.reduce(0, +) / Double(shape.trees)
            case "MIN": votes.min() ?? 0
            default: votes.max() ?? 0
            }
        }
    }

    private func isTrue(_ node: Int, _ row: [Float]) -> Bool {
        let feature = row[Int(lists["nodes_featureids"]?[node] ?? 0)]
        if feature.isNaN { return lists["nodes_missing_value_tracks_true"]?[node] == 1 }
        switch modes[node] {
        case "BRANCH_LEQ": return feature <= thresholds[node]
        case "BRANCH_LT": return feature < thresholds[node]
        case "BRANCH_GTE": return feature >= thresholds[node]
        case "BRANCH_GT": return feature > thresholds[node]
        case "BRANCH_EQ": return feature == thresholds[node]
        default: return feature != thresholds[node]
        }
    }
}

func treeNode(_ name: String, _ attributes: [String: Attribute]) -> Node {
    Node(
        name: "trees", operatorName: name, domain: "ai.onnx.ml", inputs: ["features"],
        outputs: ["label", "scores"], attributes: attributes)
}

/// Packed trees in aligned memory, with guards behind what the kernel may write.
final class TreeScorer {
    private static let guardByte: UInt8 = 0xA5
    private static let guardBytes = 64
    let packed: PackedTrees
    private let memory: UnsafeMutableRawPointer
    private let scratch: UnsafeMutableRawPointer
    private let outputs: UnsafeMutableRawPointer

    init(_ packed: PackedTrees) {
        self.packed = packed
        memory = .allocate(byteCount: packed.bytes.count, alignment: 64)
        memory.copyMemory(from: packed.bytes, byteCount: packed.bytes.count)
        func guarded(_ byteCount: Int) -> UnsafeMutableRawPointer {
            let pointer = UnsafeMutableRawPointer.allocate(
                byteCount: byteCount + TreeScorer.guardBytes, alignment: 64)
            pointer.initializeMemory(
                as: UInt8.self, repeating: TreeScorer.guardByte, count: byteCount + TreeScorer.guardBytes)
            return pointer
        }
        scratch = guarded(packed.layout.scratchBytes)
        outputs = guarded(4 * packed.layout.outputCount)
    }

    deinit {
        memory.deallocate()
        scratch.deallocate()
        outputs.deallocate()
    }

    @inline(never)
    func run(_ row: UnsafePointer<Float>) -> Int {
        TreeKernels.run(
            source: row, packed: memory, layout: packed.layout, scratch: scratch,
            destination: outputs.assumingMemoryBound(to: Float.self))
    }

    func score(_ row: [Float]) -> (outputs: [Float], label: Int) {
        let label = row.withUnsafeBufferPointer { $0.baseAddress.map(run) ?? -1 }
        let floats = outputs.assumingMemoryBound(to: Float.self)
        return ((0..<packed.layout.outputCount).map { floats[$0] }, label)
    }

    var guardsHold: Bool {
        [(scratch, packed.layout.scratchBytes), (outputs, 4 * packed.layout.outputCount)].allSatisfy { start, size in
            (size..<size + TreeScorer.guardBytes).allSatisfy {
                start.load(fromByteOffset: $0, as: UInt8.self) == TreeScorer.guardByte
            }
        }
    }
}
