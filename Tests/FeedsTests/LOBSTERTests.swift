import DBN
import Feeds
import MarketData
import Testing

private let messageName = "TEST_2012-06-21_34200000_57600000_message_2.csv"
private let bookName = "TEST_2012-06-21_34200000_57600000_orderbook_2.csv"
/// Midnight of 2012-06-21 in New York (UTC-4).
private let midnight: UInt64 = 1_340_251_200_000_000_000
private let cent: Int64 = 10_000_000

private func convert(
    _ zips: [String], _ options: ConversionOptions = ConversionOptions()
) throws(FeedError) -> (ArraySink, ConversionReport) {
    var sink = ArraySink()
    let report = try LOBSTERConverter.convert(zips: zips, options: options, to: &sink)
    return (sink, report)
}

@Suite struct LOBSTERTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func zip(
        _ messages: String, _ books: String, message: String = messageName, book: String = bookName,
        as name: String = "a.zip"
    ) throws -> String {
        try folder.write(
            Container.zip([
                Container.ZipFile("folder/" + message, messages), Container.ZipFile("folder/" + book, books),
                Container.ZipFile("ReadMe.txt", "words"),
            ]), name)
    }

    @Test("A message row without a book row, or the reverse, is refused with its line")
    func refusesRowCounts() throws {
        let row = "34200.1,1,7,10,1000000,1\n"
        let book = "1000100,5,1000000,10,9999999999,0,-9999999999,0\n"
        let extraMessage = try zip(row + row, book)
        #expect(
            refusal { () throws(FeedError) in try convert([extraMessage]) }
                .hasSuffix("line 2: found row 2, expected the end, because the order-book file has 1 rows"))
        let extraBook = try zip(row, book + book)
        #expect(
            refusal { () throws(FeedError) in try convert([extraBook]) }
                .hasSuffix("line 2: found row 2, expected the end, because the message file has 1 rows"))
    }

    @Test(
        "A first row of another format is refused",
        arguments: [
            "", "a,b,c,d,e,f", "34200.1,1,7,10,1000000", "34200.1,1,7,10,1000000,1,9",
            "34200.1,8,7,10,1000000,1",
            "34200.1,1,7,10,1000000,0", "-1,1,7,10,1000000,1", "1e5,1,7,10,1000000,1",
            "34200.1,1,7,-10,1000000,1",
            "34200.1,1,7,10,-5,1", "34200.1,1,7,10,99999999999999999999,1",
            "34200.1,1,7,10,999999999999999999,1",
            "999999999,1,7,10,1000000,1", "34200.1234567891,1,7,10,1000000,1", ",,,,,",
        ])
    func refusesRows(row: String) throws {
        let path = try zip(row + "\n", "1000100,5,1000000,10,9999999999,0,-9999999999,0\n")
        #expect(refusal { () throws(FeedError) in try convert([path]) } != "nothing was refused")
    }

    @Test(
        "A book row with other columns than the name announces is refused",
        arguments: [
            "1000100,5,1000000,10", "1000100,5,1000000,10,9999999999,0,-9999999999,0,1", "x,5,1,1,1,1,1,1",
            "1000100,0,1000000,10,9999999999,0,-9999999999,0", "0,5,1000000,10,9999999999,0,-9999999999,0",
            "1000100,4294967295,1000000,10,9999999999,0,-9999999999,0",
        ])
    func refusesBookRows(row: String) throws {
        let path = try zip("34200.1,1,7,10,1000000,1\n", row + "\n")
        #expect(refusal { () throws(FeedError) in try convert([path]) }.contains("line 1: found"))
    }

    @Test("A zip without a pair of files, and the same day twice, are refused")
    func refusesNames() throws {
        let row = "34200.1,1,7,10,1000000,1\n"
        let book = "1000100,5,1000000,10,9999999999,0,-9999999999,0\n"
        let none = try zip(row, book, message: "a.csv", book: "b.csv")
        #expect(refusal { () throws(FeedError) in try convert([none]) }.contains("holds no file named"))
        let alone = try zip(row, book, book: "b.csv", as: "b.zip")
        #expect(refusal { () throws(FeedError) in try convert([alone]) }.contains("has no order-book file"))
        let good = try zip(row, book, as: "c.zip")
        #expect(
            refusal { () throws(FeedError) in try convert([good, good]) }.contains("the same day of TEST"))
        #expect(refusal { () throws(FeedError) in try convert([]) }.contains("no input"))
        let empty = try zip("", "", as: "d.zip")
        #expect(refusal { () throws(FeedError) in try convert([empty]) }.contains("no rows"))
    }

    @Test("A size that is not whole lots is refused with the flag to give")
    func refusesLots() throws {
        let path = try zip("34200.1,1,7,10,1000000,1\n", "1000100,5,1000000,10,9999999999,0,-9999999999,0\n")
        let options = try ConversionOptions(instrumentTexts: ["TEST:lot=10"])
        let message = refusal { () throws(FeedError) in try convert([path], options) }
        #expect(message.contains("found size 5"))
        #expect(message.contains("--instrument TEST:lot=SIZE"))
    }

    @Test("Each event type becomes its records, halts become status records")
    func events() throws {
        let book = "1000100,5,1000000,10,9999999999,0,-9999999999,0\n"
        let path = try zip(
            """
            34200.015105074,1,1,10,1000000,1
            34200.05990197,2,1,3,1000100,-1
            34201,3,1,3,1000000,1
            34201,4,1,4,1000100,-1
            34202.5,5,0,7,1000050,1
            34203,6,-1,9,1000000,-1
            34204,7,0,0,-1,-1
            34205,7,0,0,0,-1
            34206,7,0,0,1,-1

            """, String(repeating: book, count: 9))
        let (sink, report) = try convert([path])
        let instrument = Instrument(
            dataset: "XNAS.LOBSTER", symbol: "TEST", tickSize: cent, lotSize: 1_000_000_000)
        let first = midnight + 34_200_015_105_074
        #expect(sink.entries.first == .definition(instrument, publisherID: 60001, id: 1, timestamp: first))
        let rows = [level(100_000_000_000, 10, 100_010_000_000, 5)] + Array(repeating: BookLevel(), count: 9)
        #expect(sink.books.allSatisfy { $0.levels == rows })
        #expect(sink.books.map { $0.fields.action } == [0x41, 0x43, 0x43, 0x46])
        #expect(sink.books.map { $0.fields.side } == [Side.bid, Side.ask, Side.bid, Side.ask])
        #expect(sink.books.map { $0.fields.venueSequence } == [1, 2, 3, 4])
        #expect(sink.books.allSatisfy { $0.fields.flags == .last && $0.fields.depth == 0 })
        #expect(sink.books[1].fields.captureTimestamp == midnight + 34_200_059_901_970)
        #expect(sink.trades.map(\.side) == [Side.bid, Side.ask, Side.none])
        #expect(sink.trades.map(\.flags) == [[], .last, .last])
        #expect(sink.trades.map(\.price) == [100_010_000_000, 100_005_000_000, 100_000_000_000])
        #expect(sink.trades.map(\.size) == [4, 7, 9])
        #expect(sink.trades.map(\.venueSequence) == [4, 5, 6])
        #expect(sink.statuses.map(\.action) == [.halt, .quoting, .trading])
        #expect(sink.statuses.map(\.isTrading) == [false, false, true])
        #expect(sink.statuses.map(\.isQuoting) == [false, true, true])
        let part = report.instruments[0]
        #expect(part.ticks == 6 && part.lines == 9 && part.halts.count == 3 && part.hiddenExecutions == 1)
        #expect(part.crossTrades == 1 && part.offTickTrades.first.map(\.line) == [5])
        #expect(
            part.remark == "martlet.conversion lines=9 ticks=6 superseded=0 gaps=0 resyncs=0 trade_gaps=0 "
                + "malformed=0 ignored=0 halts=3")
    }

    @Test("Of more than ten levels the best ten stay")
    func manyLevels() throws {
        let row = (1...12).map { "\(1_000_000 + $0 * 100),\($0),\(1_000_000 - $0 * 100),\($0 + 50)" }
        let path = try zip(
            "34200,1,1,10,1000000,1\n", row.joined(separator: ",") + "\n",
            message: messageName.replacing("_2.csv", with: "_12.csv"),
            book: bookName.replacing("_2.csv", with: "_12.csv"))
        let (sink, _) = try convert([path])
        let expected = (1...10).map {
            level(
                100_000_000_000 - Int64($0) * cent, UInt32($0 + 50), 100_000_000_000 + Int64($0) * cent,
                UInt32($0))
        }
        #expect(sink.books[0].levels == expected)
        // The event's price is none of the levels.
        #expect(sink.books[0].fields.depth == 10)
    }

    @Test("A malformed row in the middle is counted and leaves a gap in the sequence")
    func countsMalformed() throws {
        let book = "1000100,5,1000000,10,9999999999,0,-9999999999,0\n"
        let path = try zip(
            "34200,1,1,10,1000000,1\nrubbish\n34199,1,1,10,1000000,1\n", book + book + book)
        let (sink, report) = try convert([path])
        #expect(sink.books.map { $0.fields.venueSequence } == [1, 3])
        #expect(report.instruments[0].malformed.first.map(\.line) == [2])
        #expect(report.instruments[0].clockReversals.count == 1)
    }

    @Test("Days of one symbol follow each other, symbols are merged by time")
    func severalInputs() throws {
        func day(_ symbol: String, _ date: String, _ time: Int) throws -> String {
            try zip(
                "\(time),1,1,10,1000000,1\n", "1000100,5,1000000,10\n",
                message: "\(symbol)_\(date)_0_1_message_1.csv", book: "\(symbol)_\(date)_0_1_orderbook_1.csv",
                as: "\(symbol)\(date).zip")
        }
        let (sink, report) = try convert([
            try day("B", "2012-06-22", 34_200), try day("A", "2012-06-21", 34_300),
            try day("B", "2012-06-21", 34_200),
        ])
        #expect(sink.books.map { $0.fields.instrumentID } == [1, 2, 1])
        #expect(sink.books.map { $0.fields.venueSequence } == [1, 1, 1])
        #expect(report.instruments.map(\.symbol) == ["B", "A"])
        #expect(report.instruments.map(\.ticks) == [2, 1])
    }

    @Test(
        "Names that are not LOBSTER's are not parsed",
        arguments: [
            "", "GOOG.csv", "GOOG_2012-06-21_34200000_57600000_message_10.txt",
            "GOOG_2012-02-30_34200000_57600000_message_10.csv",
            "GOOG_2012-06-21_34200000_57600000_other_10.csv",
            "_2012-06-21_34200000_57600000_message_10.csv", "GOOG_2012-06-21_34200000_57600000_message_0.csv",
            "GOOG_2012-06-21_34200000_57600000_message_1001.csv", "GOOG_1986-06-21_0_1_message_10.csv",
            "GOOG_2012-6-21x_0_1_message_10.csv", "GOOG_2012-06-21_0_99999999999999999999_message_10.csv",
        ])
    func refusesFileNames(name: String) {
        #expect(LOBSTERFileName(name) == nil)
    }

    @Test(
        "Midnight in New York follows the daylight-saving rules of the year",
        arguments: [
            ("2012-06-21", 1_340_251_200), ("2012-01-03", 1_325_566_800), ("2013-03-08", 1_362_718_800),
            ("2013-03-11", 1_362_974_400), ("2013-11-01", 1_383_278_400), ("2013-11-04", 1_383_541_200),
            ("2006-04-03", 1_144_036_800), ("2006-03-31", 1_143_781_200), ("2006-10-30", 1_162_184_400),
            ("2006-10-27", 1_161_921_600), ("2024-02-29", 1_709_182_800),
        ] as [(String, UInt64)])
    func midnights(date: String, seconds: UInt64) throws {
        let name = try #require(LOBSTERFileName("a/b/X_Y_\(date)_34200000_57600000_message_10.csv"))
        #expect(name.midnightTimestamp == seconds * 1_000_000_000)
        #expect(name.symbol == "X_Y" && name.levelCount == 10 && name.kind == .message)
    }
}
