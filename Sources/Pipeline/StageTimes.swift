internal import CPlatform

/// Where the time of a tick goes, one histogram a stage, in nanoseconds. Five
/// reads of the cycle counter are a few per cent of a tick, so that live only some of the ticks are timed.
public struct StageTimes: Sendable {
    /// Taking the record that completes the tick, into the book among others.
    public var decode = LatencyHistogram()
    /// Completing the feature vector.
    public var features = LatencyHistogram()
    /// The model's step.
    public var model = LatencyHistogram()
    /// Writing the tick's signal records into the ring.
    public var publish = LatencyHistogram()

    public init() {}

    public mutating func merge(_ other: StageTimes) {
        decode.merge(other.decode)
        features.merge(other.features)
        model.merge(other.model)
        publish.merge(other.publish)
    }
}

/// The rate of the cycle counter, measured against the monotonic clock once.
enum CycleClock {
    /// Long enough that the two clock reads, some 60 ns, do not matter.
    private static let calibrationNanoseconds: UInt64 = 5_000_000

    static func cyclesPerNanosecond() -> Double {
        let start = martlet_monotonic_ns()
        let startCycles = martlet_cycles()
        var now = start
        while now &- start < calibrationNanoseconds { now = martlet_monotonic_ns() }
        let cycles = martlet_cycles() &- startCycles
        return max(Double(cycles) / Double(now &- start), 1e-3)
    }
}
