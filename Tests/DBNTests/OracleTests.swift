import DBN
import Foundation
import MarketData
import Testing

/// Databento's own library as the judge, in both directions.
@Suite("Compared with databento-dbn")
struct OracleTests {
    @Test(
        "every conformance file gives the oracle's fields and, re-encoded, the oracle's bytes",
        .enabled(if: Oracle.hasFeeds, "MARTLET_FEEDS is not set"),
        .enabled(if: Oracle.isAvailable, "MARTLET_PYTHON is not set"))
    func conformance() throws {
        let folder = try TemporaryFolder()
        let files = try Oracle.conformanceFiles()
        #expect(files.count >= 46)
        let source = URL(filePath: try #require(files.first)).deletingLastPathComponent().path
        let output = try Oracle.run(["conformance", source, folder.url.path])
        let expected = try JSONDecoder().decode([String: Oracle.Digest].self, from: output)
        for file in files {
            let name = URL(filePath: file).lastPathComponent
            let (digest, reencoded) = try digestAndReencode(file)
            expectSame(digest, try #require(expected[name]), name)
            let oracleBytes = try readFile(folder.path(name))
            #expect(reencoded == oracleBytes, "\(name)")
        }
    }

    @Test(
        "every conformance file gives the same records however it is cut",
        .enabled(if: Oracle.hasFeeds, "MARTLET_FEEDS is not set"))
    func conformanceDripFeed() throws {
        for file in try Oracle.conformanceFiles() {
            let bytes = try readFile(file)
            let whole = Decoded(bytes)
            #expect(whole.error == nil, "\(file)")
            #expect(!whole.records.isEmpty, "\(file)")
            let oneByOne = Decoded(bytes) { _ in 1 }
            #expect(oneByOne == whole, "\(file)")
            let bySeven = Decoded(bytes) { _ in 7 }
            #expect(bySeven == whole, "\(file)")
        }
    }

    @Test(
        "a million records that the oracle wrote decode to its fields and re-encode to its bytes",
        .enabled(if: Oracle.isAvailable, "MARTLET_PYTHON is not set"))
    func millionFromOracle() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("oracle.dbn")
        let expected = try Oracle.digest(["generate", "20120621", "1000000", path])
        #expect(expected.count == 1_000_000)
        let (digest, reencoded) = try digestAndReencode(path)
        expectSame(digest, expected, path)
        let oracleBytes = try readFile(path)
        #expect(reencoded == oracleBytes)
    }

    @Test(
        "a million records that the encoder wrote have the fields that went in, says the oracle",
        .enabled(if: Oracle.isAvailable, "MARTLET_PYTHON is not set"),
        arguments: [DBNEncoder.Compression.none, .zstd(level: 1)])
    func millionToOracle(compression: DBNEncoder.Compression) throws {
        let folder = try TemporaryFolder()
        let path = folder.path("martlet.dbn")
        var random = SeededRandom(seed: 20_240_808)
        var sums = GeneratedSums()
        let metadata = DBNMetadata(dataset: "MARTLET.TEST", start: 1, symbolTypeIn: nil)
        var writer = try DBNFileWriter(path: path, metadata: metadata, compression: compression)
        // The compressed half of the million is smaller: random numbers do not compress and cost time.
        let count = compression == .none ? 800_000 : 200_000
        for _ in 0..<count { try sums.write(&writer, &random) }
        try writer.finish()
        let oracle = try Oracle.digest(["digest", path])
        #expect(oracle.count == count)
        for (name, fields) in sums.byName {
            for (field, sum) in fields {
                #expect(oracle.classes[name]?.sums[field] == String(sum), "\(name).\(field)")
            }
        }
    }

    /// Our view of a file: the digest of its fields, and its records in version 3, with metadata if it has
    /// them.
    private func digestAndReencode(_ path: String) throws -> (FieldDigest, [UInt8]) {
        var reader = try DBNFileReader(path: path)
        let metadata = reader.metadata ?? testMetadata
        var encoder = try DBNEncoder(metadata: metadata, compression: .none)
        if reader.metadata == nil { _ = encoder.takeOutput() }
        var digest = FieldDigest()
        while try reader.next() {
            digest.add(reader.record)
            try encoder.encode(reader.record.bytes)
        }
        try encoder.finish()
        return (digest, encoder.takeOutput())
    }

    private func expectSame(_ digest: FieldDigest, _ expected: Oracle.Digest, _ path: String) {
        #expect(digest.count == expected.count, "\(path)")
        let classes = digest.byName
        #expect(Set(classes.keys) == Set(expected.classes.keys), "\(path)")
        for (name, item) in classes {
            #expect(item.count == expected.classes[name]?.count, "\(path) \(name)")
            for (field, sum) in zip(item.names, item.sums) {
                let oracle = expected.classes[name]?.sums["\(field)"]
                #expect(oracle == String(sum), "\(path) \(name).\(field)")
            }
        }
    }
}

/// Random trades, books and definitions, and the sums of the fields that they were made from.
private struct GeneratedSums {
    private var trades: [UInt64] = Array(repeating: 0, count: GeneratedSums.marketNames.count)
    private var books: [UInt64] = Array(repeating: 0, count: GeneratedSums.marketNames.count + 60)
    private var definitions: [UInt64] = [0, 0, 0, 0]
    private var tradeCount: UInt64 = 0
    private var bookCount: UInt64 = 0
    private var definitionCount: UInt64 = 0

    private static let marketNames = [
        "publisher_id", "instrument_id", "ts_event", "price", "size", "action", "side", "flags", "depth",
        "ts_recv",
        "ts_in_delta", "sequence",
    ]

    var byName: [String: [(String, UInt64)]] {
        let levelNames = (0..<10).flatMap { level in
            ["bid_px", "ask_px", "bid_sz", "ask_sz", "bid_ct", "ask_ct"].map { "\($0)_0\(level)" }
        }
        return [
            "TradeMsg": Array(zip(GeneratedSums.marketNames, trades)),
            "MBP10Msg": Array(zip(GeneratedSums.marketNames + levelNames, books)),
            "InstrumentDefMsg": Array(
                zip(["instrument_id", "ts_recv", "min_price_increment", "unit_of_measure_qty"], definitions)),
        ]
    }

    mutating func write(_ writer: inout DBNFileWriter, _ random: inout SeededRandom) throws {
        let draw = random.below(100)
        if draw < 90 {
            let fields = GeneratedSums.fields(&random)
            try writer.encodeTrade(fields)
            GeneratedSums.add(fields, &trades, weight: tradeCount &* 2 &+ 1)
            tradeCount += 1
        } else if draw < 99 {
            try writeBook(&writer, &random)
        } else {
            try writeDefinition(&writer, &random)
        }
    }

    private mutating func writeBook(_ writer: inout DBNFileWriter, _ random: inout SeededRandom) throws {
        let fields = GeneratedSums.fields(&random)
        let weight = bookCount &* 2 &+ 1
        var levels: [BookLevel] = []
        for _ in 0..<random.below(11) {
            levels.append(
                BookLevel(
                    bidPrice: random.value(Int64.self), askPrice: random.value(Int64.self),
                    bidSize: random.value(UInt32.self), askSize: random.value(UInt32.self),
                    bidCount: random.value(UInt32.self), askCount: random.value(UInt32.self)))
        }
        try writer.encodeBook(fields, levels: levels.span)
        GeneratedSums.add(fields, &books, weight: weight)
        for index in 0..<10 {
            let level = index < levels.count ? levels[index] : BookLevel()
            let place = GeneratedSums.marketNames.count + index * 6
            books[place] &+= UInt64(bitPattern: level.bidPrice) &* weight
            books[place + 1] &+= UInt64(bitPattern: level.askPrice) &* weight
            books[place + 2] &+= UInt64(level.bidSize) &* weight
            books[place + 3] &+= UInt64(level.askSize) &* weight
            books[place + 4] &+= UInt64(level.bidCount) &* weight
            books[place + 5] &+= UInt64(level.askCount) &* weight
        }
        bookCount += 1
    }

    private mutating func writeDefinition(_ writer: inout DBNFileWriter, _ random: inout SeededRandom) throws {
        let instrument = Instrument(
            dataset: "MARTLET.TEST", symbol: "S\(random.below(1_000))", tickSize: random.value(Int64.self),
            lotSize: random.value(Int64.self))
        let instrumentID = random.value(UInt32.self)
        let captureTimestamp = random.value(UInt64.self)
        try writer.encodeDefinition(
            instrument, publisherID: 9_001, instrumentID: instrumentID, venueTimestamp: 0,
            captureTimestamp: captureTimestamp)
        let weight = definitionCount &* 2 &+ 1
        definitions[0] &+= UInt64(instrumentID) &* weight
        definitions[1] &+= captureTimestamp &* weight
        definitions[2] &+= UInt64(bitPattern: instrument.tickSize) &* weight
        definitions[3] &+= UInt64(bitPattern: instrument.lotSize) &* weight
        definitionCount += 1
    }

    private static func fields(_ random: inout SeededRandom) -> MarketFields {
        MarketFields(
            publisherID: random.value(UInt16.self), instrumentID: random.value(UInt32.self),
            venueTimestamp: random.value(UInt64.self), captureTimestamp: random.value(UInt64.self),
            price: random.value(Int64.self), size: random.value(UInt32.self),
            action: random.value(UInt8.self),
            side: random.value(UInt8.self), flags: RecordFlags(rawValue: random.value(UInt8.self)),
            depth: random.value(UInt8.self), captureDelta: random.value(Int32.self),
            venueSequence: random.value(UInt32.self))
    }

    private static func add(_ fields: MarketFields, _ sums: inout [UInt64], weight: UInt64) {
        sums[0] &+= UInt64(fields.publisherID) &* weight
        sums[1] &+= UInt64(fields.instrumentID) &* weight
        sums[2] &+= fields.venueTimestamp &* weight
        sums[3] &+= UInt64(bitPattern: fields.price) &* weight
        sums[4] &+= UInt64(fields.size) &* weight
        sums[5] &+= UInt64(fields.action) &* weight
        sums[6] &+= UInt64(fields.side) &* weight
        sums[7] &+= UInt64(fields.flags.rawValue) &* weight
        sums[8] &+= UInt64(fields.depth) &* weight
        sums[9] &+= fields.captureTimestamp &* weight
        sums[10] &+= UInt64(bitPattern: Int64(fields.captureDelta)) &* weight
        sums[11] &+= UInt64(fields.venueSequence) &* weight
    }
}
