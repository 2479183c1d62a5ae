import ArgumentParser
import Feeds
import Foundation

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Says what is in a DBN file: metadata, counts, ticks, time span, gaps, crossed books.",
        discussion: "  martlet inspect day.dbn.zst --json")

    @Argument(help: "A DBN file, plain or zstd, of any version and schema.")
    var file: String

    @Flag(help: "Print one JSON object.")
    var json = false

    mutating func run() throws {
        try checkReadable([file])
        let inspection: Inspection
        do { inspection = try FeedInspector.inspect(path: file) } catch { throw CommandError(.data, "\(error)") }
        guard json else {
            print(inspection)
            return
        }
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(inspection), as: UTF8.self))
    }
}
