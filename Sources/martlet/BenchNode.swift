import ArgumentParser
import CPlatform
import Foundation
import Pipeline
import Recorder
import Wire
import ZeroMQ

/// One process of a measurement. It tells its parent on standard output, one JSON object a line.
struct BenchNodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "A process of a measurement, started by 'bench' itself.",
        shouldDisplay: false)

    enum Role: String, ExpressibleByArgument, CaseIterable {
        case publisher, subscriber, forwarder, inline, unbatched, observed, threaded
    }

    @Argument var role: Role
    @Option var input = ""
    @Option var model = "models/default.onnx"
    @Option var recordsPerPacket = 50
    /// Ticks a second; 0 for as fast as possible.
    @Option var rate = 0.0
    @Option var ticks = 0
    /// Streams that will end their session.
    @Option var streams = 1
    @Option var idle = IdleStrategy.backoff
    /// The core of a contestant's own thread; -1 for none.
    @Option var ownCore = -1
    /// The process ends itself after so many seconds, so that a fault elsewhere cannot leave it behind.
    @Option var timeout = 120
    @Argument var files: [String] = []

    mutating func run() throws {
        // For ps, top and perf.
        _ = martlet_thread_set_name("bench-\(role.rawValue)")
        alarm(UInt32(timeout))
        // libzmq's threads are made later, and so keep off it too.
        if ownCore >= 0 {
            guard martlet_thread_avoid(Int32(ownCore)) == 0 else {
                throw CommandError(.usage, "--own-core \(ownCore) leaves no core for the other threads")
            }
        }
        do {
            switch role {
            case .publisher: try publish()
            case .subscriber: try subscribe()
            case .forwarder, .inline, .unbatched, .observed, .threaded: try BenchMiddle(self).run()
            }
        } catch let error as ZeroMQError {
            throw CommandError(.unavailable, "\(error)")
        }
    }

    /// Nothing is dropped at the end: the context waits for the slowest reader, and `timeout` bounds that.
    static var publisherOptions: SocketOptions {
        var options = SocketOptions()
        options.lingerMilliseconds = SocketOptions.lingerMillisecondsMax
        return options
    }

    static func say(_ value: some Encodable) throws {
        var line = try JSONEncoder().encode(value)
        line.append(UInt8(ascii: "\n"))
        try FileHandle.standardOutput.write(contentsOf: line)
    }

    private func publish() throws {
        var options = FeedReplay.Options()
        options.session = martlet_realtime_ns()
        options.recordsPerPacketMax = recordsPerPacket
        options.ticksMax = ticks > 0 ? ticks : nil
        var replay = FeedReplay(paths: files, options: options)
        guard let feed = MemoryFeed(&replay, byteCountMax: BenchFeed.byteCountMax) else {
            throw CommandError(.data, "the feed does not fit into memory; give --ticks")
        }
        if let failure = replay.failure { throw CommandError(.data, "\(failure)") }
        let facts = BenchFeed.facts(feed)
        let seconds = try BenchNodeCommand.play(
            feed, pace: pace(ticks: replay.ticks, messages: feed.messageCount)
        ) {
            try BenchNodeCommand.say(
                BenchFeedHello(
                    endpoint: $0, ticks: replay.ticks, messages: feed.messageCount, streams: facts.streams,
                    checksum: facts.checksum))
        }
        try BenchNodeCommand.say(BenchPublisherResult(seconds: seconds))
    }

    /// Nanoseconds between messages; 0 for none. A tick may take several messages.
    private func pace(ticks: Int, messages: Int) -> Double {
        rate > 0 ? 1e9 / rate * Double(ticks) / Double(max(messages, 1)) : 0
    }

    private static func play(_ feed: MemoryFeed, pace: Double, hello: (String) throws -> Void) throws
        -> Double
    {
        let context = try Context()
        var socket = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: Readiness.replayTopic),
            options: publisherOptions)
        try socket.bind("tcp://127.0.0.1:*")
        try hello(socket.lastEndpoint)
        try BenchWait.untilReady(&socket)
        var source = MemorySource(feed)
        let start = martlet_monotonic_ns()
        var index = 0
        if pace > 0 { BenchWait.sharpenTimers() }
        while let message = source.next() {
            if pace > 0 { BenchWait.until(start + UInt64(Double(index) * pace)) }
            // The reader is behind by its whole queue: a pause of this length cannot empty that.
            while try socket.send(message) == .wouldBlock { usleep(100) }
            index += 1
        }
        return Double(martlet_monotonic_ns() - start) / 1e9
    }

    private func subscribe() throws {
        let context = try Context()
        var socket = try Socket(context, .sub, options: Subscriptions.options)
        try socket.subscribe("")
        try socket.connect(input)
        var message = Message()
        var idler = Idler(.backoff)
        var result = BenchSubscriberResult()
        var ended = 0
        var start: UInt64 = 0
        while ended < streams {
            guard case .received = try socket.receive(into: &message) else {
                idler.idle(work: 0)
                continue
            }
            idler.idle(work: 1)
            if start == 0 { start = martlet_monotonic_ns() }
            message.withUnsafeBytes { result.take($0) }
            if BenchFeed.endsSession(message) { ended += 1 }
        }
        result.seconds = Double(martlet_monotonic_ns() - start) / 1e9
        try BenchNodeCommand.say(result)
    }
}

// MARK: What the processes say

struct BenchFeedHello: Codable {
    let endpoint: String
    let ticks, messages, streams: Int
    let checksum: UInt64
}

struct BenchPublisherResult: Codable {
    let seconds: Double
}

struct BenchMiddleHello: Codable {
    let endpoint: String
}

struct BenchMiddleResult: Codable {
    /// CPU of the whole process between its first message and the moment when the last had left it.
    var cpuSeconds = 0.0
    /// CPU of the thread that receives and sends; nil where that is more than one.
    var threadSeconds: Double?
    var lost = 0
    /// Nanoseconds from the return of receive to the return of send.
    var p50, p99, p999: Double?
}

struct BenchSubscriberResult: Codable {
    /// From the first message to the last.
    var seconds = 0.0
    var messages = 0
    var records = 0
    var checksum: UInt64 = 0

    mutating func take(_ message: UnsafeRawBufferPointer) {
        guard case .packet(let view) = PacketView.parse(message) else { return }
        messages += 1
        guard view.header.kind == PacketHeader.Kind.records else { return }
        records += Int(view.header.count)
        checksum &+= BenchFeed.checksum(view.payload(in: message))
    }
}

/// What is computed over a feed's packets, however they were cut.
enum BenchFeed {
    /// A feed that needs more is to be cut by `--ticks`.
    static let byteCountMax = 4 << 30

    /// The sum over the records' hashes. Their order does not matter: each record states its sequence or time.
    static func checksum(_ payload: UnsafeRawBufferPointer) -> UInt64 {
        var sum: UInt64 = 0
        var offset = 0
        while offset < payload.count {
            let end = offset + Int(payload[offset]) * 4
            // Each word is multiplied by a number of its place: no product waits for another, so that the check takes
            // little of the cores from who is measured.
            var factor: UInt64 = 0x9E37_79B9_7F4A_7C15
            var hash: UInt64 = 0
            while offset + 8 <= end {
                hash &+= payload.loadUnaligned(fromByteOffset: offset, as: UInt64.self) &* factor
                factor &+= 0xD1B5_4A32_D192_ED04
                offset += 8
            }
            // Record lengths are multiples of 4 bytes.
            if offset < end {
                hash &+= UInt64(payload.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) &* factor
                offset += 4
            }
            hash = (hash ^ (hash >> 32)) &* 0x9E37_79B9_7F4A_7C15
            sum &+= hash ^ (hash >> 29)
        }
        return sum
    }

    /// The checksum of all records, and how many streams end.
    static func facts(_ feed: MemoryFeed) -> (checksum: UInt64, streams: Int) {
        var source = MemorySource(feed)
        var all = BenchSubscriberResult()
        var streams = 0
        while let message = source.next() {
            all.take(message)
            if endsSession(message) { streams += 1 }
        }
        return (all.checksum, streams)
    }

    /// Whether this is the end of a session, at the price of one load: such a message ends with its header.
    static func endsSession(_ message: borrowing Message) -> Bool {
        message.withUnsafeBytes { endsSession($0) }
    }

    static func endsSession(_ message: UnsafeRawBufferPointer) -> Bool {
        guard message.count > PacketHeader.byteCount else { return false }
        let start = message.loadUnaligned(
            fromByteOffset: message.count - PacketHeader.byteCount, as: UInt32.self)
        return start == endMark
    }

    private static let endMark =
        UInt32(PacketHeader.magic) | UInt32(PacketHeader.version) << 16 | UInt32(
            PacketHeader.Kind.endOfSession) << 24
}

enum BenchWait {
    static func untilReady(_ socket: inout PublisherSocket) throws {
        while !socket.isReady {
            _ = try socket.pollSubscriptions()
            usleep(500)
        }
    }

    /// Sleeps until a moment of the monotonic clock.
    static func until(_ moment: UInt64) {
        var time = timespec(tv_sec: Int(moment / 1_000_000_000), tv_nsec: Int(moment % 1_000_000_000))
        while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
    }

    /// Linux rounds sleeps up by 50 µs unless told otherwise. Without the file the pace is less even.
    static func sharpenTimers() {
        guard let file = fopen("/proc/self/timerslack_ns", "w") else { return }
        fputs("1", file)
        fclose(file)
    }
}
