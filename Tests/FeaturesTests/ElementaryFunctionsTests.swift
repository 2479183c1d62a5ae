import Foundation
import TestSupport
import Testing

@testable import Features

@Suite struct ElementaryFunctionsTests {
    @Test func `The logarithm is within 0.95 units in the last place`() {
        var random = SplitMix64(seed: 1)
        var worst = 0.0
        for _ in 0..<20_000 {
            let x = Float(exp(Double.random(in: -23...23, using: &random)))
            let found = ElementaryFunctions.log(SIMD8(repeating: x))[Int.random(in: 0..<8, using: &random)]
            let exact = log(Double(x))
            worst = max(worst, abs(Double(found) - exact) / Double(Float(exact).ulp))
        }
        #expect(worst < 0.95)
        #expect(ElementaryFunctions.log(SIMD8(repeating: 1)) == SIMD8(repeating: 0))
    }

    @Test func `The exponential is within 1.1 units in the last place, and 1 at 0`() {
        var random = SplitMix64(seed: 2)
        var worst = 0.0
        for _ in 0..<20_000 {
            let x = Float.random(in: -30...0, using: &random)
            let found = ElementaryFunctions.exp(SIMD8(repeating: x))[Int.random(in: 0..<8, using: &random)]
            let exact = exp(Double(x))
            worst = max(worst, abs(Double(found) - exact) / Double(Float(exact).ulp))
        }
        #expect(worst < 1.1)
        #expect(ElementaryFunctions.exp(SIMD8(repeating: 0)) == SIMD8(repeating: 1))
    }
}
