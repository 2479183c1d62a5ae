/// One panel of a block-sparse matrix: how many of its columns are not zero.
struct SparsePanel: BitwiseCopyable {
    /// Pairs of an even and an odd column, in this order.
    var pairs: Int32
    /// Even columns after the pairs.
    var evens: Int32
    /// Odd columns after the pairs; there are only even ones or only odd ones.
    var odds: Int32
}

/// Products of a block-sparse matrix and a vector: as `DenseKernels`, but only the columns of a panel that hold a
/// weight that is not zero are there, each with its index.
///
/// The order of additions is that of the dense kernels. A left-out term is a product with 0: it changes a sum by
/// nothing but the sign of a zero, and adding the bias, which is never -0, makes every zero +0. So the bits are equal
/// as long as the inputs are finite.
enum SparseKernels {
    typealias Vector = SIMD8<Float>

    @inline(__always)
    static func run16(
        _ source: UnsafePointer<Float>, panels: UnsafePointer<SparsePanel>, indices: UnsafePointer<Int32>,
        weights: UnsafePointer<Vector>, bias: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>,
        panelCount: Int, floor: Vector
    ) {
        var weights = weights
        var indices = indices
        for panel in 0..<panelCount {
            var even0 = Vector.zero
            var even1 = Vector.zero
            var odd0 = Vector.zero
            var odd1 = Vector.zero
            for _ in 0..<Int(panels[panel].pairs) {
                let x = Vector(repeating: source[Int(indices[0])])
                let y = Vector(repeating: source[Int(indices[1])])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                odd0.addProduct(y, weights[2])
                odd1.addProduct(y, weights[3])
                weights += 4
                indices += 2
            }
            for _ in 0..<Int(panels[panel].evens) {
                let x = Vector(repeating: source[Int(indices[0])])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                weights += 2
                indices += 1
            }
            for _ in 0..<Int(panels[panel].odds) {
                let x = Vector(repeating: source[Int(indices[0])])
                odd0.addProduct(x, weights[0])
                odd1.addProduct(x, weights[1])
                weights += 2
                indices += 1
            }
            let at = panel &* 2
            destination[at] = DenseKernels.finish(even0, odd0, bias[at], floor)
            destination[at &+ 1] = DenseKernels.finish(even1, odd1, bias[at &+ 1], floor)
        }
    }

    /// As `run16`, for panels of 24 outputs.
    @inline(__always)
    static func run24(
        _ source: UnsafePointer<Float>, panels: UnsafePointer<SparsePanel>, indices: UnsafePointer<Int32>,
        weights: UnsafePointer<Vector>, bias: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>,
        panelCount: Int
    ) {
        var weights = weights
        var indices = indices
        for panel in 0..<panelCount {
            var even0 = Vector.zero
            var even1 = Vector.zero
            var even2 = Vector.zero
            var odd0 = Vector.zero
            var odd1 = Vector.zero
            var odd2 = Vector.zero
            for _ in 0..<Int(panels[panel].pairs) {
                let x = Vector(repeating: source[Int(indices[0])])
                let y = Vector(repeating: source[Int(indices[1])])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                even2.addProduct(x, weights[2])
                odd0.addProduct(y, weights[3])
                odd1.addProduct(y, weights[4])
                odd2.addProduct(y, weights[5])
                weights += 6
                indices += 2
            }
            for _ in 0..<Int(panels[panel].evens) {
                let x = Vector(repeating: source[Int(indices[0])])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                even2.addProduct(x, weights[2])
                weights += 3
                indices += 1
            }
            for _ in 0..<Int(panels[panel].odds) {
                let x = Vector(repeating: source[Int(indices[0])])
                odd0.addProduct(x, weights[0])
                odd1.addProduct(x, weights[1])
                odd2.addProduct(x, weights[2])
                weights += 3
                indices += 1
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
        _ source: UnsafePointer<Float>, panels: UnsafePointer<SparsePanel>, indices: UnsafePointer<Int32>,
        weights: UnsafePointer<Vector>, bias: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>,
        panelCount: Int
    ) {
        var weights = weights
        var indices = indices
        for panel in 0..<panelCount {
            var even0 = Vector.zero
            var even1 = Vector.zero
            var even2 = Vector.zero
            var even3 = Vector.zero
            var odd0 = Vector.zero
            var odd1 = Vector.zero
            var odd2 = Vector.zero
            var odd3 = Vector.zero
            for _ in 0..<Int(panels[panel].pairs) {
                let x = Vector(repeating: source[Int(indices[0])])
                let y = Vector(repeating: source[Int(indices[1])])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                even2.addProduct(x, weights[2])
                even3.addProduct(x, weights[3])
                odd0.addProduct(y, weights[4])
                odd1.addProduct(y, weights[5])
                odd2.addProduct(y, weights[6])
                odd3.addProduct(y, weights[7])
                weights += 8
                indices += 2
            }
            for _ in 0..<Int(panels[panel].evens) {
                let x = Vector(repeating: source[Int(indices[0])])
                even0.addProduct(x, weights[0])
                even1.addProduct(x, weights[1])
                even2.addProduct(x, weights[2])
                even3.addProduct(x, weights[3])
                weights += 4
                indices += 1
            }
            for _ in 0..<Int(panels[panel].odds) {
                let x = Vector(repeating: source[Int(indices[0])])
                odd0.addProduct(x, weights[0])
                odd1.addProduct(x, weights[1])
                odd2.addProduct(x, weights[2])
                odd3.addProduct(x, weights[3])
                weights += 4
                indices += 1
            }
            let at = panel &* 4
            destination[at] = (even0 + odd0) + bias[at]
            destination[at &+ 1] = (even1 + odd1) + bias[at &+ 1]
            destination[at &+ 2] = (even2 + odd2) + bias[at &+ 2]
            destination[at &+ 3] = (even3 + odd3) + bias[at &+ 3]
        }
    }
}
