import DBN
import MarketData
import Testing

@Suite("The decoder refuses what is not DBN")
struct DecoderRejectionTests {
    @Test("empty input is refused, but is a fragment without records")
    func empty() {
        #expect(Decoded([]).error?.reason == .empty)
        #expect(Decoded([], format: .file).error?.reason == .empty)
        #expect(Decoded([], format: .fragment()).error == nil)
    }

    @Test("text, other formats and newer versions are refused by name")
    func notDBN() throws {
        let text = Array("time,price,size\n1,2,3\n".utf8)
        #expect(Decoded(text).error?.reason == .notDBN(found: Array(text[..<8])))
        #expect(Decoded(Array("DB".utf8)).error?.reason == .notDBN(found: Array("DB".utf8)))
        let legacy: [UInt8] = [0x51, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]
        #expect(Decoded(legacy).error?.reason == .legacyDBZ)
        for version in [UInt8(0), 4, 255] {
            var bytes = try encode([])
            bytes[3] = version
            #expect(Decoded(bytes).error?.reason == .unsupportedVersion(version))
        }
        let record = makeRecord(0, byteCount: 48)
        #expect(Decoded(record, format: .file).error?.reason == .notDBN(found: Array(record[..<8])))
    }

    @Test("metadata lengths that are too short or too long are refused before anything is allocated")
    func metadataLength() throws {
        for length in [UInt32(0), 119, (128 << 20) + 1, .max] {
            var bytes = try encode([])
            store(length, at: 4, in: &bytes)
            let error = Decoded(bytes).error
            #expect(error?.reason == .metadataLength(found: length, minimum: 120, maximum: 128 << 20))
        }
    }

    @Test(
        "counts that exceed the metadata are refused with the place where they stand",
        arguments: [
            (112, DBNError.MetadataField.symbols, 116), (187, .partial, 191), (191, .notFound, 195),
            (266, .mappings, 270), (341, .intervals, 345),
        ])
    func hostileCounts(offset: Int, field: DBNError.MetadataField, errorOffset: Int) throws {
        for count in [UInt32(10), 0x0400_0000, .max] {
            var bytes = try encode([])
            store(count, at: offset, in: &bytes)
            let error = try #require(Decoded(bytes).error)
            #expect(error.byteOffset == UInt64(errorOffset))
            #expect(error.recordNumber == 0)
            guard case .metadataOverrun(let found, let needed, _) = error.reason else {
                Issue.record("\(error)")
                continue
            }
            #expect(found == field)
            #expect(needed >= UInt64(count) * 71)
        }
    }

    @Test("symbol fields of no length cannot multiply into memory")
    func symbolLength() throws {
        for length in [UInt16(0), 1, 21] {
            var bytes = try encode([])
            store(length, at: 53, in: &bytes)
            store(UInt32.max, at: 112, in: &bytes)
            let error = Decoded(bytes).error
            #expect(error == DBNError(.symbolLength(found: length, minimum: 22), byteOffset: 53))
        }
    }

    @Test("unknown schemas, schema definitions, bad text and bad dates are refused")
    func metadataValues() throws {
        var bytes = try encode([])
        store(UInt16(500), at: 24, in: &bytes)
        #expect(Decoded(bytes).error == DBNError(.unknownSchema(500), byteOffset: 24))
        bytes = try encode([])
        store(UInt32(1), at: 108, in: &bytes)
        #expect(Decoded(bytes).error == DBNError(.schemaDefinition(length: 1), byteOffset: 108))
        bytes = try encode([])
        bytes[8] = 0xFF
        #expect(Decoded(bytes).error == DBNError(.invalidText(field: .dataset), byteOffset: 8))
        for date in [
            UInt32(0), 20_230_229, 20_240_230, 20_241_301, 20_240_001, 20_240_431, 100_000_101, .max,
        ] {
            bytes = try encode([])
            store(date, at: 345, in: &bytes)
            #expect(Decoded(bytes).error == DBNError(.invalidDate(date), byteOffset: 345))
        }
    }

    @Test("a length byte that does not fit the record's type is refused with offset and number")
    func recordLength() throws {
        let good = makeRecord(0, byteCount: 48)
        let start = try encode([]).count
        for words in [UInt8(0), 3, 4, 11, 13, 255] {
            var bytes = try encode([good, good])
            bytes[start + 48] = words
            bytes += Array(repeating: 0, count: 1_024)
            let decoded = Decoded(bytes)
            #expect(decoded.records == [good])
            #expect(
                decoded.error
                    == DBNError(
                        .recordLength(type: 0, found: Int(words) * 4, expected: [48]),
                        byteOffset: UInt64(start + 48),
                        recordNumber: 2))
        }
        var unknown = makeRecord(0x99, byteCount: 16)
        unknown[0] = 3
        #expect(
            Decoded(try encode([]) + unknown).error?.reason
                == .recordLength(type: 0x99, found: 12, expected: []))
    }

    @Test("joined files are refused at the second header")
    func joined() throws {
        let bytes = try encode([makeRecord(0, byteCount: 48)])
        let error = Decoded(bytes + bytes).error
        #expect(error == DBNError(.secondHeader, byteOffset: UInt64(bytes.count), recordNumber: 2))
    }

    @Test("input cut at any byte gives the whole records before it and an error, never a trap")
    func truncation() throws {
        let records = [
            makeRecord(0, byteCount: 48), makeRecord(0x0A, byteCount: 368, fill: 3),
            makeRecord(0x99, byteCount: 20),
        ]
        let tail = [UInt8(5), 0x99] + Array(repeating: 0, count: 18)
        let plain = try encode([records[0], records[1]]) + tail
        let metadataEnd = try encode([]).count
        let ends = [metadataEnd, metadataEnd + 48, metadataEnd + 416, plain.count]
        for length in 0...plain.count {
            let decoded = Decoded(Array(plain[..<length])) { _ in 100 }
            let whole = ends.filter { $0 <= length }.count - 1
            #expect(decoded.records.count == max(whole, 0))
            #expect((decoded.error == nil) == ends.contains(length), "\(length)")
            if length > metadataEnd, let error = decoded.error {
                #expect(error.byteOffset == UInt64(ends[whole]))
                #expect(error.recordNumber == UInt64(whole + 1))
            }
        }
    }

    @Test("compressed input cut at any byte gives an error")
    func truncatedFrame() throws {
        let bytes = try encode(
            [makeRecord(0, byteCount: 48), makeRecord(1, byteCount: 80)], compression: .zstd())
        for length in 0..<bytes.count {
            let decoded = Decoded(Array(bytes[..<length]))
            #expect(decoded.error != nil, "\(length)")
        }
        #expect(Decoded(bytes).error == nil)
    }

    @Test("flipped bits in compressed input give an error, because of the checksum")
    func flippedFrameBits() throws {
        let records = (0..<20).map { makeRecord(0, byteCount: 48, instrumentID: $0, fill: 7) }
        let bytes = try encode(records, compression: .zstd())
        let original = Decoded(bytes)
        for bit in 0..<bytes.count * 8 {
            var copy = bytes
            copy[bit / 8] ^= 1 << UInt8(bit % 8)
            let decoded = Decoded(copy)
            // A few bits of a frame's header carry nothing (the window's size, the unused bit).
            #expect(decoded.error != nil || decoded == original, "bit \(bit)")
        }
    }

    @Test("flipped bits in plain input never trap")
    func flippedBits() throws {
        let bytes = try encode([
            makeRecord(0, byteCount: 48, fill: 9), makeRecord(0x13, byteCount: 520, fill: 1),
        ])
        for bit in 0..<bytes.count * 8 {
            var copy = bytes
            copy[bit / 8] ^= 1 << UInt8(bit % 8)
            let decoded = Decoded(copy) { _ in 200 }
            #expect(decoded.records.count <= 3)
        }
    }

    @Test("garbage behind a zstd frame is refused")
    func garbageBehindFrame() throws {
        let bytes =
            try encode([makeRecord(0, byteCount: 48)], compression: .zstd()) + [1, 2, 3, 4, 5, 6, 7, 8]
        let decoded = Decoded(bytes)
        #expect(decoded.records.count == 1)
        guard case .zstd = decoded.error?.reason else {
            Issue.record("\(String(describing: decoded.error))")
            return
        }
    }

    @Test("a zstd window above the limit is refused")
    func window() throws {
        // Frame header: magic, no single segment, window descriptor 2^(10 + 20); then a raw block.
        let bytes: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 20 << 3, 0x01, 0x00, 0x00]
        guard case .zstd(let message) = Decoded(bytes).error?.reason else {
            Issue.record("no error")
            return
        }
        #expect(message.contains("memory"))
    }

    @Test("more waiting input than the limit is refused")
    func inputLimit() throws {
        var limits = DBNDecoder.Limits()
        limits.inputByteCountMax = 100
        limits.metadataByteCountMax = 500
        var decoder = DBNDecoder(limits: limits)
        let bytes = [UInt8](repeating: 0, count: 601)
        #expect(throws: DBNError(.inputTooLarge(found: 601, limit: 600))) {
            try decoder.feed(bytes.span.bytes)
        }
    }

    @Test("an error stays")
    func errorsStay() throws {
        var decoder = DBNDecoder()
        let bytes = [UInt8](repeating: 1, count: 64)
        try decoder.feed(bytes.span.bytes)
        #expect(throws: DBNError.self) { _ = try decoder.next() }
        #expect(throws: DBNError.self) { _ = try decoder.next() }
        #expect(throws: DBNError.self) { try decoder.feed(bytes.span.bytes) }
    }
}

@Suite("The decoder")
struct DecoderTests {
    private static let records: [[UInt8]] = [
        makeRecord(0x13, byteCount: 520, fill: 1), makeRecord(0, byteCount: 48, fill: 2),
        makeRecord(0x0A, byteCount: 368, fill: 3), makeRecord(0xA0, byteCount: 56, fill: 4),
        makeRecord(0x17, byteCount: 320, fill: 5), makeRecord(1, byteCount: 80, fill: 6),
    ]

    @Test("any cut of the input gives the same records", arguments: [DBNEncoder.Compression.none, .zstd()])
    func dripFeed(compression: DBNEncoder.Compression) throws {
        let bytes = try encode(DecoderTests.records, compression: compression)
        let whole = Decoded(bytes)
        #expect(whole.error == nil)
        #expect(whole.metadata == testMetadata)
        #expect(whole.records == DecoderTests.records)
        let oneByOne = Decoded(bytes) { _ in 1 }
        #expect(oneByOne == whole)
        for split in 0...bytes.count {
            let inTwo = Decoded(bytes) { $0 < split ? split - $0 : .max }
            #expect(inTwo == whole, "split at \(split)")
        }
        var random = SeededRandom(seed: 7)
        for _ in 0..<100 {
            let atRandom = Decoded(bytes) { _ in random.below(90) }
            #expect(atRandom == whole)
        }
    }

    @Test("several zstd frames, cut inside a record and empty ones too, are one stream")
    func frames() throws {
        let plain = try encode(DecoderTests.records)
        var compressed: [UInt8] = []
        var start = 0
        for end in [3, 3, 200, 461, 1_000, plain.count] {
            compressed += rawFrame(Array(plain[start..<end]))
            start = end
        }
        // A skippable frame in the middle or at the end says nothing.
        compressed += [0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 9, 9]
        let decoded = Decoded(compressed)
        #expect(decoded == Decoded(plain))
        let oneByOne = Decoded(compressed) { _ in 1 }
        #expect(oneByOne == decoded)
    }

    /// A zstd frame of one uncompressed block.
    private func rawFrame(_ bytes: [UInt8]) -> [UInt8] {
        let header = UInt32(bytes.count) << 3 | 1
        return [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58]
            + [
                UInt8(truncatingIfNeeded: header), UInt8(truncatingIfNeeded: header >> 8),
                UInt8(header >> 16),
            ] + bytes
    }

    @Test("records of unknown type pass through, by their headers")
    func unknownType() throws {
        let unknown = makeRecord(0x99, byteCount: 24, fill: 8)
        let decoded = Decoded(try encode([]) + unknown + DecoderTests.records[1])
        #expect(decoded.error == nil)
        #expect(decoded.records == [unknown, DecoderTests.records[1]])
    }

    @Test("a fragment is recognised by its first record, with and without send timestamps")
    func fragments() throws {
        let trade = makeRecord(0, byteCount: 48, fill: 2)
        let plain = Decoded(trade + trade)
        #expect(plain.error == nil)
        #expect(plain.metadata == nil)
        #expect(plain.records == [trade, trade])
        var stamped = makeRecord(0, byteCount: 56, fill: 2)
        store(UInt64(12_345), at: 48, in: &stamped)
        let decoded = Decoded(stamped + stamped)
        #expect(decoded.error == nil)
        #expect(decoded.sendTimestamps == [12_345, 12_345])
        let said = Decoded(stamped, format: .fragment(version: 2, hasSendTimestamps: true))
        #expect(said.records == [stamped])
        #expect(
            Decoded(stamped, format: .fragment()).error?.reason
                == .recordLength(type: 0, found: 56, expected: [48]))
    }

    @Test("send timestamps of metadata's saying are part of the record's length")
    func sendTimestamps() throws {
        var metadata = testMetadata
        metadata.hasSendTimestamps = true
        var stamped = makeRecord(0x0A, byteCount: 376, fill: 2)
        store(UInt64(99), at: 368, in: &stamped)
        let bytes = try encode([stamped], metadata: metadata)
        let decoded = Decoded(bytes)
        #expect(decoded.error == nil)
        #expect(decoded.metadata == metadata)
        #expect(decoded.records == [stamped])
        #expect(decoded.sendTimestamps == [99])
        let bare = makeRecord(0x0A, byteCount: 368)
        #expect(throws: DBNError.self) { try encode([bare], metadata: metadata) }
    }

    @Test("offsets and numbers tell where the decoder stands")
    func position() throws {
        let bytes = try encode([DecoderTests.records[1], DecoderTests.records[2]])
        var decoder = DBNDecoder()
        try decoder.feed(bytes.span.bytes)
        decoder.finish()
        var seen: [[UInt64]] = []
        while try decoder.next() != .end { seen.append([decoder.recordNumber, decoder.byteOffset]) }
        let start = UInt64(bytes.count - 48 - 368)
        #expect(seen == [[0, start], [1, start], [2, start + 48]])
        #expect(decoder.version == 3)
    }

    @Test("metadata larger than the buffer, compressed or not, are read whole")
    func largeMetadata() throws {
        var metadata = testMetadata
        metadata.symbols = (0..<20_000).map { "SYMBOL\($0)" }
        for compression in [DBNEncoder.Compression.none, .zstd()] {
            let bytes = try encode([DecoderTests.records[1]], metadata: metadata, compression: compression)
            let decoded = Decoded(bytes) { _ in 65_536 }
            #expect(decoded.error == nil)
            #expect(decoded.metadata == metadata)
            #expect(decoded.records.count == 1)
        }
    }
}
