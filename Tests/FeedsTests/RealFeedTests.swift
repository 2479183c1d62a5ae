import DBN
import Feeds
import Foundation
import MarketData
import Testing

/// The recorded days, converted and compared with a plain re-implementation in Python, which decodes the
/// output with Databento's own library: every field of every record, levels included.
@Suite(.serialized) struct RealFeedTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let feeds = environment["MARTLET_FEEDS"] ?? ""
    private static let python = environment["MARTLET_PYTHON"] ?? ""
    private static let hasFeeds = !feeds.isEmpty
    private static let hasOracle = hasFeeds && !python.isEmpty

    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func oracle(_ arguments: [String]) throws -> String {
        let root = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: Self.python)
        process.arguments =
            [root.appending(path: "python/oracles/\(arguments[0])").path] + arguments.dropFirst()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    struct Day: Sendable, CustomTestStringConvertible {
        var oracle: [String]
        var files: [String]
        var lines: UInt64
        var ticks: UInt64
        var records: Int
        var testDescription: String { files.joined(separator: " ") }
    }

    @Test(
        "Whole LOBSTER days equal the plain reading of their files",
        .enabled(if: hasOracle, "MARTLET_FEEDS or MARTLET_PYTHON is not set"),
        arguments: [
            Day(
                oracle: [], files: ["LOBSTER_SampleFile_GOOG_2012-06-21_10.zip"], lines: 147_916,
                ticks: 147_916,
                records: 155_684),
            Day(
                oracle: [], files: ["LOBSTER_SampleFile_AAPL_2012-06-21_1.zip"], lines: 118_497,
                ticks: 118_497,
                records: 142_158),
        ])
    func lobster(day: Day) throws {
        let inputs = day.files.map { "\(Self.feeds)/lobster/\($0)" }
        let converter = try LOBSTERConverter(zips: inputs)
        let path = folder.path("day.dbn.zst")
        var writer = try DBNFileWriter(
            path: path, metadata: converter.plan.metadata, compression: .zstd(level: 1))
        let report = try converter.convert(to: &writer)
        try writer.finish()
        #expect(report.lineCount == day.lines && report.tickCount == day.ticks)
        #expect(try oracle(["lobster_oracle.py", path] + inputs) == "equal: \(day.records)")
        let inspection = try FeedInspector.inspect(path: path)
        #expect(inspection.ticks == day.ticks)
        #expect(inspection.instruments.map(\.sequenceGaps) == [0])
        #expect(inspection.instruments.map(\.crossedBooks) == [0])
    }

    @Test(
        "Whole Binance captures equal the plain reading of their lines",
        .enabled(if: hasOracle, "MARTLET_FEEDS or MARTLET_PYTHON is not set"),
        arguments: [
            Day(
                oracle: ["usdm", "100000000", "1000000"], files: ["usdm_btcusdt_20240808.gz"], lines: 93_954,
                ticks: 93_950, records: 93_953),
            Day(
                oracle: ["spot", "10000000", "10000"],
                files: ["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"], lines: 99_574, ticks: 99_572,
                records: 99_575),
            Day(
                oracle: ["coinm", "100000000", "1000000000"],
                files: ["cm_btcusd_perp_20240808.gz", "cm_btcusd_perp_20240809.gz"], lines: 98_386,
                ticks: 98_363,
                records: 98_366),
            // Without its predecessor: no snapshot, so the book is built from diffs.
            Day(
                oracle: ["spot", "10000000", "10000"], files: ["spot_btcusdt_20240809.gz"], lines: 58_325,
                ticks: 58_325, records: 58_328),
        ])
    func binance(day: Day) throws {
        let inputs = day.files.map { "\(Self.feeds)/binance/\($0)" }
        // Given backwards: the order is that of the capture times.
        let converter = try BinanceConverter(captures: inputs.reversed())
        let path = folder.path("day.dbn.zst")
        var writer = try DBNFileWriter(
            path: path, metadata: converter.plan.metadata, compression: .zstd(level: 1))
        let report = try converter.convert(to: &writer)
        try writer.finish()
        #expect(report.lineCount == day.lines && report.tickCount == day.ticks)
        #expect(
            report.instruments.map(\.gapCount) == [0] && report.instruments.map(\.roundedBooks.count) == [0])
        #expect(try oracle(["binance_oracle.py"] + day.oracle + [path] + inputs) == "equal: \(day.records)")
        let inspection = try FeedInspector.inspect(path: path)
        #expect(inspection.ticks == day.ticks)
        #expect(inspection.instruments.map(\.sequenceGaps) == [0])
        #expect(inspection.instruments.map(\.crossedBooks) == [0])
        #expect(inspection.instruments.map(\.captureReversals) == [0])
    }

    @Test(
        "Databento's recordings are counted, order by order data too",
        .enabled(if: hasFeeds, "MARTLET_FEEDS is not set"),
        arguments: [
            ("esh4-glbx-mdp3-20231225.mbo.dbn.zst", "mbo", 68_792),
            ("esu4-glbx-mdp3-20240701.mbp-1.dbn.zst", "mbp-1", 2_288),
            ("esu4-glbx-mdp3-20240701.trades.dbn.zst", "trades", 120),
        ] as [(String, String, UInt64)])
    func recordings(name: String, schema: String, count: UInt64) throws {
        let inspection = try FeedInspector.inspect(path: "\(Self.feeds)/databento/recordings/\(name)")
        #expect(inspection.metadata?.schema == schema)
        #expect(inspection.types.map(\.name) == [schema] && inspection.records == count)
        #expect(inspection.instruments.allSatisfy { $0.sequenceRule == .unknown && $0.symbol != nil })
    }
}
