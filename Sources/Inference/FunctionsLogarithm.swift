/// Logarithms and what is made of them.
extension VectorFunctions {
    /// ln x within 1 unit in the last place; -infinity at 0, NaN below.
    ///
    /// x = 2^e (1 + f) with 1 + f between the root of 1/2 and that of 2, and a polynomial in f.
    @_transparent
    static func log(_ x: Vector) -> Vector {
        let (e, f) = exponentAndFraction(x)
        let half = f * f * 0.5
        let tail = (f * f * f * logPolynomial(f)).addingProduct(e, Vector(repeating: C.ln2Low))
        let y = (f - (half - tail)) + e * C.ln2High
        return logSpecial(x, y)
    }

    /// ln(1 + e^x) with a relative error of at most 3e-7.
    ///
    /// The greater of x and 0, plus ln(1 + w) with w = e^-|x|, which is 2 artanh(w / (2 + w)).
    @_transparent
    static func softplus(_ x: Vector) -> Vector {
        let w = exp(neg(abs(x)))
        let s = w / (w + 2)
        let t = s * s
        var p = Vector(repeating: C.areaC2).addingProduct(t, Vector(repeating: C.areaC3))
        p = Vector(repeating: C.areaC1).addingProduct(t, p)
        p = Vector(repeating: C.areaC0).addingProduct(t, p)
        let half = s.addingProduct(s * t, p)
        return relu(x) + (half + half)
    }

    /// x to the power y with a relative error of at most 1e-6 where |y ln x| is up to 80; the special cases of IEEE 754.
    ///
    /// e^(y ln |x|), ln |x| as the sum of a float and a correction. `PowerForm` has the cheap forms of some exponents.
    @_transparent
    static func pow(_ x: Vector, _ y: Vector) -> Vector {
        let size = abs(x)
        let (high, low) = logInTwo(size)
        let product = y * high
        // What rounding the product took away, and the correction's own product. Where the product is infinite this is
        // NaN, where it is enormous this may be too; there the exponential has ended.
        let correction = neg(product).addingProduct(y, high).addingProduct(y, low)
        let usable = correction.replacing(with: 0, where: .!(abs(correction) .< 1))
        let result = exp(product, low: usable)
        return powSpecial(x, y, size, result)
    }

    /// e and f of x = 2^e (1 + f); for positive numbers.
    @_transparent
    static func exponentAndFraction(_ x: Vector) -> (exponent: Vector, fraction: Vector) {
        let isSmall = x .< Float.leastNormalMagnitude
        let scaled = x.replacing(with: x * C.twoTo23, where: isSmall)
        let bits = unsafeBitCast(scaled, to: Integers.self)
        let exponent = (bits &- C.rootOfHalfBits) &>> 23
        let mantissa = unsafeBitCast(bits &- (exponent &<< 23), to: Vector.self)
        let e = Vector(exponent)
        return (e.replacing(with: e - 23, where: isSmall), mantissa - 1)
    }

    /// (ln(1 + f) - f + f²/2) / f³.
    @_transparent
    static func logPolynomial(_ f: Vector) -> Vector {
        var q = Vector(repeating: C.logC9).addingProduct(f, Vector(repeating: C.logC10))
        q = Vector(repeating: C.logC8).addingProduct(f, q)
        q = Vector(repeating: C.logC7).addingProduct(f, q)
        q = Vector(repeating: C.logC6).addingProduct(f, q)
        q = Vector(repeating: C.logC5).addingProduct(f, q)
        q = Vector(repeating: C.logC4).addingProduct(f, q)
        return Vector(repeating: C.logC3).addingProduct(f, q)
    }

    @_transparent
    static func logSpecial(_ x: Vector, _ y: Vector) -> Vector {
        var result = y.replacing(with: x, where: .!(x .< Float.infinity))
        result = result.replacing(with: .nan, where: x .< 0)
        return result.replacing(with: -.infinity, where: x .== 0)
    }

    /// ln x as the sum of two floats, for x >= 0: what is rounded off at each step goes into the second one.
    @_transparent
    static func logInTwo(_ x: Vector) -> (high: Vector, low: Vector) {
        let (e, f) = exponentAndFraction(x)
        let halfF = f * 0.5
        let half = halfF * f
        let halfRest = (Vector.zero - half).addingProduct(halfF, f)
        let first = f - half
        let firstRest = ((f - first) - half) - halfRest
        let tail = (f * f * f * logPolynomial(f)).addingProduct(e, Vector(repeating: C.ln2Low))
        let scaled = e * C.ln2High
        let high = scaled + first
        // Where e is not 0 its term is the greater one; where it is, this is 0.
        let rest = (scaled - high) + first
        return (logSpecial(x, high), rest + (firstRest + tail))
    }

    @_transparent
    static func powSpecial(_ x: Vector, _ y: Vector, _ size: Vector, _ value: Vector) -> Vector {
        // Adding 2^23 rounds to an integer; from there on all floats are.
        let exponent = abs(y)
        let isInteger = ((exponent + C.twoTo23) - C.twoTo23 .== exponent) .| (exponent .>= C.twoTo23)
        let half = exponent * 0.5
        let isOdd = isInteger .& ((half + C.twoTo23) - C.twoTo23 .!= half) .& (half .< C.twoTo23)
        var result = value.replacing(with: .nan, where: (x .< 0) .& .!isInteger .& (size .< Float.infinity))
        let isNegative = unsafeBitCast(x, to: Integers.self) .< 0
        result = result.replacing(with: neg(result), where: isOdd .& isNegative)
        // 1 to any power and -1 to an infinite one.
        result = result.replacing(with: 1, where: (size .== 1) .& (exponent .== Float.infinity))
        return result.replacing(with: 1, where: (x .== 1) .| (y .== 0))
    }
}

/// A constant exponent whose power has a cheap and exact or correctly rounded form.
enum PowerForm: Equatable {
    case identity
    case square
    case cube
    case root
    case reciprocal
    case general

    init(exponent: Float) {
        switch exponent {
        case 1: self = .identity
        case 2: self = .square
        case 3: self = .cube
        case 0.5: self = .root
        case -1: self = .reciprocal
        default: self = .general
        }
    }
}
