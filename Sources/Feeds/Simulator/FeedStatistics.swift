public import MarketData

/// What a feed of one instrument looks like from afar: spread, depth, event mix, bursts, and the memory of
/// its order flow. One pass, bounded memory, the same code for recorded and simulated feeds.
///
/// Reads MBP-10 and trade records, in order; anything else is passed over. A tick is what `TickRule.lastFlag`
/// says it is. Times are `ts_recv`. Snapshot ticks set the book and are not counted further. Book figures are
/// averages over ticks, not over time. Used on one thread.
public struct FeedStatistics {
    /// Levels whose sizes are averaged.
    public static let depthLevels = 5
    /// Ticks in one bucket of the bucketed order-flow imbalance, and of the look-ahead of the correlations.
    public static let bucketTicks = 50

    /// A longer silence, one hour, is a night or an outage, not a time between ticks.
    public static let nightNanoseconds: UInt64 = 3_600_000_000_000

    /// Which instrument's records are read; nil takes that of the first trade or MBP-10 record.
    public private(set) var instrumentID: UInt32?
    /// Ticks seen, snapshots not included.
    public private(set) var ticks: UInt64 = 0

    private let tickSize: Int64
    private var adds: UInt64 = 0
    private var cancels: UInt64 = 0
    private var trades: UInt64 = 0
    /// The tick under way holds a trade record.
    private var tickHasTrade = false

    private var book = [BookLevel](repeating: BookLevel(), count: FeedStatistics.depthLevels)
    private var previousBest: BookLevel?
    private var hasBook = false

    private var spreadSum = 0.0
    private var spreads = LogHistogram()
    private var depthSums = [Double](repeating: 0, count: FeedStatistics.depthLevels)
    private var depthTicks: UInt64 = 0

    private var previousTime: UInt64?
    private var gaps = MomentSums()
    private var gapHistogram = LogHistogram()
    private var windows = BurstWindows(widths: [100_000, 1_000_000, 1_000_000_000])

    private var flow = Autocorrelation(lags: 10)
    private var bucketFlow = Autocorrelation(lags: 5)
    private var secondFlow = Autocorrelation(lags: 5)
    private var bucket = 0.0
    private var bucketFill = 0
    private var second: UInt64?
    private var secondSum = 0.0

    private var queueForesight = Foresight(horizon: FeedStatistics.bucketTicks)
    private var flowForesight = Foresight(horizon: FeedStatistics.bucketTicks)
    private var recentFlow = [Double](repeating: 0, count: FeedStatistics.bucketTicks)
    private var recentSum = 0.0

    /// - Parameters:
    ///   - tickSize: the instrument's price increment in 1e-9; positive.
    ///   - instrumentID: whose records are read; nil means the first instrument met.
    public init(tickSize: Int64, instrumentID: UInt32? = nil) {
        precondition(tickSize > 0, "A tick size is positive.")
        self.tickSize = tickSize
        self.instrumentID = instrumentID
    }

    /// Takes the next record of the feed.
    public mutating func observe(_ record: borrowing Record) {
        guard record.isTradeOrBook, record.type != .mbp1 else { return }
        let instrument = record.instrumentID
        if instrumentID == nil { instrumentID = instrument }
        guard instrument == instrumentID else { return }
        if record.type == .trade {
            tickHasTrade = true
        } else {
            for index in 0..<FeedStatistics.depthLevels { book[index] = record.level(index) }
            hasBook = true
        }
        guard record.flags.contains(.last) else { return }
        let hasTrade = tickHasTrade
        tickHasTrade = false
        if record.flags.contains(.snapshot) {
            previousBest = book[0]
            return
        }
        ticks += 1
        countKind(record.action, hasTrade: hasTrade)
        // A record without a capture time takes the last one seen.
        let stated = record.captureTimestamp
        let time = stated == Timestamp.undefined ? previousTime ?? 0 : stated
        countTime(time)
        if hasBook { countBook(at: time) }
    }

    private mutating func countKind(_ action: UInt8, hasTrade: Bool) {
        if hasTrade || action == Action.trade || action == Action.fill {
            trades += 1
        } else if action == Action.add {
            adds += 1
        } else if action == Action.cancel {
            cancels += 1
        }
    }

    private mutating func countTime(_ time: UInt64) {
        if let previousTime {
            // A capture clock that steps back counts as no time.
            let gap = time > previousTime ? time - previousTime : 0
            if gap < FeedStatistics.nightNanoseconds {
                gaps.add(Double(gap))
                gapHistogram.add(gap)
            }
        }
        previousTime = max(time, previousTime ?? 0)
        windows.add(previousTime ?? time)
    }

    private mutating func countBook(at time: UInt64) {
        let best = book[0]
        let isTwoSided = best.bidPrice != Price.undefined && best.askPrice != Price.undefined
        // Prices of a hostile file may lie further apart than an integer holds; such a book is not counted.
        let (width, overflows) = best.askPrice.subtractingReportingOverflow(best.bidPrice)
        if isTwoSided, !overflows, width > 0 {
            let spread = Double(width) / Double(tickSize)
            spreadSum += spread
            spreads.add(UInt64(spread + 0.5))
            for index in 0..<FeedStatistics.depthLevels {
                depthSums[index] += (Double(book[index].bidSize) + Double(book[index].askSize)) / 2
            }
            depthTicks += 1
        }
        let change = previousBest.map { FeedStatistics.flowImbalance(from: $0, to: best) } ?? 0
        if previousBest != nil { countFlow(change, at: time) }
        previousBest = best
        guard isTwoSided else { return }
        let total = Double(best.bidSize) + Double(best.askSize)
        let mid = (Double(best.bidPrice) + Double(best.askPrice)) / 2 / Double(tickSize)
        let slot = Int(ticks % UInt64(FeedStatistics.bucketTicks))
        recentSum += change - recentFlow[slot]
        recentFlow[slot] = change
        queueForesight.add(total > 0 ? (Double(best.bidSize) - Double(best.askSize)) / total : 0, level: mid)
        flowForesight.add(recentSum, level: mid)
    }

    private mutating func countFlow(_ change: Double, at time: UInt64) {
        flow.add(change)
        bucket += change
        bucketFill += 1
        if bucketFill == FeedStatistics.bucketTicks {
            bucketFlow.add(bucket)
            bucket = 0
            bucketFill = 0
        }
        let now = time / Timestamp.nanosecondsPerSecond
        guard let current = second else {
            second = now
            secondSum = change
            return
        }
        if now > current {
            secondFlow.add(secondSum)
            // Quiet seconds count as zero; over a night the series just goes on.
            let quiet = now - current - 1
            if quiet < FeedStatistics.nightNanoseconds / Timestamp.nanosecondsPerSecond {
                for _ in 0..<quiet { secondFlow.add(0) }
            }
            second = now
            secondSum = 0
        }
        secondSum += change
    }

    /// The order-flow imbalance of one tick, in lots: what the best bid queue gained minus what the best ask
    /// queue gained (Cont, Kukanov and Stoikov, "The price impact of order book events", 2014).
    public static func flowImbalance(from old: BookLevel, to new: BookLevel) -> Double {
        // A side that is empty stands below, or above, every price.
        let oldBid = old.bidPrice == Price.undefined ? Int64.min : old.bidPrice
        let newBid = new.bidPrice == Price.undefined ? Int64.min : new.bidPrice
        var flow = 0.0
        if newBid >= oldBid { flow += Double(new.bidSize) }
        if newBid <= oldBid { flow -= Double(old.bidSize) }
        if new.askPrice <= old.askPrice { flow -= Double(new.askSize) }
        if new.askPrice >= old.askPrice { flow += Double(old.askSize) }
        return flow
    }

    /// The figures so far, in the order of `CalibrationFigure.allCases`. What cannot be told yet is 0.
    public var figures: [Double] { CalibrationFigure.allCases.map(value) }

    /// One figure so far.
    public func value(_ figure: CalibrationFigure) -> Double {
        let count = Double(max(1, ticks))
        let books = Double(max(1, depthTicks))
        switch figure {
        case .spreadMean: return spreadSum / books
        case .spreadMedian: return spreads.quantile(0.5)
        case .depth1, .depth2, .depth3, .depth4, .depth5:
            return depthSums[figure.rawValue - CalibrationFigure.depth1.rawValue] / books
        case .addShare: return Double(adds) / count
        case .cancelShare: return Double(cancels) / count
        case .tradeShare: return Double(trades) / count
        case .gapMean: return gaps.mean / 1e6
        case .gapVariation: return gaps.mean > 0 ? gaps.deviation / gaps.mean : 0
        case .gapQuantile25: return gapHistogram.quantile(0.25) / 1e6
        case .gapMedian: return gapHistogram.quantile(0.5) / 1e6
        case .gapQuantile75: return gapHistogram.quantile(0.75) / 1e6
        case .gapQuantile90: return gapHistogram.quantile(0.9) / 1e6
        case .gapQuantile99: return gapHistogram.quantile(0.99) / 1e6
        case .burst100Microseconds: return Double(windows.most[0])
        case .burst1Millisecond: return Double(windows.most[1])
        case .burst1Second: return Double(windows.most[2])
        case .flowLag1: return flow.value(lag: 1)
        case .flowLag2: return flow.value(lag: 2)
        case .flowLag5: return flow.value(lag: 5)
        case .flowLag10: return flow.value(lag: 10)
        case .bucketFlowLag1: return bucketFlow.value(lag: 1)
        case .bucketFlowLag2: return bucketFlow.value(lag: 2)
        case .bucketFlowLag3: return bucketFlow.value(lag: 3)
        case .secondFlowLag1: return secondFlow.value(lag: 1)
        case .secondFlowLag2: return secondFlow.value(lag: 2)
        case .secondFlowLag5: return secondFlow.value(lag: 5)
        case .queueForesight: return queueForesight.correlation
        case .flowForesight: return flowForesight.correlation
        }
    }
}
