import ArgumentParser
import Features
import Foundation
import MarketData
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

    private static let descriptionName = "features.json"

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
        try checkOutput(out)
        do { try FeedReplay.checkPriceLevels(files) } catch { throw CommandError(error) }
        var options = FeedReplay.Options()
        options.instruments = try InstrumentArgument.parse(settings.values(instrument, "instrument"))
        try export(options)
    }

    /// Writes beside what an earlier export has left, and puts itself in its place at the end alone.
    private func export(_ options: FeedReplay.Options) throws {
        try makeFolder(out)
        try lockFolder(out)
        let folder = URL(fileURLWithPath: out).appendingPathComponent(".unfinished")
        let unfinished = UnfinishedFile(folder.path)
        unfinished.remove()
        var replay = FeedReplay(paths: files, options: options)
        var progress = ProgressLine()
        defer {
            progress.clear()
            unfinished.remove()
        }
        let description: Description
        do {
            try makeFolder(folder.path)
            var export = try FeatureExport(directory: folder.path)
            try export.run(&replay) {
                unfinished.endIfInterrupted()
                progress.show("features", done: $0, total: nil)
            }
            description = Description(
                featureSetVersion: FeatureExtractor.version, warmUpTicks: FeatureExtractor.warmUpTicks,
                names: FeatureExtractor.names, instruments: export.instruments, ticks: export.ticks,
                files: files.map { URL(fileURLWithPath: $0).lastPathComponent },
                sha256: try files.map(FileDigest.sha256))
        } catch {
            throw CommandError(error)
        }
        guard description.ticks > 0 else {
            throw CommandError(.data, "\(files.joined(separator: ", ")): no tick in the feed")
        }
        do { try finish(description, folder) } catch {
            throw CommandError(.noInput, "\(out) cannot be written: \(error.localizedDescription)")
        }
        let counts = "\(Format.count(description.ticks)) ticks, \(description.names.count) features"
        StandardOutput.print("\(counts) → \(out.singleLine)")
    }

    /// The arrays get their places, and the description that names them last.
    private func finish(_ description: Description, _ folder: URL) throws {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(description).write(to: folder.appendingPathComponent(Self.descriptionName))
        let arrays = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0 != Self.descriptionName }
        // An older description must not stand beside newer arrays: it goes first.
        for name in [Self.descriptionName] + arrays {
            let path = out + "/" + name
            if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        }
        for name in arrays + [Self.descriptionName] {
            try FileManager.default.moveItem(atPath: folder.path + "/" + name, toPath: out + "/" + name)
        }
    }
}
