/// Products of a full matrix of at most 16 outputs and a vector, as the last layers of small models are.
///
/// With one or two vectors of outputs, two chains would wait for each other's latency, so that there are four: inputs
/// by index modulo 4, then (0 + 1) + (2 + 3), then + bias.
enum NarrowKernels {
    typealias Vector = SIMD8<Float>

    /// Up to 8 outputs.
    @inline(__always)
    static func run8(
        _ source: UnsafePointer<Float>, columns: Int, weights: UnsafePointer<Vector>,
        bias: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, floor: Vector
    ) {
        var sum0 = Vector.zero
        var sum1 = Vector.zero
        var sum2 = Vector.zero
        var sum3 = Vector.zero
        var column = 0
        while column &+ 3 < columns {
            sum0.addProduct(Vector(repeating: source[column]), weights[column])
            sum1.addProduct(Vector(repeating: source[column &+ 1]), weights[column &+ 1])
            sum2.addProduct(Vector(repeating: source[column &+ 2]), weights[column &+ 2])
            sum3.addProduct(Vector(repeating: source[column &+ 3]), weights[column &+ 3])
            column &+= 4
        }
        if column < columns { sum0.addProduct(Vector(repeating: source[column]), weights[column]) }
        if column &+ 1 < columns {
            sum1.addProduct(Vector(repeating: source[column &+ 1]), weights[column &+ 1])
        }
        if column &+ 2 < columns {
            sum2.addProduct(Vector(repeating: source[column &+ 2]), weights[column &+ 2])
        }
        destination[0] = DenseKernels.finish(sum0 + sum1, sum2 + sum3, bias[0], floor)
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
