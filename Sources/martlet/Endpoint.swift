import Foundation
import Wire
import ZeroMQ

/// A ZeroMQ endpoint with who waits for whom: '@' in front binds, '>' connects, as in CZMQ's `zsock_attach`.
struct Endpoint {
    let address: String
    let binds: Bool

    /// - Parameter bindsByDefault: what a text without '@' or '>' means.
    init(_ text: String, bindsByDefault: Bool) throws {
        var address = text
        switch text.first {
        case "@":
            address.removeFirst()
            binds = true
        case ">":
            address.removeFirst()
            binds = false
        default: binds = bindsByDefault
        }
        guard let scheme = address.range(of: "://"), !address[scheme.upperBound...].isEmpty else {
            throw CommandError(.usage, "endpoint '\(text)' is wrong; expected for example tcp://127.0.0.1:5556")
        }
        // libzmq has other transports, which need other sockets, or abort the process when they cannot start.
        guard ["tcp", "ipc"].contains(address[..<scheme.lowerBound]) else {
            throw CommandError(.usage, "endpoint '\(text)' is wrong; expected tcp://HOST:PORT or ipc://PATH")
        }
        self.address = address
    }

    func attach(_ socket: inout Socket) throws {
        do {
            if binds { try socket.bind(address) } else { try socket.connect(address) }
        } catch { throw CommandError(.unavailable, "\(error)") }
    }

    func attach(_ socket: inout PublisherSocket) throws {
        do {
            if binds { try socket.bind(address) } else { try socket.connect(address) }
        } catch { throw CommandError(.unavailable, "\(error)") }
    }
}

/// The options of the sockets that subscribe.
enum Subscriptions {
    /// 1,024 messages of at most 256 KiB: a peer makes the queue 256 MiB long at most. A message above the protocol's 64
    /// KiB is refused by name; above 256 KiB libzmq drops its sender, and does not connect to it again.
    ///
    /// A subscriber has nothing to deliver but its subscriptions: at its end it does not wait for a publisher that is gone
    /// to come back and take them.
    static var options: SocketOptions {
        var options = SocketOptions()
        options.lingerMilliseconds = 0
        options.receiveHighWaterMark = 1_024
        options.maxMessageBytes = 4 * PacketHeader.messageByteCountMax
        return options
    }
}
