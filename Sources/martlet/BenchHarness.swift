import Foundation
import Pipeline
import Recorder
import Wire

/// Who stands between the publisher and the subscriber.
enum BenchContestant: Hashable {
    /// Receives and sends, nothing else: the price of the sockets.
    case forwarder
    /// `martlet run --inline` without what it measures beside its work.
    case inline
    /// `martlet run --inline` as it is: stage timers, and the signals evaluated as they leave.
    case observed
    /// The same with one message out for each message in, as the forwarder does it.
    case unbatched
    /// `martlet run` with one worker.
    case threaded
    /// pyzmq, NumPy and ONNX Runtime, with this Python.
    case peer(python: String)

    var name: String {
        switch self {
        case .forwarder: "forwarder"
        case .inline: "processor, inline"
        case .unbatched: "processor, unbatched"
        case .observed: "processor, observed"
        case .threaded: "processor, threads"
        case .peer: "Python peer"
        }
    }

    var isForwarder: Bool { self == .forwarder }
}

/// What is played, and how.
struct BenchPlay {
    var files: [String]
    var model: String
    var recordsPerPacket = 50
    /// Ticks a second; 0 for as fast as possible.
    var rate = 0.0
    var ticks = 0
    var idle = IdleStrategy.backoff
    /// The core of the contestant's own thread, which all other threads keep off; nil for the scheduler's choice.
    var ownCore: Int?
    var timeoutSeconds = 120
}

/// One run of three processes.
struct BenchRound {
    let feed: BenchFeedHello
    let middle: BenchMiddleResult
    let subscriber: BenchSubscriberResult

    var cpuPerTick: Double { middle.cpuSeconds / Double(feed.ticks) }
    var threadPerTick: Double? { middle.threadSeconds.map { $0 / Double(feed.ticks) } }
    var ticksPerSecond: Double { Double(feed.ticks) / max(subscriber.seconds, 1e-9) }

    /// Plays the feed once through the contestant.
    static func run(_ contestant: BenchContestant, _ play: BenchPlay) throws -> BenchRound {
        let binary = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let core = play.ownCore.map { ["--own-core", "\($0)"] } ?? []
        let common = ["--timeout", "\(play.timeoutSeconds)"] + core
        let publisher = try BenchProcess(
            binary,
            ["bench", "node", "publisher"] + play.files + common + [
                "--records-per-packet", "\(play.recordsPerPacket)", "--rate", "\(play.rate)", "--ticks",
                "\(play.ticks)",
            ])
        let feed = try publisher.hear(BenchFeedHello.self)
        let ends = common + ["--streams", "\(feed.streams)"]
        let middle: BenchProcess
        if case .peer(let python) = contestant {
            middle = try BenchProcess(
                python,
                [
                    "-m", "martlet.peer", "--input", feed.endpoint, "--output", "tcp://127.0.0.1:*",
                    "--model",
                    play.model, "--streams", "\(feed.streams)", "--json",
                ])
        } else {
            middle = try BenchProcess(
                binary,
                [
                    "bench", "node", contestant.role.rawValue, "--input", feed.endpoint, "--model",
                    play.model,
                    "--idle", play.idle.rawValue,
                ] + ends)
        }
        let output = try middle.hear(BenchMiddleHello.self)
        let subscriber = try BenchProcess(
            binary, ["bench", "node", "subscriber", "--input", output.endpoint] + ends)
        let received = try subscriber.hear(BenchSubscriberResult.self)
        let result = try middle.hear(BenchMiddleResult.self)
        _ = try publisher.hear(BenchPublisherResult.self)
        for process in [publisher, middle, subscriber] { try process.finish() }
        return BenchRound(feed: feed, middle: result, subscriber: received)
    }
}

extension BenchContestant {
    fileprivate var role: BenchNodeCommand.Role {
        switch self {
        case .forwarder: .forwarder
        case .inline: .inline
        case .unbatched: .unbatched
        case .observed: .observed
        case .threaded: .threaded
        case .peer: preconditionFailure("The peer is a program of its own.")
        }
    }
}

/// A child that says JSON objects, one a line. Ended with its owner.
final class BenchProcess {
    private let process = Process()
    private let output = Pipe()
    private let command: String
    private var buffer = Data()

    init(_ path: String, _ arguments: [String]) throws {
        command = arguments.prefix(3).joined(separator: " ")
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        do {
            try process.run()
        } catch {
            throw CommandError(.noInput, "\(path): it cannot be run: \(error.localizedDescription)")
        }
    }

    deinit {
        if process.isRunning { process.terminate() }
    }

    func hear<Message: Decodable>(_ type: Message.Type) throws -> Message {
        while true {
            if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                let line = buffer[buffer.startIndex..<end]
                buffer = buffer[buffer.index(after: end)...]
                do { return try JSONDecoder().decode(type, from: Data(line)) } catch {
                    throw CommandError(
                        .software,
                        "\(command) said '\(String(decoding: line, as: UTF8.self))', which is not a \(type)")
                }
            }
            let piece = output.fileHandleForReading.availableData
            guard !piece.isEmpty else {
                process.waitUntilExit()
                throw CommandError(
                    .software,
                    "\(command) ended without a result, with "
                        + (process.terminationReason == .exit ? "status" : "signal")
                        + " \(process.terminationStatus)")
            }
            buffer.append(piece)
        }
    }

    func finish() throws {
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw CommandError(.software, "\(command) ended with status \(process.terminationStatus)")
        }
    }
}

/// Rounds of several contestants in turn, checked against a run without sockets.
struct BenchSeries {
    let play: BenchPlay
    private(set) var rounds: [BenchContestant: [BenchRound]] = [:]
    private let expected: Expected

    private struct Expected {
        var records = 0
        var checksum: UInt64 = 0
    }

    /// Computes what the processor will have to say.
    init(_ play: BenchPlay) throws {
        self.play = play
        let loaded = try LoadedModel(path: play.model, name: nil)
        var replayOptions = FeedReplay.Options()
        replayOptions.ticksMax = play.ticks > 0 ? play.ticks : nil
        replayOptions.recordsPerPacketMax = play.recordsPerPacket
        let replay = FeedReplay(paths: play.files, options: replayOptions)
        var options = PipelineOptions()
        options.modelName = loaded.name
        options.modelID = loaded.id
        options.clock = .none
        options.heartbeatNanoseconds = 0
        var pipeline = Pipeline(source: replay, sink: ChecksumSink(), model: loaded.model, options: options)
        pipeline.runInline()
        if let failure = pipeline.ingest.source.failure { throw CommandError(.data, "\(failure)") }
        let seen = pipeline.publisher.sink.seen
        guard seen.records > 0 else {
            let reason = pipeline.incidents.snapshot.incidents.first?.text ?? "no tick in the feed"
            throw CommandError(.data, "\(play.files.joined(separator: ", ")): \(reason)")
        }
        expected = Expected(records: seen.records, checksum: seen.checksum)
    }

    /// Signals that each run must give, and the sum of their hashes.
    var checksumLine: String {
        "\(Format.count(expected.records)) signals, checksum \(String(expected.checksum, radix: 16))"
    }

    /// Plays one round of each, beginning with another one each time.
    mutating func run(_ contestants: [BenchContestant], rounds count: Int, progress: (String) -> Void) throws {
        for round in 0..<count {
            for index in contestants.indices {
                let contestant = contestants[(round + index) % contestants.count]
                progress(
                    "round \(round + 1) of \(count): \(contestant.name), \(play.recordsPerPacket) a message"
                )
                let result = try BenchRound.run(contestant, play)
                try check(contestant, result)
                rounds[contestant, default: []].append(result)
            }
        }
    }

    private func check(_ contestant: BenchContestant, _ round: BenchRound) throws {
        let seen = round.subscriber
        guard round.middle.lost == 0 else {
            throw CommandError(
                .software, "\(contestant.name) lost \(round.middle.lost) records: the figures mean nothing")
        }
        switch contestant {
        case .forwarder:
            guard seen.checksum == round.feed.checksum else {
                throw CommandError(
                    .software, "the forwarder's output is not its input: the figures mean nothing")
            }
        case .peer:
            guard seen.records == expected.records else {
                throw CommandError(
                    .software, "the peer gave \(seen.records) signals, not \(expected.records)")
            }
        case .inline, .unbatched, .observed, .threaded:
            guard seen.records == expected.records, seen.checksum == expected.checksum else {
                throw CommandError(
                    .software,
                    "\(contestant.name) gave other signals than the run without sockets: \(seen.records), "
                        + "checksum \(String(seen.checksum, radix: 16)), expected \(checksumLine)")
            }
        }
    }

    /// A figure of each round of a contestant. There is at least one round.
    func figures(_ contestant: BenchContestant, _ figure: (BenchRound) -> Double) -> [Double] {
        (rounds[contestant] ?? []).map(figure)
    }

    /// The same figure of two contestants in the same round, combined.
    func paired(
        _ first: BenchContestant, _ second: BenchContestant, _ figure: (BenchRound) -> Double,
        _ combine: (Double, Double) -> Double
    ) -> [Double] {
        zip(figures(first, figure), figures(second, figure)).map(combine)
    }
}

/// Counts and sums what a subscriber would have got.
private struct ChecksumSink: SignalSink {
    private(set) var seen = BenchSubscriberResult()

    mutating func send(_ message: UnsafeRawBufferPointer) -> Bool {
        seen.take(message)
        return true
    }

    mutating func finish() {}
}
