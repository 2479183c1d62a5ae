/// Natural logarithm and exponential of eight floats at once, built from separately rounded additions,
/// subtractions and multiplications and from bit operations alone, so that any IEEE 754 machine and NumPy
/// repeat them bit for bit.
///
/// The polynomials are minimax fits (Lawson's algorithm on Chebyshev nodes) made by
/// `python/oracles/fit_polynomials.py`.
enum ElementaryFunctions {
    typealias Lanes = SIMD8<Float>

    /// ln 2 in two parts. The high one has 8 significant bits, so that its product with an exponent is exact.
    private static var ln2High: Float { 0.69140625 }
    private static var ln2Low: Float { 0.0017409306 }
    private static var log2e: Float { 1.442695 }
    /// 1.5 * 2^23: adding it rounds a small float to an integer that then stands in the low bits.
    private static var roundingShift: Float { 12_582_912 }

    /// The natural logarithm of positive normal finite `x`. The error is below 0.95 units in the last place.
    ///
    /// With x = 2^n (1 + f) and 1 + f between the square roots of 1/2 and 2: ln x = n ln 2 + f - f²/2 + f³
    /// Q(f).
    @inline(__always)  // A call would pass the vectors through memory.
    static func log(_ x: Lanes) -> Lanes {
        let bits = unsafe unsafeBitCast(x, to: SIMD8<Int32>.self)
        let exponent = (bits &- SIMD8(repeating: 0x3F35_04F3)) &>> SIMD8(repeating: 23)
        let mantissa = unsafe unsafeBitCast(bits &- (exponent &<< SIMD8(repeating: 23)), to: Lanes.self)
        let n = Lanes(exponent)
        let f = mantissa - 1
        var q = Lanes(repeating: -0.07634493)
        q = q * f + 0.12761575
        q = q * f - 0.13160183
        q = q * f + 0.14201759
        q = q * f - 0.16623357
        q = q * f + 0.20001227
        q = q * f - 0.2500082
        q = q * f + 0.3333333
        let tail = (f * f) * (f * q - 0.5)
        return ((n * ln2Low + tail) + f) + n * ln2High
    }

    /// e to the power of `x`, for x from -80 to 80. The error is below 1.1 units in the last place; exp(0) is
    /// exactly 1.
    ///
    /// With x = n ln 2 + r and |r| ≤ ln 2 / 2: exp x = 2^n (1 + r + r² P(r)).
    @inline(__always)  // As above.
    static func exp(_ x: Lanes) -> Lanes {
        let shifted = x * log2e + roundingShift
        let n = shifted - roundingShift
        let r = (x - n * ln2High) - n * ln2Low
        var p = Lanes(repeating: 0.0013814467)
        p = p * r + 0.008368781
        p = p * r + 0.041668393
        p = p * r + 0.1666652
        p = p * r + 0.49999994
        let fraction = ((r * r) * p + r) + 1
        let exponent =
            unsafe unsafeBitCast(shifted, to: SIMD8<Int32>.self) &- SIMD8(repeating: 0x4B40_0000)
        let bits =
            unsafe unsafeBitCast(fraction, to: SIMD8<Int32>.self) &+ (exponent &<< SIMD8(repeating: 23))
        return unsafe unsafeBitCast(bits, to: Lanes.self)
    }
}
