import CPlatform

/// Packs trees of at most 64 leaves for `TreeLayout.Form.masks`.
struct TreeMasks {
    /// Leaves of a tree: the bits of eight planes.
    static let leaves = 64
    /// Thresholds of a column: their number must fit 8 bits. A feature with more gets several columns.
    static let thresholds = 255
    /// Passes, which bounds the time of a group. Ensembles of more columns are walked.
    static let passes = 16

    /// A comparison of a tree: which of its column's thresholds, and which leaves it takes out where it is false.
    struct Slot {
        var column: Int
        var bound: UInt8
        var mask: UInt64
    }

    private let ensemble: TreeEnsemble
    private let keys: TreeColumns
    private var columns: [(column: TreeColumns.Column, thresholds: [Float])] = []
    /// For each tree, by pass.
    private var slots: [[[Slot]]] = []
    /// For each tree its leaves from the true side to the false one.
    private var leaves: [[Int]] = []

    /// Nil if a tree has too many leaves or the ensemble too many columns.
    init?(_ ensemble: TreeEnsemble) {
        self.ensemble = ensemble
        keys = TreeColumns(ensemble)
        var masks: [[(branch: Int, mask: UInt64)]] = []
        for tree in ensemble.trees {
            guard let flat = TreeMasks.flatten(tree, ensemble) else { return nil }
            masks.append(flat.masks)
            leaves.append(flat.leaves)
        }
        let homes = makeColumns()
        let passCount = (columns.count + 63) / 64
        guard passCount <= TreeMasks.passes else { return nil }
        for tree in masks {
            var passes = [[Slot]](repeating: [], count: passCount)
            for (index, mask) in tree {
                let slot = slot(ensemble.branches[index], mask: mask, homes: homes)
                passes[slot.column / 64].append(slot)
            }
            slots.append(passes)
        }
    }

    /// The leaves of a tree in order, and for each comparison those of its true side. A comparison with two parents stands
    /// twice. Nil for more than 64 leaves.
    private static func flatten(
        _ tree: TreeEnsemble.Tree, _ ensemble: TreeEnsemble
    ) -> (leaves: [Int], masks: [(branch: Int, mask: UInt64)])? {
        enum Visit {
            case enter(Int32)
            case close(branch: Int, start: Int)
        }
        var leaves: [Int] = []
        var masks: [(branch: Int, mask: UInt64)] = []
        var pending = [Visit.enter(tree.root)]
        var entered = 0
        while let task = pending.popLast() {
            switch task {
            case .close(let branch, let start):
                let bits = leaves.count - start
                let ones = bits == 64 ? UInt64.max : (1 << UInt64(bits)) - 1
                masks.append((branch, ones << UInt64(start)))
            case .enter(let child) where child < 0:
                leaves.append(Int(~child))
            case .enter(let child):
                // Each comparison makes one leaf more.
                entered += 1
                guard entered < TreeMasks.leaves else { return nil }
                let branch = ensemble.branches[Int(child)]
                pending.append(.enter(branch.falseChild))
                pending.append(.close(branch: Int(child), start: leaves.count))
                pending.append(.enter(branch.trueChild))
            }
        }
        return (leaves, masks)
    }

    /// Makes the columns, those with the most thresholds first, so that the eight of a group have about as many. Returns where
    /// the columns of each key are.
    private mutating func makeColumns() -> [TreeColumns.Column: [Int]] {
        var thresholds: [TreeColumns.Column: [Float]] = [:]
        for branch in ensemble.branches {
            let key = keys.column(branch)
            thresholds[key, default: []].append(branch.threshold)
        }
        for (key, values) in thresholds {
            var sorted: [Float] = []
            for value in values.sorted() where value != sorted.last { sorted.append(value) }
            for start in stride(from: 0, to: sorted.count, by: TreeMasks.thresholds) {
                let end = min(start + TreeMasks.thresholds, sorted.count)
                columns.append((key, Array(sorted[start..<end])))
            }
        }
        columns.sort { first, second in
            let (a, b) = (first.thresholds, second.thresholds)
            if a.count != b.count { return a.count > b.count }
            let (c, d) = (first.column, second.column)
            if c.feature != d.feature { return c.feature < d.feature }
            return c.missingIsTrue != d.missingIsTrue ? c.missingIsTrue : a[0] < b[0]
        }
        var homes: [TreeColumns.Column: [Int]] = [:]
        for (index, column) in columns.enumerated() { homes[column.column, default: []].append(index) }
        return homes
    }

    private func slot(
        _ branch: TreeEnsemble.Branch, mask: UInt64, homes: [TreeColumns.Column: [Int]]
    ) -> Slot {
        let key = keys.column(branch)
        for home in homes[key] ?? [] {
            let thresholds = columns[home].thresholds
            var (low, high) = (0, thresholds.count)
            while low < high {
                let middle = (low + high) / 2
                if thresholds[middle] < branch.threshold { low = middle + 1 } else { high = middle }
            }
            if low < thresholds.count, thresholds[low] == branch.threshold {
                return Slot(column: home, bound: UInt8(low + 1), mask: mask)
            }
        }
        preconditionFailure("Every threshold is in a column of its feature.")
    }

    func packed() -> PackedTrees {
        var packer = TreePacker(ensemble, form: .masks)
        let passCount = (columns.count + 63) / 64
        var places = packer.places
        places += [Int?](repeating: nil, count: TreePacker.padding(places.count, to: 32))
        packer.layout.passCount = passCount
        packer.layout.columnGroupCount = (columns.count + 7) / 8
        packer.layout.treeGroupCount = places.count / 32
        let vectors = appendColumns(to: &packer)
        var headers: [Int32] = []
        var bytes: [UInt8] = []
        var nanoseconds = 0.25 * Double(vectors) + 2 * Double(packer.layout.columnGroupCount)
        for group in stride(from: 0, to: places.count, by: 32) {
            let trees = Array(places[group..<group + 32])
            let longest = trees.compactMap { $0.map { leaves[$0].count } }.max() ?? 1
            let planes = longest <= 8 ? 1 : longest <= 16 ? 2 : longest <= 32 ? 4 : 8
            headers.append(Int32(planes))
            for pass in 0..<passCount {
                let count = trees.compactMap { $0.map { slots[$0][pass].count } }.max() ?? 0
                headers.append(Int32(count))
                for slot in 0..<count { appendSlot(slot, trees, pass: pass, planes: planes, to: &bytes) }
                nanoseconds += Double(count) * (0.8 + 0.25 * Double(planes))
            }
            nanoseconds += 4 + Double(planes)
        }
        let ends = packer.places.map { $0.map { leaves[$0].map(Optional.some) } ?? [] }
        var starts = packer.tableStarts(ends).map(Int32.init)
        starts += [Int32](repeating: 0, count: places.count - starts.count)
        packer.layout.treeGroupsOffset = packer.append(headers)
        packer.layout.placesOffset = packer.append(starts)
        packer.layout.nodesOffset = packer.append(bytes)
        packer.finish(leaves: ends, columnBytes: 64 * passCount, leafCount: places.count)
        for segment in ensemble.segments {
            nanoseconds += Double((segment.trees.count + 7) / 8 * segment.targets.count) * 3
        }
        return packer.result(nanoseconds: nanoseconds + 20, kernel: "masks")
    }

    /// Appends the columns in groups of 8 and returns how many vectors of thresholds they have.
    private func appendColumns(to packer: inout TreePacker) -> Int {
        var counts: [Int32] = []
        var words: [UInt32] = []
        for start in stride(from: 0, to: columns.count, by: 8) {
            let group = columns[start..<min(start + 8, columns.count)]
            let count = group.map { $0.thresholds.count }.max() ?? 0
            counts.append(Int32(count))
            func append(_ filler: UInt32, _ word: (Int) -> UInt32?) {
                for index in start..<start + 8 {
                    words.append((index < columns.count ? word(index) : nil) ?? filler)
                }
            }
            append(0) { UInt32(columns[$0].column.feature) }
            append(0) { keys.missingValues[columns[$0].column]?.bitPattern }
            for row in 0..<count {
                // Nothing is above infinity, so that it adds nothing to a rank.
                append(Float.infinity.bitPattern) { index in
                    let thresholds = columns[index].thresholds
                    return row < thresholds.count ? thresholds[row].bitPattern : nil
                }
            }
        }
        packer.layout.columnCountsOffset = packer.append(counts)
        packer.layout.columnsOffset = packer.append(words)
        return counts.reduce(0) { $0 + Int($1) }
    }

    private func appendSlot(
        _ index: Int, _ trees: [Int?], pass: Int, planes: Int, to bytes: inout [UInt8]
    ) {
        let filled = trees.map { tree -> Slot? in
            guard let tree, index < slots[tree][pass].count else { return nil }
            return slots[tree][pass][index]
        }
        for slot in filled { bytes.append(martlet_tree_column_code(Int32((slot?.column ?? 0) % 64))) }
        for slot in filled { bytes.append((slot?.bound ?? 0) ^ 128) }
        for plane in 0..<planes {
            for slot in filled { bytes.append(~UInt8(truncatingIfNeeded: (slot?.mask ?? 0) >> (8 * plane))) }
        }
    }
}
