import Foundation
import Testing

@testable import Inference

/// Goal: the stated errors hold, and vector and scalar forms give the same bits. Method: floats of all magnitudes.
@Suite struct FunctionsTests {
    /// Distance of the bit patterns that are tried: some 40,000 floats of both signs and all magnitudes. All floats
    /// were tried once, see `VectorFunctions`.
    private static let step = 98_317

    private func each(_ body: (SIMD8<Float>) -> Void) {
        var pattern: UInt64 = 0
        while pattern < 1 << 32 {
            var vector = SIMD8<Float>.zero
            for lane in 0..<8 {
                vector[lane] = Float(
                    bitPattern: UInt32(truncatingIfNeeded: pattern &+ UInt64(lane * FunctionsTests.step)))
                if !vector[lane].isFinite { vector[lane] = 0 }
            }
            body(vector)
            pattern += UInt64(8 * FunctionsTests.step)
        }
    }

    @Test func `tanh is within 3.5e-7 of the exact value, odd and at most 1`() {
        var greatest = 0.0
        var isSame = true
        var isOdd = true
        each { x in
            let y = VectorFunctions.tanh(x)
            for lane in 0..<8 {
                isSame = isSame && ScalarFunctions.tanh(x[lane]).bitPattern == y[lane].bitPattern
                isOdd = isOdd && ScalarFunctions.tanh(-x[lane]) == -y[lane] && abs(y[lane]) <= 1
                greatest = max(greatest, abs(Double(y[lane]) - Foundation.tanh(Double(x[lane]))))
            }
        }
        #expect(isSame)
        #expect(isOdd)
        #expect(greatest <= 3.5e-7)
    }

    @Test func `sigmoid is within 2e-7 of the exact value and between 0 and 1`() {
        var greatest = 0.0
        var isSame = true
        var isInside = true
        each { x in
            let y = VectorFunctions.sigmoid(x)
            for lane in 0..<8 {
                isSame = isSame && ScalarFunctions.sigmoid(x[lane]).bitPattern == y[lane].bitPattern
                isInside = isInside && y[lane] >= 0 && y[lane] <= 1
                greatest = max(greatest, abs(Double(y[lane]) - 1 / (1 + Foundation.exp(-Double(x[lane])))))
            }
        }
        #expect(isSame)
        #expect(isInside)
        #expect(greatest <= 2e-7)
    }

    @Test func `exp of numbers up to 0 has a relative error of at most 1e-7`() {
        var greatest = 0.0
        var isSame = true
        each { values in
            var x = values
            for lane in 0..<8 { x[lane] = -abs(x[lane]) }
            let y = VectorFunctions.exp(x)
            for lane in 0..<8 {
                isSame = isSame && ScalarFunctions.exp(x[lane]).bitPattern == y[lane].bitPattern
                let exact = Foundation.exp(Double(max(x[lane], -87)))
                greatest = max(greatest, abs(Double(y[lane]) / exact - 1))
            }
        }
        #expect(isSame)
        #expect(greatest <= 1e-7)
        #expect(ScalarFunctions.exp(0) == 1)
    }

    @Test(
        "A softmax over three in any number of groups has the bits of the plain one, and writes nothing else",
        arguments: 1...9)
    func softmaxOfThree(groups: Int) {
        let count = 3 * groups
        let arena = UnsafeMutableRawPointer.allocate(byteCount: 512, alignment: 64)
            .bindMemory(to: Float.self, capacity: 128)
        defer { arena.deallocate() }
        arena.initialize(repeating: -1, count: 128)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let values = (0..<count).map { index in
                // Ties and values far apart among them.
                index % 5 == 0 ? 1 : Float.random(in: -120...120, using: &generator)
            }
            for (index, value) in values.enumerated() { arena[index] = value }
            StepRunner.softmaxOfThree(arena, arena + 64, count: count)
            for group in 0..<groups {
                let three = values[3 * group..<3 * group + 3]
                let greatest = three.max() ?? 0
                let powers = three.map { ScalarFunctions.expNonPositive($0 - greatest) }
                let inverse = 1 / (powers[0] + powers[1] + powers[2])
                for index in 0..<3 { #expect(arena[64 + 3 * group + index] == powers[index] * inverse) }
            }
        }
        #expect((64 + count..<128).allSatisfy { arena[$0] == -1 })
    }
}
