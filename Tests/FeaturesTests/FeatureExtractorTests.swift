import Features
import MarketData
import TestSupport
import Testing

/// What single features are in stories short enough to calculate by hand; prices in ticks.
@Suite struct FeatureExtractorTests {
    static let second = Timestamp.nanosecondsPerSecond
    static let start = 1_700_000_000 * second

    private func run(_ records: [UInt8]...) -> FeatureRunner {
        FeatureRunner(Array(records.joined()), tickSize: RecordBytes.tickSize)
    }

    @Test(arguments: [0, -1, FeatureExtractor.tickSizeMax + 1])
    func `A tick size outside its range is refused`(_ tickSize: Int64) async {
        await #expect(processExitsWith: .failure) { [tickSize] in
            _ = FeatureExtractor(tickSize: tickSize)
        }
    }

    @Test func `Records that are neither trades nor books, or too short, change nothing`() {
        let book = RecordBytes.book(bids: [(100, 5)], asks: [(102, 7)], time: Self.start)
        let status: [UInt8] = [10, 0x12] + Array(repeating: 0xFF, count: 38)
        let shortTrade: [UInt8] = [8, 0] + Array(repeating: 0xFF, count: 30)
        let plain = run(book, book)
        let mixed = run(book, status, shortTrade, book)
        #expect(mixed.values == plain.values)
    }

    @Test func `Distances, spread, microprice and imbalance follow from the best levels`() {
        let result = run(
            RecordBytes.book(bids: [(100, 30), (98, 10)], asks: [(104, 10), (105, 20)], time: Self.start))
        #expect(result.value("bid_distance_1", at: 0) == 2)
        #expect(result.value("bid_distance_2", at: 0) == 4)
        #expect(result.value("ask_distance_2", at: 0) == 3)
        #expect(result.value("ask_distance_3", at: 0) == 512)
        #expect(result.value("spread", at: 0) == 4)
        #expect(result.value("queue_imbalance_1", at: 0) == 0.5)
        #expect(result.value("microprice_deviation", at: 0) == 1)
        #expect(result.value("queue_imbalance_2", at: 0) == Float(-10) / 30)
        #expect(result.value("queue_imbalance_1_to_10", at: 0) == Float(10) / 70)
        // Usual depth: 70 lots on four levels.
        #expect(abs(result.value("bid_log_size_1", at: 0) - 0.515_8) < 1e-3)
    }

    @Test func `What needs a mid is zero while a side is empty`() {
        let result = run(
            RecordBytes.book(bids: [(100, 30)], asks: [(104, 10)], time: Self.start),
            RecordBytes.book(bids: [(100, 30)], asks: [], time: Self.start))
        let names = FeatureExtractor.names.filter {
            $0.contains("distance") || $0.contains("centre") || ["spread", "mid_change"].contains($0)
        }
        #expect(names.count == 24)
        for name in names { #expect(result.value(name, at: 1) == 0, "\(name)") }
        #expect(result.value("queue_imbalance_1", at: 1) == 1)
    }

    @Test func `Order flow counts what arrived and left, by the rule for better, equal and worse prices`() {
        // One level each side of 10 lots, so the usual depth stays near 10 and signs and ratios are plain.
        let before = RecordBytes.book(bids: [(100, 10)], asks: [(102, 10)], time: Self.start)
        func flow(bid: RecordBytes.Level, ask: RecordBytes.Level, flags: UInt8 = RecordBytes.last) -> Float {
            let after = RecordBytes.book(bids: [bid], asks: [ask], time: Self.start, flags: flags)
            let depth = (Float(10) * 0.99609375 + Float(bid.size + ask.size) / 2) / Float(1.99609375)
            return run(before, after).value("order_flow_1", at: 1) * depth
        }
        func isNear(_ value: Float, _ expected: Float) -> Bool { abs(value - expected) < 1e-4 }
        #expect(isNear(flow(bid: (100, 14), ask: (102, 10)), 4))
        #expect(isNear(flow(bid: (101, 14), ask: (102, 10)), 14))
        #expect(isNear(flow(bid: (99, 14), ask: (102, 10)), -10))
        #expect(isNear(flow(bid: (100, 10), ask: (102, 13)), -3))
        #expect(isNear(flow(bid: (100, 10), ask: (101, 13)), -13))
        #expect(isNear(flow(bid: (100, 10), ask: (103, 13)), 10))
        #expect(flow(bid: (101, 14), ask: (102, 10), flags: RecordBytes.last | RecordBytes.snapshot) == 0)
    }

    @Test func `A trade is counted once, with the aggressor's side, and is hidden without a book record`() {
        let book = RecordBytes.book(bids: [(100, 10)], asks: [(102, 10)], time: Self.start)
        let trade = RecordBytes.trade(price: 102, size: 4, side: "B", time: Self.start, flags: 0)
        let echo = RecordBytes.book(
            bids: [(100, 10)], asks: [(102, 6)], time: Self.start, action: "T", side: "B")
        let hidden = RecordBytes.trade(price: 101, size: 4, side: "A", time: Self.start)
        let result = run(book, trade, echo, hidden)
        #expect(result.tickCount == 3)
        #expect(result.value("trade_sign", at: 1) == 1)
        #expect(result.value("event_trade_buy", at: 1) == 1)
        #expect(result.value("event_hidden_trade", at: 1) == 0)
        #expect(result.value("trade_sign_flow_4t", at: 1) == 0.5)
        #expect(result.value("trade_sign", at: 2) == -1)
        #expect(result.value("event_hidden_trade", at: 2) == 1)
        let alone = run(book, echo)
        #expect(alone.value("trade_sign_flow_4t", at: 1) == 0.5)
    }

    @Test(arguments: [(price: Int64(102), sign: Float(1)), (price: 100, sign: -1), (price: 101, sign: 0)])
    func `A trade without a side is signed by the mid before it`(price: Int64, sign: Float) {
        let book = RecordBytes.book(bids: [(100, 10)], asks: [(102, 10)], time: Self.start)
        let trade = RecordBytes.trade(price: price, size: 4, side: "N", time: Self.start)
        #expect(run(book, trade).value("trade_sign", at: 1) == sign)
        #expect(run(trade).value("trade_sign", at: 0) == 0)
    }

    @Test func `Returns are in ticks, reach across one-sided moments, and decay into momentum`() {
        let result = run(
            RecordBytes.book(bids: [(100, 10)], asks: [(102, 10)], time: Self.start),
            RecordBytes.book(bids: [(100, 10)], asks: [], time: Self.start),
            RecordBytes.book(bids: [(102, 10)], asks: [(103, 10)], time: Self.start),
            RecordBytes.book(bids: [(102, 10)], asks: [(103, 10)], time: Self.start + Self.second))
        #expect(result.value("mid_change", at: 2) == 1.5)
        #expect(result.value("momentum_4t", at: 3) == 1.125)
        #expect(abs(result.value("momentum_1s", at: 3) - 1.5 * 0.367_879_44) < 1e-6)
    }

    @Test func `A clock that is missing, stands still or runs back means no time gone by`() {
        func book(_ time: UInt64) -> [UInt8] {
            RecordBytes.book(bids: [(100, 10)], asks: [(102, 10)], time: time)
        }
        let late = Self.start + Self.second
        let result = run(book(late), book(0), book(.max), book(Self.start), book(late))
        for index in 0..<4 { #expect(result.value("log_gap", at: index) == 0) }
        #expect(abs(result.value("log_gap", at: 4) - 13.815_5) < 1e-3)
    }

    @Test func `After a reset an extractor is as new`() {
        var generator = MarketRecordGenerator(seed: 9, tickSize: RecordBytes.tickSize, isDisorderly: true)
        let records = generator.makeRecords(tickCount: 300)
        var extractor = FeatureExtractor(tickSize: RecordBytes.tickSize)
        let first = FeatureRunner(records, with: &extractor)
        extractor.reset()
        #expect(extractor.book.midPrice == Price.undefined)
        let second = FeatureRunner(records, with: &extractor)
        #expect(first.values.map(\.bitPattern) == second.values.map(\.bitPattern))
    }

    @Test func `Old flows fade to zero without ever being denormal`() {
        let before = RecordBytes.book(bids: [(100, 10)], asks: [(102, 10)], time: Self.start)
        let trade = RecordBytes.trade(price: 102, size: 4, side: "B", time: Self.start)
        var records = before + trade
        for _ in 0..<10_000 { records += before }
        let result = FeatureRunner(records, tickSize: RecordBytes.tickSize)
        #expect(result.value("volume_flow_256t", at: 1) > 0)
        #expect(result.value("volume_flow_256t", at: result.tickCount - 1) == 0)
        let hasDenormal = result.values.contains(where: \.isSubnormal)
        #expect(!hasDenormal)
    }
}
