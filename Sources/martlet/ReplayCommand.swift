import ArgumentParser
import CPlatform
import Foundation
import Pipeline
import Recorder
import Transport
import Wire
import ZeroMQ

struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Publishes recorded feeds, byte for byte as a live publisher would.",
        discussion: """
            The publisher waits for its subscribers before it starts and for the slowest of them all the time; if one \
            leaves, it says so. With --live it drops what a slow subscriber cannot take, as an exchange does.

              martlet replay day.dbn.zst --output tcp://127.0.0.1:5556 --subscribers 1 --speed 1
            """)

    @Argument(help: "DBN files, plain or zstd, in the order of time.")
    var files: [String]

    @Option(help: "Where to publish. Default: tcp://127.0.0.1:5556, bound.")
    var output: String?

    @Option(help: "1 for the recorded pace, N for N times that, 'max' for as fast as possible. Default: 1.")
    var speed: String?

    @Option(help: "Subscribers to wait for before the start; not with --live. Default: 1.")
    var subscribers: Int?

    @Flag(help: "Drop what a slow subscriber cannot take, and do not wait for any.")
    var live = false

    @Option(help: "Records in one packet at most, 1 to 4096. Default: 50.")
    var recordsPerPacket: Int?

    @Option(
        help: "Tick and lot size of an instrument whose file does not say, as SYMBOL:tick=0.01,lot=1. May be repeated.")
    var instrument: [String] = []

    @Option(help: "Tells this publisher from others of the same topics, 0 to 4294967295. Default: 1.")
    var publisherID: UInt32?

    @Option(
        help: "Seconds between heartbeats, which repeat the definitions for late subscribers; 0 for none. Default: 1.")
    var heartbeat: Double?

    @Flag(help: "Print one JSON object at the end.")
    var json = false

    @OptionGroup var configuration: ConfigurationOption

    private struct Summary: Encodable {
        let ticks, packets, records, skipped: Int
        /// Packets that did not go out; null where it is not known: of a live publisher, and when a subscriber left.
        @OrNull var lost: Int? = nil
        let subscribersLeft, wasInterrupted: Bool
        /// At the end nothing was left in the queue of a subscriber that was still there; null of a live publisher.
        @OrNull var isDrained: Bool? = nil
        let seconds, ticksPerSecond: Double
    }

    mutating func run() async throws {
        let settings = try await Settings(Self.self, path: configuration.config)
        try checkFeeds(files)
        let endpoint = try Endpoint(
            settings.value(output, "output", default: "tcp://127.0.0.1:5556"), bindsByDefault: true)
        let isLive = try settings.flag(live, "live")
        guard try !isLive || settings.value(subscribers, "subscribers") == nil else {
            throw CommandError(
                .usage, "--subscribers has no meaning with --live: a live publisher is not told who is there")
        }
        let expected = try inRange(
            settings.value(subscribers, "subscribers", default: isLive ? 0 : 1), "subscribers", 0...1_000)
        var options = FeedReplay.Options()
        options.session = martlet_realtime_ns()
        options.clock = .system
        options.publisherID = try settings.value(publisherID, "publisher-id", default: 1)
        options.instruments = try InstrumentArgument.parse(settings.values(instrument, "instrument"))
        options.recordsPerPacketMax = try inRange(
            settings.value(recordsPerPacket, "records-per-packet", default: 50), "records-per-packet", 1...4_096)
        let isJSON = try settings.flag(json, "json")
        let pace = try Pace(settings.value(speed, "speed", default: "1"))
        let heartbeatSeconds = try settings.value(heartbeat, "heartbeat", default: 1)
        guard (0...3_600).contains(heartbeatSeconds) else {
            throw CommandError(.usage, "--heartbeat \(heartbeatSeconds) is wrong; expected 0 to 3600 seconds")
        }
        Interruption.install()
        do {
            let context = try Context()
            let policy: PublisherPolicy =
                isLive ? .live : .lossless(subscribers: expected, readinessTopic: Readiness.replayTopic)
            var socket = try PublisherSocket(context, policy, options: Publications.options(lossless: !isLive))
            try endpoint.attach(&socket)
            var player = ReplayPlayer(
                replay: FeedReplay(paths: files, options: options), socket: socket, pace: pace,
                heartbeatNanoseconds: UInt64(heartbeatSeconds * 1e9))
            try player.waitForSubscribers()
            try player.play()
            var summary = summary(player, isLive: isLive)
            let failure = player.replay.failure
            let drain = isLive ? nil : Drain()
            _ = consume player
            _ = consume context
            summary.isDrained = drain?.isComplete()
            try show(summary, isJSON: isJSON)
            if let failure { throw CommandError(failure) }
            try check(summary)
        } catch let error as ZeroMQError {
            throw CommandError(.unavailable, "\(error)")
        }
    }

    private func summary(_ player: borrowing ReplayPlayer, isLive: Bool) -> Summary {
        Summary(
            ticks: player.replay.ticks, packets: player.replay.packets, records: player.replay.recordsSent,
            skipped: player.replay.recordsSkipped, lost: isLive || player.subscribersLeft ? nil : player.packetsUnsent,
            subscribersLeft: player.subscribersLeft, wasInterrupted: player.wasInterrupted, seconds: player.seconds,
            ticksPerSecond: Double(player.replay.ticks) / max(player.seconds, 1e-9))
    }

    private func show(_ summary: Summary, isJSON: Bool) throws {
        guard !isJSON else { return try StandardOutput.print(json: summary) }
        let state = summary.wasInterrupted ? "interrupted after" : "replayed"
        let loss: String =
            if summary.isDrained == false {
                "not all taken"
            } else if let lost = summary.lost {
                "\(lost) lost"
            } else if summary.subscribersLeft {
                "a subscriber left"
            } else {
                "losses not known to a live publisher"
            }
        StandardOutput.print(
            "\(state) \(Format.count(summary.ticks)) ticks in \(Format.count(summary.packets)) packets, "
                + "\(Format.rate(summary.ticksPerSecond)) ticks/s, \(loss)")
    }

    private func check(_ summary: Summary) throws {
        guard summary.isDrained != false else { throw CommandError(.unavailable, Drain.failure) }
        guard !summary.subscribersLeft else {
            throw CommandError(
                .unavailable, "a subscriber left before the end: what was sent after that it has not got")
        }
    }
}

/// How fast a recording is played.
enum Pace {
    case asFastAsPossible
    /// Recorded time passes this many times as fast.
    case times(Double)

    init(_ text: String) throws {
        if text == "max" {
            self = .asFastAsPossible
        } else if let factor = Double(text), factor > 0, factor <= 1e9 {
            self = .times(factor)
        } else {
            throw CommandError(
                .usage, "--speed '\(text)' is wrong; expected 'max' or a number above 0, such as 1 or 100")
        }
    }
}

/// Plays a replay into a socket, in time.
struct ReplayPlayer: ~Copyable {
    var replay: FeedReplay
    private var socket: PublisherSocket
    private let pace: Pace
    private let heartbeatNanoseconds: UInt64
    private(set) var seconds = 0.0
    private(set) var wasInterrupted = false
    /// Packets that an interruption kept from going out.
    private(set) var packetsUnsent = 0
    /// Fewer subscribers than were waited for, at some time before the first end of a session went out.
    private(set) var subscribersLeft = false
    private var wasReady = false
    private var hasSentEnd = false

    /// Between looks at the sockets while waiting: short beside a person's patience, long beside a step.
    private static let pauseMicroseconds: UInt32 = 200
    private static let packetsPerPoll = 256
    /// For how long a slow subscriber holds up an interrupted replay, whose rest would not fit its queue.
    private static let patienceNanoseconds: UInt64 = 5_000_000_000
    private var interruptedAt: UInt64 = 0

    init(
        replay: consuming FeedReplay, socket: consuming PublisherSocket, pace: Pace, heartbeatNanoseconds: UInt64
    ) {
        self.replay = replay
        self.socket = socket
        self.pace = pace
        self.heartbeatNanoseconds = heartbeatNanoseconds
    }

    mutating func waitForSubscribers() throws {
        try Publications.waitForSubscribers(&socket)
        wasReady = socket.isReady
    }

    mutating func play() throws {
        let start = martlet_monotonic_ns()
        defer { seconds = Double(martlet_monotonic_ns() - start) / 1e9 }
        var nextHeartbeat = start + heartbeatNanoseconds
        var sinceLook = 0
        while !replay.isExhausted {
            if Interruption.control.isStopRequested, !wasInterrupted {
                // The ends of the sessions still go out, so that nobody waits for more.
                wasInterrupted = true
                replay.stop()
            }
            let now = martlet_monotonic_ns()
            if heartbeatNanoseconds > 0, now >= nextHeartbeat {
                nextHeartbeat = now + heartbeatNanoseconds
                try sendHeartbeats()
            }
            let packet = replay.next(until: due(now - start))
            if replay.isEnding, !hasSentEnd {
                // Who leaves after an end does so by right.
                try look()
                hasSentEnd = true
            }
            guard let packet else {
                guard !replay.isExhausted else { return }
                usleep(ReplayPlayer.pauseMicroseconds)
                try look()
                continue
            }
            try sendWhole(packet)
            sinceLook += 1
            if sinceLook == ReplayPlayer.packetsPerPoll {
                sinceLook = 0
                try look()
            }
        }
    }

    private mutating func look() throws {
        _ = try socket.pollSubscriptions()
        if wasReady, !socket.isReady, !hasSentEnd { subscribersLeft = true }
    }

    /// The recorded time up to which records are due after `elapsed` nanoseconds of play.
    private func due(_ elapsed: UInt64) -> UInt64 {
        switch pace {
        case .asFastAsPossible: return .max
        case .times(let factor):
            // 0 before the first record is at hand, which makes nothing due yet.
            let scaled = Double(elapsed) * factor
            guard scaled < Double(Int64.max) else { return .max }
            let (due, overflow) = replay.firstTimestamp.addingReportingOverflow(UInt64(scaled))
            return overflow ? .max : due
        }
    }

    private mutating func sendWhole(_ packet: UnsafeRawBufferPointer) throws {
        while try socket.send(packet) == .wouldBlock {
            if Interruption.control.isStopRequested, hasWaitedTooLong() {
                packetsUnsent += 1
                return
            }
            try look()
            sched_yield()
        }
    }

    /// After an interruption a slow subscriber is waited for this long, once.
    private mutating func hasWaitedTooLong() -> Bool {
        let now = martlet_monotonic_ns()
        if interruptedAt == 0 { interruptedAt = now }
        return now - interruptedAt > ReplayPlayer.patienceNanoseconds
    }

    private mutating func sendHeartbeats() throws {
        var packets: [[UInt8]] = []
        replay.withHeartbeats { packets.append(Array($0)) }
        for packet in packets {
            try packet.withUnsafeBytes { try sendWhole($0) }
        }
    }
}
