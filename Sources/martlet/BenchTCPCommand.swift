import ArgumentParser
import Foundation
import Pipeline

/// CPU and throughput over TCP, beside a bare forwarder.
struct BenchTCPCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcp",
        abstract: "CPU per tick and throughput over TCP, beside a forwarder that only receives and sends.",
        discussion: """
            CPU is that of the whole process, libzmq's threads included, from its first message until the last \
            has left. 'inline' packs what is there, as 'run --inline' does; 'unbatched' sends a message for each \
            that came, as the forwarder does; 'observed' also times its stages and evaluates its signals, as 'run' always does.

              martlet bench tcp feeds/*.dbn.zst --records-per-packet 1,50 --rounds 7
            """)

    @OptionGroup var arguments: BenchArguments

    @Option(help: "Records in one message, one measurement for each.")
    var recordsPerPacket = "1,50"

    @Option(help: "Rounds of each contestant.")
    var rounds = 7

    private struct Figures: Encodable {
        let name: String
        let cpuPerTick, ticksPerSecond: Spread
        let threadPerTick: Spread?
        /// Above the forwarder of the same round.
        let cpuAboveForwarder: Spread?
        /// Over the forwarder of the same round.
        let throughputRatio: Spread?
    }

    private struct Part: Encodable {
        let recordsPerPacket, messages: Int
        let contestants: [Figures]
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
        let contestants: [BenchContestant] = [.forwarder, .inline, .unbatched, .observed]
        var parts: [Part] = []
        var ticks = 0
        var checksum = ""
        var progress = ProgressLine()
        defer { progress.clear() }
        for size in sizes {
            var play = BenchPlay(files: arguments.files, model: arguments.model)
            play.recordsPerPacket = size
            play.ticks = arguments.ticks
            var series = try BenchSeries(play)
            try series.run(contestants, rounds: rounds) { progress.show($0) }
            let feed = series.rounds[.forwarder]?.first?.feed
            ticks = feed?.ticks ?? 0
            checksum = series.checksumLine
            parts.append(
                Part(
                    recordsPerPacket: size, messages: feed?.messages ?? 0,
                    contestants: contestants.map { figures($0, series) }))
        }
        progress.clear()
        let report = Report(machine: machine, ticks: ticks, rounds: rounds, checksum: checksum, parts: parts)
        if arguments.json { try StandardOutput.print(json: report) } else { StandardOutput.print(table(report)) }
    }

    private func figures(_ contestant: BenchContestant, _ series: BenchSeries) -> Figures {
        let threads = series.figures(contestant) { $0.threadPerTick ?? 0 }
        return Figures(
            name: contestant.name, cpuPerTick: Spread(series.figures(contestant, \.cpuPerTick)),
            ticksPerSecond: Spread(series.figures(contestant, \.ticksPerSecond)),
            threadPerTick: Spread(threads),
            cpuAboveForwarder: contestant.isForwarder
                ? nil : Spread(series.paired(contestant, .forwarder, \.cpuPerTick, -)),
            throughputRatio: contestant.isForwarder
                ? nil : Spread(series.paired(contestant, .forwarder, \.ticksPerSecond, /)))
    }

    private func table(_ report: Report) -> String {
        var lines = [
            "\(report.machine)",
            "method   \(report.rounds) alternated rounds of 3 processes on loopback TCP; "
                + "median [lowest … highest]",
            "feed     \(Format.count(report.ticks)) ticks; \(report.checksum) in every round",
        ]
        for part in report.parts {
            lines.append(
                "\n\(part.recordsPerPacket) records a message at most: "
                    + "\(Format.count(part.messages)) messages"
            )
            lines.append(
                BenchOutput.row(
                    "",
                    [
                        "CPU per tick", "of that its own thread", "ticks/s", "CPU above forwarder",
                        "rate / forwarder",
                    ]))
            for figures in part.contestants {
                lines.append(
                    BenchOutput.row(
                        figures.name,
                        [
                            figures.cpuPerTick.text(BenchOutput.microseconds),
                            figures.threadPerTick?.text(BenchOutput.microseconds) ?? "-",
                            figures.ticksPerSecond.text(Format.rate),
                            figures.cpuAboveForwarder?.text(BenchOutput.microseconds) ?? "-",
                            figures.throughputRatio?.text { String(format: "%.2f", $0) } ?? "-",
                        ]))
            }
        }
        return lines.joined(separator: "\n")
    }
}
