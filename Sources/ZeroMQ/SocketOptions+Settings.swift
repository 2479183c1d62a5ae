import CZeroMQ

/// One libzmq option with the value that a socket gets.
struct OptionSetting: Sendable {
    enum Value: Sendable {
        case int32(Int)
        case int64(Int)
        case text(String)
    }

    let number: Int32
    let name: String
    let value: Value
    /// The values accepted here, where libzmq itself would accept more than is safe.
    var range: ClosedRange<Int>

    init(_ number: Int32, _ name: String, _ value: Value, _ range: ClosedRange<Int> = 0...Int(Int32.max)) {
        self.number = number
        self.name = name
        self.value = value
        self.range = range
    }

    static func flag(_ number: Int32, _ name: String, _ value: Bool) -> OptionSetting {
        OptionSetting(number, name, .int32(value ? 1 : 0), 0...1)
    }

    /// Sets the option on a socket that is not yet bound or connected.
    func apply(to socket: UnsafeMutableRawPointer) throws(ZeroMQError) {
        let result: Int32
        switch value {
        case .int32(let wide):
            guard range.contains(wide), var number32 = Int32(exactly: wide) else {
                throw ZeroMQError(.setOption, code: EINVAL, option: name)
            }
            result = zmq_setsockopt(socket, number, &number32, MemoryLayout<Int32>.size)
        case .int64(let wide):
            guard range.contains(wide) else { throw ZeroMQError(.setOption, code: EINVAL, option: name) }
            var number64 = Int64(wide)
            result = zmq_setsockopt(socket, number, &number64, MemoryLayout<Int64>.size)
        case .text(let text):
            result = zmq_setsockopt(socket, number, text, text.utf8.count)
        }
        if result != 0 { throw ZeroMQError(.setOption, code: zmq_errno(), option: name) }
    }
}

extension SocketOptions {
    /// What is set on a socket of this kind, in order.
    func settings(for kind: SocketKind) -> [OptionSetting] {
        common + connection + liveness + specific(to: kind) + security.settings
    }

    private var common: [OptionSetting] {
        let positive = 1...Int(Int32.max)
        return [
            OptionSetting(
                ZMQ_LINGER, "ZMQ_LINGER", .int32(lingerMilliseconds), 0...Self.lingerMillisecondsMax),
            OptionSetting(ZMQ_SNDHWM, "ZMQ_SNDHWM", .int32(sendHighWaterMark), positive),
            OptionSetting(ZMQ_RCVHWM, "ZMQ_RCVHWM", .int32(receiveHighWaterMark), positive),
            OptionSetting(ZMQ_MAXMSGSIZE, "ZMQ_MAXMSGSIZE", .int64(maxMessageBytes), 1...Int.max),
            .flag(ZMQ_CONFLATE, "ZMQ_CONFLATE", conflate),
            // Nothing here blocks: each call passes ZMQ_DONTWAIT, and these hold should one ever not.
            OptionSetting(ZMQ_SNDTIMEO, "ZMQ_SNDTIMEO", .int32(0)),
            OptionSetting(ZMQ_RCVTIMEO, "ZMQ_RCVTIMEO", .int32(0)),
            // The kernel sizes its own buffers.
            OptionSetting(ZMQ_SNDBUF, "ZMQ_SNDBUF", .int32(-1), -1...(-1)),
            OptionSetting(ZMQ_RCVBUF, "ZMQ_RCVBUF", .int32(-1), -1...(-1)),
        ]
    }

    private var connection: [OptionSetting] {
        let positive = 1...Int(Int32.max)
        return [
            .flag(ZMQ_IMMEDIATE, "ZMQ_IMMEDIATE", immediate),
            OptionSetting(ZMQ_RECONNECT_IVL, "ZMQ_RECONNECT_IVL", .int32(reconnectMilliseconds), positive),
            OptionSetting(ZMQ_RECONNECT_IVL_MAX, "ZMQ_RECONNECT_IVL_MAX", .int32(reconnectMillisecondsMax)),
            OptionSetting(ZMQ_CONNECT_TIMEOUT, "ZMQ_CONNECT_TIMEOUT", .int32(connectTimeoutMilliseconds)),
            OptionSetting(ZMQ_HANDSHAKE_IVL, "ZMQ_HANDSHAKE_IVL", .int32(handshakeMilliseconds)),
            OptionSetting(ZMQ_BACKLOG, "ZMQ_BACKLOG", .int32(backlog), positive),
            .flag(ZMQ_IPV6, "ZMQ_IPV6", ipv6),
        ]
    }

    private var liveness: [OptionSetting] {
        let positive = 1...Int(Int32.max)
        return [
            .flag(ZMQ_TCP_KEEPALIVE, "ZMQ_TCP_KEEPALIVE", tcpKeepalive),
            OptionSetting(
                ZMQ_TCP_KEEPALIVE_IDLE, "ZMQ_TCP_KEEPALIVE_IDLE", .int32(tcpKeepaliveIdleSeconds), positive),
            OptionSetting(
                ZMQ_TCP_KEEPALIVE_INTVL, "ZMQ_TCP_KEEPALIVE_INTVL", .int32(tcpKeepaliveIntervalSeconds),
                positive),
            OptionSetting(
                ZMQ_TCP_KEEPALIVE_CNT, "ZMQ_TCP_KEEPALIVE_CNT", .int32(tcpKeepaliveCount), positive),
            // A limit on retransmission also ends a connection whose receiver is only slow.
            OptionSetting(ZMQ_TCP_MAXRT, "ZMQ_TCP_MAXRT", .int32(0)),
            OptionSetting(ZMQ_HEARTBEAT_IVL, "ZMQ_HEARTBEAT_IVL", .int32(heartbeatMilliseconds)),
            OptionSetting(
                ZMQ_HEARTBEAT_TIMEOUT, "ZMQ_HEARTBEAT_TIMEOUT", .int32(heartbeatTimeoutMilliseconds)),
            OptionSetting(ZMQ_HEARTBEAT_TTL, "ZMQ_HEARTBEAT_TTL", .int32(heartbeatTimeToLiveMilliseconds)),
        ]
    }

    private func specific(to kind: SocketKind) -> [OptionSetting] {
        switch kind {
        case .pub:
            return [.flag(ZMQ_XPUB_NODROP, "ZMQ_XPUB_NODROP", noDrop)]
        case .xpub:
            return [
                .flag(ZMQ_XPUB_NODROP, "ZMQ_XPUB_NODROP", noDrop),
                .flag(ZMQ_XPUB_VERBOSER, "ZMQ_XPUB_VERBOSER", reportsEverySubscription),
            ]
        case .router:
            return [
                .flag(ZMQ_ROUTER_MANDATORY, "ZMQ_ROUTER_MANDATORY", routerMandatory),
                // A second peer that claims a routing id in use is refused, not preferred.
                .flag(ZMQ_ROUTER_HANDOVER, "ZMQ_ROUTER_HANDOVER", false),
            ]
        case .pair, .sub, .dealer, .pull, .push, .xsub:
            return []
        }
    }
}
