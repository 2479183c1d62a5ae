import Inference
import MarketData
import Testing
import Wire

@testable import Pipeline

/// Time, resets and flags. The small model warms up for 20 ticks.
struct StateTests {
    private static let midnight = Make.noon + Make.dayNanoseconds / 2

    /// Status actions, and how many resets they make.
    private static let halts: [([UInt16], Int)] = [
        ([8, 7], 1), ([9, 3, 4, 7], 1), ([10, 6, 3, 7, 7], 1), ([7], 0), ([3, 7], 0), ([8], 0), ([8, 3], 0),
    ]
    /// Down, flat, up, and the direction.
    private static let probabilities: [([Float], Int8)] = [
        ([0.2, 0.6, 0.2], 0), ([0.5, 0.3, 0.2], -1), ([0.1, 0.3, 0.6], 1), ([0.4, 0.4, 0.2], 0), ([0.2, 0.4, 0.4], 0),
        ([0.4, 0.2, 0.4], -1), ([0.25, 0.25, 0.25], 0),
    ]
    private static let oneSidedBooks: [(Int64?, Int64?)] = [(nil, 101), (99, nil), (nil, nil)]

    private static func signals(_ records: [[UInt8]], model: Model = TestModel.small, size: Int = 1) -> [SignalRecord] {
        var publisher = TestPublisher()
        return run([publisher.definition()] + publisher.packets(records, of: size), model: model).stream.signals
    }

    private static func resets(_ signals: [SignalRecord]) -> [Int] {
        signals.indices.filter { signals[$0].has(.firstAfterReset) }
    }

    @Test("The roll of the day at 00:00 UTC of the capture clock resets book, features and model")
    func dayRoll() throws {
        let books = Make.books(30)
        let before = Make.books(30, from: Self.midnight - 30_000_000)
        let after = Make.books(30, from: Self.midnight)
        let signals = Self.signals(before + after)
        try #require(signals.count == 60)
        #expect(Self.resets(signals) == [0, 30])
        #expect(signals.map { $0.has(.warmingUp) } == (0..<60).map { $0 % 30 < 20 })
        let fresh = Self.signals(books)
        #expect(signals[30...].map(\.probabilityUp.bitPattern) == fresh.map(\.probabilityUp.bitPattern))
        #expect(signals[..<30].map(\.probabilityUp.bitPattern) == fresh.map(\.probabilityUp.bitPattern))
    }

    @Test("A clock that runs back does not roll the day")
    func clockBack() {
        let times = [Self.midnight + 5, Self.midnight + 3, Self.midnight + 9, Self.midnight - 2]
        #expect(Self.resets(Self.signals(times.map { Make.book(time: $0) })) == [0])
    }

    @Test(
        "The end of a halt resets, also when quoting comes before trading",
        arguments: halts)
    func halt(actions: [UInt16], resetCount: Int) {
        let records = Make.books(5) + actions.map { Make.status($0) } + Make.books(5)
        let signals = Self.signals(records)
        #expect(signals.count == 10, "a status is no tick")
        #expect(Self.resets(signals) == (resetCount == 0 ? [0] : [0, 5]))
    }

    @Test("A status record too short for its action changes nothing")
    func shortStatus() {
        let short = Array(Make.status(8)[..<24])
        let record = [UInt8(short.count / 4)] + short.dropFirst()
        #expect(Self.resets(Self.signals(Make.books(2) + [record, Make.status(7)] + Make.books(2))) == [0])
    }

    @Test("A record without a capture time takes the last one", arguments: [0, Timestamp.undefined])
    func captureTime(missing: UInt64) {
        let times = [Make.noon, missing, Make.noon + 7, missing]
        let signals = Self.signals(times.map { Make.book(time: $0) })
        #expect(signals.map(\.captureTimestamp) == [Make.noon, Make.noon, Make.noon + 7, Make.noon + 7])
        #expect(signals.map(\.venueTimestamp) == times)
        #expect(Self.resets(signals) == [0])
    }

    @Test(
        "A tick of several records gives one signal a horizon, with the last record's sequence",
        arguments: [1, 2, 3, 7])
    func tick(size: Int) {
        let records = [
            Make.trade(flags: []), Make.book(flags: []), Make.book(bid: 98), Make.trade(), Make.status(7), Make.book(),
        ]
        let signals = Self.signals(records, model: TestModel.allHeads, size: size)
        #expect(signals.map(\.inputSequence) == [3, 3, 3, 4, 4, 4, 6, 6, 6])
        #expect(signals.map(\.horizon) == [10, 20, 30, 10, 20, 30, 10, 20, 30])
    }

    @Test("In a feed of tbbo alone every record is a tick")
    func everyRecord() {
        var publisher = TestPublisher()
        let records = (0..<3).map { _ in Make.book(flags: [], action: Action.trade, type: .mbp1) }
        for (schema, count) in [(Schema.tbbo, 3), (.mbp1, 0)] {
            publisher = TestPublisher()
            let outcome = run([publisher.definition(schema: .one(schema))] + publisher.packets(records))
            #expect(outcome[.ticks] == count)
        }
    }

    @Test("A one-sided or empty book has a flag, no mid price and no prediction", arguments: oneSidedBooks)
    func oneSided(bid: Int64?, ask: Int64?) throws {
        let signals = Self.signals(
            [Make.book(), Make.book(bid: bid, ask: ask), Make.book()], model: TestModel.allHeads)
        try #require(signals.count == 9)
        for signal in signals[3..<6] {
            #expect(signal.has(.oneSidedBook) && !signal.has(.crossedBook))
            #expect(signal.midPrice == Price.undefined && signal.direction == 0)
            let values = [
                signal.probabilityDown, signal.probabilityFlat, signal.probabilityUp, signal.expectedReturn,
                signal.volatility, signal.valueAtRisk95, signal.expectedShortfall99, signal.trendFlat, signal.position,
            ]
            #expect(values.allSatisfy { $0.bitPattern == 0x7FC0_0000 })
        }
        for signal in signals[..<3] + signals[6...] {
            #expect(!signal.has(.oneSidedBook) && signal.midPrice == 100 * Make.tickSize)
            #expect(!signal.probabilityUp.isNaN && !signal.position.isNaN && !signal.valueAtRisk99.isNaN)
        }
    }

    @Test("A crossed or locked book has a flag and a prediction", arguments: [(101, 99), (100, 100)])
    func crossed(bid: Int64, ask: Int64) throws {
        let signals = Self.signals([Make.book(), Make.book(bid: bid, ask: ask)])
        try #require(signals.count == 2)
        #expect(signals.map { $0.has(.crossedBook) } == [false, true])
        #expect(!signals[1].probabilityUp.isNaN && signals[1].midPrice == 100 * Make.tickSize)
    }

    @Test("What a model does not output is absent; what it outputs is there for each horizon")
    func outputs() throws {
        let small = try #require(Self.signals([Make.book()]).first)
        #expect(small.expectedReturn.bitPattern == 0x7FC0_0000 && small.position.bitPattern == 0x7FC0_0000)
        let sum = small.probabilityDown + small.probabilityFlat + small.probabilityUp
        #expect(abs(sum - 1) < 1e-5)
        let heads = Self.signals(Make.books(5), model: TestModel.allHeads)
        #expect(Set(heads.suffix(3).map(\.probabilityUp.bitPattern)).count == 3)
    }

    @Test(
        "The direction is the most probable class, and of equals the first in the order flat, down, up",
        arguments: probabilities)
    func direction(probabilities: [Float], direction: Int8) {
        var signal = SignalRecord()
        signal.probabilityDown = probabilities[0]
        signal.probabilityFlat = probabilities[1]
        signal.probabilityUp = probabilities[2]
        #expect(Worker.direction(of: signal) == direction)
    }

    @Test("Every published direction follows from the published probabilities")
    func directions() {
        let signals = Self.signals(Make.market(300, seed: 8), model: TestModel.standard, size: 50)
        #expect(signals.count == 1_200)
        #expect(signals.allSatisfy { $0.direction == Worker.direction(of: $0) })
    }

    @Test("A disorderly stream runs through, and gives the same signals in any packets")
    func disorderly() {
        let records = Make.market(500, seed: 77, isDisorderly: true)
        let digests = [1, 7, 50].map { size in
            var publisher = TestPublisher()
            return run([publisher.definition()] + publisher.packets(records, of: size), model: TestModel.allHeads)
                .digest
        }
        #expect(Set(digests).count == 1)
    }
}
