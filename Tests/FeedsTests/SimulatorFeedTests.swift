import CCrypto
import DBN
import Foundation
import MarketData
import Testing

@testable import Feeds

/// The simulated feed of the repository: it is what its metadata say, and what the simulator makes today.
@Suite("Simulated repository feed")
struct SimulatorFeedTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("feeds")
    static let stem = "simulated_sim1_20240102_mixed"
    static let path = folder.appendingPathComponent(stem + ".dbn.zst").path

    /// The part of the metadata that tests read.
    struct Metadata: Decodable {
        var source: String
        var simulated: Bool
        var instrument: String
        var date: String
        var ticks: Int
        var records: Int
        var bytes: Int
        var sha256: String
        var licence: String
        var seed: UInt64
        var howMade: String
    }

    static func metadata() throws -> Metadata {
        let data = try Data(contentsOf: folder.appendingPathComponent(stem + ".json"))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Metadata.self, from: data)
    }

    @Test("The metadata file names the feed's SHA-256, size, and how it was made")
    func metadataIsTrue() throws {
        let metadata = try Self.metadata()
        let bytes = try Data(contentsOf: URL(fileURLWithPath: Self.path))
        #expect(bytes.count == metadata.bytes)
        #expect(bytes.count <= 4 << 20)
        #expect(sha256(bytes) == metadata.sha256)
        #expect(metadata.simulated && metadata.source.contains("simulated"))
        let command = "--seed \(metadata.seed) --events \(metadata.ticks) --out feeds/\(Self.stem).dbn.zst"
        #expect(metadata.howMade.hasSuffix(command))
    }

    @Test("The feed holds the ticks, records, instrument and day that its metadata name")
    func holdsWhatItSays() throws {
        let metadata = try Self.metadata()
        var reader = try DBNFileReader(path: Self.path)
        let header = reader.metadata
        #expect(header?.dataset == "MARTLET.SIM")
        #expect(header?.schema == nil)
        #expect(header?.symbols == [metadata.instrument])
        var records = 0
        var ticks = 0
        let rule = TickRule(schema: nil)
        while try reader.next() {
            records += 1
            if rule.completesTick(reader.record) { ticks += 1 }
        }
        #expect(ticks == metadata.ticks)
        #expect(records == metadata.records)
        #expect(metadata.date == "2024-01-02")
    }

    @Test("The simulator still makes the feed's first 20,000 ticks from its seed, byte for byte")
    func regenerates() throws {
        let made = try simulatedBytes(seed: Self.metadata().seed, events: 20_000)
        var decoder = try DBNFileReader(path: Self.path)
        var offset = try recordsStart(of: made)
        var compared = 0
        while offset < made.count, try decoder.next() {
            let count = decoder.record.bytes.byteCount
            let recorded = (0..<count).map {
                decoder.record.bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self)
            }
            try #require(offset + count <= made.count)
            try #require(
                Array(made[offset..<(offset + count)]) == recorded, "Record \(compared + 1) differs.")
            offset += count
            compared += 1
        }
        #expect(offset == made.count)
        #expect(compared > 20_000)
    }

    @Test("The feed meets every bar of the calibration")
    func meetsTheBars() throws {
        let statistics = try FeedStatistics.measure(path: Self.path)
        #expect(SimulatorCalibration.shortfalls(of: statistics) == [])
        let table = SimulatorCalibration.table(simulated: statistics)
        #expect(table.contains("GOOG"))
        #expect(!table.contains("MISSED"))
        #expect(table.split(separator: "\n").count == CalibrationFigure.allCases.count + 3)
    }

    @Test("The feed can be learned from: queue and flow imbalance foretell the mid price 50 ticks on")
    func canBeLearned() throws {
        let statistics = try FeedStatistics.measure(path: Self.path)
        #expect(statistics.value(.queueForesight) > 0.1)
        #expect(statistics.value(.flowForesight) > 0.1)
    }

    private func recordsStart(of bytes: [UInt8]) throws -> Int {
        // "DBN", version, and the length of the metadata.
        let length = (0..<4).reduce(0) { $0 | Int(bytes[4 + $1]) << (8 * $1) }
        return 8 + length
    }

    private func sha256(_ data: Data) -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 0
        let bytes = [UInt8](data)
        #expect(EVP_Digest(bytes, bytes.count, &digest, &count, EVP_sha256(), nil) == 1)
        return digest.map { String(format: "%02x", $0) }.joined()
    }
}
