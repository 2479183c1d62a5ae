import DBN
import MarketData
import Testing

@Suite("The encoder")
struct EncoderTests {
    private let fields = MarketFields(
        publisherID: 9_001, instrumentID: 77, venueTimestamp: 1_340_285_400_000_000_001,
        captureTimestamp: 1_340_285_400_000_000_900, price: 585_330_000_000, size: 5, action: Action.trade,
        side: Side.bid, flags: [.last, .publisherSpecific], depth: 2, captureDelta: -7, venueSequence: 123_456
    )

    /// What `write` makes behind the metadata.
    private func encoded(_ write: (inout DBNEncoder) throws -> Void) throws -> [UInt8] {
        var encoder = try DBNEncoder(metadata: testMetadata, compression: .none)
        let metadata = encoder.takeOutput()
        #expect(metadata.count == 424)
        try write(&encoder)
        try encoder.finish()
        return encoder.takeOutput()
    }

    @Test("records that DBN does not have, or not with this length, are refused")
    func rejections() throws {
        let signal = makeRecord(0xE0, byteCount: 112)
        #expect(throws: DBNError(.unknownRecordType(0xE0), byteOffset: 424, recordNumber: 1)) {
            try encode([signal])
        }
        let short = makeRecord(1, byteCount: 48)
        #expect(
            throws: DBNError(
                .recordLength(type: 1, found: 48, expected: [80]), byteOffset: 424, recordNumber: 1)
        ) {
            try encode([short])
        }
        for bytes in [
            [], [UInt8(12)], makeRecord(0, byteCount: 48) + [0], Array(makeRecord(0, byteCount: 48)[..<44]),
        ] {
            #expect(throws: DBNError.self) { try encode([bytes]) }
        }
    }

    @Test("texts, dates and levels that do not fit are refused")
    func values() throws {
        var metadata = testMetadata
        metadata.dataset = "SIXTEEN.LETTERS!"
        #expect(throws: DBNError.self) { try encode([], metadata: metadata) }
        metadata = testMetadata
        metadata.symbols = [String(repeating: "A", count: 71)]
        #expect(throws: DBNError.self) { try encode([], metadata: metadata) }
        metadata.symbols = ["Müller"]
        #expect(throws: DBNError.self) { try encode([], metadata: metadata) }
        metadata = testMetadata
        metadata.mappings[0].intervals[0].endDate = 20_120_631
        #expect(throws: DBNError.self) { try encode([], metadata: metadata) }
        #expect(throws: DBNError.self) { try encode([], compression: .zstd(level: 1_000)) }
        let levels = Array(repeating: BookLevel(), count: 11)
        #expect(throws: DBNError(.tooManyLevels(found: 11), byteOffset: 0, recordNumber: 1)) {
            var encoder = try DBNEncoder(metadata: testMetadata, compression: .none)
            do throws(DBNError) {
                try encoder.encodeBook(fields, levels: levels.span)
            } catch {
                throw DBNError(error.reason, byteOffset: 0, recordNumber: error.recordNumber)
            }
        }
    }

    @Test("metadata have Databento's bytes")
    func goldenMetadata() throws {
        let bytes = try encode([])
        #expect(bytes == GoldenBytes.metadata)
    }

    @Test("a trade has Databento's bytes")
    func goldenTrade() throws {
        let bytes = try encoded { encoder in try encoder.encodeTrade(fields) }
        #expect(bytes == GoldenBytes.trade)
    }

    @Test("a book of two levels has Databento's bytes, padded with undefined prices")
    func goldenBook() throws {
        let fields = MarketFields(
            publisherID: 9_001, instrumentID: 77, venueTimestamp: 1, captureTimestamp: 5, price: 2, size: 3,
            action: Action.add, side: Side.ask, flags: .last, depth: 1, captureDelta: 6, venueSequence: 7)
        let levels = [
            BookLevel(bidPrice: 100, askPrice: 200, bidSize: 1, askSize: 2, bidCount: 3, askCount: 4),
            BookLevel(bidPrice: 101, askPrice: 201, bidSize: 2, askSize: 3, bidCount: 4, askCount: 5),
        ]
        let bytes = try encoded { encoder in try encoder.encodeBook(fields, levels: levels.span) }
        #expect(bytes == GoldenBytes.book)
    }

    @Test("a definition has Databento's bytes, undefined but for symbol, tick and lot")
    func goldenDefinition() throws {
        let instrument = Instrument(
            dataset: "MARTLET.TEST", symbol: "GOOG", tickSize: 10_000_000, lotSize: 1_000_000_000)
        let bytes = try encoded { encoder in
            try encoder.encodeDefinition(
                instrument, publisherID: 9_001, instrumentID: 77, venueTimestamp: 11, captureTimestamp: 12,
                instrumentClass: UInt8(ascii: "K"))
        }
        #expect(bytes == GoldenBytes.definition)
        let again = try read(bytes) { DefinitionView($0)?.instrument(dataset: "MARTLET.TEST") }
        #expect(again == instrument)
    }

    @Test(
        "the output is the same however it is taken",
        arguments: [DBNEncoder.Compression.none, .zstd(), .zstd(level: 9)])
    func outputCuts(compression: DBNEncoder.Compression) throws {
        let records = (0..<5_000).map { makeRecord(0, byteCount: 48, instrumentID: $0, fill: 3) }
        let whole = try encode(records, compression: compression)
        var encoder = try DBNEncoder(metadata: testMetadata, compression: compression)
        var pieces: [UInt8] = []
        for record in records {
            try encoder.encode(record.span.bytes)
            pieces += encoder.takeOutput()
        }
        try encoder.finish()
        pieces += encoder.takeOutput()
        #expect(pieces == whole)
        let again = Decoded(pieces)
        #expect(again.records == records)
    }

    @Test("the encoder stops callers that break its rules")
    func preconditions() async {
        await #expect(processExitsWith: .failure) {
            var encoder = try DBNEncoder(metadata: DBNMetadata(dataset: "A", start: 0), compression: .none)
            try encoder.finish()
            try encoder.finish()
        }
        await #expect(processExitsWith: .failure) {
            let decoder = DBNDecoder()
            _ = decoder.record.type
        }
    }
}

/// Bytes that databento-dbn 0.72.0 made of the same values.
enum GoldenBytes {
    static let trade = hex(
        "0c0029234d0000000170a45c78a69912800063488800000005000000544282028473a45c78a69912f9ffffff40e20100")

    static let book =
        hex(
            """
            5c0a29234d00000001000000000000000200000000000000030000004141800105000000000000000600000007000000
            6400000000000000c800000000000000010000000200000003000000040000006500000000000000c900000000000000
            02000000030000000400000005000000
            """)
        + (0..<8).flatMap { _ in hex("ffffffffffffff7fffffffffffffff7f00000000000000000000000000000000") }

    static let metadata =
        hex(
            """
            44424e03a00100004d4152544c45542e544553540000000002000000a0d8855734160100a0d8855734160a0000000000
            00000100004700
            """) + zeros(57) + symbolList("474f4f47") + zeros(4) + symbolList("4e4f5045")
        + symbolList("474f4f47")
        + hex("01000000" + "2d043301" + "2e043301" + "3737") + zeros(69)

    static let definition =
        hex(
            """
            821329234d0000000b000000000000000c000000000000008096980000000000ffffffffffffff7fffffffffffffffff
            ffffffffffffffffffffffffffffff7fffffffffffffff7fffffffffffffff7f00ca9a3b00000000ffffffffffffff7f
            ffffffffffffff7fffffffffffffff7f0000000000000000ffffffffffffff7fffffffffffffff7fffffff7f00000000
            ffffff7fffffff7fffffffffffffffffffffff7fffffff7fffffff7fffffffffffffff7fffffff7fffffff7f00000000
            0000000000000000000000000000000000000000ff7fffffffffffff000000000000000000000000000000000000474f
            4f47
            """) + zeros(245) + hex("4b20ffffffff41ffffff4e7f7fff004e") + zeros(17)

    private static func zeros(_ count: Int) -> [UInt8] { Array(repeating: 0, count: count) }

    /// A count of one and a symbol of four letters.
    private static func symbolList(_ letters: String) -> [UInt8] { hex("01000000" + letters) + zeros(67) }
}
