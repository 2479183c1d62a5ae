import ArgumentParser
import Foundation

/// Measurements of the program by itself: each prints the machine, the method, the figures and a checksum of
/// what was computed.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures rate, CPU and latency of the processor, over sockets and from memory.",
        discussion: """
            Processes on loopback TCP, as in production: a lossless publisher that plays the feed from memory, \
            the contestant, and a subscriber that counts and checks what arrives. Contestants take turns, so that \
            a busy machine meets all alike; medians are printed with the lowest and the highest round. How often \
            the program allocates is counted by the tests, whose counter replaces malloc.

              martlet bench tcp feeds/*.dbn.zst --records-per-packet 1,50
              martlet bench latency feeds/*.dbn.zst --rate 10000
              martlet bench score feeds/*.dbn.zst
              martlet bench peer feeds/*.dbn.zst --python .venv/bin/python
            """,
        subcommands: [
            BenchTCPCommand.self, BenchLatencyCommand.self, BenchScoreCommand.self, BenchPeerCommand.self,
            BenchNodeCommand.self,
        ])
}

/// What all measurements are about.
struct BenchArguments: ParsableArguments {
    @Argument(help: "DBN files, plain or zstd, in the order of time.")
    var files: [String]

    @Option(help: "The model, an ONNX file.")
    var model = "models/default.onnx"

    @Option(help: "Ticks of the feed to play; 0 for all.")
    var ticks = 0

    @Flag(help: "Print one JSON object.")
    var json = false

    func check() throws {
        try checkReadable(files + [model])
        _ = try inRange(ticks, "ticks", 0...Int.max)
    }

    /// "1,50"
    static func numbers(_ text: String, _ name: String, _ range: ClosedRange<Int>) throws -> [Int] {
        let numbers = text.split(separator: ",").compactMap { Int($0) }
        guard !numbers.isEmpty, numbers.count == text.split(separator: ",").count else {
            throw CommandError(.usage, "--\(name) '\(text)' is wrong; expected whole numbers such as 1,50")
        }
        for number in numbers { _ = try inRange(number, name, range) }
        return numbers
    }
}

/// Median, lowest and highest of several rounds.
struct Spread: Encodable {
    let median, low, high: Double

    /// - Precondition: there is a value.
    init(_ values: [Double]) {
        precondition(!values.isEmpty, "A spread is of something.")
        let sorted = values.sorted()
        let middle = sorted.count / 2
        median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        low = sorted[0]
        high = sorted[sorted.count - 1]
    }

    /// For people, in the values' own unit.
    func text(_ format: (Double) -> String) -> String {
        "\(format(median)) [\(format(low)) … \(format(high))]"
    }
}

/// The machine at the start of a measurement.
struct MachineDescription: Encodable, CustomStringConvertible {
    let processor, kernel: String
    let cores: Int
    /// The load averages of 1, 5 and 15 minutes: above the number of cores, others were measured as well.
    let load: String

    init() {
        let information = MachineDescription.text("/proc/cpuinfo")
        let line = information.split(separator: "\n").first { $0.hasPrefix("model name") }
        processor =
            line.flatMap { $0.split(separator: ":").last }
            .map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor"
        kernel = MachineDescription.text("/proc/sys/kernel/osrelease").trimmingCharacters(
            in: .whitespacesAndNewlines)
        cores = ProcessInfo.processInfo.activeProcessorCount
        load = MachineDescription.text("/proc/loadavg").split(separator: " ").prefix(3).joined(separator: " ")
    }

    var description: String { "machine  \(processor), \(cores) cores, Linux \(kernel), load \(load)" }

    /// Files of /proc have no size: they are read until they end.
    private static func text(_ path: String) -> String {
        guard let file = FileHandle(forReadingAtPath: path) else { return "" }
        return String(decoding: file.readDataToEndOfFile(), as: UTF8.self)
    }
}

enum BenchOutput {
    /// Cells in columns behind a name.
    static func row(_ name: String, _ cells: [String]) -> String {
        "  " + name.padding(toLength: 24, withPad: " ", startingAt: 0)
            + cells.map { $0.padding(toLength: max($0.count + 2, 32), withPad: " ", startingAt: 0) }.joined()
    }

    static func microseconds(_ seconds: Double) -> String { String(format: "%.3f µs", seconds * 1e6) }

    static func nanoseconds(_ value: Double) -> String {
        value < 0 ? "-" + Format.duration(UInt64(-value)) : Format.duration(UInt64(value))
    }
}
