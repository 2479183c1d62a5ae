/// Why bytes are not a message of this protocol, and where.
///
/// A small value without a heap part: the hot path returns it, cold code throws it.
@frozen
public struct WireError: Error, Equatable, Sendable, BitwiseCopyable {
    /// What is wrong.
    @frozen
    public enum What: UInt8, Sendable, BitwiseCopyable, CaseIterable {
        /// No NUL in the first `Topic.paddedByteCountMax` bytes.
        case topicTooLong
        /// The message ends before the topic's NUL.
        case topicUnterminated
        /// The message begins with a NUL.
        case topicEmpty
        /// A byte of the topic's padding is not NUL.
        case topicPadding
        /// The topic's text is not one that `Topic` writes.
        case topicText
        /// The message ends inside the header.
        case headerTruncated
        case magic
        case version
        /// Not a kind that this version knows.
        case kind
        /// A flag is set; version 1 has none.
        case flags
        /// The records are not of DBN version 3.
        case recordFormat
        /// Sequence 0, or one past the largest integer.
        case sequence
        /// No records in a records packet, or some in another.
        case count
        /// A record's length byte says less than a record header.
        case recordTooShort
        /// A record, or the count of records, reaches past the end of the message.
        case recordTruncated
        /// Bytes follow the last record that the header counts.
        case trailingBytes
        /// The heartbeat's address is not what its length says, or not UTF-8.
        case heartbeatAddress
        /// A retransmission request asks for no records, or says a topic length that is not that of its
        /// topic.
        case request
        /// A retransmission response with an unknown status.
        case status
        /// The message is longer than the protocol allows.
        case messageTooLong
    }

    public var what: What
    /// Where, in bytes from the start of the message (of the topic, for an error of `Topic`).
    public var offset: Int

    @inlinable
    public init(_ what: What, at offset: Int) {
        self.what = what
        self.offset = offset
    }
}

extension WireError: CustomStringConvertible {
    public var description: String { "\(WireError.explanation(of: what)), at byte \(offset)" }

    private static func explanation(of what: What) -> String {
        switch what {
        case .topicTooLong: "the topic is longer than \(Topic.byteCountMax) bytes"
        case .topicUnterminated: "the message ends before the topic's NUL"
        case .topicEmpty: "the topic is empty"
        case .topicPadding: "the topic's padding is not NUL"
        case .topicText: "the topic is not one of md/…, sig/… and def/… with non-empty, escaped components"
        case .headerTruncated: "the message ends inside the \(PacketHeader.byteCount)-byte header"
        case .magic: "the packet does not begin with \"MT\""
        case .version: "the packet's version is not \(PacketHeader.version)"
        case .kind: "the packet's kind is not 1 (records), 2 (heartbeat) or 3 (end of session)"
        case .flags: "the packet's flags are not 0"
        case .recordFormat: "the records' format is not \(PacketHeader.recordFormat) (DBN version 3)"
        case .sequence: "the sequence is 0 or too large"
        case .count: "the record count does not suit the packet's kind"
        case .recordTooShort: "a record says that it is shorter than its 16-byte header"
        case .recordTruncated: "the message ends inside a record"
        case .trailingBytes: "bytes follow the last record"
        case .heartbeatAddress: "the heartbeat's address is not its length, UTF-8 text and NUL padding"
        case .request: "the request's count is 0 or its topic length is wrong"
        case .status: "the response's status is unknown"
        case .messageTooLong: "the message is longer than \(PacketHeader.messageByteCountMax) bytes"
        }
    }
}
