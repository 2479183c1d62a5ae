import Features
import Feeds
import Foundation
import TestSupport
import Testing

/// The features equal to the last bit those of the NumPy twin, which was written from the document.
@Suite struct TwinTests {
    static let python = ProcessInfo.processInfo.environment["MARTLET_PYTHON"]
    static let feeds = ProcessInfo.processInfo.environment["MARTLET_FEEDS"]
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test(
        .enabled(if: python != nil, "MARTLET_PYTHON is not set"),
        arguments: [
            (seed: UInt64(1), tickSize: Int64(10_000_000), isDisorderly: false),
            (seed: 2, tickSize: 10_000_000, isDisorderly: true),
            (seed: 3, tickSize: 1, isDisorderly: true),
            (seed: 4, tickSize: FeatureExtractor.tickSizeMax, isDisorderly: true),
            (seed: 5, tickSize: 333_333_333, isDisorderly: true),
        ])
    func `The twin agrees to the last bit on generated records`(
        seed: UInt64, tickSize: Int64, isDisorderly: Bool
    ) throws {
        var generator = MarketRecordGenerator(seed: seed, tickSize: tickSize, isDisorderly: isDisorderly)
        let records = generator.makeRecords(tickCount: 4_000)
        try expectEqualToTwin(records, tickSize: tickSize, minimumTicks: 4_000)
    }

    @Test(.enabled(if: python != nil && feeds != nil, "MARTLET_PYTHON or MARTLET_FEEDS is not set"))
    func `The twin agrees to the last bit on the beginning of a real day`() throws {
        let directory = try TemporaryDirectory()
        let file = directory.path("goog.records")
        let zip = try #require(Self.feeds) + "/lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip"
        let made = try runPython(["lobster_records.py", zip, file, "20000"])
        #expect(made.status == 0, "\(made.output)")
        let records = try [UInt8](Data(contentsOf: URL(filePath: file)))
        try expectEqualToTwin(records, tickSize: 10_000_000, minimumTicks: 19_000)
    }

    private func expectEqualToTwin(_ records: [UInt8], tickSize: Int64, minimumTicks: Int) throws {
        let directory = try TemporaryDirectory()
        try Data(records).write(to: URL(filePath: directory.path("records")))
        let run = FeatureRunner(records, tickSize: tickSize)
        #expect(run.tickCount >= minimumTicks)
        var writer = try NPYWriter(
            path: directory.path("features.npy"), elementType: .float32, columnCount: FeatureExtractor.count)
        try run.values.withUnsafeBytes { try writer.append($0) }
        try writer.finish()
        let names = try JSONEncoder().encode(FeatureExtractor.names)
        try names.write(to: URL(filePath: directory.path("names.json")))
        let checked = try runPython([
            "features_check.py", directory.path("records"), String(tickSize), directory.path("features.npy"),
        ])
        #expect(checked.status == 0, "\(checked.output)")
    }

    private func runPython(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(filePath: try #require(Self.python))
        let script = Self.root.appending(path: "python/oracles/" + arguments[0]).path
        process.arguments = [script] + arguments.dropFirst()
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}

/// A directory that goes away with its value.
final class TemporaryDirectory {
    private let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "martlet-features-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        do { try FileManager.default.removeItem(at: url) } catch { print("left behind: \(url.path)") }
    }

    func path(_ name: String) -> String { url.appending(path: name).path }
}
