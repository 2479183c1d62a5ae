/// Writes messages into the caller's memory: topic, header, records.
///
/// One builder serves any number of messages, one at a time, without allocating: `begin`, `append` until it
/// says that the memory is full, `finish`. It does not own the memory, which must outlive it. Used on one
/// thread.
@frozen
public struct PacketBuilder: ~Copyable {
    @usableFromInline let memory: UnsafeMutableRawBufferPointer
    @usableFromInline var payloadOffset: Int
    @usableFromInline var end: Int
    @usableFromInline var recordCount: Int

    /// Bytes of the message so far, topic and header included.
    @inlinable public var byteCount: Int { end }
    /// Records in the message so far.
    @inlinable public var count: Int { recordCount }

    /// A builder that writes into `memory`: at least the longest topic and a header, so that `begin` cannot
    /// fail. What is longer than a message may be (64 KiB, so that a count of records is a u16) is not used.
    @inlinable
    public init(memory: UnsafeMutableRawBufferPointer) {
        precondition(
            memory.count >= Topic.paddedByteCountMax + PacketHeader.byteCount,
            "The memory holds the longest topic and a header.")
        unsafe self.memory = UnsafeMutableRawBufferPointer(
            rebasing: memory[..<min(memory.count, PacketHeader.messageByteCountMax)])
        self.payloadOffset = 0
        self.end = 0
        self.recordCount = 0
    }

    /// Starts a message with the text of a topic, which is not padded.
    public mutating func begin(topic: [UInt8]) {
        topic.withUnsafeBytes { bytes in unsafe begin(topic: bytes) }
    }

    /// Starts a message with the text of a topic, which is not padded.
    @inlinable
    public mutating func begin(topic: UnsafeRawBufferPointer) {
        precondition(topic.count >= 1 && topic.count <= Topic.byteCountMax, "A topic has 1 to 511 bytes.")
        let padded = Topic.paddedByteCount(topic.count)
        // The last word holds the end of the text, if any, and the padding.
        unsafe memory.storeBytes(of: 0, toByteOffset: padded &- 8, as: UInt64.self)
        unsafe memory.copyMemory(from: topic)
        payloadOffset = padded &+ PacketHeader.byteCount
        end = payloadOffset
        recordCount = 0
    }

    /// Starts another message with the topic of the one before.
    @inlinable
    public mutating func beginAgain() {
        precondition(payloadOffset > 0, "A message was begun before.")
        end = payloadOffset
        recordCount = 0
    }

    /// Adds one or more whole records; false, and nothing added, when they do not fit any more.
    @inlinable
    public mutating func append(_ records: UnsafeRawBufferPointer, count added: Int = 1) -> Bool {
        precondition(payloadOffset > 0, "A message was begun.")
        guard records.count <= memory.count &- end else { return false }
        unsafe UnsafeMutableRawBufferPointer(rebasing: memory[end...]).copyMemory(from: records)
        end &+= records.count
        recordCount &+= added
        return true
    }

    /// Adds one record; false, and nothing added, when it does not fit any more.
    @inlinable
    public mutating func append(_ record: RawSpan) -> Bool {
        record.withUnsafeBytes { bytes in unsafe append(bytes) }
    }

    /// Adds one signal record; false, and nothing added, when it does not fit any more.
    @inlinable
    public mutating func append(_ record: SignalRecord) -> Bool {
        withUnsafeBytes(of: record) { bytes in unsafe append(bytes) }
    }

    /// Adds one gap record; false, and nothing added, when it does not fit any more.
    @inlinable
    public mutating func append(_ record: GapRecord) -> Bool {
        withUnsafeBytes(of: record) { bytes in unsafe append(bytes) }
    }

    /// Writes the header of a packet of records and returns the message, valid until the next `begin`.
    ///
    /// - Parameter sequence: the number of the first record, at least 1.
    @inlinable
    public mutating func finish(
        sequence: UInt64, session: UInt64, sentTimestamp: UInt64, publisher: UInt32
    ) -> UnsafeRawBufferPointer {
        precondition(count > 0, "A packet of records has records.")
        let kind = PacketHeader.Kind.records
        return unsafe close(kind, sequence, session, sentTimestamp, publisher)
    }

    /// Makes the begun message, which has no records, a heartbeat with `payload` (from `Heartbeat.payload`).
    ///
    /// - Parameter sequence: the number that the next record will have.
    /// - Returns: the message, or nil if the memory is too small for the payload.
    public mutating func finishHeartbeat(
        payload: [UInt8], sequence: UInt64, session: UInt64, sentTimestamp: UInt64, publisher: UInt32
    ) -> UnsafeRawBufferPointer? {
        precondition(count == 0, "A heartbeat has no records.")
        let fits = payload.withUnsafeBytes { bytes in unsafe append(bytes, count: 0) }
        guard fits else { return nil }
        return unsafe close(PacketHeader.Kind.heartbeat, sequence, session, sentTimestamp, publisher)
    }

    /// Makes the begun message, which has no records, the end of the session.
    ///
    /// - Parameter sequence: the number that the next record would have.
    public mutating func finishEndOfSession(
        sequence: UInt64, session: UInt64, sentTimestamp: UInt64, publisher: UInt32
    ) -> UnsafeRawBufferPointer {
        precondition(count == 0, "An end of session has no records.")
        return unsafe close(PacketHeader.Kind.endOfSession, sequence, session, sentTimestamp, publisher)
    }

    @inlinable
    mutating func close(
        _ kind: UInt8, _ sequence: UInt64, _ session: UInt64, _ sentTimestamp: UInt64, _ publisher: UInt32
    ) -> UnsafeRawBufferPointer {
        precondition(payloadOffset > 0, "A message was begun.")
        precondition(sequence >= 1, "Sequences count from 1.")
        let header = PacketHeader(
            kind: kind, count: UInt16(truncatingIfNeeded: count), session: session, sequence: sequence,
            sentTimestamp: sentTimestamp, publisher: publisher)
        unsafe memory.storeBytes(
            of: header, toByteOffset: payloadOffset &- PacketHeader.byteCount, as: PacketHeader.self)
        return unsafe UnsafeRawBufferPointer(rebasing: memory[0..<byteCount])
    }
}
