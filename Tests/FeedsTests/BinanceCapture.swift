import Feeds
import MarketData

/// Converts captures of one instrument.
func convertCaptures(
    _ paths: [String], _ options: ConversionOptions = ConversionOptions()
) throws(FeedError) -> (ArraySink, InstrumentConversion) {
    var sink = ArraySink()
    let report = try BinanceConverter.convert(captures: paths, options: options, to: &sink)
    return (sink, report.instruments[0])
}

/// Lines of a capture of USD-M futures, a millisecond apart.
struct BinanceCapture {
    var text = ""
    var time: UInt64 = 1_723_161_255_000_000_000
    var symbol = "BTCUSDT"

    mutating func line(_ json: String) {
        time += 1_000_000
        text += "\(time) \(json)\n"
    }

    mutating func diff(_ first: Int, _ last: Int, _ previous: Int, bids: String = "", asks: String = "") {
        line(
            #"{"stream":"x@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"\#(symbol)","#
                + #""U":\#(first),"u":\#(last),"pu":\#(previous),"b":[\#(bids)],"a":[\#(asks)]}}"#)
    }

    mutating func ticker(_ update: Int, _ bid: String, _ bidSize: String, _ ask: String, _ askSize: String) {
        line(
            #"{"stream":"x@bookTicker","data":{"e":"bookTicker","u":\#(update),"s":"\#(symbol)","b":"\#(bid)","#
                + #""B":"\#(bidSize)","a":"\#(ask)","A":"\#(askSize)","T":5,"E":6}}"#)
    }

    mutating func snapshot(_ update: Int, bids: String, asks: String) {
        line(#"{"lastUpdateId":\#(update),"E":7,"T":8,"bids":[\#(bids)],"asks":[\#(asks)]}"#)
    }

    mutating func trade(_ id: Int, _ price: String, _ size: String, isBuyerMaker: Bool) {
        line(
            #"{"stream":"x@trade","data":{"e":"trade","E":9,"T":8,"s":"\#(symbol)","t":\#(id),"p":"\#(price)","#
                + #""q":"\#(size)","X":"MARKET","m":\#(isBuyerMaker)}}"#)
    }
}

private let tenth: Int64 = 100_000_000

/// `["100.1","0.005"]` of tenths and thousandths.
func at(_ tenths: Int, _ lots: Int) -> String {
    let thousandths = String(lots)
    let padded = String(repeating: "0", count: max(0, 4 - thousandths.utf8.count)) + thousandths
    return #"["\#(tenths / 10).\#(tenths % 10)","\#(padded.dropLast(3)).\#(padded.suffix(3))"]"#
}

/// Prices in tenths and sizes of the levels that are there.
func touch(_ levels: [BookLevel]) -> [[Int64]] {
    levels.filter { $0 != BookLevel() }.map {
        [
            $0.bidPrice == Price.undefined ? -1 : $0.bidPrice / tenth, Int64($0.bidSize),
            $0.askPrice == Price.undefined ? -1 : $0.askPrice / tenth, Int64($0.askSize),
        ]
    }
}
