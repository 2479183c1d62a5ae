/// Packs trees of any shape for `TreeLayout.Form.walk`.
struct TreeWalk {
    private let ensemble: TreeEnsemble
    private let keys: TreeColumns
    private var columns: [TreeColumns.Column] = []
    private var homes: [TreeColumns.Column: Int] = [:]

    init(_ ensemble: TreeEnsemble) {
        self.ensemble = ensemble
        keys = TreeColumns(ensemble)
        for branch in ensemble.branches {
            let key = keys.column(branch)
            if homes.updateValue(0, forKey: key) == nil { columns.append(key) }
        }
        columns.sort {
            $0.feature != $1.feature ? $0.feature < $1.feature : !$0.missingIsTrue && $1.missingIsTrue
        }
        for (index, key) in columns.enumerated() { homes[key] = index }
        // A leaf reads column 0 as well.
        if columns.isEmpty { columns.append(TreeColumns.Column(feature: 0, missingIsTrue: true)) }
    }

    func packed() -> PackedTrees {
        var packer = TreePacker(ensemble, form: .walk)
        packer.layout.columnGroupCount = (columns.count + 7) / 8
        packer.layout.treeGroupCount = packer.places.count / 8
        appendColumns(to: &packer)
        let ends = packer.places.map { place in place.map { leaves(ensemble.trees[$0]) } ?? [] }
        let tableStarts = packer.tableStarts(ends)
        var headers: [Int32] = []
        var starts: [Int32] = []
        var records: [UInt64] = []
        var steps = 0
        for group in stride(from: 0, to: packer.places.count, by: 8) {
            let base = records.count
            var roots: [Int32] = []
            var added: [Int32] = []
            var depth = 0
            for place in group..<group + 8 {
                let start = records.count - base
                roots.append(Int32(start))
                added.append(Int32(tableStarts[place] - start))
                guard let tree = packer.places[place].map({ ensemble.trees[$0] }) else {
                    records.append(leafRecord(start))
                    continue
                }
                depth = max(depth, tree.depth)
                append(tree, start: start, to: &records)
            }
            headers += [Int32(base), Int32(depth)]
            starts += roots + added
            steps += depth
        }
        packer.layout.treeGroupsOffset = packer.append(headers)
        packer.layout.placesOffset = packer.append(starts)
        packer.layout.nodesOffset = packer.append(records)
        packer.finish(
            leaves: ends, columnBytes: 32 * packer.layout.columnGroupCount, leafCount: packer.places.count)
        // From the second-level cache a step takes about twice as long.
        let perStep = packer.bytes.count > 1 << 20 ? 16.0 : 7.5
        return packer.result(
            nanoseconds: 20 + perStep * Double(steps) + 3 * Double(packer.places.count / 8), kernel: "walk")
    }

    private func appendColumns(to packer: inout TreePacker) {
        var words: [UInt32] = []
        for start in stride(from: 0, to: columns.count, by: 8) {
            let group = (start..<start + 8).map { $0 < columns.count ? columns[$0] : columns[0] }
            words += group.map { UInt32($0.feature) }
            words += group.map { (keys.missingValues[$0] ?? 0).bitPattern }
        }
        packer.layout.columnsOffset = packer.append(words)
    }

    /// What each record of a tree is: a leaf, or nil.
    private func leaves(_ tree: TreeEnsemble.Tree) -> [Int?] {
        func leaf(_ child: Int32) -> Int? { child < 0 ? Int(~child) : nil }
        var result = [leaf(tree.root)]
        for branch in ensemble.branches[tree.branches] {
            result.append(leaf(branch.trueChild))
            result.append(leaf(branch.falseChild))
        }
        return result
    }

    /// The root's record, then those of each comparison's children.
    private func append(_ tree: TreeEnsemble.Tree, start: Int, to records: inout [UInt64]) {
        func record(_ child: Int32, at place: Int) -> UInt64 {
            guard child >= 0 else { return leafRecord(place) }
            let branch = ensemble.branches[Int(child)]
            let key = keys.column(branch)
            let next = start + 1 + 2 * (Int(child) - tree.branches.lowerBound)
            return UInt64(branch.threshold.bitPattern) | UInt64(homes[key] ?? 0) << 32 | UInt64(next) << 45
        }
        var place = start
        records.append(record(tree.root, at: place))
        for branch in ensemble.branches[tree.branches] {
            records.append(record(branch.trueChild, at: place + 1))
            records.append(record(branch.falseChild, at: place + 2))
            place += 2
        }
    }

    private func leafRecord(_ place: Int) -> UInt64 {
        UInt64(Float.infinity.bitPattern) | UInt64(place) << 45
    }
}
