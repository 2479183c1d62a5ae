internal import CPlatform

/// The functions that Swift's SIMD types lack, one vector of 8 at a time. `ScalarFunctions` does the same operations
/// in the same order, so that both give the same bits. NaN gives NaN, everywhere.
///
/// `@_transparent`, because `@inline(__always)` left four of an LSTM's five calls in its loop (Swift 6.3.1). Limits are
/// set by `replacing(with:where:)` with a constant, which becomes one `vminps` or `vmaxps` and keeps NaN;
/// `pointwiseMin` becomes a call that goes lane by lane.
///
/// The errors in the comments are the greatest that were seen over four million floats of all magnitudes and 800,000
/// from -20 to 20, rounded up.
enum VectorFunctions {
    typealias Vector = SIMD8<Float>
    typealias Integers = SIMD8<Int32>
    typealias C = FunctionConstants

    /// Tanh, absolutely within 1.7e-7 and relatively within 2e-7 of the exact value; exactly odd, within [-1, 1].
    ///
    /// With 2x · log2 e = n + r and 2^r = (A + r) / (A - r), tanh is ((A + r) 2^n - (A - r)) / ((A + r) 2^n + (A - r)).
    /// Taken apart by A and r nothing cancels, so that small results are right to the last bits too; for -x all terms
    /// change by a power of two alone, so that it is exactly odd.
    @_transparent
    static func tanh(_ value: Vector) -> Vector {
        var x = value.replacing(with: C.gateTanhLimit, where: value .> C.gateTanhLimit)
        x = x.replacing(with: -C.gateTanhLimit, where: x .< -C.gateTanhLimit)
        let magic = Vector(repeating: C.roundingMagic)
        let shifted = magic.addingFused(x, Vector(repeating: C.twoLog2e))
        let r = (magic - shifted).addingFused(x, Vector(repeating: C.twoLog2e))
        let a = fractionA(r * r)
        let power = powerOfTwo(unsafeBitCast(shifted, to: Integers.self))
        let difference = power - 1
        let sum = power + 1
        return (r * sum).addingFused(a, difference) / (r * difference).addingFused(a, sum)
    }

    /// 1 / (1 + e^-x), within 1e-7 of the exact value and between 0 and 1; relatively within 1.3e-6 from -86 on, where
    /// it ends.
    @_transparent
    static func sigmoid(_ value: Vector) -> Vector {
        var x = value.replacing(with: C.sigmoidLimit, where: value .> C.sigmoidLimit)
        x = x.replacing(with: -C.sigmoidLimit, where: x .< -C.sigmoidLimit)
        let magic = Vector(repeating: C.roundingMagic)
        let shifted = magic.addingFused(x, Vector(repeating: C.log2e))
        let r = (magic - shifted).addingFused(x, Vector(repeating: C.log2e))
        let a = fractionA(r * r)
        let raised = (a + r) * powerOfTwo(unsafeBitCast(shifted, to: Integers.self))
        return raised / (raised + (a - r))
    }

    /// e^x with a relative error of at most 8e-8, for x up to 0; e^-87 below -87. The cheaper form, for softmax.
    ///
    /// x = n · ln 2 + r; a polynomial of degree 6 in r, times 2^n.
    @_transparent
    static func expNonPositive(_ value: Vector) -> Vector {
        let x = value.replacing(with: C.expLimit, where: value .< C.expLimit)
        let (shifted, r) = reduced(x)
        return expPolynomial(r) * powerOfTwo(unsafeBitCast(shifted, to: Integers.self))
    }

    /// e^x with a relative error of at most 8e-8 where the result is normal, and right to a denormal unit below;
    /// infinity from 88.73, 0 from -104 on.
    @_transparent
    static func exp(_ value: Vector) -> Vector { exp(value, low: Vector.zero) }

    /// e^(x + low), where `low` is small against 1.
    @_transparent
    static func exp(_ value: Vector, low: Vector) -> Vector {
        var x = value.replacing(with: C.expLow, where: value .< C.expLow)
        x = x.replacing(with: C.expHigh, where: x .> C.expHigh)
        let (shifted, r) = reduced(x)
        let p = expPolynomial(r + low)
        // In two steps, because 2^n alone may be beyond the range where e^x is not.
        let n = unsafeBitCast(shifted, to: Integers.self) &- C.roundingMagicBits
        let first = n &>> 1
        return p * powerOfTwo(first) * powerOfTwo(n &- first)
    }

    /// e^x - 1 for x up to 0 with a relative error of at most 1.2e-7; -1 from -87 on.
    @_transparent
    static func expMinusOneNonPositive(_ value: Vector) -> Vector {
        let x = value.replacing(with: C.expLimit, where: value .< C.expLimit)
        let (shifted, r) = reduced(x)
        let power = powerOfTwo(unsafeBitCast(shifted, to: Integers.self))
        let p = Vector(repeating: 1).addingFused(r, expRemainder(r)) * r
        return (power - 1).addingFused(power, p)
    }

    /// The root, correctly rounded.
    @_transparent
    static func sqrt(_ x: Vector) -> Vector { martlet_square_root8(x) }

    /// A of the fraction.
    @_transparent
    static func fractionA(_ t: Vector) -> Vector {
        let a = Vector(repeating: C.fractionA1).addingFused(t, Vector(repeating: C.fractionA2))
        return Vector(repeating: C.fractionA0).addingFused(t, a)
    }

    /// 2^n of an integer from -126 to 127, in whose upper bits there may be something.
    @_transparent
    static func powerOfTwo(_ n: Integers) -> Vector {
        unsafeBitCast((n &<< 23) &+ (127 &<< 23), to: Vector.self)
    }

    /// x = n · ln 2 + r: the sum that holds n in its low bits, and r.
    @_transparent
    static func reduced(_ x: Vector) -> (shifted: Vector, rest: Vector) {
        let magic = Vector(repeating: C.roundingMagic)
        let shifted = magic.addingFused(x, Vector(repeating: C.log2e))
        let n = shifted - magic
        // Not fused: n · ln2High is exact, and the compiler keeps to vectors only this way.
        let r = x - n * C.ln2High
        return (shifted, r - n * C.ln2Low)
    }

    /// (e^r - 1 - r) / r².
    @_transparent
    static func expRemainder(_ r: Vector) -> Vector {
        var p = Vector(repeating: C.expC5).addingFused(r, Vector(repeating: C.expC6))
        p = Vector(repeating: C.expC4).addingFused(r, p)
        p = Vector(repeating: C.expC3).addingFused(r, p)
        return Vector(repeating: C.expC2).addingFused(r, p)
    }

    @_transparent
    static func expPolynomial(_ r: Vector) -> Vector {
        let one = Vector(repeating: 1)
        return one.addingFused(r, one.addingFused(r, expRemainder(r)))
    }
}

extension SIMD8<Float> {
    /// self + x y, rounded once: `addingProduct` as one instruction, which the standard library's is only where the
    /// compiler finds its eight lanes together again; in `gelu` and `pow` it did not, which took five times as long.
    @_transparent
    func addingFused(_ x: SIMD8<Float>, _ y: SIMD8<Float>) -> SIMD8<Float> { martlet_add_product8(self, x, y) }
}
