import DBN
import MarketData
import Testing

@testable import Feeds

@Suite("Market simulator")
struct SimulatorTests {
    @Test(
        "Options out of range are refused with what would be right",
        arguments: [
            (SimulatorOptions(seed: 1, events: 0), SimulatorError.events(0)),
            (SimulatorOptions(seed: 1, events: -5), .events(-5)),
            (SimulatorOptions(seed: 1, events: .max), .events(.max)),
            (SimulatorOptions(seed: 1, events: 20_000_001), .events(20_000_001)),
            (SimulatorOptions(seed: 1, events: 10, instruments: 0), .instruments(0)),
            (SimulatorOptions(seed: 1, events: 10, instruments: -1), .instruments(-1)),
            (SimulatorOptions(seed: 1, events: 10, instruments: 65), .instruments(65)),
        ])
    func refusesOptions(options: SimulatorOptions, expected: SimulatorError) {
        #expect(throws: expected) { _ = try MarketSimulator(options).options }
        #expect(expected.description.contains("1 to "))
    }

    @Test("The extreme seeds and sizes that are allowed run", arguments: [0, 1, UInt64.max])
    func runsAtTheEdges(seed: UInt64) throws {
        let one = try SimulatorRecorder.run(seed: seed, events: 1)
        #expect(one.count(where: { $0.fields?.flags.contains(.last) == true }) == 1)
        let many = try SimulatorRecorder.run(seed: seed, events: 500, instruments: 64)
        #expect(Set(many.compactMap { $0.fields?.instrumentID }).count > 32)
    }

    @Test("Equal options give equal bytes, and a shorter run is a prefix of a longer one")
    func isDeterministic() throws {
        let long = try simulatedBytes(seed: 11, events: 3_000)
        let again = try simulatedBytes(seed: 11, events: 3_000)
        let short = try simulatedBytes(seed: 11, events: 1_234)
        #expect(long == again)
        #expect(short.count < long.count)
        #expect(Array(long.prefix(short.count)) == short)
    }

    @Test("Each of ten seeds gives another feed")
    func seedsDiffer() throws {
        var seen: [[UInt8]] = []
        for seed in 0..<10 as Range<UInt64> {
            let bytes = try simulatedBytes(seed: seed, events: 50)
            #expect(!seen.contains(bytes))
            seen.append(bytes)
        }
    }

    @Test("A run makes exactly the ticks asked for and reports what it made", arguments: [1, 2, 999, 5_000])
    func countsTicks(events: Int) throws {
        var simulator = try MarketSimulator(SimulatorOptions(seed: 5, events: events, instruments: 2))
        var recorder = SimulatorRecorder()
        let report = try simulator.run(into: &recorder)
        let records = recorder.records
        let fields = records.compactMap(\.fields)
        let trades = records.filter { if case .trade = $0 { true } else { false } }
        #expect(report.ticks == UInt64(events))
        #expect(fields.count(where: { $0.flags.contains(.last) }) == events)
        #expect(report.records == UInt64(records.count))
        #expect(report.trades == UInt64(trades.count))
        #expect(report.definitions == 2)
        #expect(report.tradedLots == trades.reduce(0) { $0 + UInt64($1.fields?.size ?? 0) })
        #expect(report.firstTimestamp == fields.first?.captureTimestamp)
        #expect(report.lastTimestamp == fields.last?.captureTimestamp)
    }

    @Test("Progress is told every so many ticks")
    func tellsProgress() throws {
        var simulator = try MarketSimulator(SimulatorOptions(seed: 5, events: 70_000))
        var sink = IgnoringSink()
        var told: [UInt64] = []
        _ = try simulator.run(into: &sink) { told.append($0) }
        #expect(told.count == 1)
        #expect(told.allSatisfy { $0 >= 65_536 && $0 <= 70_000 })
    }

    @Test("Definitions come first, with symbol, tick and lot size")
    func definesInstruments() throws {
        let records = try SimulatorRecorder.run(seed: 9, events: 20, instruments: 3)
        for index in 0..<3 {
            let expected = Instrument(
                dataset: "MARTLET.SIM", symbol: "SIM\(index + 1)", tickSize: 10_000_000,
                lotSize: 1_000_000_000)
            #expect(records[index] == .definition(expected, instrumentID: UInt32(index + 1)))
        }
        #expect(records.dropFirst(3).allSatisfy { $0.fields?.publisherID == 60_021 })
    }

    @Test("Time never runs back, both timestamps agree, and sequences count each instrument's ticks")
    func ordersTime() throws {
        let records = try SimulatorRecorder.run(seed: 21, events: 20_000, instruments: 3)
        var previous = SimulatorOptions.sessionStart
        var sequences: [UInt32: UInt32] = [:]
        for fields in records.compactMap(\.fields) {
            #expect(fields.captureTimestamp >= previous)
            #expect(fields.venueTimestamp == fields.captureTimestamp)
            previous = fields.captureTimestamp
            let expected = (sequences[fields.instrumentID] ?? 0) + 1
            #expect(fields.venueSequence == expected)
            if fields.flags.contains(.last) { sequences[fields.instrumentID] = expected }
        }
    }

    @Test("Nights are skipped: time goes on at the next day's opening")
    func skipsNights() {
        let session = SimulatorOptions.sessionNanoseconds
        let start = SimulatorOptions.sessionStart
        #expect(MarketSimulator.timestamp(elapsed: 0) == start)
        #expect(MarketSimulator.timestamp(elapsed: session - 1) == start + session - 1)
        #expect(MarketSimulator.timestamp(elapsed: session) == start + 86_400_000_000_000)
        #expect(MarketSimulator.timestamp(elapsed: 3 * session + 7) == start + 3 * 86_400_000_000_000 + 7)
        #expect(CalendarDate.utc(start) == 2024_01_02)
    }
}

/// Drops everything.
struct IgnoringSink: SimulationSink {
    mutating func encodeDefinition(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64,
        captureTimestamp: UInt64, instrumentClass: UInt8
    ) throws(DBNError) {}
    mutating func encodeTrade(_ fields: MarketFields) throws(DBNError) {}
    mutating func encodeBook(_ fields: MarketFields, levels: Span<BookLevel>) throws(DBNError) {}
}
