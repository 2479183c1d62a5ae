/// When the next event comes, and of which kind it tends to be: a marked Hawkes process with a sum of
/// exponential kernels.
///
/// Each event raises, at every time scale, the rate of the kinds that follow its own kind (`successors`). The
/// next time is drawn exactly, without thinning, by the composition method of Dassios and Zhao ("Exact
/// simulation of Hawkes process with exponentially decaying intensity", 2013): each kernel's excitation and
/// the baseline propose a time, the earliest wins, and the winner is the scale that caused the event. Rows of
/// `successors` sum to 1, so that times do not depend on kinds; the caller picks the kind among the winner's
/// weights after the book has had its say.
struct HawkesClock {
    /// Excitation per scale and mark, in units of caused events: `scaleCount` rows of `markCount`.
    private var weights: [Double]
    /// Sums of the rows above.
    private var totals: [Double]
    private let decayRates: [Double]
    private let offspring: [Double]
    private let baselineRate: Double
    private let baseline: [Double]
    /// Share of mark `m` after mark `p` at scale `s`, at (s * markCount + p) * markCount + m.
    private let successors: [Double]

    private static var marks: Int { SimulatorParameters.markCount }

    init() {
        let scales = SimulatorParameters.scaleCount
        let marks = HawkesClock.marks
        decayRates = SimulatorParameters.decayRates
        offspring = SimulatorParameters.offspring
        baselineRate = SimulatorParameters.baselineRate
        baseline = (0..<marks).map { SimulatorParameters.baselineShares[$0 / 2] }
        weights = Array(repeating: 0, count: scales * marks)
        totals = Array(repeating: 0, count: scales)
        var rows: [Double] = []
        for scale in SimulatorParameters.successors {
            for parent in 0..<marks {
                let row = scale[parent / 2]
                var sum = 0.0
                for entry in row { sum += entry }
                for mark in 0..<marks {
                    let opposite = (mark ^ parent) & 1
                    rows.append(row[(mark / 2) * 2 + opposite] / sum)
                }
            }
        }
        successors = rows
    }

    /// Moves to the next event: seconds that pass, and the scale that caused it (`scaleCount` for the
    /// baseline).
    mutating func advance(_ random: inout SimulatorRandom) -> (seconds: Double, scale: Int) {
        var seconds = -PortableMath.naturalLogarithm(random.uniform()) / baselineRate
        var cause = totals.count
        for scale in totals.indices {
            // The draw is made whether or not the scale is awake, so that the stream stays in step.
            let log = PortableMath.naturalLogarithm(random.uniform())
            guard totals[scale] > 1e-9 else { continue }
            // The kernel's remaining mass, total * offspring, may end without another event.
            let survival = 1 + log / (totals[scale] * offspring[scale])
            guard survival > 0 else { continue }
            let candidate = -PortableMath.naturalLogarithm(survival) / decayRates[scale]
            if candidate < seconds {
                seconds = candidate
                cause = scale
            }
        }
        decay(by: seconds)
        return (seconds, cause)
    }

    /// Draws the mark of an event that `scale` caused, each mark's weight multiplied by its factor.
    func mark(scale: Int, factors: [Double], _ random: inout SimulatorRandom) -> Int {
        let marks = HawkesClock.marks
        var total = 0.0
        for mark in 0..<marks { total += weight(scale, mark) * factors[mark] }
        let target = random.uniform() * total
        var sum = 0.0
        var last = 0
        for mark in 0..<marks {
            let share = weight(scale, mark) * factors[mark]
            // Rounding may leave `target` at the total: then it is the last mark that can happen.
            guard share > 0 else { continue }
            last = mark
            sum += share
            if target < sum { break }
        }
        return last
    }

    /// Notes that an event of `mark` happened now.
    mutating func excite(mark: Int, burst: Double, tide: Double) {
        let marks = HawkesClock.marks
        for scale in totals.indices {
            let row = (scale * marks + mark) * marks
            let strength = scale < SimulatorParameters.unevenScales ? burst : tide
            for successor in 0..<marks {
                weights[scale * marks + successor] += strength * successors[row + successor]
            }
            totals[scale] += strength
        }
    }

    private func weight(_ scale: Int, _ mark: Int) -> Double {
        scale == totals.count ? baseline[mark] : weights[scale * HawkesClock.marks + mark]
    }

    private mutating func decay(by seconds: Double) {
        let marks = HawkesClock.marks
        for scale in totals.indices {
            var factor = PortableMath.exponentialDecay(decayRates[scale] * seconds)
            // What is too small to matter becomes zero, so that no denormal number ever arises.
            if totals[scale] * factor < 1e-9 { factor = 0 }
            totals[scale] *= factor
            for index in (scale * marks)..<(scale * marks + marks) { weights[index] *= factor }
        }
    }
}
