/// Coefficients, fitted by python/oracles/fit_polynomials.py. Computed properties, because a stored global would be
/// initialised under a check at each use.
enum FunctionConstants {
    // 2^r = (A(r²) + r) / (A(r²) - r) for |r| <= 1/2. The short A is for the gates, off by 4.4e-7 of the result at
    // most; the long one by 3.1e-10.
    @inline(__always) static var gateA0: Float { 2.8854082 }
    @inline(__always) static var gateA1: Float { 0.11523607 }
    @inline(__always) static var fractionA0: Float { 2.88539 }
    @inline(__always) static var fractionA1: Float { 0.11552396 }
    @inline(__always) static var fractionA2: Float { -0.0009204538 }
    /// 2 · log2 e.
    @inline(__always) static var twoLog2e: Float { 2.88539008177792681 }
    @inline(__always) static var log2e: Float { 1.44269504088896341 }
    /// Where the gates saturate: e^18 is 6.6e7, so that the product of three denominators and a cell of up to 1e12
    /// stays finite, and a sigmoid ends 1.5e-8 from its limit.
    @inline(__always) static var gateSigmoidLimit: Float { 18 }
    @inline(__always) static var gateTanhLimit: Float { 9 }
    /// 2^125 is as far as the fraction of a sigmoid stays finite.
    @inline(__always) static var sigmoidLimit: Float { 86.5 }

    // e^r for |r| <= ln 2 / 2; the first two coefficients are 1.
    @inline(__always) static var expC2: Float { 0.49999994 }
    @inline(__always) static var expC3: Float { 0.1666652 }
    @inline(__always) static var expC4: Float { 0.041668393 }
    @inline(__always) static var expC5: Float { 0.008368781 }
    @inline(__always) static var expC6: Float { 0.0013814467 }
    /// Below it the exponential that knows no denormals ends.
    @inline(__always) static var expLimit: Float { -87 }
    /// Below it e^x rounds to 0, and above the other one to infinity.
    @inline(__always) static var expLow: Float { -104 }
    @inline(__always) static var expHigh: Float { 89 }
    /// From here on a power is 0 or infinite, whatever its exponent's last bits.
    @inline(__always) static var powLimit: Float { 110 }
    /// 1.5 · 2^23: adding it leaves the nearest integer in the low bits.
    @inline(__always) static var roundingMagic: Float { 12_582_912 }
    @inline(__always) static var roundingMagicBits: Int32 { 0x4B40_0000 }
    /// The upper bits of ln 2, so that a multiple of up to 2^8 is exact.
    @inline(__always) static var ln2High: Float { 0.693145751953125 }
    @inline(__always) static var ln2Low: Float { 1.42860682030941723e-6 }

    // ln(1 + f) = f - f²/2 + f³ (C3 + C4 f + ...) for 1 + f between the root of 1/2 and that of 2.
    @inline(__always) static var logC3: Float { 0.3333333 }
    @inline(__always) static var logC4: Float { -0.2500082 }
    @inline(__always) static var logC5: Float { 0.20001227 }
    @inline(__always) static var logC6: Float { -0.16623357 }
    @inline(__always) static var logC7: Float { 0.14201759 }
    @inline(__always) static var logC8: Float { -0.13160183 }
    @inline(__always) static var logC9: Float { 0.12761575 }
    @inline(__always) static var logC10: Float { -0.07634493 }
    /// The bits of the root of 1/2.
    @inline(__always) static var rootOfHalfBits: Int32 { 0x3F35_04F3 }
    @inline(__always) static var twoTo23: Float { 8_388_608 }

    // artanh(s) = s + s³ (C0 + C1 s² + ...) for s up to 1/3.
    @inline(__always) static var areaC0: Float { 0.33333206 }
    @inline(__always) static var areaC1: Float { 0.2001085 }
    @inline(__always) static var areaC2: Float { 0.13999571 }
    @inline(__always) static var areaC3: Float { 0.1401223 }

    // erf(x) = x (C0 + C1 x² + ...) for |x| up to 1.
    @inline(__always) static var erfC0: Float { 1.1283791 }
    @inline(__always) static var erfC1: Float { -0.37612626 }
    @inline(__always) static var erfC2: Float { 0.112835854 }
    @inline(__always) static var erfC3: Float { -0.026853813 }
    @inline(__always) static var erfC4: Float { 0.0051883277 }
    @inline(__always) static var erfC5: Float { -0.00080101937 }
    @inline(__always) static var erfC6: Float { 7.853861e-05 }

    // erfc(a) = e^(-a²) (C0 + C1 t + ...) with t = 1 / (1 + 0.4 a), for a from 0 to 10.7.
    @inline(__always) static var tailScale: Float { 0.4 }
    @inline(__always) static var tailC0: Float { 2.0719885e-05 }
    @inline(__always) static var tailC1: Float { 0.22519746 }
    @inline(__always) static var tailC2: Float { 0.23036405 }
    @inline(__always) static var tailC3: Float { 0.18221007 }
    @inline(__always) static var tailC4: Float { 0.2542936 }
    @inline(__always) static var tailC5: Float { -0.040984146 }
    @inline(__always) static var tailC6: Float { 0.24163477 }
    @inline(__always) static var tailC7: Float { -0.03737063 }
    @inline(__always) static var tailC8: Float { -0.08622359 }
    @inline(__always) static var tailC9: Float { 0.03085773 }
    @inline(__always) static var rootOfHalf: Float { 0.70710678118654752 }
    /// A normal variable is below -15 with a probability that rounds to 0.
    @inline(__always) static var geluLimit: Float { 15 }
    /// 2 · the root of 2 / pi, and 0.044715 times that.
    @inline(__always) static var geluTanhC1: Float { 1.5957691216057308 }
    @inline(__always) static var geluTanhC3: Float { 0.07135481627260025 }
}
