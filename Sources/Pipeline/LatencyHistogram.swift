/// Counts of durations in buckets that are at most 1.6 % wide: 64 steps to each power of two, as in HdrHistogram.
///
/// Recording is a count of leading zeros, a shift and an increment; memory is fixed. One thread writes.
public struct LatencyHistogram: Sendable {
    private static let stepBits = 6
    private static let steps = 1 << stepBits
    /// Durations up to 2^40 ns (18 minutes); longer ones count in the last bucket.
    private static let bucketCount = (40 - stepBits + 1) * steps

    private var buckets = [UInt64](repeating: 0, count: LatencyHistogram.bucketCount)
    public private(set) var count: UInt64 = 0
    /// The longest duration, exact.
    public private(set) var maximum: UInt64 = 0

    public init() {}

    public mutating func record(_ nanoseconds: UInt64) {
        buckets[min(LatencyHistogram.bucket(of: nanoseconds), LatencyHistogram.bucketCount - 1)] &+= 1
        count &+= 1
        maximum = max(maximum, nanoseconds)
    }

    public mutating func merge(_ other: LatencyHistogram) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
        maximum = max(maximum, other.maximum)
    }

    /// The smallest bucket bound below which a fraction `quantile` of the durations lies; 0 if there are none.
    public func quantile(_ quantile: Double) -> UInt64 {
        guard count > 0 else { return 0 }
        let rank = max(1, UInt64((quantile * Double(count)).rounded(.up)))
        var seen: UInt64 = 0
        for index in buckets.indices {
            seen += buckets[index]
            if seen >= rank { return min(LatencyHistogram.upperBound(of: index), maximum) }
        }
        return maximum
    }

    private static func bucket(of value: UInt64) -> Int {
        guard value >= UInt64(steps) else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        let shift = exponent - stepBits
        return (shift + 1) * steps + Int(truncatingIfNeeded: value >> UInt64(shift)) - steps
    }

    private static func upperBound(of bucket: Int) -> UInt64 {
        guard bucket >= steps else { return UInt64(bucket) }
        let shift = bucket / steps - 1
        return (UInt64(bucket % steps + steps + 1) << UInt64(shift)) - 1
    }
}
