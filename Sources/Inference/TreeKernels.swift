import CPlatform

/// Scores packed trees. No allocation, no branch that depends on the features, except in the choice of a label.
enum TreeKernels {
    typealias Vector = SIMD8<Float>
    typealias Indices = SIMD8<Int32>

    /// Scores one row.
    ///
    /// - Parameters:
    ///   - source: The row, `inputCount` floats of the ensemble.
    ///   - packed: The bytes of `PackedTrees`, aligned to 64.
    ///   - scratch: `layout.scratchBytes` bytes, aligned to 64. Its content before and after does not matter.
    ///   - destination: Room for `outputCount` floats.
    /// - Returns: The index of the label in `TreeEnsemble.labels`; 0 for a regressor.
    @discardableResult
    static func run(
        source: UnsafePointer<Float>, packed: UnsafeRawPointer, layout: TreeLayout,
        scratch: UnsafeMutableRawPointer, destination: UnsafeMutablePointer<Float>
    ) -> Int {
        switch layout.form {
        case .masks:
            rank(source, packed, layout, scratch)
            mask(packed, layout, scratch)
        case .walk:
            fill(source, packed, layout, scratch)
            walk(packed, layout, scratch)
        }
        sum(packed, layout, scratch, destination)
        return TreeOutputs.finish(
            destination, targetCount: layout.targetCount, transform: layout.transform,
            decision: layout.decision,
            isVoted: (packed + layout.votedOffset).assumingMemoryBound(to: UInt8.self))
    }

    /// For each column the number of its thresholds below the feature, less 128, as bytes.
    @inline(__always)
    private static func rank(
        _ source: UnsafePointer<Float>, _ packed: UnsafeRawPointer, _ layout: TreeLayout,
        _ scratch: UnsafeMutableRawPointer
    ) {
        let counts = (packed + layout.columnCountsOffset).assumingMemoryBound(to: Int32.self)
        var from = packed + layout.columnsOffset
        for group in 0..<layout.columnGroupCount {
            let features = from.assumingMemoryBound(to: Int32.self)
            let given = martlet_tree_gather(source, features)
            let missing = from.load(fromByteOffset: 32, as: Vector.self)
            let x = given.replacing(with: missing, where: given .!= given)
            let thresholds = (from + 64).assumingMemoryBound(to: Vector.self)
            let count = Int(counts[group])
            var even = Indices(repeating: -128)
            var odd = Indices.zero
            var index = 0
            while index &+ 1 < count {
                // A true lane is -1.
                even &-= unsafeBitCast(thresholds[index] .< x, to: Indices.self)
                odd &-= unsafeBitCast(thresholds[index &+ 1] .< x, to: Indices.self)
                index &+= 2
            }
            if index < count { even &-= unsafeBitCast(thresholds[index] .< x, to: Indices.self) }
            martlet_tree_narrow(even &+ odd, scratch + 8 &* group)
            from += 64 &+ 32 &* count
        }
    }

    /// The place of each tree's leaf from the ranks.
    @inline(__always)
    private static func mask(
        _ packed: UnsafeRawPointer, _ layout: TreeLayout, _ scratch: UnsafeMutableRawPointer
    ) {
        var header = (packed + layout.treeGroupsOffset).assumingMemoryBound(to: Int32.self)
        var places = (packed + layout.placesOffset).assumingMemoryBound(to: Int32.self)
        var slots = (packed + layout.nodesOffset).assumingMemoryBound(to: UInt8.self)
        var leaves = (scratch + layout.leavesOffset).assumingMemoryBound(to: Int32.self)
        for _ in 0..<layout.treeGroupCount {
            slots = martlet_tree_group(
                header[0], scratch.assumingMemoryBound(to: UInt8.self), header + 1,
                Int32(truncatingIfNeeded: layout.passCount), slots, places, leaves)
            header += 1 &+ layout.passCount
            places += 32
            leaves += 32
        }
    }

    /// For each column the feature, or in the place of NaN the column's number.
    @inline(__always)
    private static func fill(
        _ source: UnsafePointer<Float>, _ packed: UnsafeRawPointer, _ layout: TreeLayout,
        _ scratch: UnsafeMutableRawPointer
    ) {
        var from = packed + layout.columnsOffset
        let columns = scratch.assumingMemoryBound(to: Vector.self)
        for group in 0..<layout.columnGroupCount {
            let x = martlet_tree_gather(source, from.assumingMemoryBound(to: Int32.self))
            columns[group] = x.replacing(with: from.load(fromByteOffset: 32, as: Vector.self), where: x .!= x)
            from += 64
        }
    }

    /// The place of each tree's leaf by a walk of eight trees side by side.
    ///
    /// A record is a threshold in the lower 32 bits, then 13 bits of column and 19 bits that say the record of the true side;
    /// that of the false side is the next. A leaf has the threshold infinity and is its own true side, so that all
    /// eight make as many steps as the deepest of them needs.
    @inline(__always)
    private static func walk(
        _ packed: UnsafeRawPointer, _ layout: TreeLayout, _ scratch: UnsafeMutableRawPointer
    ) {
        let columns = scratch.assumingMemoryBound(to: Float.self)
        var header = (packed + layout.treeGroupsOffset).assumingMemoryBound(to: Int32.self)
        var places = (packed + layout.placesOffset).assumingMemoryBound(to: Int32.self)
        let records = (packed + layout.nodesOffset).assumingMemoryBound(to: UInt64.self)
        let leaves = (scratch + layout.leavesOffset).assumingMemoryBound(to: Indices.self)
        for group in 0..<layout.treeGroupCount {
            let base = records + Int(header[0])
            var at0 = Int(places[0])
            var at1 = Int(places[1])
            var at2 = Int(places[2])
            var at3 = Int(places[3])
            var at4 = Int(places[4])
            var at5 = Int(places[5])
            var at6 = Int(places[6])
            var at7 = Int(places[7])
            for _ in 0..<Int(header[1]) {
                at0 = next(base[at0], columns)
                at1 = next(base[at1], columns)
                at2 = next(base[at2], columns)
                at3 = next(base[at3], columns)
                at4 = next(base[at4], columns)
                at5 = next(base[at5], columns)
                at6 = next(base[at6], columns)
                at7 = next(base[at7], columns)
            }
            let ends = Indices(
                Int32(truncatingIfNeeded: at0), Int32(truncatingIfNeeded: at1), Int32(truncatingIfNeeded: at2),
                Int32(truncatingIfNeeded: at3), Int32(truncatingIfNeeded: at4), Int32(truncatingIfNeeded: at5),
                Int32(truncatingIfNeeded: at6), Int32(truncatingIfNeeded: at7))
            leaves[group] = ends &+ UnsafeRawPointer(places + 8).load(as: Indices.self)
            header += 2
            places += 16
        }
    }

    @inline(__always)
    private static func next(_ record: UInt64, _ columns: UnsafePointer<Float>) -> Int {
        let threshold = Float(bitPattern: UInt32(truncatingIfNeeded: record))
        let feature = columns[Int(truncatingIfNeeded: record &>> 32 & 0x1FFF)]
        return Int(truncatingIfNeeded: record &>> 45) &+ (feature > threshold ? 1 : 0)
    }

    /// Adds the leaves' weights in the order that `TreeEnsemble` states.
    @inline(__always)
    private static func sum(
        _ packed: UnsafeRawPointer, _ layout: TreeLayout, _ scratch: UnsafeMutableRawPointer,
        _ destination: UnsafeMutablePointer<Float>
    ) {
        let sums = (scratch + layout.sumsOffset).assumingMemoryBound(to: Vector.self)
        let neutral: Float =
            switch layout.aggregate {
            case .sum, .average: 0
            case .minimum: .infinity
            case .maximum: -.infinity
            }
        for target in 0..<layout.targetCount { sums[target] = Vector(repeating: neutral) }
        let segments = (packed + layout.segmentsOffset).assumingMemoryBound(to: TreeSegment.self)
        let targets = (packed + layout.targetsOffset).assumingMemoryBound(to: Int32.self)
        let tables = (packed + layout.tablesOffset).assumingMemoryBound(to: Float.self)
        let leaves = (scratch + layout.leavesOffset).assumingMemoryBound(to: Int32.self)
        for index in 0..<layout.segmentCount {
            let segment = segments[index]
            var table = tables + Int(segment.tableStart)
            for target in 0..<Int(segment.targetCount) {
                let at = Int(targets[Int(segment.targetStart) &+ target])
                sums[at] = add(
                    sums[at], table, leaves + 8 &* Int(segment.start), count: Int(segment.count),
                    layout.aggregate)
                table += Int(segment.tablePlaces)
            }
        }
        let bases = (packed + layout.baseValuesOffset).assumingMemoryBound(to: Float.self)
        for target in 0..<layout.targetCount {
            let eight = sums[target]
            let four = combine(eight.lowHalf, eight.highHalf, layout.aggregate)
            let two = combine(four.lowHalf, four.highHalf, layout.aggregate)
            destination[target] = TreeOutputs.complete(
                layout.aggregate.combine(two[0], two[1]), aggregate: layout.aggregate,
                trees: layout.treeCount, base: bases[target])
        }
    }

    @inline(__always)
    private static func add(
        _ start: Vector, _ table: UnsafePointer<Float>, _ leaves: UnsafePointer<Int32>, count: Int,
        _ aggregate: TreeEnsemble.Aggregate
    ) -> Vector {
        var sum = start
        switch aggregate {
        case .sum, .average:
            for group in 0..<count { sum += martlet_tree_gather(table, leaves + 8 &* group) }
        case .minimum, .maximum:
            for group in 0..<count {
                sum = combine(sum, martlet_tree_gather(table, leaves + 8 &* group), aggregate)
            }
        }
        return sum
    }

    /// `TreeEnsemble.Aggregate.combine` in each lane.
    @inline(__always)
    private static func combine<Lanes: SIMD>(
        _ sum: Lanes, _ weight: Lanes, _ aggregate: TreeEnsemble.Aggregate
    ) -> Lanes where Lanes.Scalar == Float {
        switch aggregate {
        case .sum, .average: sum + weight
        case .minimum: sum.replacing(with: weight, where: weight .< sum)
        case .maximum: sum.replacing(with: weight, where: weight .> sum)
        }
    }
}
