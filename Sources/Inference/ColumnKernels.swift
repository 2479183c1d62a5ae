/// Products of one matrix of few outputs and many rows of inputs that begin side by side, as where the product is over
/// what was rows before. A vector holds one output of 8 rows, so that no lane is padding for outputs.
///
/// The order of additions is that of `NarrowKernels` and `RowKernels`: 4 or 8 chains, each in ascending order, then
/// neighbours are added until one sum is left, then + bias. So a product gives the same bits in whichever form it runs.
enum ColumnKernels {
    typealias Vector = SIMD8<Float>

    /// Four neighbouring chains: groups of one input for each, then a rest of fewer than four.
    struct Pass: BitwiseCopyable {
        var groups: Int32
        var rest: Int32
    }

    struct Matrix {
        /// One for up to 16 outputs, two for up to 8.
        var passes: UnsafePointer<Pass>
        var passCount: Int
        /// Where the first row has each input.
        var places: UnsafePointer<Int32>
        /// Output after output, each in the order of the places.
        var weights: UnsafePointer<Float>
        /// One for each result.
        var offsets: UnsafePointer<Vector>
        var inputs: Int
        var outputs: Int
    }

    /// Two vectors of rows.
    private struct Sums {
        var low = Vector.zero
        var high = Vector.zero

        @inline(__always)
        static func + (x: Sums, y: Sums) -> Sums { Sums(low: x.low + y.low, high: x.high + y.high) }

        @inline(__always)
        mutating func add(_ rows: UnsafePointer<Float>, _ weight: Float) {
            let weight = Vector(repeating: weight)
            let rows = UnsafeRawPointer(rows)
            low.addProduct(rows.loadUnaligned(as: Vector.self), weight)
            high.addProduct(rows.loadUnaligned(fromByteOffset: 32, as: Vector.self), weight)
        }
    }

    /// All outputs of `vectors` vectors of rows, at least two.
    ///
    /// - Parameter destination: Room for `vectors` vectors of each output.
    @inline(__always)
    static func run(
        _ matrix: Matrix, source: UnsafePointer<Float>, destination: UnsafeMutablePointer<Vector>, vectors: Int,
        floor: Vector
    ) {
        for output in 0..<matrix.outputs {
            var vector = 0
            while vector < vectors {
                // Of an odd number of vectors the last but one is done again.
                let first = min(vector, vectors &- 2)
                var places = matrix.places
                var weights = matrix.weights + output &* matrix.inputs
                let rows = source + first &* 8
                var sums = pass(matrix.passes[0], &places, &weights, rows)
                if matrix.passCount == 2 { sums = sums + pass(matrix.passes[1], &places, &weights, rows) }
                let at = output &* vectors &+ first
                let (low, high) = (sums.low + matrix.offsets[at], sums.high + matrix.offsets[at &+ 1])
                destination[at] = low.replacing(with: floor, where: low .< floor)
                destination[at &+ 1] = high.replacing(with: floor, where: high .< floor)
                vector &+= 2
            }
        }
    }

    /// Four chains: 8 sums, which covers the latency of a multiply-add.
    @inline(__always)
    private static func pass(
        _ pass: Pass, _ places: inout UnsafePointer<Int32>, _ weights: inout UnsafePointer<Float>,
        _ rows: UnsafePointer<Float>
    ) -> Sums {
        var (first, second, third, fourth) = (Sums(), Sums(), Sums(), Sums())
        for _ in 0..<Int(pass.groups) {
            first.add(rows + Int(places[0]), weights[0])
            second.add(rows + Int(places[1]), weights[1])
            third.add(rows + Int(places[2]), weights[2])
            fourth.add(rows + Int(places[3]), weights[3])
            places += 4
            weights += 4
        }
        let rest = Int(pass.rest)
        if rest > 0 { first.add(rows + Int(places[0]), weights[0]) }
        if rest > 1 { second.add(rows + Int(places[1]), weights[1]) }
        if rest > 2 { third.add(rows + Int(places[2]), weights[2]) }
        places += rest
        weights += rest
        return (first + second) + (third + fourth)
    }
}

/// A matrix in the order of `ColumnKernels`.
struct ColumnPacking {
    /// For each four chains their inputs, in groups of up to four.
    let groups: [[[Int]]]

    /// - Parameter keepsZeros: Whether groups of which all weights are zero are kept.
    init(_ matrix: Matrix, keepsZeros: Bool) {
        let used = (0..<matrix.columns).map { column in
            keepsZeros
                || (0..<matrix.rows).contains { matrix.weights[$0 * matrix.columns + column] != 0 }
        }
        groups = stride(from: 0, to: matrix.chains, by: 4).map { chain in
            stride(from: chain, to: matrix.columns, by: matrix.chains)
                .map { Array($0..<min($0 + 4, matrix.columns)) }
                .filter { $0.contains { used[$0] } }
        }
    }

    var inputs: [Int] { groups.flatMap { $0.flatMap { $0 } } }

    var passes: [ColumnKernels.Pass] {
        groups.map { groups in
            let full = groups.count { $0.count == 4 }
            return .init(groups: Int32(full), rest: Int32(full < groups.count ? groups[full].count : 0))
        }
    }
}
