/// One captured line: `<receive ns> <json>`, with the fields of all the messages that are converted.
///
/// One value is reused for all lines of a stream, so that a line costs no allocation once the arrays have
/// grown.
struct BinanceMessage {
    enum Kind {
        case depth
        case ticker
        case trade
        case snapshot
        /// A message of another kind, named in `eventName`.
        case other
    }

    /// A price and what stands there, both in 1e-9.
    struct Level: Equatable {
        var price: Int64
        var size: Int64
    }

    var kind = Kind.other
    /// Nanoseconds since the epoch, of the capturing machine.
    var captureTimestamp: UInt64 = 0
    /// `E` and `T`, milliseconds since the epoch; nil where the message has none.
    var eventMilliseconds: UInt64?
    var transactionMilliseconds: UInt64?
    /// `s`; empty where the message has none.
    var symbol = SymbolName()
    /// `ps` or `pair`: only COIN-M messages have it.
    var hasPair = false
    /// `U`, `u` (or `lastUpdateId`) and `pu`.
    var firstUpdate: UInt64?
    var lastUpdate: UInt64?
    var previousUpdate: UInt64?
    /// `t`, `p`, `q`, `m` of trades.
    var tradeID: UInt64?
    var price: Int64?
    var quantity: Int64?
    var isBuyerMaker: Bool?
    /// `M`, which only spot trades have.
    var hasBestMatch = false
    /// `X` is there and not `MARKET`: an insurance fund's or another entry that is no trade in the book.
    var isSpecialTrade = false
    /// `e`, or the part of `stream` behind the first @.
    var eventName = SymbolName()
    /// The name says that the message is of no kind that is converted, so its fields are passed over.
    private var isPassedOver = false
    /// The sides, as they stand in the message; a ticker has one level each.
    var bids: [Level] = []
    var asks: [Level] = []

    /// What is wrong with a line.
    enum Problem: Error, CustomStringConvertible {
        case noTimestamp
        case json(JSONCursor.Malformed)
        /// A field that the message's kind needs.
        case missing(StaticString)

        var description: String {
            switch self {
            case .noTimestamp: "no nanoseconds and blank at its beginning"
            case .json(let malformed): "at byte \(malformed.offset): expected \(malformed.expected)"
            case .missing(let field): "expected \(field)"
            }
        }
    }

    /// Most levels of one side of one message; Binance sends at most 5,000.
    static let levelCountMax = 200_000
    /// Captures after the year 2262 are malformed: signed 64-bit nanoseconds end there.
    static let timestampMax = UInt64(Int64.max)
}

/// A short name without an allocation for each: up to 31 ASCII bytes. Longer ones are cut.
struct SymbolName: Equatable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    private(set) var count = 0

    static func == (left: SymbolName, right: SymbolName) -> Bool {
        left.count == right.count && left.words == right.words
    }

    var isEmpty: Bool { count == 0 }

    init() {}

    init(_ text: Span<UInt8>, _ range: Range<Int>) {
        count = min(range.count, 31)
        for index in 0..<count {
            let byte = UInt64(text[range.lowerBound + index]) << UInt64(index % 8 * 8)
            switch index / 8 {
            case 0: words.0 |= byte
            case 1: words.1 |= byte
            case 2: words.2 |= byte
            default: words.3 |= byte
            }
        }
    }

    init(_ name: String) {
        let bytes = Array(name.utf8)
        self.init(bytes.span, 0..<bytes.count)
    }

    var text: String {
        let all = [words.0, words.1, words.2, words.3]
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: all[$0 / 8] >> UInt64($0 % 8 * 8)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The kinds of message that are converted.
private enum EventName {
    static let depth = SymbolName("depth")
    static let depthUpdate = SymbolName("depthUpdate")
    static let bookTicker = SymbolName("bookTicker")
    static let trade = SymbolName("trade")
    static let converted = [depth, depthUpdate, bookTicker, trade]
}

extension BinanceMessage {
    /// The capture time that opens a line, and where the JSON behind it begins.
    @inline(__always)
    static func timestamp(_ line: Span<UInt8>) -> (timestamp: UInt64, end: Int)? {
        var end = 0
        while end < line.count, line[end] &- 0x30 <= 9 { end += 1 }
        guard end > 0, end < line.count, line[end] == 0x20,
            let value = FixedPoint.integer(line, from: 0, to: end), value <= timestampMax
        else { return nil }
        return (value, end + 1)
    }

    /// Reads a line in place of what was there.
    mutating func read(_ line: Span<UInt8>) throws(Problem) {
        guard let (timestamp, start) = BinanceMessage.timestamp(line) else { throw .noTimestamp }
        reset()
        captureTimestamp = timestamp
        var cursor = JSONCursor(line, from: start)
        do throws(JSONCursor.Malformed) {
            try readMessage(&cursor)
            try cursor.expectEnd()
        } catch {
            throw .json(error)
        }
        try classify()
    }

    private mutating func reset() {
        kind = .other
        eventMilliseconds = nil
        transactionMilliseconds = nil
        symbol = SymbolName()
        hasPair = false
        firstUpdate = nil
        lastUpdate = nil
        previousUpdate = nil
        tradeID = nil
        price = nil
        quantity = nil
        isBuyerMaker = nil
        hasBestMatch = false
        isSpecialTrade = false
        eventName = SymbolName()
        isPassedOver = false
        bids.removeAll(keepingCapacity: true)
        asks.removeAll(keepingCapacity: true)
    }

    /// A combined stream's message (`{"stream":…,"data":{…}}`) or the bare object of a single stream or a
    /// REST reply.
    private mutating func readMessage(_ cursor: inout JSONCursor) throws(JSONCursor.Malformed) {
        try cursor.expect(UInt8(ascii: "{"), "an object")
        var isFirst = true
        while let key = try cursor.key(isFirst: isFirst) {
            isFirst = false
            if cursor.matches(key, "data") {
                try readFields(&cursor)
            } else if cursor.matches(key, "stream") {
                let name = try cursor.string()
                if eventName.isEmpty { setEventName(BinanceMessage.streamKind(name, in: cursor)) }
            } else {
                try readField(key, &cursor)
            }
        }
    }

    private mutating func setEventName(_ name: SymbolName) {
        // A partial-depth stream (`depth20`) sends `depthUpdate` too, so the stream's name has the last word.
        guard !isPassedOver else { return }
        eventName = name
        isPassedOver = !EventName.converted.contains(name)
    }

    private mutating func readFields(_ cursor: inout JSONCursor) throws(JSONCursor.Malformed) {
        try cursor.expect(UInt8(ascii: "{"), "an object")
        var isFirst = true
        while let key = try cursor.key(isFirst: isFirst) {
            isFirst = false
            try readField(key, &cursor)
        }
    }

    /// `btcusdt@depth@100ms` is of kind `depth`.
    private static func streamKind(_ name: Range<Int>, in cursor: borrowing JSONCursor) -> SymbolName {
        guard let at = name.first(where: { cursor.text[$0] == UInt8(ascii: "@") }) else {
            return SymbolName(cursor.text, name)
        }
        let rest = at + 1..<name.upperBound
        let end = rest.first(where: { cursor.text[$0] == UInt8(ascii: "@") }) ?? name.upperBound
        return SymbolName(cursor.text, rest.lowerBound..<end)
    }

    private mutating func readField(_ key: Range<Int>, _ cursor: inout JSONCursor) throws(JSONCursor
        .Malformed)
    {
        guard !isPassedOver else { return try cursor.skip() }
        guard key.count == 1 else { return try readLongField(key, &cursor) }
        switch cursor.text[key.lowerBound] {
        case UInt8(ascii: "e"):
            let name = try cursor.string()
            setEventName(SymbolName(cursor.text, name))
        case UInt8(ascii: "E"): eventMilliseconds = try milliseconds(&cursor)
        case UInt8(ascii: "T"): transactionMilliseconds = try milliseconds(&cursor)
        case UInt8(ascii: "s"):
            let name = try cursor.string()
            symbol = SymbolName(cursor.text, name)
        case UInt8(ascii: "U"): firstUpdate = try updateIdentifier(&cursor)
        case UInt8(ascii: "u"): lastUpdate = try updateIdentifier(&cursor)
        case UInt8(ascii: "t"): tradeID = try cursor.integer()
        case UInt8(ascii: "p"): price = try cursor.decimal()
        case UInt8(ascii: "q"): quantity = try cursor.decimal()
        case UInt8(ascii: "m"): isBuyerMaker = try cursor.boolean()
        case UInt8(ascii: "M"):
            hasBestMatch = true
            try cursor.skip()
        case UInt8(ascii: "X"):
            let name = try cursor.string()
            isSpecialTrade = !cursor.matches(name, "MARKET")
        case UInt8(ascii: "b"): try readSide(&bids, &cursor)
        case UInt8(ascii: "a"): try readSide(&asks, &cursor)
        case UInt8(ascii: "B"): try readTickerSize(&bids, &cursor)
        case UInt8(ascii: "A"): try readTickerSize(&asks, &cursor)
        default: try cursor.skip()
        }
    }

    private mutating func readLongField(_ key: Range<Int>, _ cursor: inout JSONCursor) throws(JSONCursor
        .Malformed)
    {
        if cursor.matches(key, "pu") {
            previousUpdate = try updateIdentifier(&cursor)
        } else if cursor.matches(key, "ps") || cursor.matches(key, "pair") {
            hasPair = true
            try cursor.skip()
        } else if cursor.matches(key, "symbol") {
            let name = try cursor.string()
            symbol = SymbolName(cursor.text, name)
        } else if cursor.matches(key, "lastUpdateId") {
            lastUpdate = try updateIdentifier(&cursor)
            kind = .snapshot
        } else if cursor.matches(key, "bids") {
            try readSide(&bids, &cursor)
        } else if cursor.matches(key, "asks") {
            try readSide(&asks, &cursor)
        } else {
            try cursor.skip()
        }
    }

    /// Decides what the message is, and that it has what its kind needs.
    private mutating func classify() throws(Problem) {
        guard !isPassedOver else {
            kind = .other
            return
        }
        if kind == .snapshot { return try checkPrices() }
        if eventName == EventName.depthUpdate || eventName == EventName.depth {
            guard firstUpdate != nil else { throw .missing("U") }
            guard lastUpdate != nil else { throw .missing("u") }
            kind = .depth
            try checkPrices()
        } else if eventName == EventName.trade {
            guard tradeID != nil else { throw .missing("t") }
            guard let price, let quantity else { throw .missing("p and q") }
            guard isBuyerMaker != nil else { throw .missing("m") }
            guard isSpecialTrade || (price > 0 && quantity > 0) else { throw .missing("positive p and q") }
            kind = .trade
        } else if eventName == EventName.bookTicker || (eventName.isEmpty && lastUpdate != nil) {
            guard lastUpdate != nil else { throw .missing("u") }
            guard bids.count == 1, asks.count == 1, bids[0].price >= 0, bids[0].size >= 0, asks[0].price >= 0,
                asks[0].size >= 0
            else { throw .missing("b, B, a and A") }
            kind = .ticker
        }
    }

    /// A ticker of an empty side has the price 0; a level has none.
    private func checkPrices() throws(Problem) {
        for level in bids where level.price <= 0 { throw .missing("positive prices") }
        for level in asks where level.price <= 0 { throw .missing("positive prices") }
    }

    /// Half of the 64 bits are enough for any venue, and the identifier that follows is then a number as well.
    private func updateIdentifier(_ cursor: inout JSONCursor) throws(JSONCursor.Malformed) -> UInt64 {
        let value = try cursor.integer()
        guard value <= UInt64(Int64.max) else { throw cursor.malformed("an update identifier below 2^63") }
        return value
    }

    private func milliseconds(_ cursor: inout JSONCursor) throws(JSONCursor.Malformed) -> UInt64 {
        let value = try cursor.integer()
        guard value <= BinanceMessage.timestampMax / 1_000_000 else {
            throw cursor.malformed("milliseconds since 1970")
        }
        return value
    }

    /// A ticker's price, or the levels of a side.
    private func readSide(_ side: inout [Level], _ cursor: inout JSONCursor) throws(JSONCursor.Malformed) {
        guard cursor.peeked == UInt8(ascii: "[") else {
            let price = try cursor.decimal()
            if side.isEmpty { side.append(Level(price: price, size: -1)) } else { side[0].price = price }
            return
        }
        try cursor.expect(UInt8(ascii: "["), "an array")
        var isFirst = true
        while !cursor.take(UInt8(ascii: "]")) {
            if !isFirst { try cursor.expect(UInt8(ascii: ","), "a comma or ]") }
            isFirst = false
            try cursor.expect(UInt8(ascii: "["), "[PRICE, SIZE]")
            let price = try cursor.decimal()
            try cursor.expect(UInt8(ascii: ","), "a comma")
            let size = try cursor.decimal()
            // The REST reply once had an empty array as a third part.
            while cursor.take(UInt8(ascii: ",")) { try cursor.skip() }
            try cursor.expect(UInt8(ascii: "]"), "]")
            guard side.count < BinanceMessage.levelCountMax else {
                throw cursor.malformed("at most 200000 levels")
            }
            side.append(Level(price: price, size: size))
        }
    }

    /// A ticker's size, which stands beside or before its price.
    private func readTickerSize(_ side: inout [Level], _ cursor: inout JSONCursor) throws(JSONCursor
        .Malformed)
    {
        let size = try cursor.decimal()
        if side.isEmpty { side.append(Level(price: -1, size: size)) } else { side[0].size = size }
    }
}
