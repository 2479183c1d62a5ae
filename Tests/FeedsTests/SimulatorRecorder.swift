import DBN
import MarketData

@testable import Feeds

/// A record of a simulation, as the sink received it.
enum SimulatorRecord: Equatable {
    case definition(Instrument, instrumentID: UInt32)
    case trade(MarketFields)
    case book(MarketFields, [BookLevel])

    var fields: MarketFields? {
        switch self {
        case .definition: nil
        case .trade(let fields), .book(let fields, _): fields
        }
    }
}

/// Keeps the records of a simulation.
struct SimulatorRecorder: SimulationSink {
    var records: [SimulatorRecord] = []

    mutating func encodeDefinition(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64,
        captureTimestamp: UInt64, instrumentClass: UInt8
    ) throws(DBNError) {
        records.append(.definition(instrument, instrumentID: instrumentID))
    }

    mutating func encodeTrade(_ fields: MarketFields) throws(DBNError) {
        records.append(.trade(fields))
    }

    mutating func encodeBook(_ fields: MarketFields, levels: Span<BookLevel>) throws(DBNError) {
        records.append(.book(fields, levels.indices.map { levels[$0] }))
    }

    /// The records of a run.
    static func run(seed: UInt64, events: Int, instruments: Int = 1) throws -> [SimulatorRecord] {
        var simulator = try MarketSimulator(
            SimulatorOptions(seed: seed, events: events, instruments: instruments))
        var recorder = SimulatorRecorder()
        _ = try simulator.run(into: &recorder)
        return recorder.records
    }
}

/// A run as the bytes of a plain DBN stream.
func simulatedBytes(seed: UInt64, events: Int, instruments: Int = 1) throws -> [UInt8] {
    var simulator = try MarketSimulator(
        SimulatorOptions(seed: seed, events: events, instruments: instruments))
    var encoder = try DBNEncoder(metadata: simulator.metadata, compression: .none)
    _ = try simulator.run(into: &encoder)
    try encoder.finish()
    return encoder.takeOutput()
}
