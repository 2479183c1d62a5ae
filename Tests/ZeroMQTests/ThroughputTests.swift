import CZeroMQ
import Foundation
import TestSupport
import Testing

@testable import ZeroMQ

/// Small by default, so that it cannot rot; `MARTLET_BENCH=1` gives it the real size. Prints, asserts no
/// time.
///
/// A PUSH thread sends 80-byte messages to a PULL thread, through this module and through libzmq's C
/// functions alone, in turn.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct ThroughputTests {
    private static let isBenchmark = ProcessInfo.processInfo.environment["MARTLET_BENCH"] != nil
    private static let messageCount = isBenchmark ? 2_000_000 : 20_000
    private static let roundCount = isBenchmark ? 7 : 1

    @Test("messages a second, beside a bare C loop", arguments: ["inproc://bench", "tcp://127.0.0.1:*"])
    func throughput(endpoint: String) throws {
        var wrapped: [Double] = []
        var bare: [Double] = []
        for _ in 0..<Self.roundCount {
            wrapped.append(try Self.run(endpoint, sender: Self.sendWrapped, receiver: Self.receiveWrapped))
            bare.append(try Self.run(endpoint, sender: Self.sendBare, receiver: Self.receiveBare))
        }
        let roundCount = Self.roundCount
        let transport = endpoint.prefix { $0 != ":" }
        print(
            "zeromq \(transport), 80 bytes, \(Self.messageCount) messages, M/s, median of \(roundCount):",
            "module \(Self.median(wrapped)), C functions \(Self.median(bare))")
    }

    private static func median(_ values: [Double]) -> String {
        String(format: "%.2f", values.sorted()[values.count / 2] / 1e6)
    }

    /// - Returns: messages a second.
    private static func run(
        _ endpoint: String, sender: @escaping @Sendable (inout Socket, Int) throws -> Void,
        receiver: (inout Socket, Int) throws -> Int
    ) throws -> Double {
        let context = try Context()
        var pull = try Socket(context, .pull, options: testOptions)
        try pull.bind(endpoint)
        var options = testOptions
        options.lingerMilliseconds = 10_000
        var push = try Socket(context, .push, options: options)
        try push.connect(pull.lastEndpoint)
        let handover = Handover(push)
        let count = messageCount
        let start = ContinuousClock.now
        let thread = TestThread {
            var push = handover.take()
            do { try sender(&push, count) } catch { Issue.record(error) }
        }
        let byteCount = try receiver(&pull, count)
        let elapsed = ContinuousClock.now - start
        thread.join()
        #expect(byteCount == count * 80)
        return Double(count) / (elapsed / .seconds(1))
    }

    @Sendable private static func sendWrapped(_ socket: inout Socket, _ count: Int) throws {
        let bytes = [UInt8](repeating: 7, count: 80)
        for _ in 0..<count {
            while try socket.send(bytes.span.bytes) == .wouldBlock {
                _ = try socket.wait(for: .writable, timeoutMilliseconds: 100)
            }
        }
    }

    private static func receiveWrapped(_ socket: inout Socket, _ count: Int) throws -> Int {
        var message = Message()
        var byteCount = 0
        var left = count
        while left > 0 {
            guard case .received = try socket.receive(into: &message) else {
                _ = try socket.wait(for: .readable, timeoutMilliseconds: 100)
                continue
            }
            byteCount += message.bytes.byteCount
            left -= 1
        }
        return byteCount
    }

    @Sendable private static func sendBare(_ socket: inout Socket, _ count: Int) throws {
        let bytes = [UInt8](repeating: 7, count: 80)
        bytes.withUnsafeBytes { bytes in
            for _ in 0..<count {
                while zmq_send(socket.pointer, bytes.baseAddress, bytes.count, ZMQ_DONTWAIT) < 0 {
                    var item = zmq_pollitem_t(
                        socket: socket.pointer, fd: 0, events: Int16(ZMQ_POLLOUT), revents: 0)
                    zmq_poll(&item, 1, 100)
                }
            }
        }
    }

    private static func receiveBare(_ socket: inout Socket, _ count: Int) throws -> Int {
        let message = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)
        zmq_msg_init(message)
        var byteCount = 0
        var left = count
        while left > 0 {
            guard zmq_msg_recv(message, socket.pointer, ZMQ_DONTWAIT) >= 0 else {
                var item = zmq_pollitem_t(
                    socket: socket.pointer, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
                zmq_poll(&item, 1, 100)
                continue
            }
            byteCount += zmq_msg_size(message)
            left -= 1
        }
        zmq_msg_close(message)
        message.deallocate()
        return byteCount
    }
}
