import Foundation
import Testing

@testable import Feeds

@Suite("The simulator's arithmetic")
struct SimulatorMathTests {
    @Test("Portable exp and log agree with libm to 2e-15")
    func agreesWithLibm() {
        var random = SimulatorRandom(seed: 1)
        for _ in 0..<20_000 {
            let x = random.uniform() * 40
            let exponential = PortableMath.exponentialDecay(x)
            #expect(abs(exponential - exp(-x)) <= 2e-15 * exp(-x))
            let u = random.uniform()
            #expect(abs(PortableMath.naturalLogarithm(u) - log(u)) <= 2e-15 * max(1, abs(log(u))))
        }
        #expect(PortableMath.exponentialDecay(0) == 1)
        #expect(PortableMath.exponentialDecay(1e9) == 0)
        #expect(PortableMath.naturalLogarithm(1) == 0)
    }

    @Test("xoshiro256** and SplitMix64 give their published numbers")
    func generatesKnownNumbers() {
        // SplitMix64 from 0: the first three outputs, as in the reference implementation.
        var mixer = SplitMix64(state: 0)
        let mixed = [mixer.next(), mixer.next(), mixer.next()]
        #expect(mixed == [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F])
        // rand_xoshiro's vector: state 1, 2, 3, 4.
        var random = SimulatorRandom(state: (1, 2, 3, 4))
        let drawn = (0..<6).map { _ in random.next() }
        #expect(
            drawn == [
                11520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360,
                607_988_272_756_665_600,
            ])
    }

    @Test("Draws keep their bounds and their shares")
    func drawsKeepBounds() {
        var random = SimulatorRandom(seed: 8)
        var counts = [Int](repeating: 0, count: 7)
        var sum = 0.0
        for _ in 0..<70_000 {
            counts[random.below(7)] += 1
            let u = random.uniform()
            #expect(u > 0 && u < 1)
            sum += u
        }
        #expect(counts.allSatisfy { abs($0 - 10_000) < 500 })
        #expect(abs(sum / 70_000 - 0.5) < 0.005)
        var table = SimulatorRandom(seed: 9)
        let sizes = SizeTable([(5, 1), (7, 3)])
        let sevens = (0..<10_000).count { _ in sizes.draw(&table) == 7 }
        #expect(abs(sevens - 7_500) < 200)
    }

    @Test("The Hawkes clock is stationary, and its long-run rate is baseline / (1 - branching ratio)")
    func clockHasItsRate() {
        let branching = SimulatorParameters.offspring.reduce(0, +)
        #expect(branching < 1)
        // While a parent order is worked, the even scales are more fertile; that must not explode either.
        let even = SimulatorParameters.offspring.dropFirst(SimulatorParameters.unevenScales).reduce(0, +)
        #expect(branching + even * (SimulatorParameters.workedFertility - 1) < 1)
        var random = SimulatorRandom(seed: 4)
        var clock = HawkesClock()
        let factors = [Double](repeating: 1, count: SimulatorParameters.markCount)
        var elapsed = 0.0
        let events = 200_000
        for _ in 0..<events {
            let (seconds, scale) = clock.advance(&random)
            #expect(seconds > 0)
            elapsed += seconds
            clock.excite(mark: clock.mark(scale: scale, factors: factors, &random), burst: 1, tide: 1)
        }
        let expected = SimulatorParameters.baselineRate / (1 - branching)
        #expect(abs(Double(events) / elapsed / expected - 1) < 0.1)
    }

    @Test("A kind with factor 0 never happens")
    func clockObeysFactors() {
        var random = SimulatorRandom(seed: 4)
        var clock = HawkesClock()
        var factors = [Double](repeating: 1, count: SimulatorParameters.markCount)
        factors[10] = 0
        factors[11] = 0
        for _ in 0..<20_000 {
            let (_, scale) = clock.advance(&random)
            let mark = clock.mark(scale: scale, factors: factors, &random)
            #expect(mark < 10)
            clock.excite(mark: mark, burst: 1, tide: 1)
        }
    }
}
