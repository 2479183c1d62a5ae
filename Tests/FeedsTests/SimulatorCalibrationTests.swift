import DBN
import Foundation
import MarketData
import Testing

@testable import Feeds

/// The constants of the calibration table against the recorded day itself, converted and measured by the code that
/// measures the simulated feed.
@Suite("Simulator calibration")
struct SimulatorCalibrationTests {
    static let feeds = ProcessInfo.processInfo.environment["MARTLET_FEEDS"]

    @Test(
        "The recorded figures of the table are what GOOG's day gives",
        .enabled(if: feeds != nil, "MARTLET_FEEDS is not set"))
    func constantsAreRecorded() throws {
        let zip = try #require(Self.feeds) + "/lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip"
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("martlet-calibration-\(ProcessInfo.processInfo.processIdentifier).dbn").path
        defer { unlink(path) }
        let converter = try LOBSTERConverter(zips: [zip])
        var writer = try DBNFileWriter(path: path, metadata: converter.plan.metadata, compression: .none)
        _ = try converter.convert(to: &writer)
        try writer.finish()
        let statistics = try FeedStatistics.measure(path: path)
        #expect(statistics.ticks == 147_916)
        for figure in CalibrationFigure.allCases {
            let stated = SimulatorCalibration.recorded(figure)
            let measured = statistics.value(figure)
            // Constants are rounded to three decimals or four digits.
            let isNear = abs(measured - stated) <= max(0.0006, abs(stated) * 0.0006)
            #expect(isNear, "\(figure): stated \(stated), measured \(measured)")
        }
    }
}
