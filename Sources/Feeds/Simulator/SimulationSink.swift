public import DBN
public import MarketData

/// Takes the records of a simulation in order: a `DBNFileWriter`, a `DBNEncoder`, or a test.
public protocol SimulationSink: ~Copyable {
    /// An instrument's definition; all of them come before the first market record.
    mutating func encodeDefinition(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64,
        captureTimestamp: UInt64, instrumentClass: UInt8
    ) throws(DBNError)
    /// A trade. Without `F_LAST` the book after it follows.
    mutating func encodeTrade(_ fields: MarketFields) throws(DBNError)
    /// A book with its ten levels; it completes a tick.
    mutating func encodeBook(_ fields: MarketFields, levels: Span<BookLevel>) throws(DBNError)
}

extension DBNEncoder: SimulationSink {}
extension DBNFileWriter: SimulationSink {}
