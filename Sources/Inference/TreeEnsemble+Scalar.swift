extension TreeEnsemble {
    /// The scalar twin of `TreeKernels`: walks every tree plainly and adds in the stated order.
    ///
    /// - Returns: The outputs, and for a classifier the index of the label in `labels`, else 0.
    /// - Precondition: `row` has `inputCount` elements.
    func score(_ row: [Float]) -> (outputs: [Float], label: Int) {
        precondition(row.count == inputCount, "A row has as many features as the ensemble was made for.")
        var partial = [[Float]](repeating: [Float](repeating: neutral, count: 8), count: targetCount)
        for segment in segments {
            for (place, tree) in segment.trees.enumerated() {
                var child = trees[tree].root
                while child >= 0 {
                    let branch = branches[Int(child)]
                    child = next(branch, row[Int(branch.feature)])
                }
                for target in segment.targets {
                    let weight = self.weight(leaf: Int(~child), target: target)
                    partial[Int(target)][place % 8] = aggregate.combine(
                        partial[Int(target)][place % 8], weight)
                }
            }
        }
        var scores = partial.enumerated().map { target, sums in
            let even = aggregate.combine(
                aggregate.combine(sums[0], sums[4]), aggregate.combine(sums[2], sums[6]))
            let odd = aggregate.combine(
                aggregate.combine(sums[1], sums[5]), aggregate.combine(sums[3], sums[7]))
            return TreeOutputs.complete(
                aggregate.combine(even, odd), aggregate: aggregate, trees: trees.count, base: baseValues[target])
        }
        scores += [Float](repeating: 0, count: outputCount - targetCount)
        let voted = isVoted.map { $0 ? UInt8(1) : 0 }
        let label = scores.withUnsafeMutableBufferPointer { scores in
            voted.withUnsafeBufferPointer { voted in
                guard let base = scores.baseAddress, let votedBase = voted.baseAddress else { return 0 }
                return TreeOutputs.finish(
                    base, targetCount: targetCount, transform: transform, decision: decision,
                    isVoted: votedBase)
            }
        }
        return (scores, label)
    }
}
