import ArgumentParser
import Feeds
import Foundation

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Says what is in a DBN file: metadata, counts, ticks, time span, gaps, crossed books.",
        discussion: "  martlet inspect day.dbn.zst --json")

    @Argument(help: "A DBN file, plain or zstd, of any version and schema.")
    var file: String

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var configuration: ConfigurationOption

    mutating func run() async throws {
        let settings = try await Settings(Self.self, path: configuration.config)
        let isJSON = try settings.flag(json, "json")
        try checkReadable([file])
        let inspection: Inspection
        do { inspection = try FeedInspector.inspect(path: file) } catch { throw CommandError(error) }
        guard isJSON else { return StandardOutput.print("\(inspection)") }
        try StandardOutput.print(json: inspection)
    }
}
