/// The error function and the activations made of it.
extension VectorFunctions {
    /// erf x with a relative error of at most 1.8e-7; odd, within [-1, 1].
    ///
    /// Up to 1 a polynomial in x², beyond it 1 - erfc |x|.
    @_transparent
    static func erf(_ x: Vector) -> Vector {
        let size = abs(x)
        let bounded = size.replacing(with: C.geluLimit, where: size .> C.geluLimit)
        let square = bounded * bounded
        let rest = neg(square).addingFused(bounded, bounded)
        let far = withSign(of: x, 1 - errorTail(bounded, square: square, rest: rest))
        let t = x * x
        var p = Vector(repeating: C.erfC5).addingFused(t, Vector(repeating: C.erfC6))
        p = Vector(repeating: C.erfC4).addingFused(t, p)
        p = Vector(repeating: C.erfC3).addingFused(t, p)
        p = Vector(repeating: C.erfC2).addingFused(t, p)
        p = Vector(repeating: C.erfC1).addingFused(t, p)
        p = Vector(repeating: C.erfC0).addingFused(t, p)
        return select(less(size, 1), x * p, far)
    }

    /// x Phi(x), Phi being the normal distribution, with a relative error of at most 1.3e-6 where the result is normal.
    ///
    /// By erfc, not 1 + erf, which would leave no digits of small results.
    @_transparent
    static func gelu(_ x: Vector) -> Vector {
        // Beyond the limit the result is 0 below, and x above.
        let bounded = x.replacing(with: -C.geluLimit, where: x .< -C.geluLimit)
        var size = abs(bounded)
        size = size.replacing(with: C.geluLimit, where: size .> C.geluLimit)
        let halfSize = size * 0.5
        let square = halfSize * size
        let rest = neg(square).addingFused(halfSize, size)
        let tail = errorTail(size * C.rootOfHalf, square: square, rest: rest) * 0.5
        return bounded * select(less(bounded, 0), tail, 1 - tail)
    }

    /// x / (1 + e^-u) with u = 2 (2 / pi)^(1/2) (x + 0.044715 x³): `gelu` by tanh, with a relative error of at most
    /// 1.5e-7 above 0 and 1.3e-5 from -10 to 0; below that it is 0 to within 1e-37.
    @_transparent
    static func geluTanh(_ x: Vector) -> Vector {
        let bounded = x.replacing(with: -C.geluLimit, where: x .< -C.geluLimit)
        let slope = Vector(repeating: -C.geluTanhC1)
            .addingFused(bounded * bounded, Vector(repeating: -C.geluTanhC3))
        return bounded / (exp(bounded * slope) + 1)
    }

    /// erfc a for a from 0 to 10.7, given a² as the sum of two floats.
    @_transparent
    static func errorTail(_ a: Vector, square: Vector, rest: Vector) -> Vector {
        let t = 1 / Vector(repeating: 1).addingFused(a, Vector(repeating: C.tailScale))
        var p = Vector(repeating: C.tailC8).addingFused(t, Vector(repeating: C.tailC9))
        p = Vector(repeating: C.tailC7).addingFused(t, p)
        p = Vector(repeating: C.tailC6).addingFused(t, p)
        p = Vector(repeating: C.tailC5).addingFused(t, p)
        p = Vector(repeating: C.tailC4).addingFused(t, p)
        p = Vector(repeating: C.tailC3).addingFused(t, p)
        p = Vector(repeating: C.tailC2).addingFused(t, p)
        p = Vector(repeating: C.tailC1).addingFused(t, p)
        p = Vector(repeating: C.tailC0).addingFused(t, p)
        return exp(neg(square), low: neg(rest)) * p
    }
}
