import DBN
import Foundation
import MarketData
import Testing

/// Views of former versions, and their conversion; the fields of version 3 are compared with the oracle's.
@Suite("Typed views")
struct ViewTests {
    @Test("a record of another type, or too short, has no view")
    func rejections() throws {
        for type in UInt8.min...UInt8.max {
            let count = try read(makeRecord(type, byteCount: 16)) { viewCount($0) }
            #expect(count == 0, "type \(type)")
        }
        let ofTrade = try read(makeRecord(0, byteCount: 48)) { viewCount($0) }
        #expect(ofTrade == 0)
        let ofMBO = try read(makeRecord(0xA0, byteCount: 56)) { viewCount($0) }
        #expect(ofMBO == 1)
    }

    /// How many views take the record for theirs.
    private func viewCount(_ record: Record) -> Int {
        var count = 0
        if MBOView(record) != nil { count += 1 }
        if BBOView(record) != nil { count += 1 }
        if CMBP1View(record) != nil { count += 1 }
        if OHLCVView(record) != nil { count += 1 }
        if StatusView(record) != nil { count += 1 }
        if StatisticsView(record) != nil { count += 1 }
        if DefinitionView(record) != nil { count += 1 }
        if SymbolMappingView(record) != nil { count += 1 }
        if SystemView(record) != nil { count += 1 }
        if ErrorView(record) != nil { count += 1 }
        return count
    }

    @Test(
        "an instrument is read from a definition of each version",
        arguments: [(360, 88, 1), (400, 88, 2), (520, 80, 3)])
    func definitions(byteCount: Int, lotOffset: Int, version: UInt8) throws {
        var bytes = makeRecord(0x13, byteCount: byteCount)
        store(Int64(250_000_000), at: 24, in: &bytes)
        store(Int64(50_000_000_000), at: lotOffset, in: &bytes)
        store("ESM4", at: version == 3 ? 238 : 200, in: &bytes)
        let seenVersion = try read(bytes) { DefinitionView($0)?.version }
        #expect(seenVersion == version)
        let instrument = try read(bytes) { DefinitionView($0)?.instrument(dataset: "GLBX.MDP3") }
        var expected = Instrument(
            dataset: "GLBX.MDP3", symbol: "ESM4", tickSize: 250_000_000, lotSize: 50_000_000_000)
        #expect(instrument == expected)
        expected.lotSize = 1_000_000_000
        let contracts = try read(bytes) {
            DefinitionView($0)?.instrument(dataset: "GLBX.MDP3", lotSize: 1_000_000_000)
        }
        #expect(contracts == expected)
        store(Price.undefined, at: 24, in: &bytes)
        let unknown = try read(bytes) { DefinitionView($0)?.instrument(dataset: "GLBX.MDP3") }
        #expect(unknown == nil)
    }

    @Test(
        "version 1 messages are read, and converted with the codes that their text implies",
        arguments: [
            (UInt8(0x17), "Heartbeat", UInt8(0)), (0x17, "Subscription request 1 for mbo succeeded", 1),
            (0x17, "Warning: slow reading, 10 s behind", 2), (0x17, "Finished mbo replay", 3),
            (0x17, "End of interval for trades", 4), (0x17, "Something else", 255),
            (0x15, "User or API key deactivated", 2),
            (0x15, "User has reached their open connection limit", 3),
            (0x15, "Failed to resolve symbol: X", 4), (0x15, "Internal error", 6),
            (0x15, "Slow client detected for mbo", 7), (0x15, "Something else", 255),
        ])
    func messages(type: UInt8, text: String, code: UInt8) throws {
        var bytes = makeRecord(type, byteCount: 80)
        store(text, at: 16, in: &bytes)
        let upgraded = try #require(Decoded(try encode([bytes])).records.first)
        #expect(upgraded.count == 320)
        let old = try read(bytes) { message($0) }
        #expect(old == Message(text: text, code: 255, isLast: 255))
        let new = try read(upgraded) { message($0) }
        #expect(new == Message(text: text, code: code, isLast: 255))
    }

    private struct Message: Equatable {
        var text: String
        var code: UInt8
        var isLast: UInt8
    }

    private func message(_ record: Record) -> Message? {
        if let view = SystemView(record) { return Message(text: view.message, code: view.code, isLast: 255) }
        if let view = ErrorView(record) {
            return Message(text: view.message, code: view.code, isLast: view.isLast)
        }
        return nil
    }

    @Test(
        "former records of random content convert as the oracle converts them",
        .enabled(if: Oracle.isAvailable, "MARTLET_PYTHON is not set"))
    func upgrades() throws {
        var random = SeededRandom(seed: 3)
        let source = try TemporaryFolder()
        let target = try TemporaryFolder()
        let names = ["v1-0.dbn", "v1-8.dbn", "v2-0.dbn", "v2-8.dbn"]
        for name in names {
            let version: UInt8 = name.hasPrefix("v1") ? 1 : 2
            let bytes = try formerStream(version: version, extra: name.contains("-8") ? 8 : 0, &random)
            try writeFile(bytes, source.path(name))
        }
        _ = try Oracle.run(["conformance", source.url.path, target.url.path])
        for name in names {
            var reader = try DBNFileReader(path: source.path(name))
            let metadata = reader.metadata
            var encoder = try DBNEncoder(metadata: try #require(metadata), compression: .none)
            while try reader.next() { try encoder.encode(reader.record.bytes) }
            try encoder.finish()
            let ours = encoder.takeOutput()
            let oracles = try readFile(target.path(name))
            #expect(ours == oracles, "\(name)")
        }
    }

    /// Random definitions, statistics and symbol mappings of version 1 or 2.
    private func formerStream(version: UInt8, extra: Int, _ random: inout SeededRandom) throws -> [UInt8] {
        var metadata = DBNMetadata(dataset: "MARTLET.TEST", start: 1)
        metadata.hasSendTimestamps = extra > 0
        var bytes = try encode([], metadata: metadata)
        bytes[3] = version
        if version == 1 {
            let record = Array(repeating: UInt8.max, count: 8) + [1, 0, UInt8(extra / 8)]
            bytes.replaceSubrange(50..<108, with: record + Array(repeating: 0, count: 47))
        }
        let kinds = version == 1 ? [(0x13, 360), (0x18, 64), (0x16, 80)] : [(0x13, 400), (0x18, 64)]
        for _ in 0..<200 {
            let (type, size) = kinds[random.below(kinds.count)]
            var record = makeRecord(UInt8(type), byteCount: size + extra)
            for index in 16..<record.count { record[index] = random.value(UInt8.self) }
            if type == 0x18, random.below(2) == 0 { store(Int32.max, at: 40, in: &record) }
            bytes += record
        }
        return bytes
    }
}
