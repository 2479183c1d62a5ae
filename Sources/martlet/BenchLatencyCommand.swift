import ArgumentParser
import Foundation
import Pipeline

/// Latency at a fixed rate, beside a bare forwarder.
struct BenchLatencyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "latency",
        abstract: "From the return of receive to the return of send at a fixed rate, one record a message.",
        discussion: """
            The publisher keeps its pace by absolute times. What a tick costs inside the process is the \
            processor's latency minus the forwarder's in the same round; the threaded pipeline stands beside it.

              martlet bench latency feeds/*.dbn.zst --rate 10000
            """)

    @OptionGroup var arguments: BenchArguments

    @Option(help: "Ticks a second.")
    var rate = 10_000.0

    @Option(help: "Rounds of each contestant.")
    var rounds = 3

    @Option(help: "How a contestant waits for the next message: spin, yield or backoff.")
    var idle = IdleStrategy.backoff

    @Option(
        help: """
            The core of a contestant's own thread, which all other threads keep off, so that the scheduler has no part in \
            the figures; the threaded pipeline is left out then. Default: none.
            """)
    var ownCore: Int?

    private struct Figures: Encodable {
        let name: String
        /// Nanoseconds.
        let p50, p99, p999: Spread
        let p50AboveForwarder, p99AboveForwarder, p999AboveForwarder: Spread?
    }

    private struct Report: Encodable {
        let machine: MachineDescription
        let ticks, rounds: Int
        let rate: Double
        let idle: String
        @OrNull var ownCore: Int? = nil
        let checksum: String
        let contestants: [Figures]
    }

    mutating func run() throws {
        try arguments.check()
        guard (1...1e6).contains(rate) else {
            throw CommandError(.usage, "--rate \(rate) is wrong; expected 1 to 1000000 ticks a second")
        }
        _ = try inRange(rounds, "rounds", 1...1_000)
        let machine = MachineDescription()
        var play = BenchPlay(files: arguments.files, model: arguments.model)
        play.recordsPerPacket = 1
        play.rate = rate
        play.ticks = arguments.ticks
        play.idle = idle
        play.ownCore = try ownCore.map {
            try inRange($0, "own-core", 0...max(ProcessInfo.processInfo.processorCount - 1, 0))
        }
        play.timeoutSeconds = 3_600
        let contestants: [BenchContestant] = [.forwarder, .inline] + (ownCore == nil ? [.threaded] : [])
        var progress = ProgressLine()
        defer { progress.clear() }
        var series = try BenchSeries(play)
        try series.run(contestants, rounds: rounds) { progress.show($0) }
        progress.clear()
        let report = Report(
            machine: machine, ticks: series.rounds[.forwarder]?.first?.feed.ticks ?? 0, rounds: rounds,
            rate: rate,
            idle: idle.rawValue, ownCore: ownCore, checksum: series.checksumLine,
            contestants: contestants.map { BenchLatencyCommand.figures($0, series) })
        if arguments.json { try StandardOutput.print(json: report) } else { StandardOutput.print(table(report)) }
    }

    private static func figures(_ contestant: BenchContestant, _ series: BenchSeries) -> Figures {
        func above(_ figure: (BenchRound) -> Double) -> Spread? {
            contestant.isForwarder ? nil : Spread(series.paired(contestant, .forwarder, figure, -))
        }
        let quantiles: [(BenchRound) -> Double] = [
            { $0.middle.p50 ?? 0 }, { $0.middle.p99 ?? 0 }, { $0.middle.p999 ?? 0 },
        ]
        let own = quantiles.map { Spread(series.figures(contestant, $0)) }
        return Figures(
            name: contestant.name, p50: own[0], p99: own[1], p999: own[2],
            p50AboveForwarder: above(quantiles[0]),
            p99AboveForwarder: above(quantiles[1]), p999AboveForwarder: above(quantiles[2]))
    }

    private func table(_ report: Report) -> String {
        var lines = [
            "\(report.machine)",
            "method   \(report.rounds) alternated rounds of 3 processes on loopback TCP, a record a message, "
                + "\(Format.count(Int(report.rate))) ticks/s, idle strategy \(report.idle)"
                + (report.ownCore.map { ", own thread alone on core \($0);" } ?? ";"),
            "         receive-return to send-return of each tick (forwarder: of each message); "
                + "median [lowest … highest]",
            "feed     \(Format.count(report.ticks)) ticks; \(report.checksum) in every round", "",
            BenchOutput.row("", ["p50", "p99", "p99.9"]),
        ]
        for figures in report.contestants {
            lines.append(
                BenchOutput.row(
                    figures.name,
                    [figures.p50, figures.p99, figures.p999].map { $0.text(BenchOutput.nanoseconds) }))
            guard let p50 = figures.p50AboveForwarder, let p99 = figures.p99AboveForwarder,
                let p999 = figures.p999AboveForwarder
            else { continue }
            lines.append(
                BenchOutput.row(
                    "  minus forwarder", [p50, p99, p999].map { $0.text(BenchOutput.nanoseconds) }))
        }
        return lines.joined(separator: "\n")
    }
}
