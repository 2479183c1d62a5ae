/// Logarithms and what is made of them.
extension VectorFunctions {
    /// ln x with a relative error of at most 8e-8; -infinity at 0, NaN below.
    ///
    /// x = 2^e (1 + f) with 1 + f between the root of 1/2 and that of 2, and a polynomial in f.
    @_transparent
    static func log(_ x: Vector) -> Vector {
        let (e, f) = exponentAndFraction(x)
        let half = f * f * 0.5
        let tail = (f * f * f * logPolynomial(f)).addingFused(e, Vector(repeating: C.ln2Low))
        let y = (f - (half - tail)) + e * C.ln2High
        return logSpecial(x, y)
    }

    /// ln(1 + e^x) with a relative error of at most 2.1e-7.
    ///
    /// The greater of x and 0, plus ln(1 + w) with w = e^-|x|, which is 2 artanh(w / (2 + w)).
    @_transparent
    static func softplus(_ x: Vector) -> Vector {
        let w = exp(neg(abs(x)))
        let s = w / (w + 2)
        let t = s * s
        var p = Vector(repeating: C.areaC2).addingFused(t, Vector(repeating: C.areaC3))
        p = Vector(repeating: C.areaC1).addingFused(t, p)
        p = Vector(repeating: C.areaC0).addingFused(t, p)
        let half = s.addingFused(s * t, p)
        return relu(x) + (half + half)
    }

    /// x to the power y with a relative error of at most 1.5e-6 where |y ln x| is up to 80; the special cases of IEEE
    /// 754.
    ///
    /// e^(y ln |x|), ln |x| as the sum of a float and a correction. `PowerForm` has the cheap forms of some exponents.
    @_transparent
    static func pow(_ x: Vector, _ y: Vector) -> Vector {
        let size = abs(x)
        let (high, low) = logInTwo(size)
        let product = y * high
        // What rounding the product took away, and the correction's own product; small enough for `exp`. Where the
        // exponential has ended this may be anything, NaN too.
        let correction = neg(product).addingFused(y, high).addingFused(y, low)
        let usable = select(less(abs(product), C.powLimit), correction, Vector.zero)
        let result = exp(product, low: usable)
        return powSpecial(x, y, size, result)
    }

    /// e and f of x = 2^e (1 + f); for positive numbers.
    @_transparent
    static func exponentAndFraction(_ x: Vector) -> (exponent: Vector, fraction: Vector) {
        let isSmall = less(x, Float.leastNormalMagnitude)
        let scaled = select(isSmall, x * C.twoTo23, x)
        let bits = unsafeBitCast(scaled, to: Integers.self)
        let exponent = (bits &- C.rootOfHalfBits) &>> 23
        let mantissa = unsafeBitCast(bits &- (exponent &<< 23), to: Vector.self)
        let e = Vector(exponent)
        return (select(isSmall, e - 23, e), mantissa - 1)
    }

    /// (ln(1 + f) - f + f²/2) / f³.
    @_transparent
    static func logPolynomial(_ f: Vector) -> Vector {
        var q = Vector(repeating: C.logC9).addingFused(f, Vector(repeating: C.logC10))
        q = Vector(repeating: C.logC8).addingFused(f, q)
        q = Vector(repeating: C.logC7).addingFused(f, q)
        q = Vector(repeating: C.logC6).addingFused(f, q)
        q = Vector(repeating: C.logC5).addingFused(f, q)
        q = Vector(repeating: C.logC4).addingFused(f, q)
        return Vector(repeating: C.logC3).addingFused(f, q)
    }

    @_transparent
    static func logSpecial(_ x: Vector, _ y: Vector) -> Vector {
        var result = select(less(x, .infinity), y, x)
        result = select(less(x, 0), Vector(repeating: .nan), result)
        return select(equal(x, 0), Vector(repeating: -.infinity), result)
    }

    /// ln x as the sum of two floats, for x >= 0: what is rounded off at each step goes into the second one.
    @_transparent
    static func logInTwo(_ x: Vector) -> (high: Vector, low: Vector) {
        let (e, f) = exponentAndFraction(x)
        let halfF = f * 0.5
        let half = halfF * f
        let halfRest = (Vector.zero - half).addingFused(halfF, f)
        let first = f - half
        let firstRest = ((f - first) - half) - halfRest
        let tail = (f * f * f * logPolynomial(f)).addingFused(e, Vector(repeating: C.ln2Low))
        let scaled = e * C.ln2High
        let high = scaled + first
        // Where e is not 0 its term is the greater one; where it is, this is 0.
        let rest = (scaled - high) + first
        let low = rest + (firstRest + tail)
        let whole = high + low
        return (logSpecial(x, whole), (high - whole) + low)
    }

    @_transparent
    static func powSpecial(_ x: Vector, _ y: Vector, _ size: Vector, _ value: Vector) -> Vector {
        // Adding 2^23 rounds to an integer; from there on all floats are.
        let magic = Vector(repeating: C.twoTo23)
        let exponent = abs(y)
        let isInteger = equal((exponent + magic) - magic, exponent) | ~less(exponent, C.twoTo23)
        let half = exponent * 0.5
        let isOdd = isInteger & ~equal((half + magic) - magic, half) & less(half, C.twoTo23)
        let isInvalid = less(x, 0) & ~isInteger & less(size, .infinity)
        var result = select(isInvalid, Vector(repeating: .nan), value)
        result = select(isOdd & unsafeBitCast(x, to: Integers.self), neg(result), result)
        // 1 to any power, any number to 0, and -1 to an infinite power.
        let isOne = (equal(size, 1) & equal(exponent, .infinity)) | equal(x, 1) | equal(y, 0)
        return select(isOne, Vector(repeating: 1), result)
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
