/// Products of a full matrix and a vector.
///
/// A panel is a block of 16, 24 or 32 outputs whose weights lie column after column. Each input is broadcast to the
/// panel's outputs. Each output is summed in two chains of fused multiply-adds, one over the even inputs and one over
/// the odd ones, in ascending order; then even + odd, then + bias. Every kernel and the scalar twin keep this order, so
/// that all give the same bits.
///
/// Why two chains: 32 outputs times two chains are 8 vectors, which covers the latency of a multiply-add (4 cycles, two
/// per cycle) and leaves registers; four chains would not fit beside 32 outputs, and 16 outputs need 3 loads for 2
/// multiply-adds where 32 need 5 for 4.
enum DenseKernels {
    typealias Vector = SIMD8<Float>

    /// `panels` panels of 16 outputs; `floor` is the least value of an output, as a rectifier wants it.
    ///
    /// - Parameters:
    ///   - source: `columns` floats.
    ///   - weights: `panels · columns · 2` vectors.
    ///   - bias: `panels · 2` vectors.
    ///   - destination: Room for `panels · 2` vectors.
    @inline(__always)
    static func run16(
        _ source: UnsafePointer<Float>, columns: Int, weights: UnsafePointer<Vector>,
        bias: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, panels: Int, floor: Vector
    ) {
        var weights = weights
        for panel in 0..<panels {
            var even0 = Vector.zero
            var even1 = Vector.zero
            var odd0 = Vector.zero
            var odd1 = Vector.zero
            var column = 0
            while column &+ 1 < columns {
                let x = Vector(repeating: source[column])
                let y = Vector(repeating: source[column &+ 1])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                odd0.addProduct(y, weights[2])
                odd1.addProduct(y, weights[3])
                weights += 4
                column &+= 2
            }
            if column < columns {
                let x = Vector(repeating: source[column])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                weights += 2
            }
            let at = panel &* 2
            destination[at] = finish(even0, odd0, bias[at], floor)
            destination[at &+ 1] = finish(even1, odd1, bias[at &+ 1], floor)
        }
    }

    /// As `run16`, for panels of 24 outputs.
    @inline(__always)
    static func run24(
        _ source: UnsafePointer<Float>, columns: Int, weights: UnsafePointer<Vector>,
        bias: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, panels: Int
    ) {
        var weights = weights
        for panel in 0..<panels {
            var even0 = Vector.zero
            var even1 = Vector.zero
            var even2 = Vector.zero
            var odd0 = Vector.zero
            var odd1 = Vector.zero
            var odd2 = Vector.zero
            var column = 0
            while column &+ 1 < columns {
                let x = Vector(repeating: source[column])
                let y = Vector(repeating: source[column &+ 1])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                even2.addProduct(x, weights[2])
                odd0.addProduct(y, weights[3])
                odd1.addProduct(y, weights[4])
                odd2.addProduct(y, weights[5])
                weights += 6
                column &+= 2
            }
            if column < columns {
                let x = Vector(repeating: source[column])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                even2.addProduct(x, weights[2])
                weights += 3
            }
            let at = panel &* 3
            destination[at] = (even0 + odd0) + bias[at]
            destination[at &+ 1] = (even1 + odd1) + bias[at &+ 1]
            destination[at &+ 2] = (even2 + odd2) + bias[at &+ 2]
        }
    }

    /// As `run16`, for panels of 32 outputs.
    @inline(__always)
    static func run32(
        _ source: UnsafePointer<Float>, columns: Int, weights: UnsafePointer<Vector>,
        bias: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, panels: Int, floor: Vector
    ) {
        var weights = weights
        for panel in 0..<panels {
            var even0 = Vector.zero
            var even1 = Vector.zero
            var even2 = Vector.zero
            var even3 = Vector.zero
            var odd0 = Vector.zero
            var odd1 = Vector.zero
            var odd2 = Vector.zero
            var odd3 = Vector.zero
            var column = 0
            while column &+ 1 < columns {
                let x = Vector(repeating: source[column])
                let y = Vector(repeating: source[column &+ 1])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                even2.addProduct(x, weights[2])
                even3.addProduct(x, weights[3])
                odd0.addProduct(y, weights[4])
                odd1.addProduct(y, weights[5])
                odd2.addProduct(y, weights[6])
                odd3.addProduct(y, weights[7])
                weights += 8
                column &+= 2
            }
            if column < columns {
                let x = Vector(repeating: source[column])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                even2.addProduct(x, weights[2])
                even3.addProduct(x, weights[3])
                weights += 4
            }
            let at = panel &* 4
            destination[at] = finish(even0, odd0, bias[at], floor)
            destination[at &+ 1] = finish(even1, odd1, bias[at &+ 1], floor)
            destination[at &+ 2] = finish(even2, odd2, bias[at &+ 2], floor)
            destination[at &+ 3] = finish(even3, odd3, bias[at &+ 3], floor)
        }
    }

    @inline(__always)
    static func finish(_ even: Vector, _ odd: Vector, _ bias: Vector, _ floor: Vector) -> Vector {
        let sum = (even + odd) + bias
        return sum.replacing(with: floor, where: sum .< floor)
    }
}
