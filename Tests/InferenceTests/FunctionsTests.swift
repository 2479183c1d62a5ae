import Foundation
import Testing

@testable import Inference

/// Goal: the stated errors hold, and vector and scalar forms give the same bits. Method: floats of all magnitudes, and
/// the special ones.
@Suite struct FunctionsTests {
    typealias Vectors = VectorFunctions
    typealias Scalars = ScalarFunctions

    /// Distance of the bit patterns that are tried: some 30,000 floats of both signs and all magnitudes, infinities and
    /// several NaN among them. `VectorFunctions` says how many were tried once.
    private static let step = 131_071

    private static let special: [Float] = [
        0, -0.0, 1, -1, .infinity, -.infinity, .nan, -.nan, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
        .leastNormalMagnitude, -.leastNormalMagnitude, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 87, -87,
        88.72, 88.73, 89, -103.9, -104, 9, -9, 86.5, -86.5, 15, -15, 18, -18, Float(bitPattern: 0x7FC0_0001),
        Float(bitPattern: 0xFFC0_01FF), 0.5,
    ]

    private static let vectors: [SIMD8<Float>] = {
        var numbers = special
        for pattern in stride(from: UInt64(0), to: 1 << 32, by: step) {
            numbers.append(Float(bitPattern: UInt32(truncatingIfNeeded: pattern)))
        }
        numbers += stride(from: Float(-20), to: 20, by: 0.005)
        numbers += repeatElement(0, count: (8 - numbers.count % 8) % 8)
        return stride(from: 0, to: numbers.count, by: 8).map { SIMD8(numbers[$0..<$0 + 8]) }
    }()

    private struct Errors {
        var relative = 0.0
        var absolute = 0.0
        var low = Float.infinity
        var high = -Float.infinity
        var differing: [Float] = []
        var lostNaN: [Float] = []
    }

    /// Compares the vector form, the scalar form and the exact one; errors are of finite inputs in `range` with results
    /// that are normal floats (the relative error) or 0 (the absolute one).
    private func errors(
        of vector: (SIMD8<Float>) -> SIMD8<Float>, _ scalar: (Float) -> Float,
        in range: ClosedRange<Float> = -.greatestFiniteMagnitude ... .greatestFiniteMagnitude,
        exact: (Double) -> Double
    ) -> Errors {
        var errors = Errors()
        for x in FunctionsTests.vectors {
            let y = vector(x)
            for lane in 0..<8 {
                let plain = scalar(x[lane])
                let isSame = plain.bitPattern == y[lane].bitPattern || (plain.isNaN && y[lane].isNaN)
                if !isSame { errors.differing.append(x[lane]) }
                if x[lane].isNaN, !y[lane].isNaN { errors.lostNaN.append(x[lane]) }
                guard range.contains(x[lane]) else { continue }
                let truth = exact(Double(x[lane]))
                guard abs(truth) < Double(Float.greatestFiniteMagnitude) else { continue }
                let difference = abs(Double(y[lane]) - truth)
                errors.low = min(errors.low, y[lane])
                errors.high = max(errors.high, y[lane])
                if abs(truth) <= 1 { errors.absolute = max(errors.absolute, difference) }
                if abs(truth) >= Double(Float.leastNormalMagnitude) {
                    errors.relative = max(errors.relative, difference / abs(truth))
                }
            }
        }
        return errors
    }

    private func expectAgreement(_ errors: Errors, relative: Double, _ comment: Comment) {
        #expect(errors.differing.isEmpty, comment)
        #expect(errors.lostNaN.isEmpty, comment)
        #expect(errors.relative <= relative, comment)
    }

    @Test func `tanh is within 1.7e-7 of the exact value, relatively within 2e-7, odd and at most 1`() {
        let errors = errors(of: { Vectors.tanh($0) }, { Scalars.tanh($0) }, exact: { Foundation.tanh($0) })
        expectAgreement(errors, relative: 2e-7, "tanh")
        #expect(errors.absolute <= 1.7e-7)
        #expect(errors.low == -1)
        #expect(errors.high == 1)
        let isOdd = FunctionsTests.vectors.allSatisfy { x in
            (0..<8).allSatisfy { x[$0].isNaN || Scalars.tanh(-x[$0]) == -Scalars.tanh(x[$0]) }
        }
        #expect(isOdd)
    }

    @Test func `sigmoid is within 1e-7 of the exact value and between 0 and 1`() {
        let errors = errors(
            of: { Vectors.sigmoid($0) }, { Scalars.sigmoid($0) }, exact: { 1 / (1 + Foundation.exp(-$0)) })
        expectAgreement(errors, relative: .infinity, "sigmoid")
        #expect(errors.absolute <= 1e-7)
        #expect(errors.low >= 0 && errors.low < 1e-37)
        #expect(errors.high == 1)
        #expect(Scalars.sigmoid(0) == 0.5)
    }

    @Test func `exp has a relative error of at most 8e-8, in both forms`() {
        let cheap = errors(
            of: { Vectors.expNonPositive($0) }, { Scalars.expNonPositive($0) }, in: -87...0,
            exact: { Foundation.exp($0) })
        expectAgreement(cheap, relative: 8e-8, "expNonPositive")
        let whole = errors(of: { Vectors.exp($0) }, { Scalars.exp($0) }, exact: { Foundation.exp($0) })
        expectAgreement(whole, relative: 8e-8, "exp")
        #expect(whole.absolute <= 1e-7)
        #expect(Scalars.exp(0) == 1)
        #expect(Scalars.exp(88.73) == .infinity)
        #expect(Scalars.exp(-103.9) == .leastNonzeroMagnitude)
        #expect(Scalars.exp(-104) == 0)
        #expect(Scalars.exp(-.infinity) == 0)
    }

    @Test func `log and softplus hold their errors and limits`() {
        let log = errors(
            of: { Vectors.log($0) }, { Scalars.log($0) }, in: 0 ... .infinity, exact: { Foundation.log($0) })
        expectAgreement(log, relative: 8e-8, "log")
        #expect(Scalars.log(0) == -.infinity)
        #expect(Scalars.log(.infinity) == .infinity)
        #expect(Scalars.log(-1).isNaN)
        let softplus = errors(
            of: { Vectors.softplus($0) }, { Scalars.softplus($0) },
            exact: { max($0, 0) + Foundation.log1p(Foundation.exp(-abs($0))) })
        expectAgreement(softplus, relative: 2.1e-7, "softplus")
        #expect(Scalars.softplus(-.infinity) == 0)
        #expect(Scalars.softplus(.infinity) == .infinity)
    }

    @Test func `erf and gelu in both forms hold their errors and limits`() {
        let erf = errors(of: { Vectors.erf($0) }, { Scalars.erf($0) }, exact: { Foundation.erf($0) })
        expectAgreement(erf, relative: 1.8e-7, "erf")
        #expect(erf.low == -1 && erf.high == 1)
        let gelu = errors(
            of: { Vectors.gelu($0) }, { Scalars.gelu($0) }, exact: { $0 * 0.5 * Foundation.erfc(-$0 / 2.squareRoot()) })
        expectAgreement(gelu, relative: 1.3e-6, "gelu")
        let scale = 2 * (2 / Double.pi).squareRoot()
        let geluTanh = errors(
            of: { Vectors.geluTanh($0) }, { Scalars.geluTanh($0) }, in: -10 ... .greatestFiniteMagnitude,
            exact: { $0 / (1 + Foundation.exp(-scale * ($0 + 0.044715 * $0 * $0 * $0))) })
        expectAgreement(geluTanh, relative: 1.3e-5, "geluTanh")
        for gelu in [Scalars.gelu, Scalars.geluTanh] {
            #expect(gelu(-.infinity) == 0)
            #expect(gelu(-.greatestFiniteMagnitude) == 0)
            #expect(gelu(.infinity) == .infinity)
        }
    }

    @Test func `The functions that are straight lines in part are right to the last bits`() {
        let elu = errors(
            of: { Vectors.elu($0, 1.5) }, { Scalars.elu($0, 1.5) }, exact: { $0 < 0 ? 1.5 * Foundation.expm1($0) : $0 })
        expectAgreement(elu, relative: 2e-7, "elu")
        let leaky = errors(
            of: { Vectors.leakyRelu($0, 0.25) }, { Scalars.leakyRelu($0, 0.25) }, exact: { $0 < 0 ? 0.25 * $0 : $0 })
        expectAgreement(leaky, relative: 0, "leakyRelu")
        let hard = errors(
            of: { Vectors.hardSigmoid($0, 0.25, 0.5) }, { Scalars.hardSigmoid($0, 0.25, 0.5) },
            exact: { max(0, min(1, 0.25 * $0 + 0.5)) })
        expectAgreement(hard, relative: 6e-8, "hardSigmoid")
        let clip = errors(of: { Vectors.clip($0, -2, 3) }, { Scalars.clip($0, -2, 3) }, exact: { max(-2, min(3, $0)) })
        expectAgreement(clip, relative: 0, "clip")
        let relu = errors(of: { Vectors.relu($0) }, { Scalars.relu($0) }, exact: { max(0, $0) })
        expectAgreement(relu, relative: 0, "relu")
        expectAgreement(errors(of: { Vectors.abs($0) }, { Scalars.abs($0) }, exact: { abs($0) }), relative: 0, "abs")
        expectAgreement(errors(of: { Vectors.neg($0) }, { Scalars.neg($0) }, exact: { -$0 }), relative: 0, "neg")
        #expect(Vectors.neg(.zero)[0].sign == .minus)
        let reciprocal = errors(of: { Vectors.reciprocal($0) }, { Scalars.reciprocal($0) }, exact: { 1 / $0 })
        expectAgreement(reciprocal, relative: 6e-8, "reciprocal")
        let root = errors(
            of: { Vectors.sqrt($0) }, { Scalars.sqrt($0) }, in: 0 ... .infinity, exact: { $0.squareRoot() })
        expectAgreement(root, relative: 6e-8, "sqrt")
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
