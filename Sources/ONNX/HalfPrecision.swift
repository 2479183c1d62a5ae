/// The two 16-bit floats of the specification. Their values are held as `Float`, which has all of them; Swift's own
/// `Float16` is not there on every platform, and it has no bfloat16.
extension Float {
    /// The value of IEEE's binary16 with these bits. Every NaN becomes `Float.nan`.
    public init(float16BitPattern bits: UInt16) {
        let exponent = Int(bits >> 10 & 0x1F)
        let fraction = Float(bits & 0x3FF)
        let magnitude: Float =
            switch exponent {
            case 0: fraction * 0x1p-24
            case 0x1F: fraction == 0 ? .infinity : .nan
            default: Float(sign: .plus, exponent: exponent - 25, significand: fraction + 0x400)
            }
        self = bits >> 15 == 1 && !magnitude.isNaN ? -magnitude : magnitude
    }

    /// The value of bfloat16 with these bits: the upper half of a `Float`.
    public init(bfloat16BitPattern bits: UInt16) {
        self.init(bitPattern: UInt32(bits) << 16)
    }

    /// The bits of IEEE's binary16 for a value that it has.
    var float16BitPattern: UInt16 {
        let sign = UInt16(truncatingIfNeeded: bitPattern >> 31) << 15
        if isNaN { return sign | 0x7E00 }
        if isInfinite { return sign | 0x7C00 }
        let steps = magnitude * 0x1p24
        // Below 2^-14 the steps are the fraction itself.
        guard steps >= 0x400 else { return sign | UInt16(steps) }
        let fraction = UInt16(truncatingIfNeeded: bitPattern >> 13) & 0x3FF
        return sign | UInt16(exponent + 15) << 10 | fraction
    }

    /// The nearest value of IEEE's binary16, half to even; beyond 65,504 by half a step or more it is infinite.
    public var roundedToFloat16: Float { Double(self).roundedToFloat16 }

    /// The nearest value of bfloat16, half to even; infinite where that is beyond the largest.
    public var roundedToBFloat16: Float { Double(self).roundedToBFloat16 }
}

extension Double {
    /// The nearest value of IEEE's binary16, rounded once: by way of `Float` it would be rounded twice.
    public var roundedToFloat16: Float {
        rounded(significandBitCount: 10, smallestExponent: -14, largest: 65_504)
    }

    /// The nearest value of bfloat16, rounded once.
    public var roundedToBFloat16: Float {
        rounded(significandBitCount: 7, smallestExponent: -126, largest: 0x1.FEp127)
    }

    /// Powers of two scale without loss here: the narrowest type's smallest step is 2^-133.
    private func rounded(significandBitCount: Int, smallestExponent: Int, largest: Double) -> Float {
        guard isFinite else { return Float(self) }
        let step = Double(
            sign: .plus, exponent: max(exponent, smallestExponent) - significandBitCount, significand: 1)
        let nearest = (self / step).rounded(.toNearestOrEven) * step
        return Float(nearest.magnitude > largest ? nearest * .infinity : nearest)
    }
}
