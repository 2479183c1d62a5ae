import ONNX
import Testing

/// Goal: 16-bit floats are decoded and rounded as IEEE says. Method: all 65,536 bit patterns, and the middle between
/// each two neighbours with the values beside it.
@Suite struct HalfPrecisionTests {
    @Test(
        arguments: [
            (0x0000, 0), (0x0001, 0x1p-24), (0x03FF, 0x1.FF8p-15), (0x0400, 0x1p-14), (0x3C00, 1),
            (0x3C01, 1 + 0x1p-10),
            (0x7BFF, 65_504), (0x7C00, .infinity), (0xC000, -2), (0xFC00, -.infinity), (0x3555, 0x1.554p-2),
        ] as [(UInt16, Float)])
    func `known bits of float16 are known values`(_ bits: UInt16, _ value: Float) {
        #expect(Float(float16BitPattern: bits) == value)
    }

    @Test func `zeros keep their sign and NaN stays NaN`() {
        #expect(Float(float16BitPattern: 0x8000).sign == .minus)
        #expect((-Float.leastNonzeroMagnitude).roundedToFloat16.sign == .minus)
        #expect((-Float.leastNonzeroMagnitude).roundedToFloat16 == 0)
        #expect(Float(float16BitPattern: 0x7E00).isNaN)
        #expect(Float(bfloat16BitPattern: 0x7FC0).isNaN)
        #expect(Float.nan.roundedToFloat16.isNaN)
        #expect(Float.nan.roundedToBFloat16.isNaN)
        #expect(Float.infinity.roundedToFloat16 == .infinity)
        #expect((-Float.infinity).roundedToBFloat16 == -.infinity)
    }

    /// Positive bit patterns from zero to the largest finite value count the values in order.
    private func checkRounding(
        largest: UInt16, value: (UInt16) -> Float, rounded: (Double) -> Float, single: (Float) -> Float
    ) {
        var mistakes = 0
        for bits in 0...largest {
            let low = Double(value(bits))
            let even = bits & 1 == 0
            // The first value that the type does not have takes part in the rounding to infinity.
            let high = bits == largest ? low + (low - Double(value(bits - 1))) : Double(value(bits + 1))
            let highResult = bits == largest ? Float.infinity : Float(high)
            let middle = (low + high) / 2
            for sign in [1.0, -1.0] {
                let (down, up) = (Float(sign * low), Float(sign) * highResult)
                if rounded(sign * low) != down || single(Float(sign * low)) != down { mistakes += 1 }
                if rounded(sign * middle) != (even ? down : up) { mistakes += 1 }
                if rounded(sign * middle.nextDown) != down { mistakes += 1 }
                if rounded(sign * middle.nextUp) != up { mistakes += 1 }
                if single(Float(sign * middle)) != (even ? down : up) { mistakes += 1 }
            }
        }
        #expect(mistakes == 0)
    }

    @Test func `every float16 and every middle between two rounds as IEEE says`() {
        checkRounding(
            largest: 0x7BFF, value: { Float(float16BitPattern: $0) }, rounded: \.roundedToFloat16,
            single: \.roundedToFloat16)
    }

    @Test func `every bfloat16 and every middle between two rounds as IEEE says`() {
        checkRounding(
            largest: 0x7F7F, value: { Float(bfloat16BitPattern: $0) }, rounded: \.roundedToBFloat16,
            single: \.roundedToBFloat16)
    }
}
