import DBN
import Feeds
import MarketData
import Testing

@Suite struct BinanceRecordTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func write(_ capture: BinanceCapture, _ name: String = "a.gz") throws -> String {
        try folder.write(Container.gzip(capture.text), name)
    }

    @Test("Trades carry the aggressor's side and their number, whose gaps are counted")
    func trades() throws {
        var capture = BinanceCapture()
        capture.diff(1, 2, 0)
        capture.trade(4_294_967_295, "61800.3", "0.006", isBuyerMaker: false)
        capture.trade(4_294_967_296, "61800.2", "4294967.294", isBuyerMaker: true)
        capture.trade(4_294_967_299, "61800.25", "1", isBuyerMaker: true)
        capture.line(#"{"e":"trade","s":"BTCUSDT","t":4294967300,"p":"0","q":"0","X":"NA","m":true}"#)
        let (sink, report) = try convertCaptures([try write(capture)])
        #expect(sink.trades.map(\.side) == [Side.bid, Side.ask, Side.ask])
        #expect(sink.trades.map(\.venueSequence) == [.max, 0, 3])
        #expect(sink.trades.map(\.size) == [6, .max - 1, 1_000])
        #expect(sink.trades[0].price == 61_800_300_000_000 && sink.trades[0].venueTimestamp == 8_000_000)
        #expect(report.tradeGaps.first.map(\.line) == [4] && report.offTickTrades.first.map(\.line) == [4])
        #expect(report.ignoredEvents == ["trade outside the book": 1])
    }

    @Test("Trades of part of a lot and sizes that a record cannot hold are refused with their line")
    func refusesSizes() throws {
        var capture = BinanceCapture()
        capture.diff(1, 2, 0)
        capture.trade(1, "61800.3", "0.0005", isBuyerMaker: false)
        let path = try write(capture)
        #expect(
            refusal { () throws(FeedError) in try convertCaptures([path]) }.contains(
                "line 2: found a trade of 0.0005"))
        capture = BinanceCapture()
        capture.diff(1, 2, 0, bids: #"["100.0","4294967.295"]"#)
        let large = try write(capture)
        #expect(
            refusal { () throws(FeedError) in try convertCaptures([large]) }.contains(
                "line 1: found size 4294967.295"))
    }

    @Test("A level of part of a lot is counted, and rounded down but not to nothing where it is written")
    func oddSizes() throws {
        var capture = BinanceCapture()
        capture.diff(1, 2, 0, bids: #"["100.0","0.0019"],["99.0","0.0001"]"#)
        let (sink, report) = try convertCaptures([try write(capture)])
        #expect(report.oddSizes.count == 2 && report.roundedBooks.count == 1)
        #expect(sink.books[0].levels[0].bidSize == 1 && sink.books[0].levels[1].bidSize == 1)
    }

    @Test("Messages of other kinds are counted by name and passed over whatever they hold")
    func ignoresOthers() throws {
        var capture = BinanceCapture()
        capture.diff(1, 2, 0)
        capture.line(
            #"{"stream":"x@markPrice","data":{"e":"markPriceUpdate","s":"BTCUSDT","p":"-5","q":[{"a":null}]}}"#
        )
        capture.line(
            #"{"stream":"x@depth20@100ms","data":{"e":"depthUpdate","U":1,"u":2,"pu":0,"b":[],"a":[]}}"#)
        capture.line(#"{"result":null,"id":1}"#)
        let (_, report) = try convertCaptures([try write(capture)])
        #expect(report.ignoredEvents == ["markPrice": 1, "depth20": 1, "message without an event name": 1])
        #expect(report.ticks == 1 && report.malformed.count == 0)
    }

    @Test("The market is that of the messages, and so are dataset, publisher, tick and lot")
    func markets() throws {
        var spot = BinanceCapture()
        spot.line(
            #"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"61837.63000000","q":"0.02000000","T":1,"m":true,"M":true}"#
        )
        spot.line(#"{"u":1,"s":"BTCUSDT","b":"61837.63","B":"3.78826","a":"61837.64","A":"1.54698"}"#)
        let (spotSink, _) = try convertCaptures([try write(spot)])
        #expect(spotSink.trades[0].publisherID == 60011 && spotSink.trades[0].size == 2_000)
        // Spot tickers tell no time.
        #expect(spotSink.books[0].fields.venueTimestamp == Timestamp.undefined)
        var coin = BinanceCapture()
        coin.line(
            #"{"e":"trade","E":1,"T":1,"s":"BTCUSD_PERP","t":1,"p":"61804.8","q":"7","X":"MARKET","m":true}"#)
        let (coinSink, coinReport) = try convertCaptures([try write(coin)])
        #expect(coinSink.trades[0].publisherID == 60013 && coinSink.trades[0].size == 7)
        #expect(coinReport.lotSize == 1_000_000_000 && coinReport.tickSize == 100_000_000)
    }
}
