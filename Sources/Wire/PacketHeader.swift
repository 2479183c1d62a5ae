/// The 40 bytes that open every packet, little-endian. Byte by byte in `docs/WIRE.md`.
///
/// The idea is MoldUDP64's: a session and a sequence number make every loss visible, to the record.
@frozen
public struct PacketHeader: BitwiseCopyable, Equatable, Sendable {
    @inlinable public static var magic: UInt16 { 0x544D }  // "MT" in memory order.
    @inlinable public static var version: UInt8 { 1 }
    @inlinable public static var byteCount: Int { 40 }
    /// The DBN version whose record layouts version 1 of the protocol carries.
    @inlinable public static var recordFormat: UInt8 { 3 }

    /// Bytes of the largest message, topic included: above it batching gains nothing, and a receiver's queue of so many
    /// messages is bounded in bytes as well.
    @inlinable public static var messageByteCountMax: Int { 65_536 }

    /// What a packet carries.
    public enum Kind {
        @inlinable public static var records: UInt8 { 1 }
        @inlinable public static var heartbeat: UInt8 { 2 }
        @inlinable public static var endOfSession: UInt8 { 3 }
    }

    public var magic: UInt16
    public var version: UInt8
    /// A value of `Kind`.
    public var kind: UInt8
    /// Records in this packet.
    public var count: UInt16
    /// Zero in version 1.
    public var flags: UInt16
    /// Larger is newer, per publisher and topic; nanoseconds since the epoch.
    public var session: UInt64
    /// Number of the first record, from 1, per publisher, session and topic; a heartbeat and an end of
    /// session carry the number that the next record has or would have.
    public var sequence: UInt64
    /// When the packet was sent, nanoseconds since the epoch.
    public var sentTimestamp: UInt64
    /// Tells two publishers of one topic apart.
    public var publisher: UInt32
    /// DBN version of the records.
    public var recordFormat: UInt8
    /// Sent as zero; a receiver does not look at it.
    public var reserved0: UInt8
    /// Sent as zero; a receiver does not look at it.
    public var reserved1: UInt16

    /// The number of the record that follows this packet's last. Cannot overflow in a parsed packet.
    @inlinable public var nextSequence: UInt64 { sequence &+ UInt64(count) }

    @inlinable
    public init(
        kind: UInt8, count: UInt16, session: UInt64, sequence: UInt64, sentTimestamp: UInt64,
        publisher: UInt32,
        recordFormat: UInt8 = PacketHeader.recordFormat
    ) {
        self.magic = PacketHeader.magic
        self.version = PacketHeader.version
        self.kind = kind
        self.count = count
        self.flags = 0
        self.session = session
        self.sequence = sequence
        self.sentTimestamp = sentTimestamp
        self.publisher = publisher
        self.recordFormat = recordFormat
        self.reserved0 = 0
        self.reserved1 = 0
    }
}

#if _endian(big)
    #error(
        "Packets are little-endian, read and written in place: a big-endian machine needs byte swaps."
    )
#endif
