/// Products of one matrix and several rows of inputs, each row read where it lies.
///
/// A panel is a block of 16 outputs, or of 8 where no more are left. Its columns are listed chain after chain, only
/// those that hold a weight that is not zero (all, for a full matrix), each with the place of its input in a row. So
/// one form serves full and block-sparse matrices, convolutions and matrix products; and each weight is loaded once
/// for several rows. The order of additions is that of `DenseKernels` and `NarrowKernels`: each chain in ascending
/// order, then neighbours are added until one sum is left, then + bias.
enum RowKernels {
    typealias Vector = SIMD8<Float>

    /// One panel, and where the next one begins.
    struct Panel {
        /// Columns of each chain.
        var chains: UnsafePointer<Int32>
        /// Places of the inputs in a row.
        var places: UnsafePointer<Int32>
        var weights: UnsafePointer<Vector>
        var bias: UnsafePointer<Vector>
    }

    /// Sums of 6 rows times 16 outputs: 12 vectors, which covers the latency of a multiply-add and leaves registers
    /// for the weights.
    struct Sums6 {
        var a0 = Vector.zero, a1 = Vector.zero, a2 = Vector.zero, a3 = Vector.zero, a4 = Vector.zero, a5 = Vector.zero
        var b0 = Vector.zero, b1 = Vector.zero, b2 = Vector.zero, b3 = Vector.zero, b4 = Vector.zero, b5 = Vector.zero

        @inline(__always)
        static func + (x: Sums6, y: Sums6) -> Sums6 {
            Sums6(
                a0: x.a0 + y.a0, a1: x.a1 + y.a1, a2: x.a2 + y.a2, a3: x.a3 + y.a3, a4: x.a4 + y.a4, a5: x.a5 + y.a5,
                b0: x.b0 + y.b0, b1: x.b1 + y.b1, b2: x.b2 + y.b2, b3: x.b3 + y.b3, b4: x.b4 + y.b4, b5: x.b5 + y.b5)
        }
    }

    /// Sums of one row.
    struct Sums1 {
        var a = Vector.zero
        var b = Vector.zero

        @inline(__always)
        static func + (x: Sums1, y: Sums1) -> Sums1 { Sums1(a: x.a + y.a, b: x.b + y.b) }
    }

    /// Six rows: where each begins in the source, and in vectors in the destination. Where fewer are left some stand
    /// twice, which costs nothing and gives the same bits.
    struct Rows {
        var starts: (Int, Int, Int, Int, Int, Int)
        var places: (Int, Int, Int, Int, Int, Int)

        @inline(__always)
        init(_ starts: UnsafePointer<Int32>, first: Int, count: Int, stride: Int) {
            let last = count &- 1
            let (b, c, d) = (min(first &+ 1, last), min(first &+ 2, last), min(first &+ 3, last))
            let (e, f) = (min(first &+ 4, last), min(first &+ 5, last))
            self.starts = (
                Int(starts[first]), Int(starts[b]), Int(starts[c]), Int(starts[d]), Int(starts[e]), Int(starts[f])
            )
            places = (first &* stride, b &* stride, c &* stride, d &* stride, e &* stride, f &* stride)
        }
    }

    /// All rows of a matrix of `vectors` vectors of outputs.
    ///
    /// - Parameters:
    ///   - starts: Where each of the `rows` rows begins in the source.
    ///   - stride: Vectors from one row of results to the next.
    ///   - chainCount: 2, or 4 for up to 16 outputs, or 8 for up to 8.
    @inline(__always)
    static func run(
        _ first: Panel, source: UnsafePointer<Float>, starts: UnsafePointer<Int32>, rows: Int, vectors: Int,
        destination: UnsafeMutablePointer<Vector>, stride: Int, chainCount: Int, floor: Vector
    ) {
        var panel = first
        var vector = 0
        while vector < vectors {
            let isWide = vector &+ 1 < vectors
            let target = destination + vector
            if rows == 1 {
                single(panel, source, starts, target, isWide: isWide, chainCount: chainCount, floor: floor)
            } else {
                // As few tiles as there can be, all of one height; the last ones overlap.
                let tiles = (rows &+ 5) / 6
                let height = max((rows &+ tiles &- 1) / tiles, 4)
                for tile in 0..<tiles {
                    let begin = max(min(tile &* height, rows &- height), 0)
                    let some = Rows(starts, first: begin, count: rows, stride: stride)
                    if !isWide {
                        narrow6(panel, source, some, target, chainCount: chainCount, floor: floor)
                    } else if height == 6 {
                        wide(panel, source, some, target, chainCount: chainCount, floor: floor, height: 6)
                    } else if height == 5 {
                        wide(panel, source, some, target, chainCount: chainCount, floor: floor, height: 5)
                    } else {
                        wide(panel, source, some, target, chainCount: chainCount, floor: floor, height: 4)
                    }
                }
            }
            var columns = 0
            for chain in 0..<chainCount { columns &+= Int(panel.chains[chain]) }
            panel.chains += chainCount
            panel.places += columns
            panel.weights += columns &* (isWide ? 2 : 1)
            panel.bias += 2
            vector &+= 2
        }
    }

    /// 4, 5 or 6 rows of 16 outputs: a constant where it is called, so that each height has loops of its own.
    @_transparent
    private static func wide(
        _ panel: Panel, _ source: UnsafePointer<Float>, _ rows: Rows, _ destination: UnsafeMutablePointer<Vector>,
        chainCount: Int, floor: Vector, height: Int
    ) {
        var rest = panel
        let first = pass(&rest, 0, source, rows, height)
        var sums = first + pass(&rest, 1, source, rows, height)
        if chainCount == 4 {
            let third = pass(&rest, 2, source, rows, height)
            sums = sums + (third + pass(&rest, 3, source, rows, height))
        }
        let (low, high) = (panel.bias[0], panel.bias[1])
        put(sums.a0 + low, sums.b0 + high, destination + rows.places.0, floor)
        put(sums.a1 + low, sums.b1 + high, destination + rows.places.1, floor)
        put(sums.a2 + low, sums.b2 + high, destination + rows.places.2, floor)
        put(sums.a3 + low, sums.b3 + high, destination + rows.places.3, floor)
        if height > 4 { put(sums.a4 + low, sums.b4 + high, destination + rows.places.4, floor) }
        if height > 5 { put(sums.a5 + low, sums.b5 + high, destination + rows.places.5, floor) }
    }

    @inline(__always)
    private static func narrow6(
        _ panel: Panel, _ source: UnsafePointer<Float>, _ rows: Rows, _ destination: UnsafeMutablePointer<Vector>,
        chainCount: Int, floor: Vector
    ) {
        var rest = panel
        let first = narrowPass6(&rest, 0, source, rows)
        var sums = first + narrowPass6(&rest, 1, source, rows)
        if chainCount > 2 { sums = sums + narrowPair(&rest, 2, source, rows) }
        if chainCount > 4 {
            let fifth = narrowPair(&rest, 4, source, rows)
            sums = sums + (fifth + narrowPair(&rest, 6, source, rows))
        }
        let bias = panel.bias[0]
        put(sums.a0 + bias, destination + rows.places.0, floor)
        put(sums.a1 + bias, destination + rows.places.1, floor)
        put(sums.a2 + bias, destination + rows.places.2, floor)
        put(sums.a3 + bias, destination + rows.places.3, floor)
        put(sums.a4 + bias, destination + rows.places.4, floor)
        put(sums.a5 + bias, destination + rows.places.5, floor)
    }

    /// Two neighbouring chains, added.
    @inline(__always)
    private static func narrowPair(
        _ panel: inout Panel, _ chain: Int, _ source: UnsafePointer<Float>, _ rows: Rows
    ) -> Sums6 {
        let first = narrowPass6(&panel, chain, source, rows)
        return first + narrowPass6(&panel, chain &+ 1, source, rows)
    }

    /// One chain of 6 rows times 8 outputs.
    @inline(__always)
    private static func narrowPass6(
        _ panel: inout Panel, _ chain: Int, _ source: UnsafePointer<Float>, _ rows: Rows
    ) -> Sums6 {
        let (x0, x1, x2) = (source + rows.starts.0, source + rows.starts.1, source + rows.starts.2)
        let (x3, x4, x5) = (source + rows.starts.3, source + rows.starts.4, source + rows.starts.5)
        var sums = Sums6()
        for _ in 0..<Int(panel.chains[chain]) {
            let place = Int(panel.places[0])
            let low = panel.weights[0]
            sums.a0.addProduct(Vector(repeating: x0[place]), low)
            sums.a1.addProduct(Vector(repeating: x1[place]), low)
            sums.a2.addProduct(Vector(repeating: x2[place]), low)
            sums.a3.addProduct(Vector(repeating: x3[place]), low)
            sums.a4.addProduct(Vector(repeating: x4[place]), low)
            sums.a5.addProduct(Vector(repeating: x5[place]), low)
            panel.places += 1
            panel.weights += 1
        }
        return sums
    }

    /// One chain of up to 6 rows.
    @_transparent
    private static func pass(
        _ panel: inout Panel, _ chain: Int, _ source: UnsafePointer<Float>, _ rows: Rows, _ height: Int
    ) -> Sums6 {
        let (x0, x1, x2) = (source + rows.starts.0, source + rows.starts.1, source + rows.starts.2)
        let (x3, x4, x5) = (source + rows.starts.3, source + rows.starts.4, source + rows.starts.5)
        var sums = Sums6()
        var places = panel.places
        var weights = panel.weights
        for _ in 0..<Int(panel.chains[chain]) {
            let place = Int(places[0])
            let (low, high) = (weights[0], weights[1])
            var x = Vector(repeating: x0[place])
            sums.a0.addProduct(x, low)
            sums.b0.addProduct(x, high)
            x = Vector(repeating: x1[place])
            sums.a1.addProduct(x, low)
            sums.b1.addProduct(x, high)
            x = Vector(repeating: x2[place])
            sums.a2.addProduct(x, low)
            sums.b2.addProduct(x, high)
            x = Vector(repeating: x3[place])
            sums.a3.addProduct(x, low)
            sums.b3.addProduct(x, high)
            if height > 4 {
                x = Vector(repeating: x4[place])
                sums.a4.addProduct(x, low)
                sums.b4.addProduct(x, high)
            }
            if height > 5 {
                x = Vector(repeating: x5[place])
                sums.a5.addProduct(x, low)
                sums.b5.addProduct(x, high)
            }
            places += 1
            weights += 2
        }
        panel.places = places
        panel.weights = weights
        return sums
    }

    @inline(__always)
    private static func single(
        _ panel: Panel, _ source: UnsafePointer<Float>, _ starts: UnsafePointer<Int32>,
        _ destination: UnsafeMutablePointer<Vector>, isWide: Bool, chainCount: Int, floor: Vector
    ) {
        var rest = panel
        let row = source + Int(starts[0])
        if isWide {
            let first = pass2(&rest, 0, row)
            var sums = first + pass2(&rest, 1, row)
            if chainCount == 4 {
                let third = pass2(&rest, 2, row)
                sums = sums + (third + pass2(&rest, 3, row))
            }
            put(sums.a + panel.bias[0], sums.b + panel.bias[1], destination, floor)
        } else {
            var sum = pair1(&rest, 0, row)
            if chainCount > 2 { sum = sum + pair1(&rest, 2, row) }
            if chainCount > 4 {
                let third = pair1(&rest, 4, row)
                sum = sum + (third + pair1(&rest, 6, row))
            }
            sum = sum + panel.bias[0]
            destination[0] = sum.replacing(with: floor, where: sum .< floor)
        }
    }

    @inline(__always)
    private static func pass2(_ panel: inout Panel, _ chain: Int, _ row: UnsafePointer<Float>) -> Sums1 {
        var sums = Sums1()
        for _ in 0..<Int(panel.chains[chain]) {
            let x = Vector(repeating: row[Int(panel.places[0])])
            sums.a.addProduct(x, panel.weights[0])
            sums.b.addProduct(x, panel.weights[1])
            panel.places += 1
            panel.weights += 2
        }
        return sums
    }

    @inline(__always)
    private static func pair1(_ panel: inout Panel, _ chain: Int, _ row: UnsafePointer<Float>) -> Vector {
        let first = pass1(&panel, chain, row)
        return first + pass1(&panel, chain &+ 1, row)
    }

    @inline(__always)
    private static func pass1(_ panel: inout Panel, _ chain: Int, _ row: UnsafePointer<Float>) -> Vector {
        var sum = Vector.zero
        for _ in 0..<Int(panel.chains[chain]) {
            sum.addProduct(Vector(repeating: row[Int(panel.places[0])]), panel.weights[0])
            panel.places += 1
            panel.weights += 1
        }
        return sum
    }

    @inline(__always)
    private static func put(
        _ low: Vector, _ high: Vector, _ destination: UnsafeMutablePointer<Vector>, _ floor: Vector
    ) {
        destination[0] = low.replacing(with: floor, where: low .< floor)
        destination[1] = high.replacing(with: floor, where: high .< floor)
    }

    @inline(__always)
    private static func put(_ sum: Vector, _ destination: UnsafeMutablePointer<Vector>, _ floor: Vector) {
        destination[0] = sum.replacing(with: floor, where: sum .< floor)
    }
}
