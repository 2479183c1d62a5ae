import MarketData
import Testing

/// A record of one of the price-level layouts, byte by byte.
private func record(_ type: RecordType, byteCount: Int, flags: UInt8 = 0, bid: Int64 = 0, ask: Int64 = 0) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    bytes[0] = UInt8(byteCount / 4)
    bytes[1] = type.rawValue
    bytes.withUnsafeMutableBytes { buffer in
        if byteCount > 30 { buffer[30] = flags }
        if byteCount >= 80 {
            buffer.storeBytes(of: bid, toByteOffset: 48, as: Int64.self)
            buffer.storeBytes(of: ask, toByteOffset: 56, as: Int64.self)
        }
    }
    return bytes
}

@Suite struct OrderBookTests {
    @Test func `too few bytes, or an impossible length, make no record`() {
        for bytes: [UInt8] in [[], [4], [UInt8](repeating: 0, count: 16), [3] + [UInt8](repeating: 0, count: 15)] {
            let isRecord = Record(at: bytes.span.bytes) != nil
            #expect(!isRecord)
        }
        let cut = [UInt8](record(.mbp1, byteCount: 80).dropLast())
        let isRecord = Record(at: cut.span.bytes) != nil
        #expect(!isRecord)
    }

    @Test func `a record that is too short for its type has no levels and changes no book`() throws {
        var book = OrderBook()
        let bytes = record(.mbp10, byteCount: 48)
        guard let short = Record(at: bytes.span.bytes) else {
            Issue.record("48 bytes make a record")
            return
        }
        let count = short.levelCount
        let isUsable = short.isTradeOrBook
        book.apply(short)
        #expect(count == 0)
        #expect(!isUsable)
        let mid = book.midPrice
        #expect(mid == Price.undefined)
    }

    @Test(arguments: [
        (Int64(100), Int64(103), Int64(101)), (-3, -2, -3), (Int64.max - 3, Int64.max - 1, Int64.max - 2), (5, 5, 5),
    ])
    func `the mid price is the mean rounded down, without overflow`(_ bid: Int64, _ ask: Int64, _ mid: Int64) {
        var book = OrderBook()
        let bytes = record(.mbp1, byteCount: 80, bid: bid, ask: ask)
        guard let top = Record(at: bytes.span.bytes) else {
            Issue.record("80 bytes make a record")
            return
        }
        book.apply(top)
        let found = book.midPrice
        let isCrossed = book.isCrossed
        #expect(found == mid)
        #expect(isCrossed == (bid >= ask))
    }

    @Test func `ticks end with the last flag, or with each record of trades alone`() {
        let plain = record(.trade, byteCount: 48)
        let last = record(.trade, byteCount: 48, flags: RecordFlags.last.rawValue)
        let status = record(.status, byteCount: 40)
        let expected: [(TickRule, [UInt8], Bool)] = [
            (.lastFlag, plain, false), (.lastFlag, last, true), (.everyRecord, plain, true),
            (.everyRecord, status, false), (.lastFlag, status, false),
        ]
        for (rule, bytes, isTick) in expected {
            guard let record = Record(at: bytes.span.bytes) else {
                Issue.record("\(bytes.count) bytes make a record")
                continue
            }
            let completes = rule.completesTick(record)
            #expect(completes == isTick)
        }
        #expect(TickRule(schema: .trades) == .everyRecord)
        #expect(TickRule(schema: .mbp10) == .lastFlag)
        #expect(TickRule(schema: nil) == .lastFlag)
    }
}
