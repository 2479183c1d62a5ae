import ArgumentParser
import Foundation

/// The rate over TCP beside what one would write in Python.
struct BenchPeerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peer",
        abstract:
            "Throughput over TCP beside pyzmq, NumPy features and ONNX Runtime (python/martlet/peer.py).",
        discussion: """
            The same feed in the same packets through the same model; the signals are the same but for the last \
            bits of the probabilities, which python/tests/test_peer.py checks.

              martlet bench peer feeds/*.dbn.zst --python .venv/bin/python
            """)

    @OptionGroup var arguments: BenchArguments

    @Option(help: "The Python that has the package martlet, pyzmq, numpy and onnxruntime.")
    var python = ".venv/bin/python"

    @Option(help: "Records in one message, one measurement for each.")
    var recordsPerPacket = "1,50"

    @Option(help: "Rounds of each contestant.")
    var rounds = 3

    private struct Part: Encodable {
        let recordsPerPacket: Int
        let peer, processor, ratio: Spread
        /// Seconds of CPU of the process in the middle.
        let peerCpuPerTick, processorCpuPerTick: Spread
    }

    private struct Report: Encodable {
        let machine: MachineDescription
        let ticks, rounds: Int
        let checksum: String
        let parts: [Part]
    }

    mutating func run() throws {
        try arguments.check()
        let sizes = try BenchArguments.numbers(recordsPerPacket, "records-per-packet", 1...4_096)
        _ = try inRange(rounds, "rounds", 1...1_000)
        let machine = MachineDescription()
        let peer = BenchContestant.peer(python: python)
        var progress = ProgressLine()
        defer { progress.clear() }
        var parts: [Part] = []
        var ticks = 0
        var checksum = ""
        for size in sizes {
            var play = BenchPlay(files: arguments.files, model: arguments.model)
            play.recordsPerPacket = size
            play.ticks = arguments.ticks
            play.timeoutSeconds = 3_600
            var series = try BenchSeries(play)
            try series.run([peer, .inline], rounds: rounds) { progress.show($0) }
            ticks = series.rounds[.inline]?.first?.feed.ticks ?? 0
            checksum = series.checksumLine
            parts.append(
                Part(
                    recordsPerPacket: size, peer: Spread(series.figures(peer, \.ticksPerSecond)),
                    processor: Spread(series.figures(.inline, \.ticksPerSecond)),
                    ratio: Spread(series.paired(.inline, peer, \.ticksPerSecond, /)),
                    peerCpuPerTick: Spread(series.figures(peer, \.cpuPerTick)),
                    processorCpuPerTick: Spread(series.figures(.inline, \.cpuPerTick))))
        }
        progress.clear()
        let report = Report(machine: machine, ticks: ticks, rounds: rounds, checksum: checksum, parts: parts)
        if arguments.json { try StandardOutput.print(json: report) } else { StandardOutput.print(table(report)) }
    }

    private func table(_ report: Report) -> String {
        var lines = [
            "\(report.machine)",
            "method   \(report.rounds) alternated rounds of 3 processes on loopback TCP; "
                + "median [lowest … highest]",
            "feed     \(Format.count(report.ticks)) ticks; \(report.checksum)", "",
            BenchOutput.row(
                "records a message",
                ["peer, ticks/s", "processor, ticks/s", "ratio", "peer's CPU per tick", "processor's"]),
        ]
        for part in report.parts {
            lines.append(
                BenchOutput.row(
                    "\(part.recordsPerPacket)",
                    [
                        part.peer.text(Format.rate), part.processor.text(Format.rate),
                        part.ratio.text { String(format: "%.1f", $0) },
                        part.peerCpuPerTick.text(BenchOutput.microseconds),
                        part.processorCpuPerTick.text(BenchOutput.microseconds),
                    ]))
        }
        return lines.joined(separator: "\n")
    }
}
