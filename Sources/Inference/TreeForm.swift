import ONNX

/// What the attributes of a tree operator say, whichever of the three it is.
///
/// Where ONNX Runtime 1.32 and the specification differ, a model that means one thing here and another there would be worse
/// than none, so these are refused:
/// - a transform of a regressor's single target, which ONNX Runtime leaves out;
/// - SOFTMAX and LOGISTIC of the operator TreeEnsemble, whose numbers ONNX Runtime takes for each other;
/// - SOFTMAX and SOFTMAX_ZERO of a binary classifier with one score, which it leaves out too;
/// - base values of a binary classifier other than none or one for a single score, or both for two scores.
///
/// Everything else follows the specification; `docs/MODEL.md` lists where ONNX Runtime does not.
struct TreeForm {
    var builder: TreeBuilder
    var votes: [(leaf: Int, vote: TreeEnsemble.Vote)] = []
    var targetCount = 1
    var aggregate = TreeEnsemble.Aggregate.sum
    /// None, or one for each target.
    var baseValues: [Float] = []
    var transform = TreeEnsemble.Transform.none
    var decision = TreeEnsemble.Decision.none
    var labels: [Int64] = []

    var attributes: TreeAttributes { builder.attributes }

    /// A count of targets within the limit.
    static func targets(_ count: Int64?, _ attributes: TreeAttributes) throws(ModelError) -> Int {
        let count = count ?? 1
        guard count >= 1 else { throw attributes.refused("'n_targets' is \(count), expected at least 1") }
        try attributes.checkLimit("targets", Int(clamping: count), TreeLimits.targets)
        return Int(count)
    }

    /// Refuses what ONNX Runtime would compute in another way.
    func checkTransform() throws(ModelError) {
        guard decision == .none, targetCount == 1, transform != .none else { return }
        throw attributes.refused(
            "a transform of a single target, which ONNX Runtime leaves out: use a node of its own, such as Sigmoid"
        )
    }

    static func transform(_ name: String?, _ attributes: TreeAttributes) throws(ModelError)
        -> TreeEnsemble.Transform
    {
        switch name ?? "NONE" {
        case "NONE": return .none
        case "SOFTMAX": return .softmax
        case "LOGISTIC": return .logistic
        case "SOFTMAX_ZERO": return .softmaxZero
        case "PROBIT": throw attributes.refused("'post_transform' PROBIT is not supported")
        case let other: throw attributes.refused("'post_transform' is '\(other)', which is not known")
        }
    }

    static func aggregate(_ name: String?, _ attributes: TreeAttributes) throws(ModelError)
        -> TreeEnsemble.Aggregate
    {
        switch name ?? "SUM" {
        case "SUM": return .sum
        case "AVERAGE": return .average
        case "MIN": return .minimum
        case "MAX": return .maximum
        case let other: throw attributes.refused("'aggregate_function' is '\(other)', which is not known")
        }
    }

    /// Positions of targets or classes as the votes need them.
    func target(_ index: Int64, _ name: String, at position: Int, below count: Int) throws(ModelError) -> Int32 {
        guard index >= 0, index < count else {
            throw attributes.refused("'\(name)' has \(index) at \(position), expected 0 to \(count - 1)")
        }
        return Int32(index)
    }
}

extension TreeAttributes {
    /// Which nodes send a missing value to the true side: none if the attribute is absent.
    func missingTracks(count: Int) throws(ModelError) -> [Bool] {
        let name = "nodes_missing_value_tracks_true"
        let values = try integers(name)
        if values.isEmpty { return [Bool](repeating: false, count: count) }
        try check(name, count: values.count, expected: count)
        if let index = values.firstIndex(where: { $0 != 0 && $0 != 1 }) {
            throw refused("'\(name)' has \(values[index]) at \(index), expected 0 or 1")
        }
        return values.map { $0 == 1 }
    }

    func feature(_ index: Int64, at position: Int, inputCount: Int) throws(ModelError) -> Int32 {
        guard index >= 0, index < inputCount else {
            throw refused(
                "'nodes_featureids' has \(index) at \(position), expected 0 to \(inputCount - 1)")
        }
        return Int32(index)
    }
}
