/// The plain twins of `VectorFunctions`, which has the comments.
enum ScalarFunctions {
    typealias C = FunctionConstants

    static func tanh(_ value: Float) -> Float {
        var x = value > C.gateTanhLimit ? C.gateTanhLimit : value
        x = x < -C.gateTanhLimit ? -C.gateTanhLimit : x
        let shifted = C.roundingMagic.addingProduct(x, C.twoLog2e)
        let r = (C.roundingMagic - shifted).addingProduct(x, C.twoLog2e)
        let a = fractionA(r * r)
        let power = powerOfTwo(Int32(bitPattern: shifted.bitPattern))
        let difference = power - 1
        let sum = power + 1
        return (r * sum).addingProduct(a, difference) / (r * difference).addingProduct(a, sum)
    }

    static func sigmoid(_ value: Float) -> Float {
        var x = value > C.sigmoidLimit ? C.sigmoidLimit : value
        x = x < -C.sigmoidLimit ? -C.sigmoidLimit : x
        let shifted = C.roundingMagic.addingProduct(x, C.log2e)
        let r = (C.roundingMagic - shifted).addingProduct(x, C.log2e)
        let a = fractionA(r * r)
        let raised = (a + r) * powerOfTwo(Int32(bitPattern: shifted.bitPattern))
        return raised / (raised + (a - r))
    }

    static func expNonPositive(_ value: Float) -> Float {
        let x = value < C.expLimit ? C.expLimit : value
        let (shifted, r) = reduced(x)
        return expPolynomial(r) * powerOfTwo(Int32(bitPattern: shifted.bitPattern))
    }

    static func exp(_ value: Float) -> Float { exp(value, low: 0) }

    static func exp(_ value: Float, low: Float) -> Float {
        var x = value < C.expLow ? C.expLow : value
        x = x > C.expHigh ? C.expHigh : x
        let (shifted, r) = reduced(x)
        let p = expPolynomial(r + low)
        let n = Int32(bitPattern: shifted.bitPattern) &- C.roundingMagicBits
        let first = n &>> 1
        return p * powerOfTwo(first) * powerOfTwo(n &- first)
    }

    static func expMinusOneNonPositive(_ value: Float) -> Float {
        let x = value < C.expLimit ? C.expLimit : value
        let (shifted, r) = reduced(x)
        let power = powerOfTwo(Int32(bitPattern: shifted.bitPattern))
        let p = Float(1).addingProduct(r, expRemainder(r)) * r
        return (power - 1).addingProduct(power, p)
    }

    static func sqrt(_ x: Float) -> Float { x.squareRoot() }

    private static func fractionA(_ t: Float) -> Float {
        C.fractionA0.addingProduct(t, C.fractionA1.addingProduct(t, C.fractionA2))
    }

    private static func powerOfTwo(_ n: Int32) -> Float {
        Float(bitPattern: UInt32(bitPattern: (n &<< 23) &+ (127 &<< 23)))
    }

    private static func reduced(_ x: Float) -> (shifted: Float, rest: Float) {
        let shifted = C.roundingMagic.addingProduct(x, C.log2e)
        let n = shifted - C.roundingMagic
        let r = x - n * C.ln2High
        return (shifted, r - n * C.ln2Low)
    }

    private static func expRemainder(_ r: Float) -> Float {
        var p = C.expC5.addingProduct(r, C.expC6)
        p = C.expC4.addingProduct(r, p)
        p = C.expC3.addingProduct(r, p)
        p = C.expC2.addingProduct(r, p)
        return p
    }

    private static func expPolynomial(_ r: Float) -> Float {
        Float(1).addingProduct(r, Float(1).addingProduct(r, expRemainder(r)))
    }
}

extension ScalarFunctions {
    static func log(_ x: Float) -> Float {
        let (e, f) = exponentAndFraction(x)
        let half = f * f * 0.5
        let tail = (f * f * f * logPolynomial(f)).addingProduct(e, C.ln2Low)
        let y = (f - (half - tail)) + e * C.ln2High
        return logSpecial(x, y)
    }

    static func softplus(_ x: Float) -> Float {
        let w = exp(-abs(x))
        let s = w / (w + 2)
        let t = s * s
        var p = C.areaC2.addingProduct(t, C.areaC3)
        p = C.areaC1.addingProduct(t, p)
        p = C.areaC0.addingProduct(t, p)
        let half = s.addingProduct(s * t, p)
        return relu(x) + (half + half)
    }

    static func pow(_ x: Float, _ y: Float) -> Float {
        let (high, low) = logInTwo(abs(x))
        let product = y * high
        let correction = (-product).addingProduct(y, high).addingProduct(y, low)
        let usable = abs(product) < C.powLimit ? correction : 0
        return powSpecial(x, y, exp(product, low: usable))
    }

    private static func exponentAndFraction(_ x: Float) -> (exponent: Float, fraction: Float) {
        let isSmall = x < Float.leastNormalMagnitude
        let bits = Int32(bitPattern: (isSmall ? x * C.twoTo23 : x).bitPattern)
        let exponent = (bits &- C.rootOfHalfBits) &>> 23
        let mantissa = Float(bitPattern: UInt32(bitPattern: bits &- (exponent &<< 23)))
        return (isSmall ? Float(exponent) - 23 : Float(exponent), mantissa - 1)
    }

    private static func logPolynomial(_ f: Float) -> Float {
        var p = C.logC9.addingProduct(f, C.logC10)
        p = C.logC8.addingProduct(f, p)
        p = C.logC7.addingProduct(f, p)
        p = C.logC6.addingProduct(f, p)
        p = C.logC5.addingProduct(f, p)
        p = C.logC4.addingProduct(f, p)
        p = C.logC3.addingProduct(f, p)
        return p
    }

    private static func logSpecial(_ x: Float, _ y: Float) -> Float {
        if x == 0 { return -.infinity }
        if x < 0 { return .nan }
        return x < .infinity ? y : x
    }

    private static func logInTwo(_ x: Float) -> (high: Float, low: Float) {
        let (e, f) = exponentAndFraction(x)
        let halfF = f * 0.5
        let half = halfF * f
        let halfRest = (0 - half).addingProduct(halfF, f)
        let first = f - half
        let firstRest = ((f - first) - half) - halfRest
        let tail = (f * f * f * logPolynomial(f)).addingProduct(e, C.ln2Low)
        let scaled = e * C.ln2High
        let high = scaled + first
        let rest = (scaled - high) + first
        let low = rest + (firstRest + tail)
        let whole = high + low
        return (logSpecial(x, whole), (high - whole) + low)
    }

    private static func powSpecial(_ x: Float, _ y: Float, _ value: Float) -> Float {
        if x == 1 || y == 0 { return 1 }
        if abs(x) == 1, y.isInfinite { return 1 }
        let exponent = abs(y)
        let isInteger = exponent >= C.twoTo23 || (exponent + C.twoTo23) - C.twoTo23 == exponent
        if x < 0, !isInteger, abs(x) < .infinity { return .nan }
        let half = exponent * 0.5
        let isOdd = isInteger && half < C.twoTo23 && (half + C.twoTo23) - C.twoTo23 != half
        return isOdd && x.sign == .minus ? -value : value
    }
}

extension ScalarFunctions {
    static func erf(_ x: Float) -> Float {
        let size = abs(x)
        if size < 1 {
            let t = x * x
            var p = C.erfC5.addingProduct(t, C.erfC6)
            p = C.erfC4.addingProduct(t, p)
            p = C.erfC3.addingProduct(t, p)
            p = C.erfC2.addingProduct(t, p)
            p = C.erfC1.addingProduct(t, p)
            p = C.erfC0.addingProduct(t, p)
            return x * p
        }
        let bounded = size > C.geluLimit ? C.geluLimit : size
        let square = bounded * bounded
        let far = 1 - errorTail(bounded, square: square, rest: (-square).addingProduct(bounded, bounded))
        return x.sign == .minus ? -far : far
    }

    static func gelu(_ x: Float) -> Float {
        let bounded = x < -C.geluLimit ? -C.geluLimit : x
        let size = abs(bounded) > C.geluLimit ? C.geluLimit : abs(bounded)
        let halfSize = size * 0.5
        let square = halfSize * size
        let rest = (-square).addingProduct(halfSize, size)
        let tail = errorTail(size * C.rootOfHalf, square: square, rest: rest) * 0.5
        return bounded * (bounded < 0 ? tail : 1 - tail)
    }

    static func geluTanh(_ x: Float) -> Float {
        let bounded = x < -C.geluLimit ? -C.geluLimit : x
        let slope = (-C.geluTanhC1).addingProduct(bounded * bounded, -C.geluTanhC3)
        return bounded / (exp(bounded * slope) + 1)
    }

    private static func errorTail(_ a: Float, square: Float, rest: Float) -> Float {
        let t = 1 / Float(1).addingProduct(a, C.tailScale)
        var p = C.tailC8.addingProduct(t, C.tailC9)
        p = C.tailC7.addingProduct(t, p)
        p = C.tailC6.addingProduct(t, p)
        p = C.tailC5.addingProduct(t, p)
        p = C.tailC4.addingProduct(t, p)
        p = C.tailC3.addingProduct(t, p)
        p = C.tailC2.addingProduct(t, p)
        p = C.tailC1.addingProduct(t, p)
        p = C.tailC0.addingProduct(t, p)
        return exp(-square, low: -rest) * p
    }
}

extension ScalarFunctions {
    static func abs(_ x: Float) -> Float { x.magnitude }
    static func neg(_ x: Float) -> Float { -x }
    static func reciprocal(_ x: Float) -> Float { 1 / x }
    static func square(_ x: Float) -> Float { x * x }
    static func cube(_ x: Float) -> Float { x * x * x }
    static func root(_ x: Float) -> Float { x == -.infinity ? .infinity : sqrt(x + 0) }
    static func relu(_ x: Float) -> Float { x < 0 ? 0 : x }

    static func clip(_ x: Float, _ low: Float, _ high: Float) -> Float {
        let raised = x < low ? low : x
        return raised > high ? high : raised
    }

    static func leakyRelu(_ x: Float, _ alpha: Float) -> Float { x < 0 ? x * alpha : x }
    static func elu(_ x: Float, _ alpha: Float) -> Float { x < 0 ? expMinusOneNonPositive(x) * alpha : x }

    static func hardSigmoid(_ x: Float, _ alpha: Float, _ beta: Float) -> Float {
        clip(beta.addingProduct(x, alpha), 0, 1)
    }

    static func apply(_ function: Activation, _ x: Float) -> Float {
        switch function {
        case .identity: return x
        case .relu: return relu(x)
        case .tanh: return tanh(x)
        case .sigmoid: return sigmoid(x)
        case .clip(let low, let high): return clip(x, low, high)
        case .leakyRelu(let slope): return leakyRelu(x, slope)
        case .elu(let alpha): return elu(x, alpha)
        case .hardSigmoid(let alpha, let beta): return hardSigmoid(x, alpha, beta)
        case .softplus: return softplus(x)
        case .gelu: return gelu(x)
        case .geluTanh: return geluTanh(x)
        case .erf: return erf(x)
        case .exp: return exp(x)
        case .sqrt: return sqrt(x)
        case .root: return root(x)
        case .negative: return neg(x)
        case .reciprocal: return reciprocal(x)
        case .square: return square(x)
        case .power(let exponent): return pow(x, exponent)
        }
    }
}
