import DBN
import MarketData
import Testing

@Suite("The symbol map")
struct SymbolMapTests {
    @Test("mappings without instrument ids are refused")
    func rejections() throws {
        var metadata = testMetadata
        metadata.symbolTypeOut = DBNMetadata.SymbolType.rawSymbol
        #expect(throws: DBNError.self) { try SymbolMap(metadata: metadata) }
        metadata = testMetadata
        metadata.mappings[0].intervals[0].symbol = "GOOG"
        #expect(throws: DBNError.self) { try SymbolMap(metadata: metadata) }
        metadata.mappings = []
        let empty = try SymbolMap(metadata: metadata)
        #expect(empty.count == 0)
    }

    @Test("an id stands for the symbol of its day, in either direction of the mapping")
    func metadata() throws {
        var metadata = testMetadata
        metadata.mappings = [
            SymbolMapping(
                rawSymbol: "ES.c.0",
                intervals: [
                    SymbolMapping.Interval(startDate: 20_240_601, endDate: 20_240_621, symbol: "10"),
                    SymbolMapping.Interval(startDate: 20_240_621, endDate: 20_240_701, symbol: "11"),
                    SymbolMapping.Interval(startDate: 20_240_701, endDate: 20_240_702, symbol: ""),
                ])
        ]
        let map = try SymbolMap(metadata: metadata)
        #expect(map.symbol(instrumentID: 10, date: 20_240_620) == "ES.c.0")
        #expect(map.symbol(instrumentID: 10, date: 20_240_621) == nil)
        #expect(map.symbol(instrumentID: 11, date: 20_240_621) == "ES.c.0")
        // 2024-06-20 23:59:59.999999999 UTC, and one nanosecond later.
        #expect(map.symbol(instrumentID: 10, timestamp: 1_718_927_999_999_999_999) == "ES.c.0")
        #expect(map.symbol(instrumentID: 10, timestamp: 1_718_928_000_000_000_000) == nil)

        metadata.symbolTypeIn = DBNMetadata.SymbolType.instrumentID
        metadata.symbolTypeOut = DBNMetadata.SymbolType.rawSymbol
        metadata.mappings = [
            SymbolMapping(
                rawSymbol: "12",
                intervals: [
                    SymbolMapping.Interval(startDate: 20_240_601, endDate: 20_240_602, symbol: "ESM4")
                ])
        ]
        let inverse = try SymbolMap(metadata: metadata)
        #expect(inverse.symbol(instrumentID: 12, date: 20_240_601) == "ESM4")
    }

    @Test("records in the stream name ids from then on, up to the limit")
    func records() throws {
        var map = SymbolMap(instrumentCountMax: 2)
        var mapping = makeRecord(0x16, byteCount: 176, instrumentID: 1)
        store("ES.FUT", at: 17, in: &mapping)
        store("ESM4", at: 89, in: &mapping)
        var former = makeRecord(0x16, byteCount: 80, instrumentID: 2)
        store("ESU4", at: 38, in: &former)
        var definition = makeRecord(0x13, byteCount: 360, instrumentID: 1)
        store("ESZ4", at: 200, in: &definition)
        let trade = makeRecord(0, byteCount: 48, instrumentID: 1)
        var known: [Bool] = []
        for bytes in [mapping, former, trade] {
            known.append(try read(bytes) { try map.apply($0) })
        }
        #expect(known == [true, true, false])
        #expect(try read(trade) { map.symbol(of: $0) } == "ESM4")
        #expect(map.symbol(instrumentID: 2, date: 20_240_101) == "ESU4")
        _ = try read(definition) { try map.apply($0) }
        #expect(try read(trade) { map.symbol(of: $0) } == "ESZ4")
        store(UInt32(3), at: 4, in: &mapping)
        let third = mapping
        #expect(throws: DBNError(.tooManyInstruments(limit: 2))) {
            _ = try read(third) { try map.apply($0) }
        }
    }

    @Test(
        "days follow the calendar",
        arguments: [
            (UInt64(0), UInt32(19_700_101)), (951_782_400, 20_000_229), (1_709_164_800, 20_240_229),
            (1_709_251_200, 20_240_301), (4_107_542_400, 21_000_301), (18_446_744_073, 25_540_721),
        ])
    func days(seconds: UInt64, date: UInt32) {
        #expect(CalendarDate.utc(seconds * 1_000_000_000) == date)
        #expect(CalendarDate.isValid(date))
    }
}
