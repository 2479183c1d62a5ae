import CZeroMQ
import Glibc
import TestSupport
import Testing

@testable import ZeroMQ

/// pyzmq, which brings a libzmq of its own, is the other end. One at a time: the machine has few cores.
@Suite(
    .serialized, .timeLimit(.minutes(5)),
    .enabled(if: PythonProcess.isAvailable, "MARTLET_PYTHON is not set"))
struct PythonPeerTests {
    private static func peer(_ arguments: String...) throws -> PythonProcess {
        try PythonProcess("zmq_peer.py", arguments)
    }

    @Test("any bytes go to pyzmq and come back whole, in both roles", arguments: ["bind", "connect"])
    func echoes(role: String) throws {
        let context = try Context()
        var socket = try Socket(context, .dealer, options: testOptions)
        let peer: PythonProcess
        if role == "bind" {
            peer = try Self.peer("echo", "PAIR", "bind", "tcp://127.0.0.1:*")
            var pair = try Socket(context, .pair, options: testOptions)
            try pair.connect(peer.readLine())
            socket = pair
        } else {
            try socket.bind("tcp://127.0.0.1:*")
            peer = try Self.peer("echo", "DEALER", "connect", socket.lastEndpoint)
            _ = try peer.readLine()
        }
        for frames in awkwardMessages {
            for (index, frame) in frames.enumerated() {
                try socket.sendAll(frame, more: index < frames.count - 1)
            }
            for (index, frame) in frames.enumerated() {
                let received = try socket.receiveAll()
                #expect(received == frame)
                let hasMore = try socket.hasMore
                #expect(hasMore == (index < frames.count - 1))
            }
        }
        try peer.closeInput()
        let report = try peer.readNumbers()
        #expect(report["count"] == awkwardMessages.count)
    }

    @Test("a subscriber here gets all that pyzmq publishes, in both roles", arguments: ["bind", "connect"])
    func subscribesToPython(role: String) throws {
        let context = try Context()
        var subscriber = try Socket(context, .sub, options: testOptions)
        try subscriber.subscribe("md/")
        let peer: PythonProcess
        if role == "bind" {
            peer = try Self.peer("publish", "XPUB", "bind", "tcp://127.0.0.1:*", "--count", "20000")
            try subscriber.connect(peer.readLine())
        } else {
            try subscriber.bind("tcp://127.0.0.1:*")
            peer = try Self.peer("publish", "XPUB", "connect", subscriber.lastEndpoint, "--count", "20000")
            _ = try peer.readLine()
        }
        for expected in 0..<20_000 as Range<UInt64> {
            let received = try number(of: subscriber.receiveAll())
            try #require(received == expected)
        }
    }

    @Test("a lossless publisher loses nothing to a slow pyzmq subscriber", arguments: ["bind", "connect"])
    func lossless(role: String) throws {
        let messageCount: UInt64 = 200_000
        let context = try Context()
        var options = SocketOptions()
        options.sendHighWaterMark = 1_000
        options.lingerMilliseconds = 20_000
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: "md/T/A/"), options: options)
        let slowness = [
            "--count", "\(messageCount)", "--prefix", "def/", "--prefix", "md/", "--high-water-mark", "100",
            "--pause-every", "5000", "--pause-milliseconds", "20",
        ]
        let peer: PythonProcess
        if role == "bind" {
            peer = try PythonProcess(
                "zmq_peer.py", ["receive", "SUB", "bind", "tcp://127.0.0.1:*"] + slowness)
            try publisher.connect(peer.readLine())
        } else {
            try publisher.bind("tcp://127.0.0.1:*")
            peer = try PythonProcess(
                "zmq_peer.py", ["receive", "SUB", "connect", publisher.lastEndpoint] + slowness)
            _ = try peer.readLine()
        }
        try publisher.awaitSubscribers(1)
        #expect(publisher.isReady == true)
        let deadline = ContinuousClock.now + .seconds(120)
        var blockedCount = 0
        for index in 0..<messageCount {
            let bytes = numberedMessage(index)
            while try publisher.send(bytes.span.bytes) == .wouldBlock {
                try #require(ContinuousClock.now < deadline, "the subscriber is too slow")
                blockedCount += 1
                usleep(100)
            }
        }
        let report = try peer.readNumbers(timeoutSeconds: 120)
        #expect(
            report == ["count": Int(messageCount), "lost": 0, "disordered": 0, "next": Int(messageCount)])
        #expect(blockedCount > 0)
    }

    @Test("a live publisher drops for a slow pyzmq subscriber, which counts what it lost")
    func live() throws {
        let context = try Context()
        var options = testOptions
        options.sendHighWaterMark = 10
        var publisher = try PublisherSocket(context, .live, options: options)
        try publisher.bind("tcp://127.0.0.1:*")
        let peer = try Self.peer(
            "receive", "SUB", "connect", publisher.lastEndpoint, "--prefix", "md/", "--count", "100000",
            "--high-water-mark", "10", "--pause-every", "100", "--pause-milliseconds", "20", "--timeout", "2")
        _ = try peer.readLine()
        // Large messages, so that the kernel's buffers do not hide the slowness; until the peer is through.
        var index: UInt64 = 0
        while index < 100_000 {
            let result = try publisher.send(numberedMessage(index, byteCount: 20_000).span.bytes)
            #expect(result == .sent)
            index += 1
        }
        // The last messages may be dropped as well: say the last number until the peer has seen it.
        let last = numberedMessage(index - 1)
        let handover = Handover(publisher)
        let repeater = TestThread {
            var publisher = handover.take()
            // Ends when the context is shut down.
            while !fails(.send, with: ETERM, { _ = try publisher.send(last.span.bytes) }) { usleep(10_000) }
        }
        let report = try peer.readNumbers(timeoutSeconds: 120)
        context.shutdown()
        repeater.join()
        let lost = try #require(report["lost"])
        let count = try #require(report["count"])
        #expect(lost > 0)
        #expect(lost + count == 100_000)
    }

    @Test("a lossless publisher waits for three pyzmq subscribers and notices a crash")
    func waitsForThree() throws {
        let context = try Context()
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 3, readinessTopic: "md/T/A/"), options: testOptions)
        try publisher.bind("tcp://127.0.0.1:*")
        var peers: [PythonProcess] = []
        for count in 1...3 {
            #expect(publisher.isReady == false)
            peers.append(
                try Self.peer(
                    "subscribe", "SUB", "connect", publisher.lastEndpoint, "--prefix", "def/", "--prefix",
                    "md/",
                    "--prefix", "md/T/"))
            try publisher.awaitSubscribers(count)
        }
        #expect(publisher.isReady == true)
        peers[1].crash()
        try publisher.awaitSubscribers(2)
        try peers[0].closeInput()
        try publisher.awaitSubscribers(1)
        peers.append(
            try Self.peer("subscribe", "SUB", "connect", publisher.lastEndpoint, "--prefix", ""))
        try publisher.awaitSubscribers(2)
    }

    @Test("a subscriber that stops reading for a while keeps its connection and its messages")
    func pausedSubscriber() throws {
        let context = try Context()
        var options = SocketOptions()
        options.sendHighWaterMark = 10
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: "md/T/A/"), options: options)
        try publisher.bind("tcp://127.0.0.1:*")
        let peer = try Self.peer(
            "receive", "SUB", "connect", publisher.lastEndpoint, "--prefix", "md/", "--count", "2000",
            "--high-water-mark", "10")
        _ = try peer.readLine()
        try publisher.awaitSubscribers(1)
        for index in 0..<300 as Range<UInt64> {
            try publisher.sendAll(numberedMessage(index, byteCount: 20_000))
        }
        peer.setPaused(true)
        var index: UInt64 = 300
        var stuckRounds = 0
        while index < 2_000 {
            if try publisher.send(numberedMessage(index, byteCount: 20_000).span.bytes) == .sent {
                index += 1
                continue
            }
            try #require(stuckRounds < 2_000, "no room to send in time")
            stuckRounds += 1
            usleep(10_000)
            try publisher.pollSubscriptions()
            #expect(publisher.subscriberCount == 1)
            // Two seconds in all.
            if stuckRounds == 200 { peer.setPaused(false) }
        }
        #expect(stuckRounds >= 200)
        let report = try peer.readNumbers()
        #expect(report == ["count": 2_000, "lost": 0, "disordered": 0, "next": 2_000])
    }

    /// The case for which libzmq's own heartbeats are off: the peer lives, and does not read its connection.
    @Test("a subscriber at its high-water mark is not taken for dead")
    func fullSubscriber() throws {
        let context = try Context()
        var options = SocketOptions()
        options.sendHighWaterMark = 10
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: "md/T/A/"), options: options)
        try publisher.bind("tcp://127.0.0.1:*")
        let peer = try Self.peer(
            "receive", "SUB", "connect", publisher.lastEndpoint, "--prefix", "md/", "--count", "1000",
            "--high-water-mark", "10", "--pause-every", "250", "--pause-milliseconds", "800")
        _ = try peer.readLine()
        try publisher.awaitSubscribers(1)
        for index in 0..<1_000 as Range<UInt64> {
            try publisher.sendAll(numberedMessage(index, byteCount: 20_000))
        }
        let report = try peer.readNumbers()
        #expect(report == ["count": 1_000, "lost": 0, "disordered": 0, "next": 1_000])
    }

    @Test("an encrypted publisher serves a pyzmq subscriber with the key, and none without")
    func encrypted() throws {
        let context = try Context()
        let keys = try CurveKeyPair.generate()
        var options = SocketOptions()
        options.security = .curveServer(keys)
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: "md/T/A/"), options: options)
        try publisher.bind("tcp://127.0.0.1:*")
        // A key in Z85 can begin with a hyphen: it goes behind an equals sign, or argparse takes it for an option.
        let stranger = try Self.peer("subscribe", "SUB", "connect", publisher.lastEndpoint, "--prefix", "")
        _ = try stranger.readLine()
        let other = try CurveKeyPair.generate()
        let impostor = try Self.peer(
            "subscribe", "SUB", "connect", publisher.lastEndpoint, "--prefix", "",
            "--server-key=\(other.publicKey)")
        _ = try impostor.readLine()
        let peer = try Self.peer(
            "receive", "SUB", "connect", publisher.lastEndpoint, "--prefix", "md/", "--count", "100",
            "--server-key=\(keys.publicKey)")
        _ = try peer.readLine()
        try publisher.awaitSubscribers(1)
        for index in 0..<100 as Range<UInt64> {
            let result = try publisher.send(numberedMessage(index).span.bytes)
            #expect(result == .sent)
        }
        let report = try peer.readNumbers()
        #expect(report["count"] == 100)
        try publisher.pollSubscriptions()
        #expect(publisher.subscriberCount != 2)
    }
}
