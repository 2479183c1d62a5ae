import CZlib
import DBN
import Feeds
import Foundation
import MarketData

/// Gathers what a converter writes.
struct ArraySink: RecordSink {
    enum Entry: Equatable {
        case definition(Instrument, publisherID: UInt16, id: UInt32, timestamp: UInt64)
        case trade(MarketFields)
        case book(MarketFields, [BookLevel])
        case status(StatusFields)
        case remark(String)
    }

    var entries: [Entry] = []

    mutating func definition(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64
    ) throws(FeedError) {
        entries.append(
            .definition(instrument, publisherID: publisherID, id: instrumentID, timestamp: timestamp))
    }

    mutating func trade(_ fields: MarketFields) throws(FeedError) { entries.append(.trade(fields)) }

    mutating func book(_ fields: MarketFields, levels: Span<BookLevel>) throws(FeedError) {
        entries.append(.book(fields, levels.indices.map { levels[$0] }))
    }

    mutating func status(_ status: StatusFields) throws(FeedError) { entries.append(.status(status)) }

    mutating func remark(
        _ text: String, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64
    ) throws(FeedError) {
        entries.append(.remark(text))
    }

    var trades: [MarketFields] {
        entries.compactMap { if case .trade(let fields) = $0 { fields } else { nil } }
    }
    var books: [(fields: MarketFields, levels: [BookLevel])] {
        entries.compactMap { if case .book(let fields, let levels) = $0 { (fields, levels) } else { nil } }
    }
    var statuses: [StatusFields] {
        entries.compactMap { if case .status(let fields) = $0 { fields } else { nil } }
    }
}

/// A folder that is gone after the test.
final class TestFolder {
    private let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "FeedsTests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { _ = Result { try FileManager.default.removeItem(at: url) } }

    func path(_ name: String) -> String { url.appending(path: name).path }

    /// Writes a file and returns its path.
    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        try Data(bytes).write(to: url.appending(path: name))
        return path(name)
    }

    func write(_ text: String, _ name: String) throws -> String { try write(Array(text.utf8), name) }
}

/// Small containers, made from their descriptions (RFC 1951, RFC 1952, PKWARE's APPNOTE).
enum Container {
    /// Raw deflate: zlib's format without its header and check sum.
    static func deflated(_ bytes: [UInt8]) -> [UInt8] {
        var count = compressBound(UInt(bytes.count))
        var output = [UInt8](repeating: 0, count: Int(count))
        precondition(compress2(&output, &count, bytes, UInt(bytes.count), 6) == Z_OK, "zlib compresses.")
        return Array(output[2..<Int(count) - 4])
    }

    static func checksum(_ bytes: [UInt8]) -> UInt32 { UInt32(crc32(0, bytes, uInt(bytes.count))) }

    /// One gzip member.
    static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255] + deflated(bytes) + le32(checksum(bytes))
            + le32(UInt32(bytes.count))
    }

    static func gzip(_ text: String) -> [UInt8] { gzip(Array(text.utf8)) }

    /// What a test may falsify in a zip entry.
    struct ZipFile {
        var name: String
        var bytes: [UInt8]
        var isStored = false
        var flags: UInt16 = 0
        var method: UInt16?
        var checksum: UInt32?
        var byteCount: UInt32?

        init(_ name: String, _ text: String) {
            self.name = name
            bytes = Array(text.utf8)
        }
    }

    static func zip(_ files: [ZipFile], comment: String = "", endCount: UInt16? = nil) -> [UInt8] {
        var data: [UInt8] = []
        var directory: [UInt8] = []
        for file in files {
            let stored = file.isStored ? file.bytes : deflated(file.bytes)
            var common = le16(20) + le16(file.flags) + le16(file.method ?? (file.isStored ? 0 : 8)) + le32(0)
            common += le32(file.checksum ?? checksum(file.bytes)) + le32(UInt32(stored.count))
            common +=
                le32(file.byteCount ?? UInt32(file.bytes.count)) + le16(UInt16(file.name.utf8.count))
                + le16(0)
            directory += le32(0x0201_4B50) + le16(20) + common + le16(0) + le16(0) + le16(0) + le32(0)
            directory += le32(UInt32(data.count)) + Array(file.name.utf8)
            data += le32(0x0403_4B50) + common + Array(file.name.utf8) + stored
        }
        let count = le16(endCount ?? UInt16(files.count))
        let end = le32(0x0605_4B50) + le16(0) + le16(0) + count + count + le32(UInt32(directory.count))
        return data + directory + end + le32(UInt32(data.count)) + le16(UInt16(comment.utf8.count))
            + Array(comment.utf8)
    }

    private static func le16(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xFF), UInt8(value >> 8)] }
    private static func le32(_ value: UInt32) -> [UInt8] {
        le16(UInt16(value & 0xFFFF)) + le16(UInt16(value >> 16))
    }
}

/// The same numbers in every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Runs `body` and returns the text of the `FeedError` that it must throw.
func refusal<Value: ~Copyable>(_ body: () throws(FeedError) -> Value) -> String {
    do throws(FeedError) {
        _ = try body()
        return "nothing was refused"
    } catch {
        return error.description
    }
}

func level(_ bid: Int64, _ bidSize: UInt32, _ ask: Int64, _ askSize: UInt32) -> BookLevel {
    BookLevel(bidPrice: bid, askPrice: ask, bidSize: bidSize, askSize: askSize)
}
