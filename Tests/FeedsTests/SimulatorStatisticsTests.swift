import DBN
import MarketData
import Testing

@testable import Feeds

@Suite("Feed statistics")
struct SimulatorStatisticsTests {
    /// Encodes with `body` and measures.
    static func measure(
        tickSize: Int64 = 10, _ body: (inout DBNEncoder) throws -> Void
    ) throws -> FeedStatistics {
        var encoder = try DBNEncoder(metadata: DBNMetadata(dataset: "TEST", start: 0), compression: .none)
        try body(&encoder)
        try encoder.finish()
        let bytes = encoder.takeOutput()
        var statistics = FeedStatistics(tickSize: tickSize)
        var offset = 8 + Int(bytes[4]) + Int(bytes[5]) << 8
        while offset < bytes.count {
            let count = Int(bytes[offset]) * 4
            let part = Array(bytes[offset..<(offset + count)])
            if let record = Record(at: part.span.bytes) { statistics.observe(record) }
            offset += count
        }
        return statistics
    }

    static func fields(_ time: UInt64, _ action: UInt8, id: UInt32 = 1, flags: RecordFlags = .last)
        -> MarketFields
    {
        MarketFields(
            publisherID: 1, instrumentID: id, venueTimestamp: time, captureTimestamp: time, price: 100,
            size: 1,
            action: action, flags: flags)
    }

    static func book(_ bid: Int64, _ bidSize: UInt32, _ ask: Int64, _ askSize: UInt32) -> [BookLevel] {
        (0..<10).map {
            BookLevel(
                bidPrice: bid - 10 * Int64($0), askPrice: ask + 10 * Int64($0), bidSize: bidSize + UInt32($0),
                askSize: askSize + UInt32($0))
        }
    }

    @Test("An empty feed has figures of zero")
    func takesNothing() throws {
        let statistics = try Self.measure { _ in }
        #expect(statistics.ticks == 0)
        #expect(statistics.figures.allSatisfy { $0 == 0 })
    }

    @Test(
        "Definitions, other instruments and snapshots are not counted; an empty side and a crossed book do not trap"
    )
    func passesOver() throws {
        let statistics = try Self.measure { encoder in
            try encoder.encodeDefinition(
                Instrument(dataset: "TEST", symbol: "A", tickSize: 10, lotSize: 1), publisherID: 1,
                instrumentID: 1, venueTimestamp: 1, captureTimestamp: 1)
            let book = Self.book(100, 5, 120, 5)
            try encoder.encodeBook(Self.fields(1, Action.add, flags: [.last, .snapshot]), levels: book.span)
            try encoder.encodeBook(Self.fields(2, Action.add, id: 2), levels: book.span)
            try encoder.encodeBook(Self.fields(3, Action.add), levels: [BookLevel]().span)
            try encoder.encodeBook(Self.fields(4, Action.add), levels: Self.book(200, 5, 120, 5).span)
            let extreme = [BookLevel(bidPrice: .min, askPrice: .max - 1, bidSize: .max, askSize: .max)]
            try encoder.encodeBook(Self.fields(1, Action.modify), levels: extreme.span)
            try encoder.encodeBook(Self.fields(.max, Action.add), levels: book.span)
            try encoder.encodeBook(Self.fields(.max - 1, Action.add), levels: book.span)
        }
        #expect(statistics.ticks == 5)
        #expect(statistics.instrumentID == 1)
    }

    @Test("Spread, depth and mix are counted once per tick")
    func measuresBooks() throws {
        let statistics = try Self.measure { encoder in
            try encoder.encodeBook(Self.fields(0, Action.add), levels: Self.book(100, 10, 120, 20).span)
            try encoder.encodeBook(Self.fields(1, Action.cancel), levels: Self.book(100, 10, 140, 30).span)
            try encoder.encodeTrade(Self.fields(2, Action.trade, flags: []))
            try encoder.encodeBook(Self.fields(2, Action.trade), levels: Self.book(90, 10, 140, 30).span)
            try encoder.encodeTrade(Self.fields(3, Action.trade))
        }
        #expect(statistics.ticks == 4)
        #expect(statistics.value(.spreadMean) == (2 + 4 + 5 + 5) / 4.0)
        #expect(statistics.value(.spreadMedian) == 4)
        #expect(statistics.value(.depth1) == (15 + 20 + 20 + 20) / 4.0)
        #expect(statistics.value(.depth5) == (19 + 24 + 24 + 24) / 4.0)
        #expect(statistics.value(.addShare) == 0.25)
        #expect(statistics.value(.cancelShare) == 0.25)
        #expect(statistics.value(.tradeShare) == 0.5)
    }

    static let flows: [(BookLevel, Double)] = [
        (BookLevel(bidPrice: 10, askPrice: 20, bidSize: 7, askSize: 5), 2),
        (BookLevel(bidPrice: 11, askPrice: 20, bidSize: 3, askSize: 5), 3),
        (BookLevel(bidPrice: 9, askPrice: 20, bidSize: 9, askSize: 5), -5),
        (BookLevel(bidPrice: 10, askPrice: 20, bidSize: 5, askSize: 9), -4),
        (BookLevel(bidPrice: 10, askPrice: 19, bidSize: 5, askSize: 2), -2),
        (BookLevel(bidPrice: 10, askPrice: 21, bidSize: 5, askSize: 2), 5),
        (BookLevel(askPrice: 20, askSize: 5), -5),
    ]

    @Test("Order-flow imbalance follows Cont, Kukanov and Stoikov", arguments: flows)
    func measuresFlow(new: BookLevel, expected: Double) {
        let old = BookLevel(bidPrice: 10, askPrice: 20, bidSize: 5, askSize: 5)
        #expect(FeedStatistics.flowImbalance(from: old, to: new) == expected)
    }

    @Test("Bursts are the most events in a half-open window")
    func measuresBursts() {
        var windows = BurstWindows(widths: [10, 100])
        for time in [0, 1, 2, 10, 11, 50, 90, 99, 100, 109] as [UInt64] { windows.add(time) }
        #expect(windows.most == [3, 8])
        var full = BurstWindows(widths: [10])
        for _ in 0..<(BurstWindows.capacity + 10) { full.add(5) }
        #expect(full.most == [BurstWindows.capacity])
    }

    @Test("Quantiles of the logarithmic histogram are within 3 %, at both ends of the range too")
    func measuresQuantiles() {
        var random = SimulatorRandom(seed: 2)
        var histogram = LogHistogram()
        var values: [UInt64] = []
        for _ in 0..<5_000 { values.append(random.next() >> UInt64(random.below(64))) }
        values += [0, .max]
        values.sort()
        for value in values { histogram.add(value) }
        for share in [0.0, 0.01, 0.25, 0.5, 0.9, 1] {
            let exact = Double(values[max(0, Int(Double(values.count) * share) - 1)])
            #expect(abs(histogram.quantile(share) - exact) <= 0.03 * exact)
        }
    }

    @Test("Autocorrelation equals the two-pass formula")
    func measuresAutocorrelation() {
        var random = SimulatorRandom(seed: 6)
        var series: [Double] = [3]
        for _ in 1..<500 { series.append(0.6 * series[series.count - 1] + random.uniform()) }
        var streaming = Autocorrelation(lags: 5)
        for value in series { streaming.add(value) }
        let mean = series.reduce(0, +) / 500
        let variance = series.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        for lag in 1...5 {
            var sum = 0.0
            for index in lag..<500 { sum += (series[index] - mean) * (series[index - lag] - mean) }
            let difference = abs(streaming.value(lag: lag) - sum / variance)
            #expect(difference < 1e-9)
        }
        var constant = Autocorrelation(lags: 2)
        for _ in 0..<10 { constant.add(4) }
        #expect(constant.value(lag: 1) == 0)
    }

    @Test("A quantity that leads a level by the horizon correlates fully")
    func measuresForesight() {
        var random = SimulatorRandom(seed: 6)
        var foresight = Foresight(horizon: 3)
        var plans: [Double] = []
        var level = 0.0
        for step in 0..<300 {
            // What is drawn now moves the level only in the step three later.
            if step >= 3, step % 3 == 0 { level += plans[step - 3] }
            let plan = step % 3 == 0 ? random.uniform() - 0.5 : 0
            plans.append(plan)
            if step % 3 == 0 { for _ in 0..<3 { foresight.add(plan, level: level) } }
        }
        #expect(foresight.correlation > 0.999)
    }

    @Test("A bar is met up to its edge, on both sides")
    func judges() {
        #expect(CalibrationFigure.spreadMean.isMet(simulated: 3, recorded: 2))
        #expect(CalibrationFigure.spreadMean.isMet(simulated: 2, recorded: 3))
        #expect(!CalibrationFigure.spreadMean.isMet(simulated: 3.01, recorded: 2))
        #expect(!CalibrationFigure.spreadMean.isMet(simulated: 2, recorded: 3.01))
        #expect(CalibrationFigure.flowLag1.isMet(simulated: -0.05, recorded: 0.04))
        #expect(!CalibrationFigure.flowLag1.isMet(simulated: -0.07, recorded: 0.04))
    }
}
