/// The functions that Swift's SIMD types lack, one vector of 8 at a time. `ScalarFunctions` does the same operations
/// in the same order, so that both give the same bits.
///
/// `@_transparent`, because `@inline(__always)` left four of an LSTM's five calls in its loop (Swift 6.3.1).
enum VectorFunctions {
    /// Tanh within 3.5e-7 of the exact value; 0 at 0, odd, within [-1, 1].
    ///
    /// x · P(x²) / Q(x²), both of degree 4, fitted to a relative error of 2.1e-8 on [-9, 9]; beyond it tanh is 1 to
    /// within half a unit in the last place. All coefficients are positive, so that no term cancels another.
    @_transparent
    static func tanh(_ value: SIMD8<Float>) -> SIMD8<Float> {
        typealias C = FunctionConstants
        var x = value.replacing(with: C.tanhLimit, where: value .> C.tanhLimit)
        x = x.replacing(with: -C.tanhLimit, where: x .< -C.tanhLimit)
        let t = x * x
        var p = SIMD8<Float>(repeating: C.tanhP3).addingProduct(t, SIMD8(repeating: C.tanhP4))
        p = SIMD8<Float>(repeating: C.tanhP2).addingProduct(t, p)
        p = SIMD8<Float>(repeating: C.tanhP1).addingProduct(t, p)
        p = SIMD8<Float>(repeating: C.tanhP0).addingProduct(t, p)
        var q = SIMD8<Float>(repeating: C.tanhQ3).addingProduct(t, SIMD8(repeating: C.tanhQ4))
        q = SIMD8<Float>(repeating: C.tanhQ2).addingProduct(t, q)
        q = SIMD8<Float>(repeating: C.tanhQ1).addingProduct(t, q)
        q = SIMD8<Float>(repeating: 1).addingProduct(t, q)
        let y = x * p / q
        let high = y.replacing(with: 1, where: y .> 1)
        return high.replacing(with: -1, where: high .< -1)
    }

    /// 1 / (1 + e^-x) within 2e-7 of the exact value: 1/2 + tanh(x / 2) / 2.
    @_transparent
    static func sigmoid(_ x: SIMD8<Float>) -> SIMD8<Float> {
        let half = SIMD8<Float>(repeating: 0.5)
        return half.addingProduct(half, tanh(x * half))
    }

    /// e^x with a relative error of at most 1e-7, for x up to 0; e^-87 below -87.
    ///
    /// x = n · ln 2 + r; a polynomial of degree 6 in r, fitted to 3.1e-9, then n is added to the exponent.
    @_transparent
    static func exp(_ value: SIMD8<Float>) -> SIMD8<Float> {
        typealias C = FunctionConstants
        let x = value.replacing(with: C.expLimit, where: value .< C.expLimit)
        // Adding 1.5 · 2^23 leaves the nearest integer in the low bits.
        let magic = SIMD8<Float>(repeating: C.roundingMagic)
        let shifted = magic.addingProduct(x, SIMD8(repeating: C.log2e))
        let n = shifted - magic
        // Not fused: n · ln2High is exact, and the compiler keeps to vectors only this way.
        var r = x - n * C.ln2High
        r = r - n * C.ln2Low
        var p = SIMD8<Float>(repeating: C.expC5).addingProduct(r, SIMD8(repeating: C.expC6))
        p = SIMD8<Float>(repeating: C.expC4).addingProduct(r, p)
        p = SIMD8<Float>(repeating: C.expC3).addingProduct(r, p)
        p = SIMD8<Float>(repeating: C.expC2).addingProduct(r, p)
        p = SIMD8<Float>(repeating: 1).addingProduct(r, p)
        p = SIMD8<Float>(repeating: 1).addingProduct(r, p)
        let exponent = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &<< 23
        return unsafeBitCast(unsafeBitCast(p, to: SIMD8<Int32>.self) &+ exponent, to: SIMD8<Float>.self)
    }
}

/// The plain twins of `VectorFunctions`.
enum ScalarFunctions {
    static func tanh(_ value: Float) -> Float {
        typealias C = FunctionConstants
        var x = value > C.tanhLimit ? C.tanhLimit : value
        x = x < -C.tanhLimit ? -C.tanhLimit : x
        let t = x * x
        var p = C.tanhP3.addingProduct(t, C.tanhP4)
        p = C.tanhP2.addingProduct(t, p)
        p = C.tanhP1.addingProduct(t, p)
        p = C.tanhP0.addingProduct(t, p)
        var q = C.tanhQ3.addingProduct(t, C.tanhQ4)
        q = C.tanhQ2.addingProduct(t, q)
        q = C.tanhQ1.addingProduct(t, q)
        q = Float(1).addingProduct(t, q)
        let y = x * p / q
        return y > 1 ? 1 : (y < -1 ? -1 : y)
    }

    static func sigmoid(_ x: Float) -> Float {
        Float(0.5).addingProduct(0.5, tanh(x * 0.5))
    }

    static func exp(_ value: Float) -> Float {
        typealias C = FunctionConstants
        let x = value < C.expLimit ? C.expLimit : value
        let shifted = C.roundingMagic.addingProduct(x, C.log2e)
        let n = shifted - C.roundingMagic
        var r = x - n * C.ln2High
        r = r - n * C.ln2Low
        var p = C.expC5.addingProduct(r, C.expC6)
        p = C.expC4.addingProduct(r, p)
        p = C.expC3.addingProduct(r, p)
        p = C.expC2.addingProduct(r, p)
        p = Float(1).addingProduct(r, p)
        p = Float(1).addingProduct(r, p)
        return Float(bitPattern: p.bitPattern &+ shifted.bitPattern &<< 23)
    }

    static func apply(_ function: Activation, _ x: Float) -> Float {
        switch function {
        case .identity: return x
        case .relu: return x < 0 ? 0 : x
        case .tanh: return tanh(x)
        case .sigmoid: return sigmoid(x)
        case .clip(let low, let high):
            let raised = x < low ? low : x
            return raised > high ? high : raised
        }
    }
}

/// Coefficients. Computed properties, because a stored global would be initialised under a check at each use.
enum FunctionConstants {
    @inline(__always) static var tanhLimit: Float { 9 }
    @inline(__always) static var tanhP0: Float { 0.9999999794650458 }
    @inline(__always) static var tanhP1: Float { 0.13381021394741108 }
    @inline(__always) static var tanhP2: Float { 0.0034955830919659483 }
    @inline(__always) static var tanhP3: Float { 2.0609000641731597e-05 }
    @inline(__always) static var tanhP4: Float { 1.3354552318772486e-08 }
    @inline(__always) static var tanhQ1: Float { 0.46714336990205607 }
    @inline(__always) static var tanhQ2: Float { 0.025876963015959997 }
    @inline(__always) static var tanhQ3: Float { 0.0003285626622534339 }
    @inline(__always) static var tanhQ4: Float { 7.776512684868578e-07 }

    @inline(__always) static var expLimit: Float { -87 }
    @inline(__always) static var roundingMagic: Float { 12_582_912 }
    @inline(__always) static var log2e: Float { 1.44269504088896341 }
    /// The upper bits of ln 2, so that a multiple of up to 2^8 is exact.
    @inline(__always) static var ln2High: Float { 0.693145751953125 }
    @inline(__always) static var ln2Low: Float { 1.42860682030941723e-6 }
    @inline(__always) static var expC2: Float { 0.4999999345169722 }
    @inline(__always) static var expC3: Float { 0.16666520689809394 }
    @inline(__always) static var expC4: Float { 0.04166838736353548 }
    @inline(__always) static var expC5: Float { 0.00836870982633119 }
    @inline(__always) static var expC6: Float { 0.0013814613148505676 }
}
