public import MarketData

/// Turns the trades and books of one instrument into a vector of floats per tick: streaming, exact, O(1),
/// without allocation. What each number is stands in `docs/FEATURES.md`.
///
/// Every operation is a separately rounded IEEE 754 one in a stated order, so `python/martlet/features.py`,
/// which was written from the document, gives the same bits. One agent owns an extractor and uses it on its
/// thread only.
public struct FeatureExtractor: ~Copyable {
    typealias Lanes = SIMD8<Float>

    /// The book after the last record applied.
    public private(set) var book = OrderBook()

    private var events = TickEvents()
    private var lanes = BookLanes()
    private var sums = DecayedSums()
    /// 0.5 / tick size: half units of 1e-9 to ticks.
    private let halfTicksPerUnit: Double

    /// Capture times, in nanoseconds; meaningful once `hasClock`.
    private var clock: UInt64 = 0
    private var tradeClock: UInt64 = 0
    private var midClock: UInt64 = 0
    private var hasClock = false
    /// Twice the last mid known.
    private var lastDoubledMid: Int64?

    /// The largest tick size accepted, in 1e-9 (2,199 whole units). Up to here clamping distances to 2^51
    /// half units before they become floats is hidden by the cap of 512 ticks.
    public static var tickSizeMax: Int64 { 1 << 41 }

    /// An extractor at the start of a session.
    ///
    /// - Parameter tickSize: the smallest price increment in 1e-9, from 1 to `tickSizeMax`.
    public init(tickSize: Int64) {
        precondition(
            tickSize > 0 && tickSize <= FeatureExtractor.tickSizeMax, "A tick size is from 1 to 2^41.")
        halfTicksPerUnit = 0.5 / Double(tickSize)
    }

    /// Forgets everything: a new session, the end of a halt, a day's roll.
    public mutating func reset() {
        book.reset()
        events = TickEvents()
        lanes.reset()
        sums.reset()
        hasClock = false
        lastDoubledMid = nil
    }

    /// Takes in one record of the tick under way, in order. Only trade, MBP-1 and MBP-10 records of full size
    /// matter.
    public mutating func apply(_ record: borrowing Record) {
        guard record.isTradeOrBook else { return }
        events.take(record, before: book)
        book.apply(record)
    }

    /// Ends the tick after its last record: writes `count` finite floats to `out` and advances the decays.
    ///
    /// - Parameters:
    ///   - captureTimestamp: `ts_recv` of the tick's last record, or the last one seen where it has none.
    ///     Missing (0 or undefined) or earlier than before, it counts as no time gone by.
    ///   - out: room for `count` floats; any alignment of a float.
    public mutating func completeTick(
        captureTimestamp: UInt64, into out: UnsafeMutablePointer<Float>
    ) {
        events.complete()
        lanes.take(book)
        let doubledMid = lanes.doubledMid
        let midChange = advanceMid(to: doubledMid)
        let elapsed = advanceClock(to: captureTimestamp, isMidChanged: midChange != 0)
        let ticks = beginDecays(elapsed: elapsed.sinceTick)
        let shape = unsafe BookShape(sizes: lanes.sizes)

        let depthSums = sums.advance(.depth, by: shape.meanDepth(presentCount: lanes.presentCount))
        let usualDepth = max(depthSums[3] / ticks[3], 1)
        writeBook(shape, doubledMid: doubledMid, usualDepth: usualDepth, into: out)
        writeOrderFlow(ticks: ticks, inverseDepth: 1 / usualDepth, into: out)
        let logTimes = logTimesAndVolume(elapsed, inverseDepth: 1 / usualDepth)
        let trades = writeTrades(logVolume: logTimes[3], usualDepth: usualDepth, into: out)
        writeEvents(into: out)
        writeTimes(logTimes: logTimes, ticks: ticks, trades: trades, into: out)
        writeReturns(midChange: midChange, ticks: ticks, into: out)
        events = TickEvents()
    }
}

/// The parts of a tick. All that read several properties are `mutating`, even where they change nothing:
/// otherwise the compiler copies the whole extractor for each call (Swift 6.3.1, seen in the assembly), and
/// the copy waits for the stores before it.
extension FeatureExtractor {
    /// Nanoseconds since the tick before, the last trade and the last change of the mid.
    private struct Elapsed {
        var sinceTick: UInt64
        var sinceTrade: UInt64
        var sinceMidChange: UInt64
    }

    /// The mid's change since it was last known, in ticks, within ±`FeatureSet.tickCap`; 0 while one of them
    /// is not known.
    private mutating func advanceMid(to doubledMid: Int64?) -> Float {
        guard let doubledMid else { return 0 }
        defer { lastDoubledMid = doubledMid }
        guard let last = lastDoubledMid else { return 0 }
        return ticks(halfUnits: doubledMid &- last)
    }

    /// Half units of 1e-9 in ticks, within ±`FeatureSet.tickCap`.
    @inline(__always)
    private func ticks(halfUnits: Int64) -> Float {
        min(max(Float(Double(halfUnits) * halfTicksPerUnit), -FeatureSet.tickCap), FeatureSet.tickCap)
    }

    private mutating func advanceClock(to captureTimestamp: UInt64, isMidChanged: Bool) -> Elapsed {
        let isKnown = captureTimestamp != 0 && captureTimestamp != Timestamp.undefined
        let now = isKnown ? captureTimestamp : clock
        if !hasClock {
            clock = now
            tradeClock = now
            midClock = now
            hasClock = isKnown
        }
        let limit = FeatureSet.elapsedMax
        let sinceTick = now > clock ? min(now &- clock, limit) : 0
        clock = now
        if events.tradeCount > 0 { tradeClock = now }
        if isMidChanged { midClock = now }
        return Elapsed(
            sinceTick: sinceTick, sinceTrade: now > tradeClock ? min(now &- tradeClock, limit) : 0,
            sinceMidChange: now > midClock ? min(now &- midClock, limit) : 0)
    }

    /// Begins the step of all decays and returns the decayed counts of ticks, each at least 1.
    private mutating func beginDecays(elapsed: UInt64) -> Lanes {
        sums.begin(elapsed: Float(Double(Int64(elapsed)) * 1e-9))
        return sums.advance(.ticks, by: 1)
    }

    private mutating func writeBook(
        _ shape: borrowing BookShape, doubledMid: Int64?, usualDepth: Float,
        into out: UnsafeMutablePointer<Float>
    ) {
        if let doubledMid {
            unsafe lanes.writeDistances(
                doubledMid: doubledMid, halfTicksPerUnit: halfTicksPerUnit, cap: FeatureSet.tickCap,
                into: out + FeatureSet.distances)
        } else {
            unsafe (out + FeatureSet.distances).update(repeating: 0, count: BookLanes.count)
        }
        let scale = 1 / (usualDepth + 1)
        for vector in 0..<(BookLanes.count / 8) {
            let sizes = unsafe UnsafeRawPointer(lanes.sizes).load(fromByteOffset: vector * 32, as: Lanes.self)
            let logs = ElementaryFunctions.log((sizes + 1) * scale)
            unsafe store(logs.clamped(to: FeatureSet.logCap), at: FeatureSet.logSizes + vector * 8, in: out)
        }
        let spread =
            doubledMid == nil
            ? 0
            : unsafe ticks(
                halfUnits: (0 &- lanes.prices[BookLanes.firstAsk] &- lanes.prices[0]) &<< 1)
        unsafe out[FeatureSet.spread] = spread
        unsafe out[FeatureSet.microprice] = (spread * 0.5) * shape.imbalances[0]
        unsafe shape.writeCentres(distances: out + FeatureSet.distances, into: out + FeatureSet.centres)
        for index in 0..<6 {
            unsafe out[FeatureSet.imbalances + index] = shape.imbalances[index]
        }
    }

    private mutating func writeOrderFlow(
        ticks: Lanes, inverseDepth: Float, into out: UnsafeMutablePointer<Float>
    ) {
        lanes.updateOrderFlow(counts: !events.flags.contains(.bookReset))
        var sum: Float = 0
        for level in 0..<OrderBook.depth {
            let flow = unsafe (lanes.flows[level] - lanes.flows[BookLanes.firstAsk + level]) * inverseDepth
            let capped = min(max(flow, -FeatureSet.flowCap), FeatureSet.flowCap)
            unsafe out[FeatureSet.flows + level] = capped
            sum = sum + capped
        }
        let best = unsafe sums.advance(.flow1, by: out[FeatureSet.flows])
        let all = sums.advance(.flow10, by: sum * 0.1)
        unsafe store(best / ticks, at: FeatureSet.flowMeans1, in: out)
        unsafe store(all / ticks, at: FeatureSet.flowMeans10, in: out)
    }

    /// Logarithms of one plus: microseconds since the last tick, trade and mid change, and the net volume in
    /// usual depths.
    private mutating func logTimesAndVolume(_ elapsed: Elapsed, inverseDepth: Float) -> Lanes {
        let net = Float(events.boughtVolume &- events.soldVolume)
        return ElementaryFunctions.log(
            Lanes(
                1 + microseconds(elapsed.sinceTick), 1 + microseconds(elapsed.sinceTrade),
                1 + microseconds(elapsed.sinceMidChange), 1 + net.magnitude * inverseDepth, 1, 1, 1, 1))
    }

    private func microseconds(_ nanoseconds: UInt64) -> Float { Float(Double(Int64(nanoseconds)) * 1e-3) }

    /// Returns the decayed counts of trades.
    private mutating func writeTrades(
        logVolume: Float, usualDepth: Float, into out: UnsafeMutablePointer<Float>
    ) -> Lanes {
        let net = events.boughtVolume &- events.soldVolume
        let sign: Float = net > 0 ? 1 : net < 0 ? -1 : 0
        unsafe out[FeatureSet.tradeSign] = sign
        unsafe out[FeatureSet.tradeVolume] = sign * min(logVolume, FeatureSet.logCap)
        let signed = sums.advance(.signedVolume, by: Float(net))
        let total = events.boughtVolume &+ events.soldVolume &+ events.unsidedVolume
        let volume = sums.advance(.volume, by: Float(total))
        let signs = sums.advance(.tradeSigns, by: Float(events.tradeSigns))
        let trades = sums.advance(.trades, by: Float(events.tradeCount))
        unsafe store(signed / (volume + usualDepth), at: FeatureSet.volumeFlows, in: out)
        unsafe store((signs / (trades + 1)).lowHalf, at: FeatureSet.signFlows, in: out)
        return trades
    }

    private mutating func writeEvents(into out: UnsafeMutablePointer<Float>) {
        let bits = events.flags.rawValue
        for index in 0..<TickEvents.Flags.count {
            unsafe out[FeatureSet.events + index] = (bits >> UInt32(index)) & 1 == 0 ? 0 : 1
        }
        unsafe out[FeatureSet.eventLevel] = Float(events.level) * 0.1
    }

    private mutating func writeTimes(
        logTimes: Lanes, ticks: Lanes, trades: Lanes, into out: UnsafeMutablePointer<Float>
    ) {
        let means = sums.advance(.logGap, by: logTimes[0]) / ticks
        unsafe out[FeatureSet.times] = logTimes[0]
        unsafe out[FeatureSet.times + 1] = means[1]
        unsafe out[FeatureSet.times + 2] = means[3]
        unsafe out[FeatureSet.times + 3] = logTimes[1]
        unsafe out[FeatureSet.times + 4] = logTimes[2]
        let rates = Lanes(
            lowHalf: ticks.highHalf * DecayedSums.inverseTimes,
            highHalf: trades.highHalf * DecayedSums.inverseTimes)
        unsafe store(ElementaryFunctions.log(rates + 1), at: FeatureSet.intensities, in: out)
    }

    private mutating func writeReturns(midChange: Float, ticks: Lanes, into out: UnsafeMutablePointer<Float>) {
        unsafe out[FeatureSet.midChange] = midChange
        let momentum = sums.advance(.midChange, by: midChange)
        unsafe store(momentum.clamped(to: FeatureSet.tickCap), at: FeatureSet.momenta, in: out)
        let squares = sums.advance(.squaredReturn, by: midChange * midChange)
        unsafe store((squares / ticks).lowHalf.squareRoot(), at: FeatureSet.volatilities, in: out)
    }

    /// Writes a vector at `index`, which with its lanes lies below `FeatureSet.names.count`.
    @inline(__always)
    private func store<Vector: BitwiseCopyable>(
        _ vector: Vector, at index: Int, in out: UnsafeMutablePointer<Float>
    ) {
        unsafe UnsafeMutableRawPointer(out + index).storeBytes(of: vector, as: Vector.self)
    }
}

extension SIMD8<Float> {
    /// Compares and selects, because the standard library's `pointwiseMin` goes lane by lane (measured: 12 ns
    /// a call).
    @inline(__always)
    func clamped(to cap: Float) -> Self {
        let low = Self(repeating: -cap)
        let high = Self(repeating: cap)
        let floored = replacing(with: low, where: self .< low)
        return floored.replacing(with: high, where: floored .> high)
    }
}
