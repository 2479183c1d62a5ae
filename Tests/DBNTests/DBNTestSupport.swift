import DBN
import Foundation
import MarketData
import Testing

/// Numbers from a seed (Steele, Lea, Flood: SplitMix64); a fifth of what `value` draws comes from the
/// boundaries.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func value<T: FixedWidthInteger>(_ type: T.Type) -> T {
        let draw = next()
        guard draw % 5 == 0 else { return T(truncatingIfNeeded: next()) }
        switch draw / 5 % 5 {
        case 0: return T.min
        case 1: return 0
        case 2: return 1
        case 3: return T.max - 1
        default: return T.max
        }
    }
}

/// A record of `byteCount` bytes with the header filled in; the rest counts up from `fill`.
func makeRecord(_ type: UInt8, byteCount: Int, instrumentID: UInt32 = 77, fill: UInt8 = 0) -> [UInt8] {
    var bytes = (0..<byteCount).map { fill == 0 ? 0 : UInt8(truncatingIfNeeded: Int(fill) + $0) }
    bytes[0] = UInt8(byteCount / 4)
    bytes[1] = type
    store(UInt16(9_001), at: 2, in: &bytes)
    store(instrumentID, at: 4, in: &bytes)
    store(UInt64(1_600_000_000_000_000_000), at: 8, in: &bytes)
    return bytes
}

func store<T: FixedWidthInteger>(_ value: T, at offset: Int, in bytes: inout [UInt8]) {
    for index in 0..<T.bitWidth / 8 {
        bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index))
    }
}

func store(_ text: String, at offset: Int, in bytes: inout [UInt8]) {
    for (index, byte) in text.utf8.enumerated() { bytes[offset + index] = byte }
}

func hex(_ text: String) -> [UInt8] {
    let digits = text.utf8.filter { $0 > 0x20 }.map { $0 < 0x3A ? $0 - 0x30 : $0 - 0x57 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

let testMetadata = DBNMetadata(
    dataset: "MARTLET.TEST", schema: .mbp10, start: 1_600_000_000_000_000_000, end: 1_600_000_000_000_000_001,
    limit: 10, symbols: ["GOOG"], notFound: ["NOPE"],
    mappings: [
        SymbolMapping(
            rawSymbol: "GOOG",
            intervals: [SymbolMapping.Interval(startDate: 20_120_621, endDate: 20_120_622, symbol: "77")])
    ])

/// A whole stream of the given records.
func encode(
    _ records: [[UInt8]], metadata: DBNMetadata = testMetadata, compression: DBNEncoder.Compression = .none
) throws -> [UInt8] {
    var encoder = try DBNEncoder(metadata: metadata, compression: compression)
    for record in records { try encoder.encode(record.span.bytes) }
    try encoder.finish()
    return encoder.takeOutput()
}

/// Everything that a decoder said of some input.
struct Decoded: Equatable {
    var metadata: DBNMetadata?
    var records: [[UInt8]] = []
    var sendTimestamps: [UInt64?] = []
    var error: DBNError?

    /// Feeds `bytes` in pieces whose sizes `cut` gives, the last one as long as it may be.
    init(
        _ bytes: [UInt8], format: DBNDecoder.Format = .automatic,
        limits: DBNDecoder.Limits = DBNDecoder.Limits(), cut: (Int) -> Int = { _ in .max }
    ) {
        var decoder = DBNDecoder(format: format, limits: limits)
        do throws(DBNError) {
            var position = 0
            while true {
                switch try decoder.next() {
                case .needsInput where position == bytes.count: decoder.finish()
                case .needsInput:
                    let end = position + min(cut(position), bytes.count - position)
                    try decoder.feed(bytes.span.bytes.extracting(position..<end))
                    position = end
                case .metadata: metadata = decoder.metadata
                case .record:
                    records.append(decoder.record.bytes.withUnsafeBytes { [UInt8]($0) })
                    sendTimestamps.append(decoder.sendTimestamp)
                case .end: return
                }
            }
        } catch {
            self.error = error
        }
    }
}

/// A folder that is gone after the test.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { _ = Result { try FileManager.default.removeItem(at: url) } }

    func path(_ name: String) -> String { url.appending(path: name).path }
}

func readFile(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path)))
}

/// Databento's own library, through `python/oracles/dbn_oracle.py`.
enum Oracle {
    static let python = ProcessInfo.processInfo.environment["MARTLET_PYTHON"]
    static let feeds = ProcessInfo.processInfo.environment["MARTLET_FEEDS"]
    static let isAvailable = python != nil
    static let hasFeeds = feeds != nil

    struct Failure: Error { let text: String }

    static func run(_ arguments: [String]) throws -> Data {
        guard let python else { throw Failure(text: "MARTLET_PYTHON is not set") }
        let root = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: python)
        process.arguments = [root.appending(path: "python/oracles/dbn_oracle.py").path] + arguments
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(text: "oracle \(arguments) failed") }
        return data
    }

    /// What `digest` and `generate` print.
    struct Digest: Decodable {
        struct Class: Decodable {
            var count: Int
            var sums: [String: String]
        }
        var count: Int
        var classes: [String: Class]
    }

    static func digest(_ arguments: [String]) throws -> Digest {
        try JSONDecoder().decode(Digest.self, from: run(arguments))
    }

    static func conformanceFiles() throws -> [String] {
        guard let feeds else { return [] }
        let folder = "\(feeds)/databento/conformance"
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { "\(folder)/\($0)" }
    }
}

func writeFile(_ bytes: [UInt8], _ path: String) throws {
    try Data(bytes).write(to: URL(filePath: path))
}

struct Unviewable: Error {}

/// Views cannot pass through `#require`, so what is needed of one is read in `body`.
func read<Value>(_ bytes: [UInt8], _ body: (Record) throws -> Value) throws -> Value {
    guard let record = Record(at: bytes.span.bytes) else { throw Unviewable() }
    return try body(record)
}
