/// Products of a full matrix of at most 16 outputs and a vector, as the last layers of small models are.
///
/// With one or two vectors of outputs, two chains would wait for each other's latency, so that there are eight or four:
/// inputs by index modulo that, then neighbours are added until one sum is left, then + bias.
enum NarrowKernels {
    typealias Vector = SIMD8<Float>

    /// Up to 8 outputs.
    @inline(__always)
    static func run8(
        _ source: UnsafePointer<Float>, columns: Int, weights: UnsafePointer<Vector>,
        bias: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, floor: Vector
    ) {
        var sums = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        var more = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        var column = 0
        while column &+ 7 < columns {
            sums.0.addProduct(Vector(repeating: source[column]), weights[column])
            sums.1.addProduct(Vector(repeating: source[column &+ 1]), weights[column &+ 1])
            sums.2.addProduct(Vector(repeating: source[column &+ 2]), weights[column &+ 2])
            sums.3.addProduct(Vector(repeating: source[column &+ 3]), weights[column &+ 3])
            more.0.addProduct(Vector(repeating: source[column &+ 4]), weights[column &+ 4])
            more.1.addProduct(Vector(repeating: source[column &+ 5]), weights[column &+ 5])
            more.2.addProduct(Vector(repeating: source[column &+ 6]), weights[column &+ 6])
            more.3.addProduct(Vector(repeating: source[column &+ 7]), weights[column &+ 7])
            column &+= 8
        }
        if column < columns {
            sums.0.addProduct(Vector(repeating: source[column]), weights[column])
        }
        if column &+ 1 < columns {
            sums.1.addProduct(Vector(repeating: source[column &+ 1]), weights[column &+ 1])
        }
        if column &+ 2 < columns {
            sums.2.addProduct(Vector(repeating: source[column &+ 2]), weights[column &+ 2])
        }
        if column &+ 3 < columns {
            sums.3.addProduct(Vector(repeating: source[column &+ 3]), weights[column &+ 3])
        }
        if column &+ 4 < columns {
            more.0.addProduct(Vector(repeating: source[column &+ 4]), weights[column &+ 4])
        }
        if column &+ 5 < columns {
            more.1.addProduct(Vector(repeating: source[column &+ 5]), weights[column &+ 5])
        }
        if column &+ 6 < columns {
            more.2.addProduct(Vector(repeating: source[column &+ 6]), weights[column &+ 6])
        }
        destination[0] = DenseKernels.finish(
            (sums.0 + sums.1) + (sums.2 + sums.3), (more.0 + more.1) + (more.2 + more.3), bias[0], floor)
    }

    /// Up to 16 outputs.
    @inline(__always)
    static func run16(
        _ source: UnsafePointer<Float>, columns: Int, weights: UnsafePointer<Vector>,
        bias: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, floor: Vector
    ) {
        var sums = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        var highs = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
        var weights = weights
        var column = 0
        while column &+ 3 < columns {
            let x0 = Vector(repeating: source[column])
            let x1 = Vector(repeating: source[column &+ 1])
            let x2 = Vector(repeating: source[column &+ 2])
            let x3 = Vector(repeating: source[column &+ 3])
            sums.0.addProduct(x0, weights[0])
            highs.0.addProduct(x0, weights[1])
            sums.1.addProduct(x1, weights[2])
            highs.1.addProduct(x1, weights[3])
            sums.2.addProduct(x2, weights[4])
            highs.2.addProduct(x2, weights[5])
            sums.3.addProduct(x3, weights[6])
            highs.3.addProduct(x3, weights[7])
            weights += 8
            column &+= 4
        }
        if column < columns {
            let x = Vector(repeating: source[column])
            sums.0.addProduct(x, weights[0])
            highs.0.addProduct(x, weights[1])
        }
        if column &+ 1 < columns {
            let x = Vector(repeating: source[column &+ 1])
            sums.1.addProduct(x, weights[2])
            highs.1.addProduct(x, weights[3])
        }
        if column &+ 2 < columns {
            let x = Vector(repeating: source[column &+ 2])
            sums.2.addProduct(x, weights[4])
            highs.2.addProduct(x, weights[5])
        }
        destination[0] = DenseKernels.finish(sums.0 + sums.1, sums.2 + sums.3, bias[0], floor)
        destination[1] = DenseKernels.finish(highs.0 + highs.1, highs.2 + highs.3, bias[1], floor)
    }
}
