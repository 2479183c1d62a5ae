internal import MarketData

/// Sums of sizes over the levels of one book, each taken level by level from the best, and the imbalances
/// made of them.
struct BookShape: ~Copyable {
    /// (bid - ask) / max(bid + ask, 1) of: level 1, level 2, level 3, levels 1–5, levels 1–10, all with
    /// weight 2^-(level - 1). Lanes 6 and 7 are unused.
    let imbalances: SIMD8<Float>
    /// Lots of both sides, levels 1–5 and 1–10.
    private let totals: SIMD2<Float>
    private let sizes: UnsafeMutablePointer<Float>

    /// - Parameter sizes: those of a `BookLanes`, which must outlive this value.
    init(sizes: UnsafeMutablePointer<Float>) {
        // One vector for both sides: bid in lane 0, ask in lane 1, so that one chain of additions does two
        // sums.
        func pair(_ level: Int) -> SIMD2<Float> {
            unsafe SIMD2(sizes[level], sizes[BookLanes.firstAsk + level])
        }
        var sum = pair(0)
        var weighted = pair(0)
        var weight: Float = 1
        var five = sum
        for level in 1..<OrderBook.depth {
            sum = sum + pair(level)
            weight = weight * 0.5
            weighted = weighted + pair(level) * weight
            if level == 4 { five = sum }
        }
        let first = pair(0)
        let second = pair(1)
        let third = pair(2)
        let bids = SIMD8(first[0], second[0], third[0], five[0], sum[0], weighted[0], 0, 0)
        let asks = SIMD8(first[1], second[1], third[1], five[1], sum[1], weighted[1], 0, 0)
        let both = bids + asks
        let one = SIMD8<Float>(repeating: 1)
        imbalances = (bids - asks) / both.replacing(with: one, where: both .< one)
        totals = SIMD2(five[0] + five[1], sum[0] + sum[1])
        self.sizes = sizes
    }

    /// Lots per present level, over both sides; 0 for an empty book.
    func meanDepth(presentCount: Int) -> Float { totals[1] / Float(max(presentCount, 1)) }

    /// Writes the centre of size relative to the mid, over levels 1–5 and 1–10, in ticks: positive when the
    /// asks' size weighs more, or lies further from the mid, than the bids'.
    func writeCentres(distances: UnsafeMutablePointer<Float>, into out: UnsafeMutablePointer<Float>) {
        var moment: Float = 0
        for level in 0..<OrderBook.depth {
            let ask = unsafe distances[BookLanes.firstAsk + level] * sizes[BookLanes.firstAsk + level]
            let bid = unsafe distances[level] * sizes[level]
            moment = moment + (ask - bid)
            if level == 4 { unsafe out[0] = moment / max(totals[0], 1) }
        }
        unsafe out[1] = moment / max(totals[1], 1)
    }
}
