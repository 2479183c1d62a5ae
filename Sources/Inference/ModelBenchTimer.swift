internal import CPlatform

/// Reads the core's counter around short stretches, and turns what was read into nanoseconds.
///
/// Some processors move their counter in large steps, 10 ns on Zen 4, although it counts in fractions of a nanosecond.
/// A stretch's begin falls anywhere within a step, so that many samples of 73 ns read 70 seven times in ten and 80
/// else: a percentile is taken within the step that it is in, as if the samples that read the same were spread over it
/// evenly.
struct ModelBenchTimer {
    /// Ticks of the counter from one of its steps to the next.
    private let stepTicks: UInt64
    /// What two readings with nothing between them say, in ticks.
    private let costTicks: Double
    private let start: (ticks: UInt64, nanoseconds: UInt64)
    private var nanosecondsPerTick = 1.0

    /// Shorter, and the counter's rate would not be known to a thousandth.
    private static let calibrationNanoseconds: UInt64 = 20_000_000

    /// Measures the cost of a reading.
    init() {
        start = (martlet_cycles_in_order(), martlet_monotonic_ns())
        var samples = Array(repeating: UInt64(0), count: 20_001)
        for index in samples.indices {
            let begin = martlet_cycles_in_order()
            samples[index] = martlet_cycles_in_order() &- begin
        }
        var step: UInt64 = 0
        for sample in samples { step = ModelBenchTimer.commonDivisor(step, sample) }
        stepTicks = step
        costTicks = ModelBenchTimer.percentile(samples.sorted(), share: 0.5, step: step)
    }

    /// Finds the counter's rate, from `init` until now.
    mutating func calibrate() {
        var now = start.nanoseconds
        while now - start.nanoseconds < ModelBenchTimer.calibrationNanoseconds { now = martlet_monotonic_ns() }
        let ticks = martlet_cycles_in_order() &- start.ticks
        nanosecondsPerTick = Double(now - start.nanoseconds) / Double(max(ticks, 1))
    }

    /// Nanoseconds of a reading; known after `calibrate`.
    var costNanoseconds: Double { costTicks * nanosecondsPerTick }

    /// A percentile of samples in ascending order, without the cost of reading; known after `calibrate`.
    func nanoseconds(_ sorted: [UInt64], share: Double) -> Double {
        max(ModelBenchTimer.percentile(sorted, share: share, step: stepTicks) - costTicks, 0) * nanosecondsPerTick
    }

    /// In ticks.
    private static func percentile(_ sorted: [UInt64], share: Double, step: UInt64) -> Double {
        let place = Double(sorted.count) * share
        let value = sorted[min(Int(place), sorted.count - 1)]
        let below = sorted.partitioningIndex { $0 >= value }
        let through = sorted.partitioningIndex { $0 > value }
        let within = (place - Double(below)) / Double(through - below)
        return Double(value) + Double(step) * (min(within, 1) - 0.5)
    }

    private static func commonDivisor(_ first: UInt64, _ second: UInt64) -> UInt64 {
        var (a, b) = (first, second)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }
}

extension [UInt64] {
    /// The first place from which on `belongs` holds, for an array in which it holds from some place on.
    fileprivate func partitioningIndex(_ belongs: (UInt64) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
