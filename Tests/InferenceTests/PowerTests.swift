import Foundation
import Testing

@testable import Inference

/// Goal: powers are as exact as stated, with the special cases of IEEE 754, the same bits in vectors and one by one.
@Suite struct PowerTests {
    private static let numbers: [Float] = [
        0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 2.5, -2.5, .infinity, -.infinity, .nan, 1e30, -1e30, 16_777_216,
        8_388_609,
        8_388_607, -8_388_607, 8_388_606.5, 4_194_303.5, 1.0000001, 0.9999999, 0.706719, 1.3985472, -182.05067,
    ]

    private func power(_ x: Float, _ y: Float) -> Float {
        let plain = ScalarFunctions.pow(x, y)
        let vector = VectorFunctions.pow(SIMD8(repeating: x), SIMD8(repeating: y))[5]
        #expect(plain.bitPattern == vector.bitPattern || (plain.isNaN && vector.isNaN), "\(x), \(y)")
        return plain
    }

    @Test func `Special numbers to the power of special numbers are as in the C library`() {
        for x in PowerTests.numbers {
            for y in PowerTests.numbers {
                let found = power(x, y)
                let expected = Foundation.powf(x, y)
                if expected.isNaN || expected.isInfinite || expected == 0 {
                    let isSame = found == expected && found.sign == expected.sign
                    #expect(isSame || (found.isNaN && expected.isNaN), "\(x) to the power \(y): \(found)")
                } else {
                    let exact = Foundation.pow(Double(x), Double(y))
                    #expect(abs(Double(found) / exact - 1) < 1.5e-6, "\(x) to the power \(y): \(found)")
                }
            }
        }
    }

    @Test func `Powers with an exponential of up to 80 have a relative error of at most 1.5e-6`() {
        var greatest = 0.0
        for logarithm in stride(from: -60.0, to: 60, by: 0.0371) {
            for product in stride(from: -79.9, to: 80, by: 4.7) {
                let x = Float(Foundation.exp(logarithm))
                let y = Float(product / (abs(logarithm) < 1e-3 ? 1e-3 : logarithm))
                let exact = Foundation.pow(Double(x), Double(y))
                guard abs(Foundation.log(exact)) < 80 else { continue }
                greatest = max(greatest, abs(Double(power(x, y)) / exact - 1))
            }
        }
        #expect(greatest <= 1.5e-6)
    }

    @Test func `Constant exponents with a cheap form give what the general form does`() {
        for x in PowerTests.numbers where abs(x) < 1e12 || !x.isFinite {
            let vector = SIMD8(repeating: x)
            for (exponent, form, value) in [
                (Float(2), PowerForm.square, VectorFunctions.square(vector)[0]),
                (3, .cube, VectorFunctions.cube(vector)[0]),
                (0.5, .root, VectorFunctions.root(vector)[0]),
                (-1, .reciprocal, VectorFunctions.reciprocal(vector)[0]),
                (1, .identity, x),
            ] {
                #expect(PowerForm(exponent: exponent) == form)
                let general = power(x, exponent)
                let isClose = abs(value - general) <= 4e-7 * abs(general)
                let isSame = value == general && value.sign == general.sign
                #expect(isSame || (isClose && general != 0) || (value.isNaN && general.isNaN), "\(x), \(exponent)")
            }
            #expect(VectorFunctions.root(vector)[0] == ScalarFunctions.root(x) || x.isNaN || x < 0)
        }
        #expect(PowerForm(exponent: 2.5) == .general)
    }
}
