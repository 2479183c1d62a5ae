/// What comes after the sums over the trees, for the kernel and its scalar twin alike.
enum TreeOutputs {
    /// A target's score from the sum over all trees.
    ///
    /// An infinite minimum or maximum says that no leaf voted: the score is then 0, as ONNX Runtime has it.
    @inline(__always)
    static func complete(
        _ sum: Float, aggregate: TreeEnsemble.Aggregate, trees: Int, base: Float
    ) -> Float {
        switch aggregate {
        case .sum: sum + base
        case .average: sum / Float(trees) + base
        case .minimum, .maximum: (sum.isInfinite ? 0 : sum) + base
        }
    }

    /// Turns scores into outputs in place and chooses the label.
    ///
    /// - Parameters:
    ///   - scores: `targetCount` scores, with room for a second if `decision` is `oneScore`.
    ///   - isVoted: One byte for each target, not 0 if it can be the label.
    /// - Returns: The label's index, 0 for a regressor.
    static func finish(
        _ scores: UnsafeMutablePointer<Float>, targetCount: Int, transform: TreeEnsemble.Transform,
        decision: TreeEnsemble.Decision, isVoted: UnsafePointer<UInt8>
    ) -> Int {
        var label = 0
        switch decision {
        case .none:
            break
        case .oneScore(let isProbability):
            let score = scores[0]
            if transform == .logistic {
                (scores[0], scores[1]) = (logistic(-score), logistic(score))
            } else {
                (scores[0], scores[1]) = ((isProbability ? 1 : 0) - score, score)
            }
            return score > (isProbability ? 0.5 : 0) ? 1 : 0
        case .secondScore(let cutoff):
            label = scores[1] > cutoff ? 1 : 0
        case .greatest:
            label = greatest(scores, targetCount, isVoted)
        }
        switch transform {
        case .none: break
        case .logistic: for index in 0..<targetCount { scores[index] = logistic(scores[index]) }
        case .softmax: softmax(scores, targetCount, skipsZeros: false)
        case .softmaxZero: softmax(scores, targetCount, skipsZeros: true)
        }
        return label
    }

    private static func greatest(
        _ scores: UnsafeMutablePointer<Float>, _ count: Int, _ isVoted: UnsafePointer<UInt8>
    ) -> Int {
        var label = -1
        for index in 0..<count where isVoted[index] != 0 {
            if label < 0 || scores[index] > scores[label] { label = index }
        }
        return max(label, 0)
    }

    /// 1 / (1 + e^-x) without overflow.
    @inline(__always)
    static func logistic(_ score: Float) -> Float {
        let power = ScalarFunctions.exp(-abs(score))
        return (score < 0 ? power : 1) / (1 + power)
    }

    /// `skipsZeros` is SOFTMAX_ZERO: scores within 1e-7 of 0 count as no score and give 0.
    private static func softmax(_ scores: UnsafeMutablePointer<Float>, _ count: Int, skipsZeros: Bool) {
        var greatest = scores[0]
        for index in 1..<max(count, 1) where scores[index] > greatest { greatest = scores[index] }
        var sum: Float = 0
        for index in 0..<count {
            let isZero = skipsZeros && abs(scores[index]) <= 1e-7
            scores[index] = isZero ? 0 : ScalarFunctions.exp(scores[index] - greatest)
            sum += scores[index]
        }
        // Without a score at all there is nothing to share out; ONNX Runtime gives NaN here.
        guard sum > 0 else { return }
        for index in 0..<count { scores[index] /= sum }
    }
}
