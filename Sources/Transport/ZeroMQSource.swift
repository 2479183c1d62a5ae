public import Pipeline
public import ZeroMQ

/// Packets from a SUB socket. Used on one thread at a time; a socket that fails ends the source and keeps the error.
public struct ZeroMQSource: ~Copyable, TickSource {
    private var socket: Socket
    private var message = Message()
    /// Why the socket can no longer be read; nil while it can.
    public private(set) var failure: ZeroMQError?
    /// Multi-part messages skipped before a step can end: a flood of them must not hold up a stop.
    private static let skippedPerCall = 64
    /// Frames of multi-part messages, which no version of the wire contract has, are skipped and counted.
    public private(set) var skippedFrames = 0

    /// - Parameter socket: a SUB socket, bound or connected, with its subscriptions set.
    public init(_ socket: consuming Socket) { self.socket = socket }

    public var isExhausted: Bool { failure != nil }

    public mutating func next() -> UnsafeRawBufferPointer? {
        do {
            for _ in 0..<ZeroMQSource.skippedPerCall {
                guard case .received = try socket.receive(into: &message) else { return nil }
                guard message.more else { return message.withUnsafeBytes { unsafe $0 } }
                try skipRest()
            }
            return nil
        } catch {
            failure = error
            return nil
        }
    }

    private mutating func skipRest() throws(ZeroMQError) {
        skippedFrames += 1
        while message.more {
            // The frames of one message arrive together: the next is there.
            guard case .received = try socket.receive(into: &message) else { return }
            skippedFrames += 1
        }
    }
}
