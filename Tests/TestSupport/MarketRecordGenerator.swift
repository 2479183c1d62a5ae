/// Numbers from a seed (Steele, Lea, Flood: SplitMix64), the same on every machine.
public struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A number from 0 to `bound` - 1.
    public mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// Makes streams of trade, MBP-1 and MBP-10 records, byte for byte as DBN lays them out, from a seed.
///
/// An orderly stream is a random walk of a ten-level book with trades. A disorderly one draws a fifth of its
/// values from the boundaries: empty and one-sided books, prices and sizes at the limits of their types,
/// crossed books, clocks that stop, run back or are missing, snapshots, clears, ticks of many records,
/// records of other types and short ones.
public struct MarketRecordGenerator {
    public struct Level {
        var price: Int64
        var size: UInt32
    }

    private var random: SplitMix64
    private let isDisorderly: Bool
    private let tickSize: Int64
    private var bids: [Level] = []
    private var asks: [Level] = []
    private var clock: UInt64 = 1_700_000_000_000_000_000
    private var bytes: [UInt8] = []

    private static let undefinedPrice = Int64.max
    private static let last: UInt8 = 128
    private static let snapshot: UInt8 = 32

    public init(seed: UInt64, tickSize: Int64, isDisorderly: Bool) {
        random = SplitMix64(seed: seed)
        self.tickSize = tickSize
        self.isDisorderly = isDisorderly
        for index in 0..<10 {
            bids.append(Level(price: (10_000 - Int64(index)) * tickSize, size: UInt32(1 + random.below(500))))
            asks.append(Level(price: (10_001 + Int64(index)) * tickSize, size: UInt32(1 + random.below(500))))
        }
    }

    /// The records of `tickCount` ticks, back to back. Every tick ends with a trade or book record with
    /// `F_LAST`.
    public mutating func makeRecords(tickCount: Int) -> [UInt8] {
        bytes = []
        bytes.reserveCapacity(tickCount * 420)
        for _ in 0..<tickCount {
            clock += UInt64(random.below(4) == 0 ? random.below(50_000_000) : random.below(20_000))
            if isDisorderly, random.below(5) == 0 { disorderlyTick() } else { orderlyTick() }
        }
        return bytes
    }

    private mutating func orderlyTick() {
        let isBid = random.below(2) == 0
        let kind = random.below(100)
        if kind < 3 {
            appendTrade(price: bids[0].price, size: UInt32(1 + random.below(90)), side: "N", flags: Self.last)
            return
        }
        if kind < 15 {
            let traded = isBid ? asks[0] : bids[0]
            appendTrade(price: traded.price, size: traded.size, side: isBid ? "B" : "A", flags: 0)
            removeBest(ofBids: !isBid)
            appendBook(action: "C", side: isBid ? "A" : "B", depth: 0, flags: Self.last)
            return
        }
        let depth = min(random.below(10), random.below(10))
        if kind < 20 {
            improve(bids: isBid)
            appendBook(action: "A", side: isBid ? "B" : "A", depth: 0, flags: Self.last)
        } else if kind < 25 {
            removeBest(ofBids: isBid)
            appendBook(action: "C", side: isBid ? "B" : "A", depth: 0, flags: Self.last)
        } else {
            let size = UInt32(1 + random.below(random.below(10) == 0 ? 50_000 : 500))
            if isBid { bids[depth].size = size } else { asks[depth].size = size }
            appendBook(
                action: ["A", "C", "M"][random.below(3)], side: isBid ? "B" : "A", depth: UInt8(depth),
                flags: Self.last)
        }
    }

    private mutating func removeBest(ofBids: Bool) {
        let fresh = UInt32(1 + random.below(500))
        let gap = Int64(1 + random.below(3)) * tickSize
        if ofBids {
            bids.removeFirst()
            bids.append(Level(price: bids[8].price &- gap, size: fresh))
        } else {
            asks.removeFirst()
            asks.append(Level(price: asks[8].price &+ gap, size: fresh))
        }
    }

    private mutating func improve(bids isBid: Bool) {
        let size = UInt32(1 + random.below(500))
        guard asks[0].price &- bids[0].price > tickSize else { return }
        if isBid {
            bids.insert(Level(price: bids[0].price &+ tickSize, size: size), at: 0)
            bids.removeLast()
        } else {
            asks.insert(Level(price: asks[0].price &- tickSize, size: size), at: 0)
            asks.removeLast()
        }
    }

    private mutating func disorderlyTick() {
        let keptBids = bids
        let keptAsks = asks
        let keptClock = clock
        switch random.below(5) {
        case 0: clock = ([0, .max, 1, .max - 1] as [UInt64])[random.below(4)]
        case 1: clock &-= UInt64(random.below(2_000_000_000))
        case 2: clock &+= ([1 << 42, (1 << 42) - 1, 1 << 50] as [UInt64])[random.below(3)]
        default: break
        }
        for _ in 0..<random.below(4) { disorderlyRecord(flags: 0) }
        disorderBooks()
        disorderlyRecord(flags: Self.last)
        if random.below(4) != 0 {
            bids = keptBids
            asks = keptAsks
        }
        clock = max(keptClock, 1_700_000_000_000_000_000)
    }

    private mutating func disorderBooks() {
        switch random.below(8) {
        case 0: for index in 0..<10 { bids[index].price = Self.undefinedPrice }
        case 1: for index in 0..<10 { asks[index].price = Self.undefinedPrice }
        case 2:
            for index in 0..<10 {
                bids[index].price = Self.undefinedPrice
                asks[index].price = Self.undefinedPrice
            }
        case 3: swap(&bids, &asks)
        case 4:
            for index in random.below(10)..<10 { asks[index] = Level(price: Self.undefinedPrice, size: 0) }
        case 5: bids[random.below(10)].price = boundaryPrice()
        case 6: asks[random.below(10)].price = boundaryPrice()
        default: for index in 0..<10 { bids[index].size = boundarySize() }
        }
        if random.below(3) == 0 { asks[random.below(10)].size = boundarySize() }
    }

    private mutating func disorderlyRecord(flags: UInt8) {
        let side = ["A", "B", "N", "?"][random.below(4)] as Character
        let action = ["A", "C", "M", "R", "T", "F", "N", "x"][random.below(8)] as Character
        let extra: UInt8 = random.below(4) == 0 ? Self.snapshot : 0
        switch random.below(8) {
        case 0:
            appendTrade(price: boundaryPrice(), size: boundarySize(), side: side, flags: flags)
        case 1:
            let price = bids[0].price &+ Int64(random.below(5) - 2) &* tickSize
            appendTrade(price: price, size: UInt32(random.below(100)), side: side, flags: flags)
        case 2:
            appendBook(action: action, side: side, depth: 0, flags: flags | extra, levelCount: 1)
        case 3:
            appendForeign(flags: Self.last)
            appendBook(action: action, side: side, depth: UInt8(random.below(256)), flags: flags | extra)
        default:
            appendBook(action: action, side: side, depth: UInt8(random.below(12)), flags: flags | extra)
        }
    }

    private mutating func boundaryPrice() -> Int64 {
        let limit: Int64 = 1 << 61
        let best = 10_000 * tickSize
        let prices: [Int64] = [
            0, 1, -1, Int64.max, Int64.max - 1, Int64.min, limit, limit - 1, -limit, 1 - limit, -5 * tickSize,
            best + 1, 512 * tickSize, best + (1 << 51),
        ]
        return prices[random.below(prices.count)]
    }

    private mutating func boundarySize() -> UInt32 {
        let sizes: [UInt32] = [0, 1, (1 << 24) - 1, (1 << 24) + 1, UInt32.max - 1, UInt32.max]
        return sizes[random.below(sizes.count)]
    }

    private mutating func appendHeader(type: UInt8, byteCount: Int) {
        bytes.append(UInt8(byteCount / 4))
        bytes.append(type)
        append(UInt16(1))
        append(UInt32(7))
        append(clock)
    }

    private mutating func append<T: FixedWidthInteger>(_ value: T) {
        for index in 0..<(T.bitWidth / 8) { bytes.append(UInt8(truncatingIfNeeded: value >> T(index * 8))) }
    }

    private mutating func appendCommon(
        type: UInt8, byteCount: Int, price: Int64, size: UInt32, action: Character, side: Character,
        flags: UInt8, depth: UInt8
    ) {
        appendHeader(type: type, byteCount: byteCount)
        append(price)
        append(size)
        bytes += [action.asciiValue ?? 0, side.asciiValue ?? 0, flags, depth]
        append(clock)
        append(UInt32(0))
        append(UInt32(0))
    }

    private mutating func appendTrade(price: Int64, size: UInt32, side: Character, flags: UInt8) {
        appendCommon(
            type: 0, byteCount: 48, price: price, size: size, action: "T", side: side, flags: flags, depth: 0)
    }

    private mutating func appendBook(
        action: Character, side: Character, depth: UInt8, flags: UInt8, levelCount: Int = 10
    ) {
        let level = side == "A" ? asks[Int(depth) % 10] : bids[Int(depth) % 10]
        appendCommon(
            type: levelCount == 1 ? 1 : 10, byteCount: 48 + 32 * levelCount, price: level.price,
            size: level.size,
            action: action, side: side, flags: flags, depth: depth)
        for index in 0..<levelCount {
            append(bids[index].price)
            append(asks[index].price)
            append(bids[index].size)
            append(asks[index].size)
            append(UInt32(0))
            append(UInt32(0))
        }
    }

    /// A status record and a trade record cut short, both of which no feature may see.
    private mutating func appendForeign(flags: UInt8) {
        appendHeader(type: 0x12, byteCount: 40)
        bytes += Array(repeating: 0xFF, count: 24)
        appendHeader(type: 0, byteCount: 32)
        bytes += Array(repeating: flags, count: 16)
    }
}
