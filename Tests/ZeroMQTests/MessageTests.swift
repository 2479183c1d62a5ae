import Testing

@testable import ZeroMQ

struct MessageTests {
    @Test("a negative size is a programmer's mistake")
    func rejectsNegativeSize() async {
        await #expect(processExitsWith: .failure) { _ = Message(byteCount: -1) }
        await #expect(processExitsWith: .failure) {
            var message = Message()
            message.reset(byteCount: -1)
        }
    }

    @Test("a new message is empty")
    func emptyMessage() {
        let message = Message()
        #expect(message.byteCount == 0)
        #expect(message.bytes.byteCount == 0)
        let hasMore = message.more
        #expect(!hasMore)
        message.withUnsafeBytes { #expect($0.baseAddress != nil) }
    }

    /// libzmq keeps up to 33 bytes inside its own struct and allocates beyond.
    @Test("bytes are kept whole at every size", arguments: [0, 1, 29, 32, 33, 34, 64, 65, 4_096, 1 << 20])
    func keepsBytes(byteCount: Int) {
        let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let message = Message(copying: bytes.span.bytes)
        #expect(message.byteCount == byteCount)
        #expect(message.array == bytes)
        let moved = Mover(message: message)
        #expect(moved.message.array == bytes)
    }

    @Test("a message is filled in place through its span")
    func fillsInPlace() {
        var message = Message(byteCount: 8)
        var span = message.mutableBytes
        span.storeBytes(of: 0x0102_0304_0506_0708 as UInt64, as: UInt64.self)
        #expect(message.bytes.unsafeLoad(as: UInt64.self) == 0x0102_0304_0506_0708)
        message.withUnsafeMutableBytes { $0[0] = 0xFF }
        #expect(message.array.first == 0xFF)
    }

    @Test("a reset message has its new size and can be used again")
    func resets() {
        var message = Message(copying: bytes(1, 2, 3).span.bytes)
        message.reset(byteCount: 100)
        #expect(message.byteCount == 100)
        message.reset()
        #expect(message.byteCount == 0)
    }

    @Test("a write to a received message is not seen by another subscriber that got the same content")
    func unsharesBeforeWriting() throws {
        let context = try Context()
        var publisher = try PublisherSocket(
            context, .lossless(subscribers: 2, readinessTopic: "x"), options: testOptions)
        try publisher.bind("inproc://shared")
        var first = try Socket(context, .sub, options: testOptions)
        try first.connect("inproc://shared")
        try first.subscribe("")
        var second = try Socket(context, .sub, options: testOptions)
        try second.connect("inproc://shared")
        try second.subscribe("")
        try publisher.awaitSubscribers(2)
        let bytes = [UInt8](repeating: 7, count: 1_000)
        _ = try publisher.send(bytes.span.bytes, more: true)
        _ = try publisher.send(bytes.span.bytes)
        var mine = Message()
        let result = try first.receive(into: &mine)
        #expect(result == .received(byteCount: 1_000))
        mine.withUnsafeMutableBytes { $0[0] = 1 }
        let mineNow = mine.array
        let theirs = try second.receiveAll()
        #expect(mineNow == [1] + bytes.dropFirst())
        #expect(theirs == bytes)
        let hasMore = mine.more
        #expect(hasMore)
    }
}

/// Takes a message to another place in memory.
private struct Mover: ~Copyable {
    let message: Message
}
