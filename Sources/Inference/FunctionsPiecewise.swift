internal import CPlatform

/// Functions of a few instructions, exact but for one rounding of a product; and those that are straight lines in part.
extension VectorFunctions {
    /// All bits set where x < y.
    @_transparent
    static func less(_ x: Vector, _ y: Float) -> Integers { martlet_less8(x, Vector(repeating: y)) }

    @_transparent
    static func equal(_ x: Vector, _ y: Float) -> Integers { martlet_equal8(x, Vector(repeating: y)) }

    @_transparent
    static func equal(_ x: Vector, _ y: Vector) -> Integers { martlet_equal8(x, y) }

    /// `yes` where the highest bit of the mask is set. One instruction, where `replacing(with:where:)` with two vectors
    /// became a branch for each lane in `gelu` and `pow`, three times as slow.
    @_transparent
    static func select(_ mask: Integers, _ yes: Vector, _ no: Vector) -> Vector { martlet_select8(mask, yes, no) }

    /// The number without its sign.
    @_transparent
    static func abs(_ x: Vector) -> Vector {
        unsafeBitCast(unsafeBitCast(x, to: Integers.self) & 0x7FFF_FFFF, to: Vector.self)
    }

    /// The number with the other sign, 0 included, where Swift's `-` for vectors is 0 - x.
    @_transparent
    static func neg(_ x: Vector) -> Vector {
        unsafeBitCast(unsafeBitCast(x, to: Integers.self) ^ Int32.min, to: Vector.self)
    }

    /// `size`, which is not negative, with the sign of `x`.
    @_transparent
    static func withSign(of x: Vector, _ size: Vector) -> Vector {
        unsafeBitCast(
            unsafeBitCast(size, to: Integers.self) | (unsafeBitCast(x, to: Integers.self) & Int32.min), to: Vector.self)
    }

    @_transparent
    static func reciprocal(_ x: Vector) -> Vector { 1 / x }

    @_transparent
    static func square(_ x: Vector) -> Vector { x * x }

    @_transparent
    static func cube(_ x: Vector) -> Vector { x * x * x }

    /// `pow(x, 0.5)`, which is the root but for +0 at -0 and infinity at -infinity.
    @_transparent
    static func root(_ x: Vector) -> Vector {
        sqrt(x + 0).replacing(with: .infinity, where: x .== -Float.infinity)
    }

    @_transparent
    static func relu(_ x: Vector) -> Vector { x.replacing(with: 0, where: x .< 0) }

    @_transparent
    static func clip(_ x: Vector, _ low: Float, _ high: Float) -> Vector {
        let raised = x.replacing(with: low, where: x .< low)
        return raised.replacing(with: high, where: raised .> high)
    }

    /// x, or alpha times x below 0.
    @_transparent
    static func leakyRelu(_ x: Vector, _ alpha: Float) -> Vector {
        select(less(x, 0), x * alpha, x)
    }

    /// x, or alpha (e^x - 1) below 0, with a relative error of at most 2e-7.
    @_transparent
    static func elu(_ x: Vector, _ alpha: Float) -> Vector {
        select(less(x, 0), expMinusOneNonPositive(x) * alpha, x)
    }

    /// alpha x + beta, rounded once, between 0 and 1.
    @_transparent
    static func hardSigmoid(_ x: Vector, _ alpha: Float, _ beta: Float) -> Vector {
        clip(Vector(repeating: beta).addingFused(x, Vector(repeating: alpha)), 0, 1)
    }
}
