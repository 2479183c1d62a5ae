extension TreeEnsemble {
    /// Lays the trees out for `TreeKernels`. Costs time and memory proportional to the ensemble.
    ///
    /// - Parameter form: The kernel to use, for tests. Nil takes the one that is predicted to be faster; masks that cannot
    ///   hold the trees give way to the walk.
    func packed(as form: TreeLayout.Form? = nil) -> PackedTrees {
        var candidates: [PackedTrees] = []
        if form != .walk, let masks = TreeMasks(self) { candidates.append(masks.packed()) }
        if form != .masks || candidates.isEmpty { candidates.append(TreeWalk(self).packed()) }
        if candidates.count > 1, candidates[1].predictedNanoseconds < candidates[0].predictedNanoseconds {
            return candidates[1]
        }
        return candidates[0]
    }
}

/// What both forms of packed trees have in common: the bytes under construction, the segments and the weights.
struct TreePacker {
    let ensemble: TreeEnsemble
    var bytes: [UInt8] = []
    var layout: TreeLayout
    /// The trees in their places: segment after segment, each filled to a multiple of 8 with nil.
    let places: [Int?]

    init(_ ensemble: TreeEnsemble, form: TreeLayout.Form) {
        self.ensemble = ensemble
        var places: [Int?] = []
        for segment in ensemble.segments {
            places += segment.trees.map(Optional.some)
            places += [Int?](repeating: nil, count: TreePacker.padding(segment.trees.count, to: 8))
        }
        self.places = places
        layout = TreeLayout(
            form: form, aggregate: ensemble.aggregate, transform: ensemble.transform,
            decision: ensemble.decision, treeCount: ensemble.trees.count, targetCount: ensemble.targetCount,
            outputCount: ensemble.outputCount, segmentCount: ensemble.segments.count, columnGroupCount: 0,
            passCount: 0, treeGroupCount: 0)
    }

    static func padding(_ count: Int, to multiple: Int) -> Int {
        (multiple - count % multiple) % multiple
    }

    /// Appends values at the next multiple of 64 and returns where they begin.
    mutating func append<Value: BitwiseCopyable>(_ values: [Value]) -> Int {
        bytes.append(contentsOf: repeatElement(0, count: TreePacker.padding(bytes.count, to: 64)))
        let start = bytes.count
        values.withUnsafeBytes { bytes.append(contentsOf: $0) }
        return start
    }

    /// Appends the segments, the weights and what the outputs need, and lays out the scratch memory.
    ///
    /// - Parameters:
    ///   - leaves: For each place of trees its table places, as leaves or nil for what is no leaf.
    ///   - columnBytes: What the columns take of the scratch memory.
    ///   - leafCount: How many leaves the kernel writes.
    mutating func finish(leaves: [[Int?]], columnBytes: Int, leafCount: Int) {
        var segments: [TreeSegment] = []
        var targets: [Int32] = []
        var table: [Float] = []
        var start = 0
        for segment in ensemble.segments {
            let count = segment.trees.count + TreePacker.padding(segment.trees.count, to: 8)
            // The first place is for trees that are not there.
            let entries = [nil] + leaves[start..<start + count].joined()
            segments.append(
                TreeSegment(
                    start: Int32(start / 8), count: Int32(count / 8), targetStart: Int32(targets.count),
                    targetCount: Int32(segment.targets.count), tableStart: Int32(table.count),
                    tablePlaces: Int32(entries.count)))
            for target in segment.targets {
                for leaf in entries {
                    table.append(
                        leaf.map { ensemble.weight(leaf: $0, target: target) } ?? ensemble.neutral)
                }
            }
            targets += segment.targets
            start += count
        }
        layout.segmentsOffset = append(segments)
        layout.targetsOffset = append(targets)
        layout.tablesOffset = append(table)
        layout.baseValuesOffset = append(ensemble.baseValues)
        layout.votedOffset = append(ensemble.isVoted.map { $0 ? UInt8(1) : 0 })
        layout.leavesOffset = columnBytes + TreePacker.padding(columnBytes, to: 64)
        layout.sumsOffset =
            layout.leavesOffset + 4 * leafCount + TreePacker.padding(4 * leafCount, to: 64)
        layout.scratchBytes = layout.sumsOffset + 32 * ensemble.targetCount
        layout.scratchBytes += TreePacker.padding(layout.scratchBytes, to: 64)
    }

    /// Where the first table place of each tree is, within its segment; 0 for those that are not there.
    func tableStarts(_ leaves: [[Int?]]) -> [Int] {
        var starts: [Int] = []
        for segment in ensemble.segments {
            var next = 1
            let count = segment.trees.count + TreePacker.padding(segment.trees.count, to: 8)
            for _ in 0..<count {
                let own = leaves[starts.count].count
                starts.append(own == 0 ? 0 : next)
                next += own
            }
        }
        return starts
    }

    func result(nanoseconds: Double, kernel: String) -> PackedTrees {
        let ensemble = ensemble
        let leaves = ensemble.leaves.count
        return PackedTrees(
            bytes: bytes, layout: layout, predictedNanoseconds: nanoseconds,
            summary: "\(ensemble.trees.count) trees, \(ensemble.branches.count) comparisons, \(leaves) leaves, "
                + "depth \(ensemble.trees.map(\.depth).max() ?? 0), \(kernel), \(bytes.count) bytes")
    }
}
