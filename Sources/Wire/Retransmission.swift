/// Asks a publisher's retransmission endpoint (ROUTER) for records that were lost. Cold code.
///
/// One frame: 40 bytes of header, then the topic as in a message. Byte by byte in `docs/WIRE.md`.
public struct RetransmissionRequest: Equatable, Sendable {
    @inlinable public static var magic: UInt16 { 0x524D }  // "MR" in memory order.
    @inlinable public static var version: UInt8 { 1 }
    @inlinable public static var kind: UInt8 { 1 }
    @inlinable public static var headerByteCount: Int { 40 }

    /// Comes back in the response, so that late answers are told apart.
    public var requestID: UInt64
    /// The text of the topic, not padded.
    public var topic: [UInt8]
    public var session: UInt64
    /// Sequence of the first record asked for, at least 1.
    public var first: UInt64
    /// Records asked for, at least 1.
    public var count: UInt32

    public init(requestID: UInt64, topic: [UInt8], session: UInt64, first: UInt64, count: UInt32) {
        precondition(
            topic.count >= 1 && topic.count <= Topic.byteCountMax, "A topic has 1 to 511 bytes.")
        self.requestID = requestID
        self.topic = topic
        self.session = session
        self.first = first
        self.count = count
    }

    /// The request as one frame.
    public var bytes: [UInt8] {
        var frame = [UInt8](repeating: 0, count: RetransmissionRequest.headerByteCount)
        frame.withUnsafeMutableBytes { bytes in
            unsafe bytes.storeBytes(of: RetransmissionRequest.magic, toByteOffset: 0, as: UInt16.self)
            unsafe bytes[2] = RetransmissionRequest.version
            unsafe bytes[3] = RetransmissionRequest.kind
            unsafe bytes.storeBytes(
                of: UInt16(truncatingIfNeeded: topic.count), toByteOffset: 4, as: UInt16.self)
            unsafe bytes.storeBytes(of: requestID, toByteOffset: 8, as: UInt64.self)
            unsafe bytes.storeBytes(of: session, toByteOffset: 16, as: UInt64.self)
            unsafe bytes.storeBytes(of: first, toByteOffset: 24, as: UInt64.self)
            unsafe bytes.storeBytes(of: count, toByteOffset: 32, as: UInt32.self)
        }
        return frame + Topic.padded(topic)
    }

    /// Reads one frame.
    public init(_ frame: RawSpan) throws(WireError) {
        let header = RetransmissionRequest.headerByteCount
        guard frame.byteCount > header else { throw WireError(.headerTruncated, at: frame.byteCount) }
        func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _ type: T.Type) -> T {
            T(littleEndian: unsafe frame.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
        }
        guard load(0, UInt16.self) == RetransmissionRequest.magic else { throw WireError(.magic, at: 0) }
        guard load(2, UInt8.self) == RetransmissionRequest.version else { throw WireError(.version, at: 2) }
        guard load(3, UInt8.self) == RetransmissionRequest.kind else { throw WireError(.kind, at: 3) }
        var error = WireError(.topicEmpty, at: 0)
        let text = frame.extracting(header..<frame.byteCount)
        let topicByteCount = PacketView.topicByteCount(in: text, &error)
        guard topicByteCount > 0 else { throw WireError(error.what, at: header + error.offset) }
        guard Int(load(4, UInt16.self)) == topicByteCount else { throw WireError(.request, at: 4) }
        guard Topic.paddedByteCount(topicByteCount) == text.byteCount else {
            throw WireError(.trailingBytes, at: header + Topic.paddedByteCount(topicByteCount))
        }
        requestID = load(8, UInt64.self)
        session = load(16, UInt64.self)
        first = load(24, UInt64.self)
        count = load(32, UInt32.self)
        topic = text.extracting(first: topicByteCount).withUnsafeBytes { unsafe Array($0) }
        guard first > 0, first <= UInt64.max - UInt64(count) else { throw WireError(.sequence, at: 24) }
        guard count > 0 else { throw WireError(.request, at: 32) }
    }
}

/// Opens the answer to a `RetransmissionRequest`: 40 bytes in the first frame; each further frame is one
/// message as it was sent.
@frozen
public struct RetransmissionResponse: BitwiseCopyable, Equatable, Sendable {
    @inlinable public static var kind: UInt8 { 2 }
    @inlinable public static var byteCount: Int { 40 }
    /// Most messages in one answer. At 1,500 bytes each they are some 100 KiB: an answer does not hold up the
    /// next.
    @inlinable public static var packetsMax: Int { 64 }

    public enum Status: UInt16, Sendable, CaseIterable {
        /// Every record asked for is in the messages that follow.
        case complete = 0
        /// The messages that follow hold the first of the records asked for; ask again from the one after
        /// their last.
        case partial = 1
        /// The first record asked for is older than the first available one. No messages follow.
        case tooOld = 2
        /// The first record asked for is not published yet. No messages follow.
        case notYet = 3
        case unknownTopic = 4
        case unknownSession = 5
        /// The request could not be read; its id is 0 if that could not either.
        case malformed = 6
    }

    public let magic: UInt16
    public let version: UInt8
    public let kind: UInt8
    /// A value of `Status`.
    public let statusCode: UInt16
    /// Frames that follow.
    public let packets: UInt16
    public let requestID: UInt64
    /// The session of which the next two speak.
    public let session: UInt64
    /// Sequence of the first record that can be had, 0 for none.
    public let firstAvailable: UInt64
    /// Sequence of the last record that can be had, 0 for none.
    public let lastAvailable: UInt64

    public init(
        status: Status, packets: UInt16, requestID: UInt64, session: UInt64, firstAvailable: UInt64,
        lastAvailable: UInt64
    ) {
        self.magic = RetransmissionRequest.magic
        self.version = RetransmissionRequest.version
        self.kind = RetransmissionResponse.kind
        self.statusCode = status.rawValue
        self.packets = packets
        self.requestID = requestID
        self.session = session
        self.firstAvailable = firstAvailable
        self.lastAvailable = lastAvailable
    }

    /// Reads the first frame of an answer.
    public init(_ frame: RawSpan) throws(WireError) {
        guard frame.byteCount >= RetransmissionResponse.byteCount else {
            throw WireError(.headerTruncated, at: frame.byteCount)
        }
        guard frame.byteCount == RetransmissionResponse.byteCount else {
            throw WireError(.trailingBytes, at: RetransmissionResponse.byteCount)
        }
        self = unsafe frame.unsafeLoadUnaligned(as: RetransmissionResponse.self)
        guard magic == RetransmissionRequest.magic else { throw WireError(.magic, at: 0) }
        guard version == RetransmissionRequest.version else { throw WireError(.version, at: 2) }
        guard kind == RetransmissionResponse.kind else { throw WireError(.kind, at: 3) }
        guard Status(rawValue: statusCode) != nil else { throw WireError(.status, at: 4) }
    }

    /// How the request was answered; `malformed` for a code that `init(_:)` would have refused.
    public var status: Status { Status(rawValue: statusCode) ?? .malformed }
}
