import TestSupport
import Testing

@testable import ZeroMQ

struct SubscriptionLedgerTests {
    private static func subscription(_ prefix: String) -> [UInt8] { [1] + Array(prefix.utf8) }
    private static func end(_ prefix: String) -> [UInt8] { [0] + Array(prefix.utf8) }

    private static func count(_ topic: String, _ messages: [([UInt8], Int32?)]) -> Int {
        var ledger = SubscriptionLedger(topic: Array(topic.utf8), peersMax: 100)
        for (message, peer) in messages { ledger.apply(message.span.bytes, peer: peer) }
        return ledger.subscriberCount
    }

    @Test(
        "what is no subscription to the topic is ignored",
        arguments: [
            [], [1, 0x78], [2], [0], [0, 0x6D], [255, 0x6D], [1] + Array("md/XNAS.ITCH/GOOGL/".utf8),
        ] as [[UInt8]])
    func ignores(message: [UInt8]) {
        #expect(Self.count("md/XNAS.ITCH/GOOG/", [(message, 5)]) == 0)
    }

    @Test("each prefix of the topic matches, the empty one and the topic itself included")
    func matches() {
        for prefix in ["", "m", "md/", "md/X/"] {
            #expect(Self.count("md/X/", [(Self.subscription(prefix), 5)]) == 1)
        }
    }

    @Test("a subscription to more than the topic counts, and its end is charged to it")
    func extends() {
        let narrow: [([UInt8], Int32?)] = [(Self.subscription("md/X/A/"), 5), (Self.subscription("md/X/B/"), 5)]
        #expect(Self.count("md/", narrow) == 1)
        #expect(Self.count("md/", narrow + [(Self.end("md/X/A/"), nil)]) == 1)
        #expect(Self.count("md/", narrow + [(Self.end("md/X/A/"), nil), (Self.end("md/X/B/"), 5)]) == 0)
        #expect(Self.count("md/", [(Self.subscription("def/X/A/"), 5)]) == 0)
    }

    @Test("peers that come without end are counted up to a number")
    func bounded() {
        let peers: [Int32?] = (0..<200).map { Int32($0) }
        for peers in [peers, [nil] * 200] {
            #expect(Self.count("md/", peers.map { (Self.subscription("md/"), $0) }) == 100)
        }
    }

    @Test("a peer that subscribes without end keeps none from being counted, and is gone with its connection")
    func flood() {
        let prefixes = (0..<10_000).map { "md/\($0)/" }
        let flood: [([UInt8], Int32?)] = prefixes.map { (Self.subscription($0), 5) }
        let other: [([UInt8], Int32?)] = [(Self.subscription("md/"), 6)]
        #expect(Self.count("md/", flood + other) == 2)
        #expect(Self.count("md/", other + flood) == 2)
        let ends: [([UInt8], Int32?)] = prefixes.map { (Self.end($0), nil) }
        #expect(Self.count("md/", flood + other + ends) == 1)
        #expect(Self.count("md/", flood + ends + flood + other) == 2)
    }

    @Test("peers are counted, not subscriptions")
    func countsPeers() {
        let one: [([UInt8], Int32?)] = [
            (Self.subscription("def/"), 5), (Self.subscription("md/"), 5), (Self.subscription(""), 5),
            (Self.subscription("md/"), 5),
        ]
        #expect(Self.count("md/X/", one) == 1)
        #expect(Self.count("md/X/", one + [(Self.subscription("md/"), 6)]) == 2)
        #expect(Self.count("md/X/", one + [(Self.end("md/"), 5)]) == 1)
        #expect(Self.count("md/X/", one + [(Self.end("md/"), 5), (Self.end(""), 5)]) == 0)
    }

    @Test("a lost connection is charged to the peer that keeps the count low")
    func lostConnection() {
        let two: [([UInt8], Int32?)] = [
            (Self.subscription("md/"), 5), (Self.subscription(""), 5), (Self.subscription("md/"), 6),
        ]
        #expect(Self.count("md/X/", two + [(Self.end("md/"), nil)]) == 1)
        #expect(Self.count("md/X/", two + [(Self.end(""), nil), (Self.end("md/"), nil)]) == 1)
        #expect(Self.count("md/X/", two + [(Self.end(""), nil)] + [(Self.end("md/"), nil)] * 2) == 0)
        #expect(Self.count("md/X/", [(Self.end("md/"), nil)] + two) == 2)
    }

    @Test("a successor that has the lost connection's descriptor stays counted")
    func reusedDescriptor() {
        let reused: [([UInt8], Int32?)] = [
            (Self.subscription("md/"), 5), (Self.subscription("md/"), 5), (Self.end("md/"), nil),
        ]
        #expect(Self.count("md/X/", reused) == 1)
        #expect(Self.count("md/X/", [(Self.subscription("md/"), 6)] + reused) == 2)
    }

    @Test("without descriptors each subscription counts")
    func withoutDescriptors() {
        let two: [([UInt8], Int32?)] = [(Self.subscription("md/"), nil), (Self.subscription("md/"), nil)]
        #expect(Self.count("md/X/", two) == 2)
        #expect(Self.count("md/X/", two + [(Self.end("md/"), nil)]) == 1)
    }
}

private func * <Element>(list: [Element], times: Int) -> [Element] {
    (0..<times).flatMap { _ in list }
}

@Suite(.timeLimit(.minutes(5)))
struct PublisherTests {
    @Test("a negative number of expected subscribers is a programmer's mistake")
    func rejectsNegative() async {
        await #expect(processExitsWith: .failure) {
            let context = try Context()
            _ = try PublisherSocket(context, .lossless(subscribers: -1, readinessTopic: "x"))
        }
    }

    @Test(
        "a lossless publisher is ready while the expected number of subscribers is there",
        arguments: ["tcp://127.0.0.1:*", "ipc://*"])
    func waitsForSubscribers(endpoint: String) throws {
        let context = try Context()
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 2, readinessTopic: "md/X/Y/"), options: testOptions)
        try publisher.bind(endpoint)
        #expect(publisher.subscriberCount == 0)
        var first = try Socket(context, .sub, options: testOptions)
        try first.connect(publisher.lastEndpoint)
        for prefix in ["def/", "md/", "md/X/", "sig/"] { try first.subscribe(prefix) }
        try publisher.awaitSubscribers(1)
        #expect(publisher.isReady == false)
        do {
            var second = try Socket(context, .sub, options: testOptions)
            try second.connect(publisher.lastEndpoint)
            try second.subscribe("md/X/Y/")
            try publisher.awaitSubscribers(2)
            #expect(publisher.isReady == true)
        }
        try publisher.awaitSubscribers(1)
        #expect(publisher.isReady == false)
        try first.unsubscribe("md/")
        try first.unsubscribe("md/X/")
        try publisher.awaitSubscribers(0)
    }

    @Test("a lossless publisher that connects counts again after its subscriber came back")
    func connectingPublisher() throws {
        let context = try Context()
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: "md/"), options: testOptions)
        var endpoint = "tcp://127.0.0.1:*"
        for round in 0..<3 {
            let other = try Context()
            var subscriber = try Socket(other, .sub, options: testOptions)
            try subscriber.subscribe("md/")
            try subscriber.bindWhenFree(endpoint)
            endpoint = subscriber.lastEndpoint
            if round == 0 { try publisher.connect(endpoint) }
            try publisher.awaitSubscribers(1, pumping: &subscriber)
            subscriber.close()
            try publisher.awaitSubscribers(0)
        }
    }

    @Test("a lossless publisher would block while one subscriber is slow, and drops nothing")
    func losslessBlocks() throws {
        let context = try Context()
        var options = testOptions
        options.sendHighWaterMark = 10
        options.receiveHighWaterMark = 10
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 1, readinessTopic: "md/"), options: options)
        try publisher.bind("inproc://lossless")
        var subscriber = try Socket(context, .sub, options: options)
        try subscriber.connect("inproc://lossless")
        try subscriber.subscribe("md/")
        try publisher.awaitSubscribers(1)
        var sentCount: UInt64 = 0
        while try publisher.send(numberedMessage(sentCount).span.bytes) == .sent {
            sentCount += 1
            try #require(sentCount < 1_000, "the publisher never blocks")
        }
        #expect(sentCount == 20)
        for expected in 0..<sentCount {
            let received = try number(of: subscriber.receiveAll())
            #expect(received == expected)
        }
        // libzmq learns of the room from its peer a moment later.
        try publisher.sendAll(numberedMessage(sentCount))
        let received = try number(of: subscriber.receiveAll())
        #expect(received == sentCount)
    }

    @Test("a live publisher never blocks and drops for a slow subscriber, which sees it by the numbers")
    func liveDrops() throws {
        let context = try Context()
        var options = testOptions
        options.sendHighWaterMark = 10
        options.receiveHighWaterMark = 10
        var publisher = try PublisherSocket(context, .live, options: options)
        try publisher.bind("inproc://live")
        #expect(publisher.isReady == true)
        #expect(publisher.subscriberCount == nil)
        let polled = try publisher.pollSubscriptions()
        #expect(polled == 0)
        var subscriber = try Socket(context, .sub, options: options)
        try subscriber.connect("inproc://live")
        try subscriber.subscribe("md/")
        // A live publisher cannot know when its subscriber is there: send until something arrives.
        var sentCount: UInt64 = 0
        while !(try subscriber.wait(for: .readable, timeoutMilliseconds: 0)) {
            let result = try publisher.send(numberedMessage(sentCount).span.bytes)
            #expect(result == .sent)
            sentCount += 1
        }
        for _ in 0..<1_000 {
            let result = try publisher.send(numberedMessage(sentCount).span.bytes)
            #expect(result == .sent)
            sentCount += 1
        }
        var receivedCount = 0
        var message = Message()
        while case .received = try subscriber.receive(into: &message) { receivedCount += 1 }
        #expect(receivedCount >= 10)
        #expect(receivedCount <= 21)
    }
}
