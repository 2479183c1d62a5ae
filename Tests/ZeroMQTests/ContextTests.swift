import CZeroMQ
import TestSupport
import Testing

@testable import ZeroMQ

/// Each test that could hang has a time limit: that it ends is what it shows.
@Suite(.timeLimit(.minutes(5)))
struct ContextTests {
    @Test("a count of threads out of range is refused by name", arguments: [-1, 0, 65, Int.max])
    func rejectsThreadCounts(count: Int) {
        #expect(throws: ZeroMQError(.createContext, code: EINVAL, option: "ZMQ_IO_THREADS")) {
            _ = try Context(ioThreads: count)
        }
    }

    @Test("a count of sockets out of range is refused by name", arguments: [-1, 0, 65_536, Int.max])
    func rejectsSocketCounts(count: Int) {
        #expect(throws: ZeroMQError(.createContext, code: EINVAL, option: "ZMQ_MAX_SOCKETS")) {
            _ = try Context(maxSockets: count)
        }
    }

    @Test("one socket too many is an error, and there is room again when one is dropped")
    func limitsSockets() throws {
        let context = try Context(maxSockets: 1)
        let first = try Socket(context, .pair)
        #expect(fails(.createSocket, with: EMFILE) { _ = try Socket(context, .pair) })
        first.close()
        // libzmq's reaper thread frees the slot a moment later.
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        while fails(.createSocket, with: EMFILE, { _ = try Socket(context, .pair) }) {
            try #require(ContinuousClock.now < deadline, "the slot was not freed in time")
        }
    }

    @Test("after shutdown every operation throws ETERM, and dropping everything still works")
    func shutdownThrows() throws {
        let context = try Context()
        var socket = try Socket(context, .pair, options: testOptions)
        try socket.bind("inproc://shutdown")
        context.shutdown()
        context.shutdown()
        #expect(fails(.createSocket, with: ETERM) { _ = try Socket(context, .pair) })
        #expect(fails(.send, with: ETERM) { _ = try socket.send(bytes(1).span.bytes) })
        var message = Message(copying: bytes(1, 2, 3).span.bytes)
        #expect(fails(.receive, with: ETERM) { _ = try socket.receive(into: &message) })
        #expect(message.byteCount == 0)
        #expect(fails(.wait, with: ETERM) { _ = try socket.wait(for: .readable, timeoutMilliseconds: -1) })
        #expect(fails(.readOption, with: ETERM) { _ = try socket.readiness })
        #expect(fails(.bind, with: ETERM) { try socket.bind("inproc://other") })
    }

    @Test("shutdown wakes a socket that waits for ever on another thread")
    func shutdownWakesWaiter() throws {
        let context = try Context()
        var socket = try Socket(context, .pull, options: testOptions)
        try socket.bind("tcp://127.0.0.1:*")
        var signal = try Socket(context, .pair, options: testOptions)
        try signal.bind("inproc://started")
        let peer = try Socket(context, .pair, options: testOptions)
        let handover = Handover(socket)
        let peerHandover = Handover(peer)
        let outcome = Outcome()
        let thread = TestThread {
            var socket = handover.take()
            var peer = peerHandover.take()
            do {
                try peer.connect("inproc://started")
                try peer.sendAll([1])
                _ = try socket.wait(for: .readable, timeoutMilliseconds: -1)
            } catch let error as ZeroMQError {
                outcome.code = error.code
            } catch {}
        }
        _ = try signal.receiveAll()
        context.shutdown()
        thread.join()
        #expect(outcome.code == ETERM)
    }

    @Test("a context outlives its value as long as a socket needs it")
    func socketKeepsContext() throws {
        var ends = try Self.pairWithoutContext()
        try ends.left.sendAll([7])
        let received = try ends.right.receiveAll()
        #expect(received == [7])
    }

    @Test("dropping a context with unsent messages ends, for a peer that never came", arguments: [0, 200])
    func unsentMessages(linger: Int) throws {
        var options = SocketOptions()
        options.lingerMilliseconds = linger
        do {
            let context = try Context()
            var socket = try Socket(context, .push, options: options)
            try socket.connect("tcp://127.0.0.1:9")
            for _ in 0..<1_000 { try socket.sendAll([UInt8](repeating: 1, count: 1_000)) }
        }
    }

    @Test("dropping a context with unsent messages ends, for a peer that stopped reading")
    func peerThatDoesNotRead() throws {
        let other = try Context()
        var options = testOptions
        options.receiveHighWaterMark = 1
        var reader = try Socket(other, .pull, options: options)
        try reader.bind("tcp://127.0.0.1:*")
        do {
            let context = try Context()
            var socket = try Socket(context, .push, options: testOptions)
            try socket.connect(reader.lastEndpoint)
            var message = Message(byteCount: 0)
            var result = SendResult.sent
            while result == .sent {
                message.reset(byteCount: 1 << 20)
                result = try socket.send(&message)
                guard result == .wouldBlock else { continue }
                if try socket.wait(for: .writable, timeoutMilliseconds: 200) { result = .sent }
            }
        }
    }

    @Test("dropping a context ends when its peers are gone")
    func peersGone() throws {
        let context = try Context()
        var socket = try Socket(context, .push)
        do {
            let other = try Context()
            var reader = try Socket(other, .pull, options: testOptions)
            try reader.bind("tcp://127.0.0.1:*")
            try socket.connect(reader.lastEndpoint)
            try socket.sendAll([1])
            _ = try reader.receiveAll()
        }
        for _ in 0..<100 { _ = try socket.send(bytes(2).span.bytes) }
    }

    @Test("linger delivers what is unsent when the process ends its sockets")
    func lingerDelivers() throws {
        let other = try Context()
        var reader = try Socket(other, .pull, options: testOptions)
        try reader.bind("tcp://127.0.0.1:*")
        let messageCount = 2_000
        do {
            let context = try Context()
            var options = SocketOptions()
            options.lingerMilliseconds = 20_000
            var socket = try Socket(context, .push, options: options)
            try socket.connect(reader.lastEndpoint)
            for index in 0..<messageCount { try socket.sendAll(numberedMessage(UInt64(index))) }
        }
        for index in 0..<messageCount {
            let received = try number(of: reader.receiveAll())
            #expect(received == UInt64(index))
        }
    }

    private static func pairWithoutContext() throws -> Ends {
        let context = try Context()
        var left = try Socket(context, .pair, options: testOptions)
        try left.bind("inproc://orphans")
        var right = try Socket(context, .pair, options: testOptions)
        try right.connect("inproc://orphans")
        return Ends(left: left, right: right)
    }
}

final class Outcome: @unchecked Sendable {
    // Unchecked: written by one thread, read after its end.
    var code: Int32 = 0
    var flag = false
}

/// Two connected sockets. (Tuples cannot hold noncopyable values yet.)
struct Ends: ~Copyable {
    var left: Socket
    var right: Socket
}
