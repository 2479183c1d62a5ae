import CMallocCounter
import CZeroMQ
import Foundation
import TestSupport
import Testing

@testable import ZeroMQ

/// One test for each defect that users of other Swift wrappers reported or that their code shows. Some
/// defects cannot be written here at all: there is no public handle, no value that is alive after
/// `close()`, and no way to share a socket between threads, because `Socket` cannot be copied and each verb
/// needs it exclusively.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct WrapperDefectTests {
    private static func connectedPair(_ context: borrowing Context, _ endpoint: String) throws -> Ends {
        var left = try Socket(context, .pair, options: testOptions)
        try left.bind(endpoint)
        var right = try Socket(context, .pair, options: testOptions)
        try right.connect(left.lastEndpoint)
        return Ends(left: left, right: right)
    }

    private static var openFileCount: Int {
        get throws { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
    }

    @Test("closing is once: a socket closed by hand is not closed again, and others with its number live on")
    func closesOnce() throws {
        let context = try Context()
        for index in 0..<100 {
            let socket = try Socket(context, .pair, options: testOptions)
            socket.close()
            var ends = try Self.connectedPair(context, "inproc://once-\(index)")
            try ends.left.sendAll([1])
            let received = try ends.right.receiveAll()
            #expect(received == [1])
        }
    }

    @Test("a socket closed on another thread than the one that used it aborts nothing")
    func closesElsewhere() throws {
        let context = try Context()
        for _ in 0..<50 {
            var ends = try Self.connectedPair(context, "tcp://127.0.0.1:*")
            try ends.left.sendAll([1])
            _ = try ends.right.receiveAll()
            let handover = Handover(ends)
            TestThread {
                let ends = handover.take()
                _ = consume ends
            }.join()
        }
    }

    @Test("contexts and sockets that are dropped leave no open file")
    func leaksNoFiles() throws {
        do { _ = try Context() }
        let before = try Self.openFileCount
        for _ in 0..<30 {
            let context = try Context()
            _ = try Self.connectedPair(context, "tcp://127.0.0.1:*")
        }
        // Other tests of this process may open or close a few meanwhile; a leak would leave hundreds.
        let after = try Self.openFileCount
        #expect(after - before < 100)
    }

    @Test("whether frames follow is known after the frame was received, and until the next one")
    func knowsMoreLate() throws {
        let context = try Context()
        var ends = try Self.connectedPair(context, "inproc://more")
        try ends.left.sendAll([1], more: true)
        try ends.left.sendAll([2])
        var message = Message()
        _ = try ends.right.receive(into: &message)
        let firstHasMore = message.more
        #expect(firstHasMore)
        _ = try ends.right.receive(into: &message)
        let secondHasMore = message.more
        #expect(!secondHasMore)
    }

    @Test(
        "a message longer than 256 or 1,024 bytes is not cut", arguments: [256, 257, 1_024, 1_025, 100_000])
    func cutsNothing(byteCount: Int) throws {
        let context = try Context()
        var ends = try Self.connectedPair(context, "inproc://long")
        let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0) }
        try ends.left.sendAll(bytes)
        let received = try ends.right.receiveAll()
        #expect(received == bytes)
    }

    @Test("bytes that are no UTF-8 arrive, and text that is longer in bytes than in characters is sent whole")
    func carriesAnyText() throws {
        let context = try Context()
        var ends = try Self.connectedPair(context, "inproc://text")
        for bytes in [[0xC3, 0x28, 0, 0xFF], Array("Größe 🐦".utf8)] as [[UInt8]] {
            try ends.left.sendAll(bytes)
            let received = try ends.right.receiveAll()
            #expect(received == bytes)
        }
    }

    @Test("nothing to receive is a result and throws nothing")
    func emptyIsNoError() throws {
        let context = try Context()
        var ends = try Self.connectedPair(context, "inproc://empty")
        var message = Message()
        let result = try ends.right.receive(into: &message)
        #expect(result == .wouldBlock)
    }

    @Test(
        "an errno that no table knows is an error like any other, and does not trap",
        arguments: [EPIPE, 0, -5, 77_777])
    func keepsUnknownErrno(code: Int32) {
        let error = ZeroMQError(.receive, code: code)
        #expect(error.code == code)
        #expect(error.codeName == "errno \(code)")
    }

    @Test("an error keeps operation, errno and endpoint, not only a text")
    func keepsErrno() throws {
        let context = try Context()
        var socket = try Socket(context, .push, options: testOptions)
        do {
            try socket.bind("bad")
            Issue.record("a bad endpoint was taken")
        } catch {
            #expect(error.operation == .bind)
            #expect(error.code == EINVAL)
            #expect(error.endpoint == "bad")
        }
    }

    @Test("a truth value reaches libzmq with the size of a C int")
    func setsFlags() throws {
        let context = try Context()
        for value in [true, false] {
            var options = SocketOptions()
            options.immediate = value
            let socket = try Socket(context, .push, options: options)
            let read = try Socket.readInt32(socket.pointer, ZMQ_IMMEDIATE, "ZMQ_IMMEDIATE")
            #expect(read == (value ? 1 : 0))
        }
    }

    @Test("receiving in a loop does not grow the process")
    func leaksNoMemory() throws {
        let context = try Context()
        var ends = try Self.connectedPair(context, "inproc://leak")
        let bytes = [UInt8](repeating: 1, count: 200_000)
        var message = Message()
        for _ in 0..<100 {
            _ = try ends.left.send(bytes.span.bytes)
            _ = try ends.right.receive(into: &message)
        }
        let before = try Self.residentBytes
        for _ in 0..<5_000 {
            _ = try ends.left.send(bytes.span.bytes)
            _ = try ends.right.receive(into: &message)
        }
        // A leak would be 1,000 MB.
        #expect(try Self.residentBytes - before < 300_000_000)
    }

    private static var residentBytes: Int {
        get throws {
            let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            return try #require(Int(fields[1])) * 4_096
        }
    }

    @Test("a context ends with linger 0 and unsent messages, and dropped before its sockets")
    func endsInAnyOrder() throws {
        for _ in 0..<20 {
            let context = try Context()
            var socket = try Socket(context, .push, options: testOptions)
            try socket.connect("tcp://127.0.0.1:9")
            for _ in 0..<10 { _ = try socket.send(bytes(1).span.bytes) }
            _ = consume context
        }
    }
}
