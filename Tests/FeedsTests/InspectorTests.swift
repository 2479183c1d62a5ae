import DBN
import Feeds
import Foundation
import MarketData
import Testing

@Suite struct InspectorTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    @Test("A file that is not DBN, and one that is cut, are refused")
    func refuses() throws {
        let path = try folder.write("no DBN", "a.dbn")
        #expect(throws: DBNError.self) { try FeedInspector.inspect(path: path) }
        let whole = try made([book(1, 1), book(2, 2)])
        let cut = try folder.write(Array(try Data(contentsOf: URL(filePath: whole)).dropLast(9)), "cut.dbn")
        #expect(throws: DBNError.self) { try FeedInspector.inspect(path: cut) }
    }

    private enum Item {
        case book(MarketFields, BookLevel)
        case trade(MarketFields)
        case status
        case remark(String)
    }

    private func fields(_ time: UInt64, _ sequence: UInt32, publisher: UInt16 = 60001) -> MarketFields {
        MarketFields(
            publisherID: publisher, instrumentID: 7, venueTimestamp: 2 * Timestamp.nanosecondsPerDay - time,
            captureTimestamp: time,
            price: 5, size: 1, flags: .last, venueSequence: sequence)
    }

    private func book(_ time: UInt64, _ sequence: UInt32, _ best: BookLevel = level(1, 1, 2, 1)) -> Item {
        .book(fields(time, sequence), best)
    }

    private func made(_ items: [Item]) throws -> String {
        let path = folder.path("made.dbn")
        let interval = SymbolMapping.Interval(startDate: 1970_01_01, endDate: 1970_01_03, symbol: "7")
        let metadata = DBNMetadata(
            dataset: "XNAS.LOBSTER", start: 1, symbols: ["TEST"],
            mappings: [SymbolMapping(rawSymbol: "TEST", intervals: [interval])])
        var writer = try DBNFileWriter(path: path, metadata: metadata, compression: .none)
        let instrument = Instrument(dataset: "XNAS.LOBSTER", symbol: "TEST", tickSize: 3, lotSize: 4)
        try writer.definition(instrument, publisherID: 60001, instrumentID: 7, timestamp: 1)
        for item in items {
            switch item {
            case .book(let fields, let best): try writer.book(fields, levels: [best].span)
            case .trade(let fields): try writer.trade(fields)
            case .status:
                try writer.status(
                    StatusFields(
                        publisherID: 60001, instrumentID: 7, venueTimestamp: 5, captureTimestamp: 5,
                        action: .halt,
                        isTrading: false, isQuoting: false))
            case .remark(let text):
                try writer.remark(text, publisherID: 60001, instrumentID: 7, timestamp: 5)
            }
        }
        try writer.finish()
        return path
    }

    @Test("What a file says of itself is one line a row, and nothing that a terminal would obey")
    func hostileTexts() throws {
        var inspection = try FeedInspector.inspect(path: try made([book(1, 1), .remark("hello")]))
        let lineCount = inspection.description.split(separator: "\n").count
        let hostile = "A\u{1B}[2J\n\u{9B}"
        inspection.metadata?.dataset = hostile
        inspection.metadata?.symbols = [hostile]
        inspection.messages = [hostile]
        inspection.instruments[0].symbol = hostile
        let before = inspection.description
        inspection.instruments[0].conversion = [hostile: 1]
        for description in [before, inspection.description, inspection.instruments[0].description] {
            #expect(!description.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{9B}" })
        }
        #expect(before.split(separator: "\n").count == lineCount)
        #expect(inspection.description.split(separator: "\n").count == lineCount + 1)
    }

    @Test("Records, ticks, gaps, crossed books, clocks and remarks are counted per instrument")
    func counts() throws {
        var trade = fields(20, 2)
        trade.flags = []
        trade.price = Price.undefined
        var doubtful = fields(25, 3)
        doubtful.flags = [.last, .maybeBadBook, .snapshot]
        let nextDay = Timestamp.nanosecondsPerDay + 5
        let path = try made([
            book(10, 1), .trade(trade), book(20, 2), book(30, 6, level(2, 1, 2, 1)),
            .book(doubtful, level(3, 1, 2, 1)),
            book(26, 4, BookLevel()), book(nextDay, 1), .status, .remark("hello"),
            .remark("martlet.conversion lines=12 superseded=3"),
        ])
        let inspection = try FeedInspector.inspect(path: path)
        #expect(inspection.records == 11 && inspection.ticks == 6)
        #expect(
            inspection.types.map { "\($0.name) \($0.count)" } == [
                "trades 1", "mbp-10 6", "status 1", "definition 1", "system 2",
            ])
        #expect(inspection.firstTimestamp == 10 && inspection.lastTimestamp == nextDay)
        #expect(inspection.messages == ["hello"] && inspection.metadata?.schema == "mixed")
        let part = try #require(inspection.instruments.first)
        #expect(part.symbol == "TEST" && part.tickSize == 3 && part.lotSize == 4)
        #expect(part.ticks == 6 && part.records == 11 && part.types["mbp-10"] == 6)
        // 2 to 6 is a gap of 3, 6 to 3 one backwards; the new day begins at 1.
        #expect(part.sequenceGaps == 2 && part.sequencesMissing == 3)
        #expect(part.crossedBooks == 2 && part.oneSidedBooks == 1 && part.undefinedPrices == 1)
        #expect(part.doubtfulBooks == 1 && part.snapshotRecords == 1)
        #expect(part.captureReversals == 1 && part.venueReversals == 4)
        #expect(part.superseded == 3)
        #expect(inspection.description.contains("superseded 3"))
        let data = try JSONEncoder().encode(inspection)
        #expect(try JSONDecoder().decode(Inspection.self, from: data) == inspection)
    }

    @Test("A converted file tells what its conversion met, and Databento's flags survive")
    func converted() throws {
        let text = """
            1723161255030314667 {"e":"depthUpdate","s":"BTCUSDT","T":1723161256298,"U":1,"u":2,"pu":0,"b":[["1.0","1"]],"a":[]}
            1723161255030314668 {"lastUpdateId":4,"bids":[["1.0","1"]],"asks":[["2.0","1"]]}

            """
        let capture = try folder.write(text, "a.txt")
        let converter = try BinanceConverter(captures: [capture])
        let path = folder.path("a.dbn.zst")
        var writer = try DBNFileWriter(path: path, metadata: converter.plan.metadata, compression: .zstd())
        let report = try converter.convert(to: &writer)
        try writer.finish()
        let inspection = try FeedInspector.inspect(path: path)
        #expect(
            inspection.metadata?.dataset == "BINANCE.USDM"
                && inspection.metadata?.start == 1_723_161_255_030_314_667)
        #expect(
            inspection.instruments[0].conversion?["lines"] == 2 && inspection.instruments[0].superseded == 1)
        #expect(inspection.ticks == report.tickCount && inspection.instruments[0].symbol == "BTCUSDT")
        let data = try JSONEncoder().encode(report)
        #expect(try JSONDecoder().decode(ConversionReport.self, from: data) == report)
    }
}
