/// Sums of values and squares.
struct MomentSums {
    private(set) var count = 0.0
    private var sum = 0.0
    private var squares = 0.0

    mutating func add(_ value: Double) {
        count += 1
        sum += value
        squares += value * value
    }

    var mean: Double { count > 0 ? sum / count : 0 }
    var deviation: Double { count > 0 ? max(0, squares / count - mean * mean).squareRoot() : 0 }
}

/// Counts of non-negative integers in buckets 1/32 of their size wide (exact below 64), so that quantiles of
/// any range are known to 3 % in 16 KiB.
struct LogHistogram {
    private static let bucketBits = 5
    private var counts = [UInt64](repeating: 0, count: 64 << LogHistogram.bucketBits)
    private var total: UInt64 = 0

    mutating func add(_ value: UInt64) {
        counts[LogHistogram.bucket(of: value)] += 1
        total += 1
    }

    /// The middle of the bucket that holds the value with `share` of all values at or below it; 0 without
    /// values.
    func quantile(_ share: Double) -> Double {
        let target = max(1, UInt64(Double(total) * share))
        var seen: UInt64 = 0
        for (index, count) in counts.enumerated() where count > 0 {
            seen += count
            if seen >= target { return LogHistogram.middle(of: index) }
        }
        return 0
    }

    private static func bucket(of value: UInt64) -> Int {
        let bits = UInt64.bitWidth - value.leadingZeroBitCount
        let shift = max(0, bits - bucketBits - 1)
        return (shift << bucketBits) + Int(value >> UInt64(shift))
    }

    private static func middle(of bucket: Int) -> Double {
        let shift = max(0, (bucket >> bucketBits) - 1)
        let low = UInt64(bucket - (shift << bucketBits)) << UInt64(shift)
        return Double(low) + Double((UInt64(1) << UInt64(shift)) - 1) / 2
    }
}

/// The most events in any window of given widths. Keeps the times of the widest window, at most `capacity` of
/// them: a fuller window counts as `capacity`.
struct BurstWindows {
    static let capacity = 1 << 16

    private(set) var most: [Int]
    private let widths: [UInt64]
    private var times = [UInt64](repeating: 0, count: BurstWindows.capacity)
    private var head = 0
    private var tails: [Int]

    /// - Parameter widths: in nanoseconds.
    init(widths: [UInt64]) {
        self.widths = widths
        most = Array(repeating: 0, count: widths.count)
        tails = Array(repeating: 0, count: widths.count)
    }

    /// Takes an event; times never step back.
    mutating func add(_ time: UInt64) {
        times[head % BurstWindows.capacity] = time
        head += 1
        for index in widths.indices {
            tails[index] = max(tails[index], head - BurstWindows.capacity)
            while time - times[tails[index] % BurstWindows.capacity] >= widths[index] { tails[index] += 1 }
            most[index] = max(most[index], head - tails[index])
        }
    }
}

/// The autocorrelation of a series at lags up to a bound, in one pass: the usual estimator, with the mean and
/// variance of the whole series.
struct Autocorrelation {
    private let lags: Int
    private var first: [Double] = []
    private var recent: [Double]
    private var products: [Double]
    private var sum = 0.0
    private var count = 0

    init(lags: Int) {
        self.lags = lags
        recent = Array(repeating: 0, count: lags + 1)
        products = Array(repeating: 0, count: lags + 1)
    }

    mutating func add(_ value: Double) {
        if count < lags { first.append(value) }
        recent[count % (lags + 1)] = value
        for lag in 0...min(lags, count) { products[lag] += value * recent[(count - lag) % (lags + 1)] }
        sum += value
        count += 1
    }

    /// 0 while the series is too short or constant.
    func value(lag: Int) -> Double {
        guard count > lags, lag <= lags else { return 0 }
        let size = Double(count)
        let mean = sum / size
        let variance = products[0] - size * mean * mean
        guard variance > 0 else { return 0 }
        var firstSum = 0.0
        var lastSum = 0.0
        for index in 0..<lag {
            firstSum += first[index]
            lastSum += recent[(count - 1 - index) % (lags + 1)]
        }
        let crossed =
            products[lag] - mean * (2 * sum - firstSum - lastSum) + (size - Double(lag)) * mean * mean
        return crossed / variance
    }
}

/// How well a quantity foretells the change of a level some ticks on: their correlation.
struct Foresight {
    private let horizon: Int
    private var quantities: [Double]
    private var levels: [Double]
    private var seen = 0
    private var count = 0.0
    private var x = 0.0
    private var y = 0.0
    private var xx = 0.0
    private var yy = 0.0
    private var xy = 0.0

    init(horizon: Int) {
        self.horizon = horizon
        quantities = Array(repeating: 0, count: horizon)
        levels = Array(repeating: 0, count: horizon)
    }

    mutating func add(_ quantity: Double, level: Double) {
        let slot = seen % horizon
        if seen >= horizon {
            let change = level - levels[slot]
            let known = quantities[slot]
            count += 1
            x += known
            y += change
            xx += known * known
            yy += change * change
            xy += known * change
        }
        quantities[slot] = quantity
        levels[slot] = level
        seen += 1
    }

    /// Pearson's coefficient; 0 while it is undefined.
    var correlation: Double {
        guard count > 1 else { return 0 }
        let spread = (xx - x * x / count) * (yy - y * y / count)
        return spread > 0 ? (xy - x * y / count) / spread.squareRoot() : 0
    }
}
