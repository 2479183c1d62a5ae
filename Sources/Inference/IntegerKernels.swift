import CPlatform

/// Products of an integer matrix and a vector of bytes: 32-bit sums of raw bytes times weights, exact, so that dense and
/// sparse forms, all arithmetics and the plain twin give the same integers whatever the order of additions.
///
/// A panel is a block of 8, 16, 24 or 32 outputs. 4 input bytes are broadcast at once to the panel's outputs, and two such
/// groups are taken together: their products are added in 16 bits before they are widened, so that 32 outputs by 8 inputs
/// take 12 multiplications, which is what bounds the loop (two per cycle). One chain of additions per vector suffices:
/// an integer addition takes one cycle. On a Zen 4 core at 2.8 GHz the fast dense loop reaches 115 to 130 multiply-adds per ns on
/// weights in the first-level cache and 103 to 108 from the second; the widening ones 55.
///
/// Where a source's groups are not neighbours, as in the patch of a convolution that is read in place, a table gives the
/// byte offset of each group; it may differ from call to call, as the places in a ring do.
enum IntegerKernels {
    typealias Vector = SIMD8<Int32>

    /// Where the parts of a packed matrix are.
    struct Matrix {
        var shape: IntegerShape
        /// As `IntegerWeights.bytes`; on a multiple of 32 bytes it is fastest.
        var weights: UnsafeRawPointer
        /// Of a sparse matrix; not read for a dense one.
        var panels: UnsafePointer<IntegerPanel>
        /// Of a sparse matrix; not read for a dense one.
        var offsets: UnsafePointer<Int32>
    }

    /// Computes all sums of a product, in panel order.
    ///
    /// - Parameters:
    ///   - source: `shape.sourceBytes` bytes, as the arithmetic wants them; 4 bytes at each offset if there is a table.
    ///   - groupOffsets: For each group of 4 inputs its byte offset from `source`; nil if they are neighbours.
    ///   - destination: Room for `shape.sumVectors` vectors.
    static func run(
        _ matrix: Matrix, source: UnsafeRawPointer, groupOffsets: UnsafePointer<Int32>?,
        destination: UnsafeMutablePointer<Vector>
    ) {
        let inputs = Inputs(source: source, table: UnsafeRawPointer(groupOffsets))
        switch (matrix.shape.arithmetic, matrix.shape.isSparse) {
        case (.sevenBit, false): denseSevenBit(matrix, inputs, destination)
        case (.unsigned, false): denseUnsigned(matrix, inputs, destination)
        case (.signed, false): denseSigned(matrix, inputs, destination)
        case (.sevenBit, true): sparseSevenBit(matrix, inputs, destination)
        case (.unsigned, true): sparseUnsigned(matrix, inputs, destination)
        case (.signed, true): sparseSigned(matrix, inputs, destination)
        }
    }

    // One text makes the loops of all arithmetics and widths: the arguments with names, and the arithmetic, are constants that
    // the compiler folds. `@_transparent`, because `@inline(__always)` left the loops whole, with the choices inside them; and
    // six functions, because in one the inliner gave up and left calls in the loops (Swift 6.3.1).

    @inline(never)
    private static func denseSevenBit(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>
    ) {
        runDense(matrix, inputs, destination, .sevenBit)
    }

    @inline(never)
    private static func denseUnsigned(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>
    ) {
        runDense(matrix, inputs, destination, .unsigned)
    }

    @inline(never)
    private static func denseSigned(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>
    ) {
        runDense(matrix, inputs, destination, .signed)
    }

    @inline(never)
    private static func sparseSevenBit(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>
    ) {
        runSparse(matrix, inputs, destination, .sevenBit)
    }

    @inline(never)
    private static func sparseUnsigned(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>
    ) {
        runSparse(matrix, inputs, destination, .unsigned)
    }

    @inline(never)
    private static func sparseSigned(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>
    ) {
        runSparse(matrix, inputs, destination, .signed)
    }

    @_transparent
    private static func runDense(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>,
        _ arithmetic: IntegerArithmetic
    ) {
        if inputs.table == nil {
            densePanels(matrix, inputs, destination, arithmetic, hasTable: false)
        } else {
            densePanels(matrix, inputs, destination, arithmetic, hasTable: true)
        }
    }

    @_transparent
    private static func runSparse(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>,
        _ arithmetic: IntegerArithmetic
    ) {
        if inputs.table == nil {
            sparsePanels(matrix, inputs, destination, arithmetic, hasTable: false)
        } else {
            sparsePanels(matrix, inputs, destination, arithmetic, hasTable: true)
        }
    }

    @_transparent
    private static func densePanels(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>,
        _ arithmetic: IntegerArithmetic, hasTable: Bool
    ) {
        let shape = matrix.shape
        let panelBytes = shape.groups &* arithmetic.blockBytes &* 4
        var weights = matrix.weights
        var destination = destination
        var panel = 0
        while panel < shape.panels {
            densePanel(
                inputs, shape.groups, weights, destination, arithmetic, hasTable: hasTable, vectors: 4)
            weights += panelBytes
            destination += 4
            panel &+= 1
        }
        switch shape.lastVectors {
        case 1:
            densePanel(
                inputs, shape.groups, weights, destination, arithmetic, hasTable: hasTable, vectors: 1)
        case 2:
            densePanel(
                inputs, shape.groups, weights, destination, arithmetic, hasTable: hasTable, vectors: 2)
        case 3:
            densePanel(
                inputs, shape.groups, weights, destination, arithmetic, hasTable: hasTable, vectors: 3)
        default: break
        }
    }

    @_transparent
    private static func densePanel(
        _ inputs: Inputs, _ groups: Int, _ weights: UnsafeRawPointer,
        _ destination: UnsafeMutablePointer<Vector>,
        _ arithmetic: IntegerArithmetic, hasTable: Bool, vectors: Int
    ) {
        var sums = Sums()
        var weights = weights
        var offset = 0
        let end = groups &* 4
        while offset &+ 4 < end {
            sums.addPair(
                inputs.group(offset, hasTable: hasTable), inputs.group(offset &+ 4, hasTable: hasTable), weights,
                arithmetic, vectors: vectors)
            weights += 2 &* vectors &* arithmetic.blockBytes
            offset &+= 8
        }
        if offset < end {
            sums.add(inputs.group(offset, hasTable: hasTable), weights, arithmetic, vectors: vectors)
        }
        sums.store(destination, vectors: vectors)
    }

    @_transparent
    private static func sparsePanels(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>,
        _ arithmetic: IntegerArithmetic, hasTable: Bool
    ) {
        switch matrix.shape.vectors {
        case 1: sparsePanelsOfWidth(matrix, inputs, destination, arithmetic, hasTable: hasTable, vectors: 1)
        case 2: sparsePanelsOfWidth(matrix, inputs, destination, arithmetic, hasTable: hasTable, vectors: 2)
        case 3: sparsePanelsOfWidth(matrix, inputs, destination, arithmetic, hasTable: hasTable, vectors: 3)
        default: sparsePanelsOfWidth(matrix, inputs, destination, arithmetic, hasTable: hasTable, vectors: 4)
        }
    }

    @_transparent
    private static func sparsePanelsOfWidth(
        _ matrix: Matrix, _ inputs: Inputs, _ destination: UnsafeMutablePointer<Vector>,
        _ arithmetic: IntegerArithmetic, hasTable: Bool, vectors: Int
    ) {
        var panel = matrix.panels
        var offsets = matrix.offsets
        let end = panel + matrix.shape.panels
        var weights = matrix.weights
        var destination = destination
        while panel < end {
            var sums = Sums()
            var pairs = panel.pointee.pairs
            while pairs > 0 {
                sums.addPair(
                    inputs.group(Int(offsets[0]), hasTable: hasTable),
                    inputs.group(Int(offsets[1]), hasTable: hasTable),
                    weights, arithmetic, vectors: vectors)
                weights += 2 &* vectors &* arithmetic.blockBytes
                offsets += 2
                pairs &-= 1
            }
            if panel.pointee.rest != 0 {
                sums.add(
                    inputs.group(Int(offsets[0]), hasTable: hasTable), weights, arithmetic, vectors: vectors)
                weights += vectors &* arithmetic.blockBytes
                offsets += 1
            }
            sums.store(destination, vectors: vectors)
            destination += vectors
            panel += 1
        }
    }
}

/// The bytes of a product's inputs.
private struct Inputs {
    var source: UnsafeRawPointer
    /// The table of offsets, if there is one.
    var table: UnsafeRawPointer?

    /// One group of 4 bytes, 8 times over; `offset` is 4 times its index.
    @_transparent
    func group(_ offset: Int, hasTable: Bool) -> SIMD8<Int32> {
        guard hasTable, let table else { return martlet_broadcast4(source + offset) }
        return martlet_broadcast4(source + Int(table.load(fromByteOffset: offset, as: Int32.self)))
    }
}

/// A panel's sums. Those beyond its width are never touched, so that they take no register.
private struct Sums {
    typealias Vector = SIMD8<Int32>

    var first = Vector.zero
    var second = Vector.zero
    var third = Vector.zero
    var fourth = Vector.zero

    /// Two groups of inputs times their weights, which stand vector by vector, one group's and then the other's.
    @_transparent
    mutating func addPair(
        _ x: Vector, _ y: Vector, _ weights: UnsafeRawPointer, _ arithmetic: IntegerArithmetic, vectors: Int
    ) {
        guard arithmetic == .sevenBit else {
            add(x, weights, arithmetic, vectors: vectors, stride: 128)
            add(y, weights + 64, arithmetic, vectors: vectors, stride: 128)
            return
        }
        first = martlet_dot4_pair(first, x, y, weights)
        if vectors > 1 { second = martlet_dot4_pair(second, x, y, weights + 64) }
        if vectors > 2 { third = martlet_dot4_pair(third, x, y, weights + 128) }
        if vectors > 3 { fourth = martlet_dot4_pair(fourth, x, y, weights + 192) }
    }

    /// One group of inputs times its weights, the vectors' side by side.
    @_transparent
    mutating func add(
        _ x: Vector, _ weights: UnsafeRawPointer, _ arithmetic: IntegerArithmetic, vectors: Int
    ) {
        add(x, weights, arithmetic, vectors: vectors, stride: arithmetic.blockBytes)
    }

    @_transparent
    private mutating func add(
        _ x: Vector, _ weights: UnsafeRawPointer, _ arithmetic: IntegerArithmetic, vectors: Int, stride: Int
    ) {
        guard arithmetic != .sevenBit else {
            first = martlet_dot4(first, x, weights)
            if vectors > 1 { second = martlet_dot4(second, x, weights + stride) }
            if vectors > 2 { third = martlet_dot4(third, x, weights + 2 &* stride) }
            if vectors > 3 { fourth = martlet_dot4(fourth, x, weights + 3 &* stride) }
            return
        }
        let isSigned = arithmetic == .signed
        let parts = (
            even: isSigned ? martlet_even_signed(x) : martlet_even_unsigned(x),
            odd: isSigned ? martlet_odd_signed(x) : martlet_odd_unsigned(x)
        )
        first = Sums.dot(first, parts, weights)
        if vectors > 1 { second = Sums.dot(second, parts, weights + stride) }
        if vectors > 2 { third = Sums.dot(third, parts, weights + 2 &* stride) }
        if vectors > 3 { fourth = Sums.dot(fourth, parts, weights + 3 &* stride) }
    }

    @_transparent
    private static func dot(
        _ sum: Vector, _ parts: (even: Vector, odd: Vector), _ weights: UnsafeRawPointer
    ) -> Vector {
        martlet_dot2(martlet_dot2(sum, parts.even, weights), parts.odd, weights + 32)
    }

    @_transparent
    func store(_ destination: UnsafeMutablePointer<Vector>, vectors: Int) {
        destination[0] = first
        if vectors > 1 { destination[1] = second }
        if vectors > 2 { destination[2] = third }
        if vectors > 3 { destination[3] = fourth }
    }
}
