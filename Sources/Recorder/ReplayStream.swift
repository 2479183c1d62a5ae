internal import DBN
internal import MarketData
internal import Wire

/// An instrument's names, compared as bytes, as topics are: `String` would take "é" in its two encodings for one.
struct StreamKey: Hashable {
    let dataset: String
    let symbol: String

    static func == (left: StreamKey, right: StreamKey) -> Bool {
        left.dataset.utf8.elementsEqual(right.dataset.utf8) && left.symbol.utf8.elementsEqual(right.symbol.utf8)
    }
}

/// What a replay keeps for one instrument.
struct ReplayStream {
    let topic: [UInt8]
    let definitionsTopic: [UInt8]
    /// Tick and lot size; nil while nothing states them, and the processor must be told.
    var instrument: Instrument?
    var isAnnounced = false
    var nextSequence: UInt64 = 1
    var nextDefinition: UInt64 = 1
    private let schema: Schema?
    private let publisherID: UInt16
    private let instrumentID: UInt32
    private let venueTimestamp: UInt64

    /// - Parameter preset: from the configuration, for a file that does not define the instrument.
    /// - Throws: for a dataset or symbol of which no topic can be made.
    init(
        _ key: StreamKey, schema: Schema?, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64,
        preset: Instrument?
    ) throws(WireError) {
        topic = try Topic(.ticks, dataset: key.dataset, symbol: key.symbol).bytes
        definitionsTopic = try Topic(.definitions, dataset: key.dataset, symbol: key.symbol).bytes
        instrument = preset.map {
            Instrument(dataset: key.dataset, symbol: key.symbol, tickSize: $0.tickSize, lotSize: $0.lotSize)
        }
        self.schema = schema
        self.publisherID = publisherID
        self.instrumentID = instrumentID
        self.venueTimestamp = venueTimestamp
    }

    /// The definition, if tick and lot size are known, and behind it the schema of the stream.
    func definitionRecords() -> [[UInt8]] {
        let announced = StreamSchema(schema).record(
            publisherID: publisherID, instrumentID: instrumentID, venueTimestamp: venueTimestamp)
        guard let instrument else { return [announced] }
        // A symbol that DBN's field cannot hold (not ASCII, or too long) is left out of it: the topic names the instrument.
        let definition = definition(of: instrument) ?? definition(of: instrument.unnamed)
        return [definition, announced].compactMap(\.self)
    }

    private func definition(of instrument: Instrument) -> [UInt8]? {
        do throws(DBNError) {
            return try DefinitionRecord.bytes(
                instrument, publisherID: publisherID, instrumentID: instrumentID, venueTimestamp: venueTimestamp)
        } catch { return nil }
    }
}

extension Instrument {
    /// The same sizes without a name.
    fileprivate var unnamed: Instrument {
        Instrument(dataset: "", symbol: "", tickSize: tickSize, lotSize: lotSize)
    }
}

/// A DBN definition record (version 3) by itself.
private enum DefinitionRecord {
    static func bytes(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64
    ) throws(DBNError) -> [UInt8] {
        var encoder = try DBNEncoder(metadata: DBNMetadata(dataset: "", schema: nil, start: 0), compression: .none)
        _ = encoder.takeOutput()
        try encoder.encodeDefinition(
            instrument, publisherID: publisherID, instrumentID: instrumentID, venueTimestamp: venueTimestamp,
            captureTimestamp: venueTimestamp)
        return encoder.takeOutput()
    }
}
