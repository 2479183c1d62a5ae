import ArgumentParser
import Features
import Foundation
import Recorder

struct FeaturesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "features",
        abstract:
            "Writes the feature vectors of recorded feeds as NumPy arrays, with exactly the code that serves them.",
        discussion: """
            Into DIR: features.npy float32 [N, F]; mid.npy, bid.npy and ask.npy int64 in 1e-9; ts_recv.npy uint64 in ns; \
            reset.npy uint8, 1 on the first tick after a reset; instrument.npy uint32; features.json with the names, the \
            version of the feature set, the instruments, and the SHA-256 of each file.

              martlet features day.dbn.zst --out build/day
            """)

    @Argument(help: "DBN files, plain or zstd, in the order of time.")
    var files: [String]

    @Option(help: "The folder to write to; it is made if it is not there.")
    var out: String

    @Option(
        help: "Tick and lot size of an instrument whose feed does not say, as SYMBOL:tick=0.01,lot=1. May be repeated.")
    var instrument: [String] = []

    @OptionGroup var configuration: ConfigurationOption

    private struct Description: Encodable {
        let featureSetVersion: Int
        let warmUpTicks: Int
        let names: [String]
        let instruments: [String]
        let ticks: Int
        let files: [String]
        let sha256: [String]
    }

    mutating func run() async throws {
        let settings = try await Settings(Self.self, path: configuration.config)
        try checkFeeds(files)
        do {
            try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        } catch {
            throw CommandError(.noInput, "\(out): the folder cannot be made: \(error.localizedDescription)")
        }
        do { try FeedReplay.checkPriceLevels(files) } catch { throw CommandError(error) }
        var options = FeedReplay.Options()
        options.instruments = try InstrumentArgument.parse(settings.values(instrument, "instrument"))
        // An older description must not stand beside arrays that a failure leaves unfinished.
        let description = URL(fileURLWithPath: out + "/features.json")
        if FileManager.default.fileExists(atPath: description.path) {
            do { try FileManager.default.removeItem(at: description) } catch {
                throw CommandError(.noInput, "\(description.path) cannot be replaced: \(error.localizedDescription)")
            }
        }
        try export(options, to: description)
    }

    private func export(_ options: FeedReplay.Options, to path: URL) throws {
        var replay = FeedReplay(paths: files, options: options)
        var progress = ProgressLine()
        let description: Description
        do {
            var export = try FeatureExport(directory: out)
            try export.run(&replay) { progress.show("features", done: $0, total: nil) }
            description = Description(
                featureSetVersion: FeatureExtractor.version, warmUpTicks: FeatureExtractor.warmUpTicks,
                names: FeatureExtractor.names, instruments: export.instruments, ticks: export.ticks,
                files: files.map { URL(fileURLWithPath: $0).lastPathComponent },
                sha256: try files.map(FileDigest.sha256))
        } catch {
            progress.clear()
            throw CommandError(error)
        }
        progress.clear()
        guard description.ticks > 0 else {
            throw CommandError(.data, "\(files.joined(separator: ", ")): no tick in the feed")
        }
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do { try encoder.encode(description).write(to: path) } catch {
            throw CommandError(.noInput, "\(path.path) cannot be written: \(error.localizedDescription)")
        }
        StandardOutput.print("\(Format.count(description.ticks)) ticks, \(description.names.count) features → \(out)")
    }
}
