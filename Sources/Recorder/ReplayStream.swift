internal import DBN
internal import MarketData
internal import Wire

struct StreamKey: Hashable {
    let dataset: String
    let symbol: String
}

/// What a replay keeps for one instrument.
struct ReplayStream {
    let topic: [UInt8]
    let definitionsTopic: [UInt8]
    /// From the configuration, which wins over the file.
    let preset: Instrument?
    /// Tick and lot size; nil while nothing states them, and the processor must be told.
    var instrument: Instrument?
    var isAnnounced = false
    var nextSequence: UInt64 = 1
    var nextDefinition: UInt64 = 1
    private let schema: Schema?
    private let publisherID: UInt16
    private let instrumentID: UInt32
    private let venueTimestamp: UInt64

    init(
        _ key: StreamKey, schema: Schema?, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64,
        preset: Instrument?
    ) {
        topic = Topic.ticks(dataset: key.dataset, symbol: key.symbol)
        definitionsTopic = Topic.definitions(dataset: key.dataset, symbol: key.symbol)
        self.preset = preset
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
        return [
            DefinitionRecord.bytes(
                instrument, publisherID: publisherID, instrumentID: instrumentID, venueTimestamp: venueTimestamp),
            announced,
        ]
    }
}

/// A DBN definition record (version 3) by itself.
private enum DefinitionRecord {
    static func bytes(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64
    ) -> [UInt8] {
        do throws(DBNError) {
            var encoder = try DBNEncoder(
                metadata: DBNMetadata(dataset: "", schema: nil, start: 0), compression: .none)
            _ = encoder.takeOutput()
            try encoder.encodeDefinition(
                instrument, publisherID: publisherID, instrumentID: instrumentID, venueTimestamp: venueTimestamp,
                captureTimestamp: venueTimestamp)
            return encoder.takeOutput()
        } catch {
            // A symbol longer than DBN's field came from a DBN field, and nothing else can be refused.
            preconditionFailure("A definition of a symbol that was read can be written: \(error)")
        }
    }
}
