/// The error function and the activations made of it.
extension VectorFunctions {
    /// erf x with a relative error of at most 3e-7; odd, within [-1, 1].
    ///
    /// Up to 1 a polynomial in x², beyond it 1 - erfc |x|.
    @_transparent
    static func erf(_ x: Vector) -> Vector {
        let size = abs(x)
        let bounded = size.replacing(with: C.geluLimit, where: size .> C.geluLimit)
        let square = bounded * bounded
        let rest = neg(square).addingProduct(bounded, bounded)
        let far = withSign(of: x, 1 - errorTail(bounded, square: square, rest: rest))
        let t = x * x
        var p = Vector(repeating: C.erfC5).addingProduct(t, Vector(repeating: C.erfC6))
        p = Vector(repeating: C.erfC4).addingProduct(t, p)
        p = Vector(repeating: C.erfC3).addingProduct(t, p)
        p = Vector(repeating: C.erfC2).addingProduct(t, p)
        p = Vector(repeating: C.erfC1).addingProduct(t, p)
        p = Vector(repeating: C.erfC0).addingProduct(t, p)
        return far.replacing(with: x * p, where: size .< 1)
    }

    /// x Phi(x), Phi being the normal distribution, with a relative error of at most 1e-6 where the result is normal.
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
        let rest = neg(square).addingProduct(halfSize, size)
        let tail = errorTail(size * C.rootOfHalf, square: square, rest: rest) * 0.5
        let probability = (1 - tail).replacing(with: tail, where: bounded .< 0)
        return bounded * probability
    }

    /// x / (1 + e^-u) with u = 2 (2 / pi)^(1/2) (x + 0.044715 x³): `gelu` by tanh, with a relative error of at most 1e-5,
    /// absolutely within 5e-7.
    @_transparent
    static func geluTanh(_ x: Vector) -> Vector {
        let bounded = x.replacing(with: -C.geluLimit, where: x .< -C.geluLimit)
        let slope = Vector(repeating: -C.geluTanhC1)
            .addingProduct(bounded * bounded, Vector(repeating: -C.geluTanhC3))
        return bounded / (exp(bounded * slope) + 1)
    }

    /// erfc a for a from 0 to 10.7, given a² as the sum of two floats.
    @_transparent
    static func errorTail(_ a: Vector, square: Vector, rest: Vector) -> Vector {
        let t = 1 / Vector(repeating: 1).addingProduct(a, Vector(repeating: C.tailScale))
        var p = Vector(repeating: C.tailC8).addingProduct(t, Vector(repeating: C.tailC9))
        p = Vector(repeating: C.tailC7).addingProduct(t, p)
        p = Vector(repeating: C.tailC6).addingProduct(t, p)
        p = Vector(repeating: C.tailC5).addingProduct(t, p)
        p = Vector(repeating: C.tailC4).addingProduct(t, p)
        p = Vector(repeating: C.tailC3).addingProduct(t, p)
        p = Vector(repeating: C.tailC2).addingProduct(t, p)
        p = Vector(repeating: C.tailC1).addingProduct(t, p)
        p = Vector(repeating: C.tailC0).addingProduct(t, p)
        return exp(neg(square), low: neg(rest)) * p
    }
}
