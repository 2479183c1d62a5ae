import Inference
import MarketData
import TestSupport
import Testing
import Wire

@testable import Pipeline

/// The one-pass evaluation against a plain recomputation, and scores against numbers worked out by hand.
struct EvaluationTests {
    /// One tick as the evaluation sees it.
    private struct Tick {
        var mid: Int64
        var isReset = false
        var isWarming = false
        var directions: [Int8]
        var time: UInt64
        /// A gap record stands in front of it.
        var hasGap = false
    }

    private static let horizons = [
        Evaluation.Horizon(ticks: 3, threshold: 0), Evaluation.Horizon(ticks: 10, threshold: 2e-5),
        Evaluation.Horizon(ticks: 25, threshold: 1e-4),
    ]

    private static func ticks(_ count: Int, seed: UInt64) -> [Tick] {
        var random = SplitMix64(seed: seed)
        var mid: Int64 = 100_000_000_000
        var sinceReset = 0
        return (0..<count).map { index in
            mid += Int64(random.below(5) - 2) * 5_000_000
            let isReset = index == 0 || random.below(90) == 0
            sinceReset = isReset ? 0 : sinceReset + 1
            return Tick(
                mid: random.below(60) == 0 ? Price.undefined : mid, isReset: isReset, isWarming: sinceReset < 12,
                directions: horizons.map { _ in Int8(random.below(3) - 1) }, time: UInt64(1_000 + index),
                hasGap: random.below(100) == 0)
        }
    }

    private static func records(_ tick: Tick, sequence: Int) -> [[UInt8]] {
        var records: [[UInt8]] = []
        if tick.hasGap {
            let gap = GapRecord(
                publisherID: 0, instrumentID: 0, venueTimestamp: 0, inputSession: 1, firstMissing: 1, count: 1,
                reason: .lostOnInput)
            records.append(withUnsafeBytes(of: gap) { Array($0) })
        }
        for (index, horizon) in horizons.enumerated() {
            var signal = SignalRecord()
            signal.horizon = UInt32(horizon.ticks)
            signal.midPrice = tick.mid
            signal.captureTimestamp = tick.time
            signal.direction = tick.directions[index]
            var flags: SignalFlags = []
            if tick.isReset { flags.insert(.firstAfterReset) }
            if tick.isWarming { flags.insert(.warmingUp) }
            signal.flags = flags.rawValue
            records.append(withUnsafeBytes(of: signal) { Array($0) })
        }
        return records
    }

    /// Labels from the definition; a gap breaks the run as a reset does.
    private static func expected(_ ticks: [Tick], _ isInPart: (Int, Tick) -> Bool) -> [HorizonResult] {
        let breaks = ticks.map { $0.isReset || $0.hasGap }
        var runs: [Int] = []
        for index in ticks.indices {
            let isBroken = index == 0 || breaks[index] || ticks[index - 1].mid == Price.undefined
            runs.append(isBroken ? index : runs[index - 1])
        }
        return horizons.enumerated().map { number, horizon in
            let k = horizon.ticks
            let labels = Labels.smoothedMid(
                mids: ticks.map(\.mid), resets: breaks, horizon: k, alpha: horizon.threshold)
            var result = HorizonResult(ticks: k)
            for index in ticks.indices {
                guard let label = labels[index], !ticks[index].isWarming, isInPart(index, ticks[index]) else {
                    continue
                }
                // The last label known at this tick is that of k ticks before, in the same run.
                guard index - k >= runs[index], let known = labels[index - k] else { continue }
                result.model.count(label: label.rawValue, prediction: ticks[index].directions[number])
                result.persistence.count(label: label.rawValue, prediction: known.rawValue)
            }
            return result
        }
    }

    private static func evaluate(_ streams: [[Tick]], part: Evaluation.Part) -> [HorizonResult] {
        var sink = ObservedSink(ListSink(), digest: nil, evaluation: Evaluation(horizons: horizons, part: part))
        var publishers = streams.indices.map { TestPublisher(symbol: "S\($0)") }
        for index in streams[0].indices {
            for stream in streams.indices {
                let message = publishers[stream].packet(records(streams[stream][index], sequence: index))
                message.withUnsafeBytes { sink.observe($0) }
            }
        }
        return sink.evaluation?.results ?? []
    }

    private static func agree(_ left: [HorizonResult], _ right: [HorizonResult]) -> Bool {
        left.map(\.model) == right.map(\.model) && left.map(\.persistence) == right.map(\.persistence)
    }

    @Test(
        "The evaluation equals a recomputation from the definition of the labels",
        arguments: 1...8 as ClosedRange<UInt64>)
    func recomputation(seed: UInt64) {
        let ticks = Self.ticks(3_000, seed: seed)
        let all = Self.evaluate([ticks], part: .all)
        #expect(Self.agree(all, Self.expected(ticks) { _, _ in true }))
        #expect(all.allSatisfy { $0.model.total > 100 }, "the comparison is of something")
        let late = Self.evaluate([ticks], part: .fromTime(2_500))
        #expect(Self.agree(late, Self.expected(ticks) { _, tick in tick.time >= 2_500 }))
        let second = Self.evaluate([ticks], part: .fromTick(1_234))
        #expect(Self.agree(second, Self.expected(ticks) { index, _ in index >= 1_234 }))
    }

    @Test("Two streams do not touch each other's labels")
    func twoStreams() {
        let streams = [Self.ticks(2_000, seed: 21), Self.ticks(2_000, seed: 22)]
        let both = Self.evaluate(streams, part: .all)
        let alone = streams.map { Self.evaluate([$0], part: .all) }
        for index in Self.horizons.indices {
            let sum = zip(alone[0][index].model.counts, alone[1][index].model.counts).map { $0 + $1 }
            #expect(both[index].model.counts == sum)
        }
    }

    @Test("An evaluation of some of a model's horizons leaves the others out")
    func someHorizons() {
        let ticks = Self.ticks(1_000, seed: 5)
        let whole = Self.evaluate([ticks], part: .all)
        var sink = ObservedSink(
            ListSink(), digest: nil, evaluation: Evaluation(horizons: [Self.horizons[1]], part: .all))
        var none = ObservedSink(ListSink(), digest: nil, evaluation: Evaluation(horizons: [], part: .all))
        var publisher = TestPublisher()
        for (index, tick) in ticks.enumerated() {
            let message = publisher.packet(Self.records(tick, sequence: index))
            message.withUnsafeBytes {
                sink.observe($0)
                none.observe($0)
            }
        }
        #expect(sink.evaluation?.results.map(\.model) == [whole[1].model])
        #expect(none.evaluation?.results.isEmpty == true)
    }

    @Test("A pipeline's own evaluation equals the recomputation from what it published")
    func published() throws {
        var publisher = TestPublisher()
        let records = Make.market(1_500, seed: 4)
        var messages = [publisher.definition()] + publisher.packets(Array(records[..<700]), of: 9)
        publisher.nextSequence += 5
        messages += publisher.packets(Array(records[705..<1_200]), of: 9)
        publisher.restart()
        messages += publisher.packets(Array(records[1_200...]), of: 9)
        let metadata = TestModel.allHeads.metadata.horizons
        let horizons = metadata.map { Evaluation.Horizon(ticks: Int($0.length), threshold: $0.alpha) }
        let sink = ObservedSink(ListSink(), digest: nil, evaluation: Evaluation(horizons: horizons, part: .all))
        var pipeline = Pipeline(
            source: ListSource(messages), sink: sink, model: TestModel.allHeads, options: testOptions())
        pipeline.runInline()
        let results = pipeline.publisher.sink.evaluation?.results ?? []
        try #require(results.count == 3)
        let entries = SignalStream.all(in: pipeline.publisher.sink.base.messages)["sig/m/T/A/"]?.entries ?? []
        for (number, horizon) in horizons.enumerated() {
            #expect(results[number].model == Self.model(entries, number, horizon, of: horizons.count))
            #expect(results[number].model.total > 800)
        }
    }

    /// The confusion of horizon `number` from published entries.
    private static func model(
        _ entries: [SignalStream.Entry], _ number: Int, _ horizon: Evaluation.Horizon, of count: Int
    ) -> Confusion {
        var signals: [SignalRecord] = []
        var breaks: [Bool] = []
        var isBroken = false
        var place = 0
        for entry in entries {
            guard case .signal(let signal) = entry else {
                isBroken = true
                continue
            }
            if place % count == number {
                signals.append(signal)
                breaks.append(isBroken || signal.has(.firstAfterReset))
                isBroken = false
            }
            place += 1
        }
        let labels = Labels.smoothedMid(
            mids: signals.map(\.midPrice), resets: breaks, horizon: horizon.ticks, alpha: horizon.threshold)
        var confusion = Confusion()
        var start = 0
        for index in signals.indices {
            if breaks[index] || (index > 0 && signals[index - 1].midPrice == Price.undefined) { start = index }
            guard let label = labels[index], !signals[index].has(.warmingUp), index - horizon.ticks >= start,
                labels[index - horizon.ticks] != nil
            else { continue }
            confusion.count(label: label.rawValue, prediction: signals[index].direction)
        }
        return confusion
    }

    @Test("Nothing counted has no score; a class that is neither there nor predicted scores 0")
    func emptyConfusion() {
        var confusion = Confusion()
        #expect(confusion.accuracy == nil && confusion.macroF1 == nil)
        #expect(confusion.weightedF1 == nil && confusion.hitRate == nil)
        confusion.count(label: 0, prediction: 0)
        #expect(confusion.f1(class: 0) == 0 && confusion.f1(class: 1) == 1)
        #expect(confusion.macroF1 == 1.0 / 3 && confusion.weightedF1 == 1 && confusion.hitRate == nil)
    }

    @Test("Scores are those worked out by hand")
    func confusion() {
        var confusion = Confusion()
        // Rows are labels down, flat, up; columns predictions.
        let counts = [[4, 1, 2], [0, 6, 3], [1, 1, 2]]
        for label in 0..<3 {
            for prediction in 0..<3 {
                for _ in 0..<counts[label][prediction] {
                    confusion.count(label: Int8(label - 1), prediction: Int8(prediction - 1))
                }
            }
        }
        #expect(confusion.total == 20 && confusion.accuracy == 12.0 / 20)
        let f1: [Double] = [8.0 / 12, 12.0 / 17, 4.0 / 11]
        for index in 0..<3 { #expect(abs(confusion.f1(class: index) - f1[index]) < 1e-15) }
        let macro = (f1[0] + f1[1] + f1[2]) / 3
        let weighted = (7 * f1[0] + 9 * f1[1] + 4 * f1[2]) / 20
        #expect(abs((confusion.macroF1 ?? 0) - macro) < 1e-15)
        #expect(abs((confusion.weightedF1 ?? 0) - weighted) < 1e-15)
        #expect(confusion.hitRate == 6.0 / 12)
    }
}
