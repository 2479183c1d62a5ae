/// Definitions of the labels that models are trained on and scored by. `python/martlet/labels.py` is the twin and gives
/// the same labels bit for bit.
public enum Labels {
    /// The class of a price move.
    public enum Direction: Int8, Sendable {
        case down = -1
        case flat = 0
        case up = 1
    }

    /// Name of the definition in a model's metadata.
    public static let smoothedMidName = "smoothed-mid"

    /// All definitions that a model's metadata may name.
    public static let names = [smoothedMidName]

    /// The direction of the mean of the next mid prices, against a threshold: `smoothed-mid` over ticks.
    ///
    /// For tick t with mid price m(t), and k = `horizon`:
    ///
    ///     l = Σ_{j=1…k} (m(t+j) - m(t)) / (k · m(t))
    ///
    /// which is (mean of the next k mids - mid) / mid. The sum is exact in integers; it, k and m(t) are each rounded
    /// to 64-bit floats, then comes one product and one quotient. Up if l > alpha, down if l < -alpha, flat
    /// otherwise: both comparisons are strict.
    ///
    /// There is no label (nil) where fewer than k ticks follow before the next reset or the end, and where m(t) or one
    /// of the next k mids is undefined or not positive.
    ///
    /// - Parameters:
    ///   - mids: Mid prices after each tick in 1e-9; `Int64.max` stands for an undefined one.
    ///   - resets: For each tick whether it is the first after a reset; labels never look across one.
    ///   - horizon: Ticks to look ahead, at least 1.
    ///   - alpha: Threshold as a fraction of the mid price, at least 0.
    /// - Returns: One label per tick. Linear time.
    public static func smoothedMid(
        mids: [Int64], resets: [Bool], horizon: Int, alpha: Double
    ) -> [Direction?] {
        precondition(mids.count == resets.count, "There is one reset flag per tick.")
        precondition(horizon >= 1, "A horizon is at least 1 tick.")
        precondition(alpha >= 0, "A threshold is not negative.")
        var labels = [Direction?](repeating: nil, count: mids.count)
        // Ticks from here on in a row that are usable and without a reset among their successors.
        var run = 0
        // Sum of the next `horizon` mids, of those there are.
        var sum: Int128 = 0
        for tick in mids.indices.reversed() {
            guard isUsable(mids[tick]) else {
                (run, sum) = (0, 0)
                continue
            }
            if run >= horizon {
                let difference = sum - Int128(horizon) * Int128(mids[tick])
                labels[tick] = direction(difference, horizon: horizon, mid: mids[tick], alpha: alpha)
                sum -= Int128(mids[tick + horizon])
            }
            sum += Int128(mids[tick])
            run += 1
            if resets[tick] { (run, sum) = (0, 0) }
        }
        return labels
    }

    /// Whether a label can stand on this mid price, in 1e-9: it is there and positive.
    public static func isUsable(_ mid: Int64) -> Bool {
        mid > 0 && mid != .max
    }

    /// As below, for a difference that 64 bits hold: a conversion from 128 bits is a call.
    public static func direction(_ difference: Int, horizon: Int, mid: Int64, alpha: Double) -> Direction {
        let change = Double(difference) / (Double(horizon) * Double(mid))
        if change > alpha { return .up }
        return change < -alpha ? .down : .flat
    }

    /// The class of one tick: `difference` is the sum of the next `horizon` mids, each less `mid`.
    public static func direction(_ difference: Int128, horizon: Int, mid: Int64, alpha: Double) -> Direction {
        let change = Double(difference) / (Double(horizon) * Double(mid))
        if change > alpha { return .up }
        return change < -alpha ? .down : .flat
    }
}
