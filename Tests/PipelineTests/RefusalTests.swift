import Features
import MarketData
import TestSupport
import Testing
import Wire

@testable import Pipeline

/// What is refused is refused by name, is counted, and leaves everything else as it was.
struct RefusalTests {
    /// A good stream beside which something is refused.
    private static func good(_ count: Int = 30) -> (messages: [[UInt8]], publisher: TestPublisher) {
        var publisher = TestPublisher(symbol: "GOOD")
        let messages = [publisher.definition()] + publisher.packets(Make.books(count))
        return (messages, publisher)
    }

    /// Runs `bad` in front of, between and behind the packets of the good stream.
    private static func mixed(_ bad: [[UInt8]]) -> [[UInt8]] {
        let good = good().messages
        let third = bad.count / 3
        var messages = Array(bad[..<third])
        messages += good[..<9]
        messages += bad[third..<2 * third]
        messages += good[9...]
        messages += bad[(2 * third)...]
        return messages
    }

    @Test("An instrument without a tick size is refused by name, once, and its messages are counted")
    func noTickSize() {
        var publisher = TestPublisher(symbol: "X")
        let outcome = run([publisher.definition(tickSize: nil)] + publisher.packets(Make.books(5)))
        #expect(outcome[.messagesRefused] == 5)
        #expect(outcome[.ticks] == 0 && outcome.published.isEmpty)
        #expect(outcome.incidents.count == 1)
        #expect(outcome.incidents.first?.contains("T X: refused, as its tick size is not known") == true)
        #expect(outcome.incidents.first?.contains("--instrument X:tick=") == true)
    }

    @Test("A tick size from the configuration gives the same signals as a definition")
    func preset() {
        let preset = testOptions {
            $0.presets = [InstrumentPreset(dataset: nil, symbol: "GOOD", tickSize: Make.tickSize)]
        }
        let defined = run(Self.good().messages)
        let configured = run(Array(Self.good().messages.dropFirst()), preset)
        #expect(defined[.ticks] == 30 && configured[.ticks] == 30)
        #expect(configured.incidents.isEmpty)
        #expect(configured.digest == defined.digest)
    }

    @Test("A tick size from the configuration is for the bytes of its symbol")
    func presetOfAnotherSpelling() {
        var publisher = TestPublisher(symbol: "e\u{301}")
        let packets = publisher.packets(Make.books(2))
        for (symbol, ticks) in [("é", UInt64(0)), ("e\u{301}", 2)] {
            let preset = testOptions {
                $0.presets = [InstrumentPreset(dataset: nil, symbol: symbol, tickSize: Make.tickSize)]
            }
            #expect(run(packets, preset)[.ticks] == ticks)
        }
    }

    @Test("A tick size from the configuration is for its own dataset")
    func presetOfAnotherDataset() {
        let preset = testOptions {
            $0.presets = [InstrumentPreset(dataset: "OTHER", symbol: "GOOD", tickSize: Make.tickSize)]
        }
        #expect(run(Array(Self.good().messages.dropFirst()), preset)[.ticks] == 0)
    }

    @Test(
        "A tick size that the features cannot scale is refused by name",
        arguments: [FeatureExtractor.tickSizeMax + 1, Int64.max])
    func tickSizeTooLarge(tickSize: Int64) {
        var publisher = TestPublisher(symbol: "X")
        let messages = [publisher.definition(tickSize: tickSize)] + publisher.packets(Make.books(2))
        let outcome = run(messages)
        #expect(outcome.incidents.count == 1)
        #expect(
            outcome.incidents.first?.contains("T X: refused, as its tick size of \(tickSize)e-9 is out of range")
                == true)
        let configured = run(
            Array(messages.dropFirst()),
            testOptions { $0.presets = [InstrumentPreset(dataset: nil, symbol: "X", tickSize: tickSize)] })
        #expect(configured.incidents == outcome.incidents)
        #expect(outcome[.ticks] == 0 && configured[.ticks] == 0)
    }

    @Test("A tick size of zero or less is no tick size", arguments: [0, -1, Int64.min])
    func tickSizeNotPositive(tickSize: Int64) {
        var publisher = TestPublisher(symbol: "X")
        let outcome = run([publisher.definition(tickSize: tickSize)] + publisher.packets(Make.books(2)))
        #expect(outcome.incidents.first?.contains("its tick size is not known") == true)
        #expect(outcome[.ticks] == 0)
    }

    @Test("The largest tick size is taken")
    func largestTickSize() {
        var publisher = TestPublisher(symbol: "X")
        let outcome = run(
            [publisher.definition(tickSize: FeatureExtractor.tickSizeMax)] + publisher.packets(Make.books(2)))
        #expect(outcome[.ticks] == 2 && outcome.incidents.isEmpty)
    }

    @Test("More instruments than there is room for are refused by name; those that have room go on")
    func noRoom() {
        var streams = (0..<4).map { TestPublisher(symbol: "S\($0)") }
        var messages: [[UInt8]] = []
        for index in streams.indices {
            messages.append(streams[index].definition())
            messages += streams[index].packets(Make.books(3))
        }
        let outcome = run(messages, testOptions { $0.instrumentsMax = 2 })
        #expect(outcome.streams.keys.sorted() == ["sig/m/T/S0/", "sig/m/T/S1/"])
        #expect(outcome[.ticks] == 6)
        #expect(outcome[.messagesRefused] == 8)
        #expect(outcome.incidents.count == 2)
        for symbol in ["S2", "S3"] {
            #expect(outcome.incidents.contains { $0.hasPrefix("T \(symbol) refused: there is room for 2 instruments") })
        }
    }

    @Test("A flood of topics without room is counted and does not make the table or the log grow")
    func floodOfTopics() {
        var messages = Self.good().messages
        for index in 0..<300 {
            var publisher = TestPublisher(symbol: "F\(index)")
            let packet = publisher.packet([Make.book()])
            messages += [packet, packet]
        }
        let outcome = run(messages, testOptions { $0.instrumentsMax = 1 })
        #expect(outcome[.messagesRefused] == 600)
        #expect(outcome.incidents.count == IncidentLog.incidentsMax + 1)
        #expect(outcome.incidents.last?.contains("the rest is only counted") == true)
        #expect(outcome.digest == run(Self.good().messages).digest)
    }

    @Test("What is no topic of ticks is said once, and so is that more topics are refused than are named")
    func refusedTopics() {
        let stranger = TestPublisher()
        let wrong = stranger.packet(Array("other/T/Z/".utf8), [Make.book()], 1)
        let signals = (0..<TopicTable.refusedMax).map { index in
            stranger.packet(Array("sig/m/T/S\(index)/".utf8), [Make.book()], 1)
        }
        let first = "a topic refused: expected md/… or def/…, with two names"
        let second = "a topic of signals refused: expected md/… or def/…, with two names"
        let rest = "more topics are refused than are named here"
        #expect(run(Self.good().messages + [wrong, wrong]).incidents == [first])
        #expect(run(signals.dropLast() + [wrong]).incidents == [second, first])
        var publisher = TestPublisher(symbol: "X")
        let noRoom = publisher.packet([Make.book()])
        let outcome = run(
            Self.good().messages + signals + [noRoom, wrong, noRoom], testOptions { $0.instrumentsMax = 1 })
        #expect(outcome.incidents == [second, rest])
        #expect(outcome[.messagesRefused] == signals.count + 3)
    }

    @Test(
        "A feed of one schema without price levels is refused by name, with a configured tick size too",
        arguments: [Schema.mbo, .trades, .ohlcv1Second, .cmbp1, .bbo1Second])
    func noLevels(schema: Schema) {
        var publisher = TestPublisher(symbol: "X")
        let record = schema == .mbo ? Make.orderByOrder() : Make.trade()
        let packets = publisher.packets([record, record])
        let preset = testOptions { $0.presets = [InstrumentPreset(dataset: nil, symbol: "X", tickSize: Make.tickSize)] }
        for definition in [
            publisher.definition(schema: .one(schema)), publisher.definition(tickSize: nil, schema: .one(schema)),
        ] {
            let outcome = run([definition] + packets, preset)
            #expect(
                outcome.incidents == [
                    "T X: refused, as a feed of \(schema.name) alone has no price levels; give mbp-1, mbp-10 or tbbo data"
                ])
            #expect(outcome[.messagesRefused] == 2 && outcome[.ticks] == 0)
        }
    }

    @Test("Order-by-order records in a mixed feed are skipped, counted and reported once")
    func orderByOrder() {
        var publisher = TestPublisher(symbol: "X")
        var records = Make.books(4)
        records.insert(Make.orderByOrder(), at: 1)
        records.insert(Make.orderByOrder(), at: 3)
        let outcome = run([publisher.definition()] + publisher.packets(records, of: 3))
        #expect(outcome[.recordsUnsupported] == 2)
        #expect(outcome.stream.outline == ["1", "3", "5", "6"])
        #expect(outcome.incidents == ["T X: order-by-order (mbo) records are skipped; give mbp-1 or mbp-10 data"])
    }

    @Test("Random bytes are counted as malformed or refused, never trap, and change nothing else")
    func randomBytes() {
        var random = SplitMix64(seed: 11)
        let bad = (0..<3_000).map { _ in
            (0..<random.below(300)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        }
        let outcome = run(Self.mixed(bad))
        #expect(outcome[.messagesMalformed] + outcome[.messagesRefused] == 3_000)
        #expect(outcome.digest == run(Self.good().messages).digest)
        #expect(outcome.incidents.contains { $0.hasPrefix("malformed message: ") })
    }

    @Test("Messages cut short at every length are malformed and change nothing else")
    func truncations() {
        var other = TestPublisher(symbol: "GOOD", publisher: 1)
        let whole = other.packet([Make.trade(flags: []), Make.book()])
        let bad = whole.indices.map { Array(whole[..<$0]) }
        let outcome = run(Self.mixed(bad))
        #expect(outcome[.messagesMalformed] == bad.count)
        #expect(outcome.digest == run(Self.good().messages).digest)
    }

    @Test("Good messages with one bit flipped never trap")
    func bitFlips() {
        var other = TestPublisher(symbol: "B")
        var heads = [other.definition(), other.packet([Make.trade(flags: []), Make.book()]), other.heartbeat()]
        heads.append(other.packet([Make.status(8), Make.orderByOrder(), Make.book(type: .mbp1)]))
        var bad: [[UInt8]] = []
        for message in heads {
            for byte in message.indices {
                var flipped = message
                flipped[byte] ^= 1 << UInt8(byte % 8)
                bad += [message, flipped]
            }
        }
        let outcome = run(Self.mixed(bad))
        #expect(outcome[.messagesReceived] == bad.count + 31)
        let good = outcome.streams["sig/m/T/GOOD/"]
        #expect(good?.signals.count == 30)
    }

    @Test("A topic whose signals could have no name is refused, and does not trap the publisher")
    func topicTooLong() {
        let symbol = String(repeating: "x", count: Topic.byteCountMax - "md/T//".utf8.count)
        var publisher = TestPublisher(symbol: symbol)
        let outcome = run(Self.good().messages + publisher.packets(Make.books(2)))
        #expect(outcome[.messagesRefused] == 2)
        #expect(outcome.incidents.first?.hasSuffix("refused: with the model's name its topic is too long") == true)
        #expect(outcome.digest == run(Self.good().messages).digest)
    }

    @Test("A packet larger than half the ring is dropped and told, and what follows is processed")
    func oversize() {
        var publisher = TestPublisher(symbol: "X")
        var messages = [publisher.definition(), publisher.packet(Make.books(2)), publisher.packet(Make.books(40))]
        messages.append(publisher.packet(Make.books(2)))
        let outcome = run(messages, testOptions { $0.ringBytes = 1 << 14 })
        #expect(outcome.stream.outline == ["1", "2", "gap 3+40 droppedByOverload 1", "43", "44"])
        #expect(outcome[.recordsDroppedOnInput] == 40)
        #expect(outcome.incidents.count == 1)
        #expect(outcome.incidents.first?.contains("give a larger --ring-bytes") == true)
    }

    @Test("An oversize packet at the end is told too")
    func oversizeAtEnd() {
        var publisher = TestPublisher(symbol: "X")
        let messages = [publisher.definition(), publisher.packet(Make.books(2)), publisher.packet(Make.books(40))]
        let outcome = run(messages, testOptions { $0.ringBytes = 1 << 14 })
        #expect(outcome.stream.outline == ["1", "2", "gap 3+40 droppedByOverload 1"])
    }

    @Test("A signal topic on the input is refused")
    func signalTopic() {
        let outcome = run(Self.good().messages)
        let again = run(outcome.published + Self.good().messages)
        #expect(again[.messagesRefused] == outcome.published.count)
        #expect(again.digest == outcome.digest)
    }
}
