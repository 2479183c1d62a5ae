import TestSupport
import Testing

@testable import ZeroMQ

/// Messages that other wrappers cut, refused or mangled: each is a list of frames.
let awkwardMessages: [[[UInt8]]] = [
    [[]],
    [[0]],
    [[0x61, 0, 0x62, 0]],
    [[0xFF, 0xFE, 0x80, 0xC3, 0x28]],
    [Array("größer €uro 🐦".utf8)],
    [Array(0...255)],
    [[UInt8](repeating: 1, count: 33)],
    [[UInt8](repeating: 2, count: 34)],
    [[UInt8](repeating: 3, count: 257), [UInt8](repeating: 4, count: 1_025)],
    [[], [], []],
    [[5], [], [0, 0, 0]],
    [(0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }],
]

@Suite(.timeLimit(.minutes(5)))
struct SocketTests {
    @Test(
        "any bytes arrive whole, over every transport",
        arguments: ["inproc://bytes", "tcp://127.0.0.1:*", "ipc://*"])
    func carriesBytes(endpoint: String) throws {
        let context = try Context()
        var left = try Socket(context, .pair, options: testOptions)
        try left.bind(endpoint)
        var right = try Socket(context, .pair, options: testOptions)
        try right.connect(left.lastEndpoint)
        for frames in awkwardMessages {
            for (index, frame) in frames.enumerated() {
                try left.sendAll(frame, more: index < frames.count - 1)
            }
            for (index, frame) in frames.enumerated() {
                let received = try right.receiveAll()
                #expect(received == frame)
                let hasMore = try right.hasMore
                #expect(hasMore == (index < frames.count - 1))
            }
        }
    }

    @Test("nothing to receive and no room to send are results, and leave no stale content")
    func wouldBlock() throws {
        let context = try Context()
        var socket = try Socket(context, .pair, options: testOptions)
        try socket.bind("inproc://lonely")
        var message = Message(copying: bytes(1, 2, 3).span.bytes)
        let sent = try socket.send(&message)
        #expect(sent == .wouldBlock)
        #expect(message.array == [1, 2, 3])
        let received = try socket.receive(into: &message)
        #expect(received == .wouldBlock)
        #expect(message.byteCount == 0)
        let isReady = try socket.wait(for: .readable, timeoutMilliseconds: 0)
        #expect(!isReady)
        let readiness = try socket.readiness
        #expect(readiness.isEmpty)
    }

    @Test("a queue that is full says so, and takes more when it has room")
    func highWaterMark() throws {
        let context = try Context()
        var options = testOptions
        options.sendHighWaterMark = 5
        options.receiveHighWaterMark = 5
        var push = try Socket(context, .push, options: options)
        try push.bind("inproc://narrow")
        var pull = try Socket(context, .pull, options: options)
        try pull.connect("inproc://narrow")
        var sentCount = 0
        while sentCount < 100, try push.send(bytes(UInt8(sentCount)).span.bytes) == .sent { sentCount += 1 }
        #expect(sentCount == 10)
        for index in 0..<sentCount {
            let received = try pull.receiveAll()
            #expect(received == [UInt8(index)])
        }
        try push.sendAll([99])
        let received = try pull.receiveAll()
        #expect(received == [99])
    }

    @Test("a message handed over arrives and leaves its sender's object empty and usable")
    func handsOver() throws {
        let context = try Context()
        var left = try Socket(context, .pair, options: testOptions)
        try left.bind("inproc://handover")
        var right = try Socket(context, .pair, options: testOptions)
        try right.connect("inproc://handover")
        var message = Message(byteCount: 100_000)
        for round in 0..<3 {
            message.reset(byteCount: 100_000)
            let address = message.withUnsafeMutableBytes { bytes in
                bytes.initializeMemory(as: UInt8.self, repeating: UInt8(round))
                return UInt(bitPattern: bytes.baseAddress)
            }
            let sent = try left.send(&message)
            #expect(sent == .sent)
            #expect(message.byteCount == 0)
            var received = Message()
            let result = try right.receive(into: &received)
            #expect(result == .received(byteCount: 100_000))
            #expect(received.array.allSatisfy { $0 == UInt8(round) })
            // The very memory that was filled: nothing was copied.
            #expect(received.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } == address)
        }
    }

    @Test("a subscription matches prefixes as bytes, and ends when it is taken back")
    func subscribes() throws {
        let context = try Context()
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: "end"), options: testOptions)
        try publisher.bind("tcp://127.0.0.1:*")
        var subscriber = try Socket(context, .sub, options: testOptions)
        try subscriber.connect(publisher.lastEndpoint)
        try subscriber.subscribe("md/")
        try subscriber.subscribe([0xFF, 0])
        try subscriber.subscribe("gone/")
        try subscriber.unsubscribe("gone/")
        try subscriber.subscribe("end")
        try publisher.awaitSubscribers(1)
        let topics: [[UInt8]] = [
            Array("md/a".utf8), Array("mdx".utf8), [0xFF, 0, 1], [0xFF, 1], Array("gone/1".utf8),
            Array("end".utf8),
        ]
        for topic in topics { _ = try publisher.send(topic.span.bytes) }
        for expected in [topics[0], topics[2], topics[5]] {
            let received = try subscriber.receiveAll()
            #expect(received == expected)
        }
    }

    @Test("a wildcard port is resolved, for both ends of the same socket type in either role")
    func resolvesWildcard() throws {
        let context = try Context()
        var bound = try Socket(context, .sub, options: testOptions)
        #expect(bound.lastEndpoint == "")
        try bound.bind("tcp://127.0.0.1:*")
        #expect(bound.lastEndpoint.hasPrefix("tcp://127.0.0.1:"))
        #expect(!bound.lastEndpoint.hasSuffix("*"))
        try bound.subscribe("")
        var connected = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: "x"), options: testOptions)
        try connected.connect(bound.lastEndpoint)
        #expect(connected.lastEndpoint == bound.lastEndpoint)
        try connected.awaitSubscribers(1, pumping: &bound)
        _ = try connected.send(bytes(42).span.bytes)
        let received = try bound.receiveAll()
        #expect(received == [42])
        let endpoint = bound.lastEndpoint
        try bound.unbind(endpoint)
    }

    @Test("a router answers the dealer that asked")
    func routes() throws {
        let context = try Context()
        var router = try Socket(context, .router, options: testOptions)
        try router.bind("tcp://127.0.0.1:*")
        var dealer = try Socket(context, .dealer, options: testOptions)
        try dealer.connect(router.lastEndpoint)
        try dealer.sendAll([1, 2, 3])
        let identity = try router.receiveAll()
        let request = try router.receiveAll()
        #expect(request == [1, 2, 3])
        try router.sendAll(identity, more: true)
        try router.sendAll([4, 5])
        let answer = try dealer.receiveAll()
        #expect(answer == [4, 5])
    }

    @Test("a message beyond the limit is refused: its sender is disconnected and nothing is allocated for it")
    func refusesOversized() throws {
        let context = try Context()
        var options = testOptions
        options.maxMessageBytes = 1_000
        var pull = try Socket(context, .pull, options: options)
        try pull.bind("tcp://127.0.0.1:*")
        var push = try Socket(context, .push, options: testOptions)
        try push.connect(pull.lastEndpoint)
        try push.sendAll([UInt8](repeating: 1, count: 1_001))
        // What was sent on the same connection is lost with it: send until the next one is there.
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        while !(try pull.wait(for: .readable, timeoutMilliseconds: 20)) {
            try #require(ContinuousClock.now < deadline, "the sender did not come back in time")
            try push.sendAll([UInt8](repeating: 2, count: 1_000))
        }
        let received = try pull.receiveAll()
        #expect(received == [UInt8](repeating: 2, count: 1_000))
    }
}
