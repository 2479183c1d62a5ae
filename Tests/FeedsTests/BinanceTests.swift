import DBN
import Feeds
import MarketData
import Testing

@Suite struct BinanceTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func write(_ capture: BinanceCapture, _ name: String = "a.gz") throws -> String {
        try folder.write(Container.gzip(capture.text), name)
    }

    @Test(
        "A file that is no capture is refused",
        arguments: [
            "", "\n\n", "hello\n", "{}\n", "1 {}\n", "12345678901234567890123 {}\n", "1 [1,2]\n",
            "\u{0}\u{1}\n",
        ])
    func refusesOtherFiles(text: String) throws {
        let path = try folder.write(text, "a.txt")
        #expect(refusal { () throws(FeedError) in try convertCaptures([path]) }.contains("holds no line"))
    }

    @Test("An unknown symbol is refused with the flag to give, and accepted with it")
    func unknownSymbol() throws {
        var capture = BinanceCapture(symbol: "ETHUSDT")
        capture.diff(1, 2, 0, bids: at(1000, 5))
        let path = try write(capture)
        #expect(
            refusal { () throws(FeedError) in try convertCaptures([path]) }
                == "tick and lot size of ETHUSDT in BINANCE.USDM are not known: "
                + "give --instrument ETHUSDT:tick=SIZE,lot=SIZE")
        let half = try ConversionOptions(instrumentTexts: ["ETHUSDT:tick=0.1"])
        #expect(
            refusal { () throws(FeedError) in try convertCaptures([path], half) }.contains("--instrument"))
        let (sink, _) = try convertCaptures(
            [path], try ConversionOptions(instrumentTexts: ["ETHUSDT:tick=0.1,lot=0.005"]))
        #expect(sink.books[0].levels[0].bidSize == 1)
    }

    @Test("Two markets, or two symbols in one file, are refused by name")
    func refusesMixtures() throws {
        var futures = BinanceCapture()
        futures.diff(1, 2, 0)
        var spot = BinanceCapture()
        spot.line(#"{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}"#)
        let paths = [try write(futures, "f.gz"), try write(spot, "s.gz")]
        let markets = refusal { () throws(FeedError) in try convertCaptures(paths) }
        #expect(markets.contains("USD-M futures") && markets.contains("spot"))
        futures.symbol = "ETHUSDT"
        futures.diff(3, 4, 2)
        let path = try write(futures)
        #expect(
            refusal { () throws(FeedError) in try convertCaptures([path]) }.contains(
                "line 2: found a message of ETHUSDT"))
    }

    @Test(
        "A malformed line is counted with its place and changes nothing",
        arguments: [
            "rubbish", "17", "17 ", "17 {", "17 {}}", "17 {\"a\"}", "99999999999999999999 {}",
            "17 {\"e\":\"trade\"}",
            #"17 {"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"0","m":true}"#,
            #"17 {"e":"trade","s":"BTCUSDT","t":1,"p":"1e5","q":"1","m":true}"#,
            #"17 {"e":"trade","s":"BTCUSDT","t":-1,"p":"1","q":"1","m":true}"#,
            #"17 {"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"1","m":1}"#,
            #"17 {"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"b":[],"a":[]}"#,
            #"17 {"e":"depthUpdate","s":"BTCUSDT","u":2,"pu":1,"b":[],"a":[]}"#,
            #"17 {"e":"depthUpdate","s":"BTCUSDT","U":1,"u":99999999999999999999,"pu":1,"b":[],"a":[]}"#,
            #"17 {"e":"depthUpdate","s":"BTCUSDT","U":1,"u":9223372036854775808,"pu":1,"b":[],"a":[]}"#,
            #"17 {"lastUpdateId":18446744073709551615,"E":7,"T":8,"bids":[],"asks":[]}"#,
            #"17 {"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"pu":1,"b":[["1"]],"a":[]}"#,
            #"17 {"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"pu":1,"b":[["0","1"]],"a":[]}"#,
            #"17 {"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"pu":1,"b":[["10000000000","1"]],"a":[]}"#,
            #"17 {"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"pu":1,"b":[["1","-1"]],"a":[]}"#,
            #"17 {"e":"bookTicker","s":"BTCUSDT","u":2,"b":"1","B":"1","a":"2"}"#,
            #"17 {"e":"bookTicker","s":"BTCUSDT","u":2,"b":"1","B":"1","a":"2","A":"1","x":"#
                + String(repeating: "[", count: 100_000) + "}",
            #"17 {"e":"bookTicker","s":"BTCUSDT","E":99999999999999999,"u":2,"b":"1","B":"1","a":"2","A":"1"}"#,
            #"17 {"s":"unended"#, #"17 {"s":"ends in \"#,
        ])
    func countsMalformed(line: String) throws {
        var capture = BinanceCapture()
        capture.diff(1, 2, 0, bids: at(1000, 5), asks: at(1001, 6))
        capture.text += line + "\n"
        capture.diff(3, 4, 2, bids: at(999, 7))
        let (sink, report) = try convertCaptures([try write(capture)])
        #expect(report.malformed.first.map(\.line) == [2])
        #expect(report.lines == 3 && report.ticks == 2 && report.gapCount == 0)
        #expect(touch(sink.books[1].levels) == [[1000, 5, 1001, 6], [999, 7, -1, 0]])
    }

    @Test("No update identifier is too large to be followed", arguments: [Int.max - 1, Int.max])
    func largestIdentifier(update: Int) throws {
        let spot = { (first: Int) in
            #"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":\#(first),"u":\#(update),"b":[["1","1"]],"a":[["2","1"]]}"#
        }
        var capture = BinanceCapture()
        capture.line(spot(1))
        capture.line(spot(2))
        let (_, report) = try convertCaptures([try write(capture)])
        #expect(report.gapCount == 1 && report.ticks == 2)
    }

    @Test("A line cut or changed anywhere is counted or read, never trapped on")
    func survivesDamage() throws {
        var capture = BinanceCapture()
        capture.diff(1, 2, 0, bids: at(1000, 5), asks: at(1001, 6))
        let first = capture.text
        capture = BinanceCapture()
        capture.snapshot(2, bids: at(1000, 5), asks: at(1001, 6))
        capture.ticker(5, "100.1", "0.010", "100.2", "0.020")
        capture.trade(3, "100.1", "0.001", isBuyerMaker: true)
        capture.diff(3, 6, 2, bids: at(1000, 7))
        let bytes = Array(capture.text.utf8)
        var generator = SeededGenerator(state: 3)
        for index in bytes.indices {
            var changed = bytes
            changed[index] = UInt8.random(in: 0...255, using: &generator)
            let cut = Array(bytes[..<index])
            for damaged in [changed, cut] {
                let path = try folder.write(Array(first.utf8) + damaged, "damaged.txt")
                _ = refusal { () throws(FeedError) in try convertCaptures([path]).1 }
            }
        }
    }

    @Test("Diffs before a snapshot are superseded or held, the snapshot and what follows are ticks")
    func snapshot() throws {
        var capture = BinanceCapture()
        capture.diff(5, 9, 4, bids: at(1000, 1))
        capture.ticker(9, "100.0", "0.003", "100.1", "0.004")
        capture.diff(10, 12, 9, bids: at(1000, 2))
        capture.diff(13, 15, 12, bids: at(999, 3))
        capture.snapshot(11, bids: at(1000, 8) + "," + at(990, 9), asks: at(1001, 7))
        capture.diff(16, 20, 15, asks: at(1001, 0) + "," + at(1002, 6))
        let (sink, report) = try convertCaptures([try write(capture)])
        let books = sink.books
        #expect(
            report.supersededDiffs == 1 && report.heldDiffs == 2 && report.ticks == 5 && report.lines == 6)
        #expect(report.badBookTicks == 1 && report.gapCount == 0 && report.resyncs == 0)
        #expect(
            books.map { touch($0.levels) } == [
                [[1000, 3, 1001, 4]],
                [[1000, 8, 1001, 7], [990, 9, -1, 0]],
                [[1000, 2, 1001, 7], [990, 9, -1, 0]],
                [[1000, 2, 1001, 7], [999, 3, -1, 0], [990, 9, -1, 0]],
                [[1000, 2, 1002, 6], [999, 3, -1, 0], [990, 9, -1, 0]],
            ])
        #expect(
            books.map { $0.fields.flags } == [
                [.last, .topOfBook, .maybeBadBook], [.last, .snapshot, .aggregated], [.last, .aggregated],
                [.last, .aggregated], [.last, .aggregated],
            ])
        // Held diffs take effect when the snapshot comes.
        let start = BinanceCapture().time
        #expect(books.map { ($0.fields.captureTimestamp - start) / 1_000_000 } == [2, 5, 5, 5, 6])
        #expect(books.map { $0.fields.venueSequence } == [9, 11, 12, 15, 20])
        #expect(
            books.map { $0.fields.venueTimestamp } == [5_000_000, 8_000_000]
                + Array(repeating: 1_723_161_256_298_000_000, count: 3))
        #expect(books.map { $0.fields.side } == [Side.none, Side.none, Side.bid, Side.bid, Side.ask])
    }

    @Test("Diffs do not wait for a snapshot that is malformed")
    func malformedSnapshot() throws {
        var capture = BinanceCapture()
        capture.diff(5, 9, 4, bids: at(1000, 1))
        capture.diff(10, 12, 9, bids: at(1000, 2))
        capture.snapshot(11, bids: at(0, 8), asks: at(1001, 7))
        capture.diff(13, 15, 12, bids: at(999, 3))
        let (sink, report) = try convertCaptures([try write(capture)])
        #expect(report.malformed.first.map(\.line) == [3])
        #expect(report.ticks == 3 && report.badBookTicks == 3 && report.supersededDiffs == 0)
        try #require(sink.books.count == 3)
        #expect(touch(sink.books[2].levels) == [[1000, 2, -1, 0], [999, 3, -1, 0]])
    }

    @Test("A report is as many lines as it has rows, whatever the names in it")
    func reportOfNames() throws {
        var capture = BinanceCapture()
        capture.diff(1, 2, 0, bids: at(1000, 5))
        var (_, report) = try convertCaptures([try write(capture)])
        let lineCount = report.description.split(separator: "\n").count
        report.symbol = "A\u{1B}[2J\n\u{9B}"
        let description = report.description
        #expect(description.split(separator: "\n").count == lineCount)
        #expect(!description.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{9B}" })
    }

    @Test("A gap drops the book and waits for the next snapshot")
    func gapWithSnapshot() throws {
        var capture = BinanceCapture()
        capture.snapshot(10, bids: at(1000, 1), asks: at(1001, 1))
        capture.diff(9, 12, 8, bids: at(999, 1))
        capture.diff(15, 18, 14, bids: at(998, 1))
        capture.diff(19, 20, 18, bids: at(997, 1))
        capture.snapshot(19, bids: at(1010, 5), asks: at(1011, 5))
        capture.diff(21, 22, 20, bids: at(1009, 5))
        let (sink, report) = try convertCaptures([try write(capture)])
        #expect(
            report.gapCount == 1 && report.resyncs == 1 && report.supersededDiffs == 1
                && report.heldDiffs == 1)
        #expect(report.gaps.map(\.expected) == [12] && report.gaps.map(\.found) == [14])
        #expect(report.gaps[0].position.line == 3)
        #expect(
            sink.books.map { touch($0.levels).map { $0[0] } } == [
                [1000], [1000, 999], [1010], [1010, 997], [1010, 1009, 997],
            ])
        #expect(sink.books.allSatisfy { !$0.fields.flags.contains(.maybeBadBook) })
    }

    @Test("After a gap without a further snapshot the book is built from diffs, flagged")
    func gapWithoutSnapshot() throws {
        var capture = BinanceCapture()
        capture.snapshot(10, bids: at(1000, 1), asks: at(1001, 1))
        capture.diff(11, 12, 10, bids: at(999, 1))
        capture.diff(15, 18, 14, bids: at(998, 1))
        capture.diff(19, 20, 18, bids: at(997, 1))
        let (sink, report) = try convertCaptures([try write(capture)])
        #expect(report.gapCount == 1 && report.badBookTicks == 2 && report.ticks == 4)
        #expect(
            sink.books.map { touch($0.levels).map { $0[0] } } == [[1000], [1000, 999], [998], [998, 997]])
        #expect(sink.books.map { $0.fields.flags.contains(.maybeBadBook) } == [false, false, true, true])
    }

    @Test("A snapshot too old for the first diff behind it is a gap")
    func snapshotTooOld() throws {
        var capture = BinanceCapture()
        capture.snapshot(10, bids: at(1000, 1), asks: at(1001, 1))
        capture.diff(15, 18, 14, bids: at(998, 1))
        let (_, report) = try convertCaptures([try write(capture)])
        #expect(report.gapCount == 1 && report.badBookTicks == 1)
    }

    @Test("A snapshot older than an unbroken book is a tick that changes nothing")
    func olderSnapshot() throws {
        var capture = BinanceCapture()
        capture.snapshot(10, bids: at(1000, 1), asks: at(1001, 1))
        capture.diff(11, 12, 10, bids: at(999, 1))
        capture.snapshot(11, bids: at(500, 1), asks: at(501, 1))
        capture.diff(13, 14, 12, bids: at(998, 1))
        let (sink, report) = try convertCaptures([try write(capture)])
        #expect(report.olderSnapshots == 1 && report.gapCount == 0 && report.ticks == 4)
        #expect(
            sink.books.map { touch($0.levels).map { $0[0] } } == [
                [1000], [1000, 999], [1000, 999], [1000, 999, 998],
            ])
    }

    @Test("A file without a snapshot and without a predecessor is flagged, with a predecessor it goes on")
    func severalFiles() throws {
        var capture = BinanceCapture()
        capture.snapshot(10, bids: at(1000, 1), asks: at(1001, 1))
        // The symbol comes from a message: this snapshot names none.
        capture.trade(1, "100.1", "0.001", isBuyerMaker: false)
        let first = try write(capture, "z.gz")
        capture.text = ""
        capture.diff(9, 12, 8, bids: at(999, 1))
        capture.diff(13, 14, 12, bids: at(998, 1))
        let second = try write(capture, "a.gz")
        let (alone, aloneReport) = try convertCaptures([second])
        #expect(aloneReport.badBookTicks == 2 && alone.books.count == 2)
        // The order of the arguments does not matter, that of the capture times does.
        let (both, report) = try convertCaptures([second, first])
        #expect(report.files == [first, second])
        #expect(report.badBookTicks == 0 && report.gapCount == 0)
        #expect(
            both.books.map { touch($0.levels).map { $0[0] } } == [[1000], [1000, 999], [1000, 999, 998]])
    }

    @Test("A newer ticker sets the touch, an older one changes nothing, a late diff does not undo it")
    func tickers() throws {
        var capture = BinanceCapture()
        capture.snapshot(10, bids: at(1000, 1) + "," + at(999, 2), asks: at(1001, 3) + "," + at(1002, 4))
        capture.ticker(9, "50.0", "1", "51.0", "1")
        capture.ticker(10, "50.0", "1", "51.0", "1")
        capture.ticker(20, "99.9", "0.007", "100.3", "0.008")
        capture.ticker(22, "100.1", "0.001", "100.3", "0.009")
        capture.diff(11, 15, 10, bids: at(1000, 5), asks: at(1002, 0))
        capture.diff(16, 30, 15, bids: at(999, 6), asks: at(1001, 0))
        let (sink, report) = try convertCaptures([try write(capture)])
        #expect(report.olderTickers == 2 && report.lateDiffs == 1 && report.ticks == 7)
        let start: [[Int64]] = [[1000, 1, 1001, 3], [999, 2, 1002, 4]]
        #expect(
            sink.books.map { touch($0.levels) } == [
                start, start, start,
                [[999, 7, 1003, 8]],
                [[1001, 1, 1003, 9], [999, 7, -1, 0]],
                // The diff is older than the ticker of 22, which stays in force; that of 20 is forgotten.
                [[1001, 1, 1003, 9], [1000, 5, -1, 0], [999, 2, -1, 0]],
                // The diff of 30 knows nothing of 100.1 and 100.3: they were gone again.
                [[1000, 5, -1, 0], [999, 6, -1, 0]],
            ])
        #expect(sink.books[3].fields.flags == [.last, .topOfBook])
    }

    @Test("A ticker of an empty side empties it")
    func emptySide() throws {
        var capture = BinanceCapture()
        capture.snapshot(10, bids: at(1000, 1), asks: at(1001, 3))
        capture.ticker(11, "0.0", "0.000", "100.1", "0.003")
        let (sink, _) = try convertCaptures([try write(capture)])
        #expect(touch(sink.books[1].levels) == [[-1, 0, 1001, 3]])
    }
}
