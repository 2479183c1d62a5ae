import CZeroMQ
import Foundation
import TestSupport
import Testing

@testable import ZeroMQ

struct OptionTests {
    @Test("an option out of range is refused by its name", arguments: Mistake.all)
    func rejects(mistake: Mistake) throws {
        let context = try Context()
        var options = SocketOptions()
        mistake.make(&options)
        #expect(throws: ZeroMQError(.setOption, code: EINVAL, option: mistake.option)) {
            _ = try Socket(context, .sub, options: options)
        }
    }

    @Test(
        "kinds have libzmq's numbers, and libzmq makes the kind that was asked for",
        arguments: SocketKind.allCases)
    func kinds(kind: SocketKind) throws {
        let expected: [SocketKind: Int32] = [
            .pair: ZMQ_PAIR, .pub: ZMQ_PUB, .sub: ZMQ_SUB, .dealer: ZMQ_DEALER, .router: ZMQ_ROUTER,
            .pull: ZMQ_PULL, .push: ZMQ_PUSH, .xpub: ZMQ_XPUB, .xsub: ZMQ_XSUB,
        ]
        #expect(kind.rawValue == expected[kind])
        let context = try Context()
        let socket = try Socket(context, kind)
        let type = try Socket.readInt32(socket.pointer, ZMQ_TYPE, "ZMQ_TYPE")
        #expect(type == kind.rawValue)
        #expect(socket.fileDescriptor >= 0)
    }

    /// These cannot be read back in libzmq 4.3.4; other tests show their effect.
    private static let writeOnly: Set<String> = [
        "ZMQ_XPUB_NODROP", "ZMQ_XPUB_VERBOSER", "ZMQ_ROUTER_MANDATORY", "ZMQ_ROUTER_HANDOVER",
    ]

    @Test("libzmq reports back every option that was set", arguments: SocketKind.allCases)
    func readsBack(kind: SocketKind) throws {
        let context = try Context()
        let options = Self.unusualOptions
        let socket = try Socket(context, kind, options: options)
        for setting in options.settings(for: kind) where !Self.writeOnly.contains(setting.name) {
            switch setting.value {
            case .int32(let value):
                let read = try Socket.readInt32(socket.pointer, setting.number, setting.name)
                #expect(Int(read) == value, "\(setting.name)")
            case .int64(let value):
                var read: Int64 = 0
                var count = MemoryLayout<Int64>.size
                let result = zmq_getsockopt(socket.pointer, setting.number, &read, &count)
                #expect(result == 0)
                #expect(Int(read) == value, "\(setting.name)")
            case .text:
                Issue.record("no text option is set without security")
            }
        }
    }

    @Test("keys are those that were given, and a wrong one is refused by name")
    func keys() throws {
        let context = try Context()
        let keys = try CurveKeyPair.generate()
        #expect(keys.publicKey.utf8.count == CurveKeyPair.characterCount)
        #expect(keys.publicKey != keys.secretKey)
        var options = SocketOptions()
        options.security = .curveServer(keys)
        let socket = try Socket(context, .pub, options: options)
        let mechanism = try Socket.readInt32(socket.pointer, ZMQ_MECHANISM, "ZMQ_MECHANISM")
        #expect(mechanism == ZMQ_CURVE)
        options.security = .curveServer(CurveKeyPair(publicKey: keys.publicKey, secretKey: "short"))
        #expect(throws: ZeroMQError(.setOption, code: EINVAL, option: "ZMQ_CURVE_SECRETKEY")) {
            _ = try Socket(context, .pub, options: options)
        }
    }

    @Test("the document's table has every option with the value that is set")
    func documented() throws {
        let url = PythonProcess.repository.appending(path: "docs/ZEROMQ.md")
        let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
        for kind in SocketKind.allCases {
            for setting in SocketOptions().settings(for: kind) {
                let row = lines.first { $0.hasPrefix("| `\(setting.name)` |") }
                let cells = try #require(row, "\(setting.name) has no row").split(separator: "|")
                let shown = cells[1].trimmingCharacters(in: .whitespaces).replacing(",", with: "")
                let value =
                    switch setting.value {
                    case .int32(let value), .int64(let value): String(value)
                    case .text(let text): text
                    }
                #expect(shown.split(separator: " ").first.map(String.init) == value, "\(setting.name)")
            }
        }
    }

    /// Every value differs from libzmq's default and from this module's, so that one that was not set shows.
    private static var unusualOptions: SocketOptions {
        var options = SocketOptions()
        options.lingerMilliseconds = 17
        options.sendHighWaterMark = 18
        options.receiveHighWaterMark = 19
        options.maxMessageBytes = 5_000_000_000
        options.conflate = true
        options.immediate = true
        options.reconnectMilliseconds = 20
        options.reconnectMillisecondsMax = 21
        options.connectTimeoutMilliseconds = 22
        options.handshakeMilliseconds = 23
        options.backlog = 24
        options.ipv6 = true
        options.tcpKeepalive = false
        options.tcpKeepaliveIdleSeconds = 25
        options.tcpKeepaliveIntervalSeconds = 26
        options.tcpKeepaliveCount = 27
        options.heartbeatMilliseconds = 28
        options.heartbeatTimeoutMilliseconds = 29
        options.heartbeatTimeToLiveMilliseconds = 300
        return options
    }
}

/// One wrong value, and the option that the error must name.
struct Mistake: Sendable, CustomTestStringConvertible {
    let option: String
    let make: @Sendable (inout SocketOptions) -> Void
    var testDescription: String { option }

    static let all: [Mistake] = [
        // Infinite, which libzmq would take: a context could hang for ever.
        Mistake(option: "ZMQ_LINGER", make: { $0.lingerMilliseconds = -1 }),
        Mistake(option: "ZMQ_LINGER", make: { $0.lingerMilliseconds = 60_001 }),
        // Unlimited, which libzmq would take.
        Mistake(option: "ZMQ_SNDHWM", make: { $0.sendHighWaterMark = 0 }),
        Mistake(option: "ZMQ_RCVHWM", make: { $0.receiveHighWaterMark = 0 }),
        Mistake(option: "ZMQ_RCVHWM", make: { $0.receiveHighWaterMark = 1 << 40 }),
        Mistake(option: "ZMQ_MAXMSGSIZE", make: { $0.maxMessageBytes = -1 }),
        Mistake(option: "ZMQ_RECONNECT_IVL", make: { $0.reconnectMilliseconds = 0 }),
        Mistake(option: "ZMQ_RECONNECT_IVL_MAX", make: { $0.reconnectMillisecondsMax = -1 }),
        Mistake(option: "ZMQ_CONNECT_TIMEOUT", make: { $0.connectTimeoutMilliseconds = -1 }),
        Mistake(option: "ZMQ_HANDSHAKE_IVL", make: { $0.handshakeMilliseconds = -1 }),
        Mistake(option: "ZMQ_BACKLOG", make: { $0.backlog = 0 }),
        Mistake(option: "ZMQ_TCP_KEEPALIVE_IDLE", make: { $0.tcpKeepaliveIdleSeconds = 0 }),
        Mistake(option: "ZMQ_TCP_KEEPALIVE_INTVL", make: { $0.tcpKeepaliveIntervalSeconds = -1 }),
        Mistake(option: "ZMQ_TCP_KEEPALIVE_CNT", make: { $0.tcpKeepaliveCount = -1 }),
        Mistake(option: "ZMQ_HEARTBEAT_IVL", make: { $0.heartbeatMilliseconds = -1 }),
        Mistake(option: "ZMQ_HEARTBEAT_TIMEOUT", make: { $0.heartbeatTimeoutMilliseconds = -1 }),
        Mistake(option: "ZMQ_HEARTBEAT_TTL", make: { $0.heartbeatTimeToLiveMilliseconds = 10_000_000 }),
    ]
}
