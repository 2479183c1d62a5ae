internal import MarketData

/// The twenty sides of ten levels as lanes, now and at the previous tick: what order flow is computed from.
///
/// Lanes 0–9 are the bids and 10–19 the asks, best first; 20–23 are never present and fill the last vector.
/// Ask prices are negated, so that on both sides a larger number is a better price and one loop serves all
/// lanes.
///
/// Every pointer below holds `count` elements and every loop runs over `0..<count` or a sub-range written as
/// a constant. The plain loops are elementwise: the compiler turns each into vector instructions.
struct BookLanes: ~Copyable {
    static var count: Int { 24 }
    static var firstAsk: Int { 10 }

    /// A price counts as present only below this magnitude (2.3 billion whole units), so that twice a price
    /// minus the sum of two others cannot overflow. `Price.undefined` is far above it.
    static var priceMagnitudeMax: Int64 { 1 << 61 }
    /// The signed price of a lane without a level.
    static var absent: Int64 { .min }

    private let storage: UnsafeMutableRawPointer
    private(set) var prices: UnsafeMutablePointer<Int64>
    private(set) var sizes: UnsafeMutablePointer<Float>
    private var previousPrices: UnsafeMutablePointer<Int64>
    private var previousSizes: UnsafeMutablePointer<Float>
    /// What `updateOrderFlow` wrote.
    let flows: UnsafeMutablePointer<Float>
    /// Lanes that hold a level.
    private(set) var presentCount = 0

    init() {
        let pricesByteCount = BookLanes.count * MemoryLayout<Int64>.stride
        let floatsByteCount = BookLanes.count * MemoryLayout<Float>.stride
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: 2 * pricesByteCount + 3 * floatsByteCount, alignment: 64)
        let floats = unsafe block + 2 * pricesByteCount
        storage = unsafe block
        prices = unsafe block.bindMemory(to: Int64.self, capacity: BookLanes.count)
        previousPrices = unsafe (block + pricesByteCount).bindMemory(
            to: Int64.self, capacity: BookLanes.count)
        sizes = unsafe floats.bindMemory(to: Float.self, capacity: BookLanes.count)
        previousSizes = unsafe (floats + floatsByteCount).bindMemory(
            to: Float.self, capacity: BookLanes.count)
        flows = unsafe (floats + 2 * floatsByteCount).bindMemory(to: Float.self, capacity: BookLanes.count)
        reset()
    }

    deinit { unsafe storage.deallocate() }

    mutating func reset() {
        unsafe prices.initialize(repeating: BookLanes.absent, count: BookLanes.count)
        unsafe previousPrices.initialize(repeating: BookLanes.absent, count: BookLanes.count)
        unsafe sizes.initialize(repeating: 0, count: BookLanes.count)
        unsafe previousSizes.initialize(repeating: 0, count: BookLanes.count)
        unsafe flows.initialize(repeating: 0, count: BookLanes.count)
        presentCount = 0
    }

    /// Whether `price` counts as present.
    @inline(__always)
    static func isPresent(_ price: Int64) -> Bool {
        // One comparison instead of two, so that loops over prices need no branch.
        UInt64(bitPattern: price &+ (priceMagnitudeMax - 1)) < UInt64(2 * (priceMagnitudeMax - 1) + 1)
    }

    /// The book of the tick before becomes the previous one, `book` the present one.
    mutating func take(_ book: borrowing OrderBook) {
        unsafe swap(&prices, &previousPrices)
        unsafe swap(&sizes, &previousSizes)
        let prices = unsafe prices
        let sizes = unsafe sizes
        let levels = unsafe book.levels
        // Vectors are put together from scalars in registers: storing scalars and reading vectors back waits for the
        // store buffer (measured: 204 ns a tick with it, 195 without).
        @inline(__always) func price(_ lane: Int) -> Int64 {
            unsafe lane < BookLanes.firstAsk
                ? levels[lane].bidPrice : 0 &- levels[lane - BookLanes.firstAsk].askPrice
        }
        @inline(__always) func size(_ lane: Int) -> Float {
            unsafe Float(
                lane < BookLanes.firstAsk ? levels[lane].bidSize : levels[lane - BookLanes.firstAsk].askSize)
        }
        var present = SIMD4<Int64>(repeating: 0)
        for group in 0..<5 {
            let lane = group * 4
            let raw = SIMD4(price(lane), price(lane + 1), price(lane + 2), price(lane + 3))
            // All ones where present: the shifted price is negative or too large elsewhere.
            let mask = SIMD4<Int64>(repeating: 0).replacing(
                with: SIMD4(repeating: -1),
                where: (raw .< SIMD4(repeating: BookLanes.priceMagnitudeMax))
                    .& (raw .> SIMD4(repeating: -BookLanes.priceMagnitudeMax)))
            let kept = (raw & mask) | (SIMD4(repeating: BookLanes.absent) & ~mask)
            unsafe UnsafeMutableRawPointer(prices + lane).storeBytes(of: kept, as: SIMD4<Int64>.self)
            let rawSizes = SIMD4(size(lane), size(lane + 1), size(lane + 2), size(lane + 3))
            let narrow = SIMD4<UInt32>(truncatingIfNeeded: mask)
            let keptSizes = unsafe unsafeBitCast(rawSizes, to: SIMD4<UInt32>.self) & narrow
            unsafe UnsafeMutableRawPointer(sizes + lane).storeBytes(of: keptSizes, as: SIMD4<UInt32>.self)
            present = present &- mask
        }
        presentCount = Int(present.wrappedSum())
    }

    /// Twice the mid price, in 1e-9, or nil while a best price is missing.
    var doubledMid: Int64? {
        let bid = unsafe prices[0]
        let ask = unsafe prices[BookLanes.firstAsk]
        guard bid != BookLanes.absent, ask != BookLanes.absent else { return nil }
        return bid &- ask
    }

    /// Writes each lane's order flow of Cont, Kukanov and Stoikov (2014) into `flows`: the size that arrived
    /// at prices no worse than before minus the size that left. Zero where a level is missing now or was, and
    /// everywhere unless `counts`.
    func updateOrderFlow(counts: Bool) {
        let floor = counts ? BookLanes.absent : Int64.max
        let flows = unsafe flows
        let prices = unsafe prices
        let sizes = unsafe sizes
        let previousPrices = unsafe previousPrices
        let previousSizes = unsafe previousSizes
        for lane in 0..<BookLanes.count {
            let price = unsafe prices[lane]
            let before = unsafe previousPrices[lane]
            // Read before the comparison: a read that depends on one keeps the compiler from using vectors.
            let size = unsafe sizes[lane]
            let sizeBefore = unsafe previousSizes[lane]
            let arrived: Float = price >= before ? size : 0
            let left: Float = price <= before ? sizeBefore : 0
            unsafe flows[lane] = min(price, before) > floor ? arrived - left : 0
        }
    }

    /// Writes each lane's distance from the mid, positive away from it, in ticks and capped to `±cap`; `cap`
    /// where there is no level. `out` has room for `count` floats. `halfTicksPerUnit` is 0.5 / tick size.
    func writeDistances(
        doubledMid: Int64, halfTicksPerUnit: Double, cap: Float, into out: UnsafeMutablePointer<Float>
    ) {
        for lane in 0..<BookLanes.count {
            let price = unsafe prices[lane]
            let reference = lane < BookLanes.firstAsk ? doubledMid : 0 &- doubledMid
            // Below 2^51 an integer becomes a double exactly by an addition, which vector units have, while
            // they lack the conversion before AVX-512. The clamp is out of sight behind `cap`: see
            // `tickSizeMax`.
            let units = min(max(reference &- (price &<< 1), -BookLanes.exactMax), BookLanes.exactMax)
            let exact = Double(bitPattern: UInt64(bitPattern: units &+ BookLanes.shiftBits)) - BookLanes.shift
            let ticks = min(max(Float(exact * halfTicksPerUnit), -cap), cap)
            unsafe out[lane] = price == BookLanes.absent ? cap : ticks
        }
    }

    private static var exactMax: Int64 { (1 << 51) - 1 }
    /// 1.5 * 2^52, and its bits.
    private static var shift: Double { 6_755_399_441_055_744 }
    private static var shiftBits: Int64 { 0x4338_0000_0000_0000 }
}
