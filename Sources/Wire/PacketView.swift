public import MarketData

/// Where the parts of one checked message lie: topic, header, payload.
///
/// It holds offsets and no pointer, so it can be kept and says nothing about the life of the bytes. A view
/// exists only for a message whose every length was checked; the accessors take the same message again. No
/// allocation, any thread.
@frozen
public struct PacketView: BitwiseCopyable, Sendable {
    public let header: PacketHeader
    /// Bytes of the topic's text, which begins the message; without padding.
    public let topicByteCount: Int
    /// Where the payload begins, in bytes from the start of the message.
    public let payloadOffset: Int
    public let payloadByteCount: Int

    @inlinable
    init(header: PacketHeader, topicByteCount: Int, payloadOffset: Int, payloadByteCount: Int) {
        self.header = header
        self.topicByteCount = topicByteCount
        self.payloadOffset = payloadOffset
        self.payloadByteCount = payloadByteCount
    }

    /// Bytes of the topic with its padding.
    @inlinable public var paddedTopicByteCount: Int { payloadOffset &- PacketHeader.byteCount }

    /// The topic's text in `message`, which must be the message that was parsed.
    @inlinable
    @_lifetime(copy message)
    public func topic(in message: RawSpan) -> RawSpan { message.extracting(first: topicByteCount) }

    /// The payload in `message`, which must be the message that was parsed.
    @inlinable
    @_lifetime(copy message)
    public func payload(in message: RawSpan) -> RawSpan {
        message.extracting(payloadOffset..<(payloadOffset &+ payloadByteCount))
    }

    /// The topic's text in `message`, which must be the message that was parsed.
    @inlinable
    public func topic(in message: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: message[0..<topicByteCount])
    }

    /// The payload in `message`, which must be the message that was parsed.
    @inlinable
    public func payload(in message: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: message[payloadOffset..<(payloadOffset &+ payloadByteCount)])
    }

    /// The records of a packet of kind `records`, in order.
    @inlinable
    @_lifetime(copy message)
    public func records(in message: RawSpan) -> PacketRecords { PacketRecords(payload(in: message)) }
}

/// What `PacketView.parse` found. Malformed input is expected from outside, so it is a value and not thrown.
@frozen
public enum PacketParse: BitwiseCopyable, Sendable {
    case packet(PacketView)
    case malformed(WireError)

    /// The view, or the error thrown: for cold code.
    public func get() throws(WireError) -> PacketView {
        switch self {
        case .packet(let view): return view
        case .malformed(let error): throw error
        }
    }
}

/// Walks back-to-back records. Stops at bytes that are not a record, which do not exist in a parsed packet.
@frozen
public struct PacketRecords: ~Escapable {
    @usableFromInline let payload: RawSpan
    @usableFromInline var position: Int

    @inlinable
    @_lifetime(copy payload)
    public init(_ payload: RawSpan) {
        self.payload = payload
        self.position = 0
    }

    /// The next record, or nil behind the last.
    @inlinable
    @_lifetime(copy self)
    public mutating func next() -> Record? {
        guard let record = Record(at: payload.extracting(position..<payload.byteCount)) else { return nil }
        position &+= record.bytes.byteCount
        return record
    }
}

/// Checking of received messages.
extension PacketView {
    /// Checks every length in `message` and finds its parts. Never traps, whatever the bytes; one pass over
    /// the topic and one look at each record's length. Bytes need not be aligned.
    @inlinable
    public static func parse(_ message: UnsafeRawBufferPointer) -> PacketParse {
        unsafe parse(RawSpan(_unsafeBytes: message))
    }

    /// Checks every length in `message` and finds its parts. Never traps, whatever the bytes.
    @inlinable
    public static func parse(_ message: RawSpan) -> PacketParse {
        guard message.byteCount <= PacketHeader.messageByteCountMax else {
            return .malformed(WireError(.messageTooLong, at: PacketHeader.messageByteCountMax))
        }
        var error = WireError(.topicEmpty, at: 0)
        let topicByteCount = topicByteCount(in: message, &error)
        guard topicByteCount > 0 else { return .malformed(error) }
        let headerOffset = Topic.paddedByteCount(topicByteCount)
        guard message.byteCount &- headerOffset >= PacketHeader.byteCount else {
            return .malformed(WireError(.headerTruncated, at: message.byteCount))
        }
        let header = unsafe message.unsafeLoadUnaligned(
            fromUncheckedByteOffset: headerOffset, as: PacketHeader.self)
        guard isValid(header, at: headerOffset, &error) else { return .malformed(error) }
        let payloadOffset = headerOffset &+ PacketHeader.byteCount
        let isPayloadValid =
            switch header.kind {
            case PacketHeader.Kind.records:
                areRecordsValid(message, from: payloadOffset, count: header.count, &error)
            case PacketHeader.Kind.heartbeat: Heartbeat.isValid(message, from: payloadOffset, &error)
            default: isEmpty(message, from: payloadOffset, &error)
            }
        guard isPayloadValid else { return .malformed(error) }
        return .packet(
            PacketView(
                header: header, topicByteCount: topicByteCount, payloadOffset: payloadOffset,
                payloadByteCount: message.byteCount &- payloadOffset))
    }

    /// Bytes before the first NUL, when at most `Topic.byteCountMax` and padded with NULs to a multiple of 8;
    /// else 0.
    @inlinable
    static func topicByteCount(in message: RawSpan, _ error: inout WireError) -> Int {
        let end = min(message.byteCount & ~7, Topic.paddedByteCountMax)
        var offset = 0
        while offset < end {
            let word = UInt64(
                littleEndian: unsafe message.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: offset, as: UInt64.self))
            // The lowest set bit marks the first zero byte (Mycroft 1987; bits above it may be wrong).
            let zeros = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
            guard zeros != 0 else {
                offset &+= 8
                continue
            }
            let index = zeros.trailingZeroBitCount >> 3
            guard word &>> UInt64(truncatingIfNeeded: index &* 8) == 0 else {
                error = WireError(.topicPadding, at: offset &+ index)
                return 0
            }
            if offset &+ index == 0 { error = WireError(.topicEmpty, at: 0) }
            return offset &+ index
        }
        error =
            end == Topic.paddedByteCountMax
            ? WireError(.topicTooLong, at: Topic.byteCountMax)
            : WireError(.topicUnterminated, at: message.byteCount)
        return 0
    }

    @inlinable
    static func isValid(_ header: PacketHeader, at offset: Int, _ error: inout WireError) -> Bool {
        let isRecords = header.kind == PacketHeader.Kind.records
        if header.magic != PacketHeader.magic {
            error = WireError(.magic, at: offset)
        } else if header.version != PacketHeader.version {
            error = WireError(.version, at: offset &+ 2)
        } else if header.kind < PacketHeader.Kind.records || header.kind > PacketHeader.Kind.endOfSession {
            error = WireError(.kind, at: offset &+ 3)
        } else if (header.count > 0) != isRecords {
            error = WireError(.count, at: offset &+ 4)
        } else if header.flags != 0 {
            error = WireError(.flags, at: offset &+ 6)
        } else if header.sequence == 0 || header.sequence > UInt64.max &- UInt64(header.count) {
            error = WireError(.sequence, at: offset &+ 16)
        } else if header.recordFormat != PacketHeader.recordFormat {
            error = WireError(.recordFormat, at: offset &+ 36)
        } else {
            return true
        }
        return false
    }

    @inlinable
    static func areRecordsValid(_ message: RawSpan, from start: Int, count: UInt16, _ error: inout WireError)
        -> Bool
    {
        let end = message.byteCount
        var offset = start
        // An `Int` range: without optimisation, one of another type allocates for each element.
        for _ in 0..<Int(count) {
            guard offset < end else {
                error = WireError(.recordTruncated, at: end)
                return false
            }
            let byteCount =
                Int(unsafe message.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)) &* 4
            guard byteCount >= Record.headerByteCount else {
                error = WireError(.recordTooShort, at: offset)
                return false
            }
            // Before the sum: the error names the record, and the offset stays inside the message.
            guard byteCount <= end &- offset else {
                error = WireError(.recordTruncated, at: offset)
                return false
            }
            offset &+= byteCount
        }
        if offset != end { error = WireError(.trailingBytes, at: offset) }
        return offset == end
    }

    @inlinable
    static func isEmpty(_ message: RawSpan, from start: Int, _ error: inout WireError) -> Bool {
        if message.byteCount != start { error = WireError(.trailingBytes, at: start) }
        return message.byteCount == start
    }
}
