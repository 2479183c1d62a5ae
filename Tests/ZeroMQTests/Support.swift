import CZeroMQ
import TestSupport
import Testing

@testable import ZeroMQ

/// A wait of this length that ends without result is a failure; generous, as the machine may be busy.
let patienceMilliseconds = 20_000

extension Socket {
    /// Sends one frame, waiting for room.
    mutating func sendAll(_ bytes: [UInt8], more: Bool = false) throws {
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        while try send(bytes.span.bytes, more: more) == .wouldBlock {
            try #require(ContinuousClock.now < deadline, "no room to send in time")
            _ = try wait(for: .writable, timeoutMilliseconds: 100)
        }
    }

    /// Receives one frame, waiting for it.
    mutating func receiveAll() throws -> [UInt8] {
        var message = Message()
        while true {
            if case .received = try receive(into: &message) { return message.array }
            let isReady = try wait(for: .readable, timeoutMilliseconds: patienceMilliseconds)
            try #require(isReady, "nothing came in time")
        }
    }
}

extension PublisherSocket {
    /// Sends, waiting for room.
    mutating func sendAll(_ bytes: [UInt8]) throws {
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        while try send(bytes.span.bytes) == .wouldBlock {
            try #require(ContinuousClock.now < deadline, "no room to send in time")
        }
    }

    /// As `awaitSubscribers`, for a subscriber that bound: its socket does nothing unless its owner looks
    /// at it.
    mutating func awaitSubscribers(_ wanted: Int, pumping subscriber: inout Socket) throws {
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        while subscriberCount != wanted {
            try #require(
                ContinuousClock.now < deadline, "\(subscriberCount ?? -1) subscribers, not \(wanted)")
            _ = try subscriber.wait(for: .readable, timeoutMilliseconds: 1)
            try pollSubscriptions()
        }
    }
}

extension Socket {
    /// Binds, waiting for an earlier socket that was dropped to free the endpoint.
    mutating func bindWhenFree(_ endpoint: String) throws {
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        while true {
            do {
                return try bind(endpoint)
            } catch {
                try #require(error.code == EADDRINUSE)
                try #require(ContinuousClock.now < deadline, "the endpoint was not freed in time")
            }
        }
    }
}

extension Message {
    var array: [UInt8] { withUnsafeBytes { Array($0) } }
}

extension PublisherSocket {
    /// Polls until the count of subscribers is as wanted.
    mutating func awaitSubscribers(_ wanted: Int) throws {
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        while subscriberCount != wanted {
            try #require(
                ContinuousClock.now < deadline, "\(subscriberCount ?? -1) subscribers, not \(wanted)")
            try pollSubscriptions()
        }
    }
}

/// Bytes, and not the machine integers that a bare literal means.
func bytes(_ values: UInt8...) -> [UInt8] { values }

/// Options for sockets between which nothing should outlive the test.
var testOptions: SocketOptions {
    var options = SocketOptions()
    options.lingerMilliseconds = 0
    return options
}

/// The numbered message of `python/oracles/zmq_peer.py`.
func numberedMessage(_ number: UInt64, topic: String = "md/T/A/", byteCount: Int = 80) -> [UInt8] {
    var bytes = Array(topic.utf8) + [0]
    withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
    bytes += [UInt8](repeating: 0, count: max(0, byteCount - bytes.count))
    return bytes
}

/// The number of such a message.
func number(of bytes: [UInt8]) throws -> UInt64 {
    let start = try #require(bytes.firstIndex(of: 0)) + 1
    return bytes[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
}

/// Whether `body` throws the error of this module with that operation and errno, and nothing else.
func fails(_ operation: ZeroMQError.Operation, with code: Int32, _ body: () throws -> Void) -> Bool {
    do {
        try body()
        return false
    } catch let error as ZeroMQError {
        return error.operation == operation && error.code == code
    } catch {
        return false
    }
}
