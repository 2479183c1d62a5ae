internal import Wire

/// What stands before the records of one packet in a tick ring: written by ingest, read by the worker.
///
/// The two gaps say what is missing in front of these records, in this order: dropped by this process, then lost before
/// it.
struct TickEnvelope: BitwiseCopyable {
    enum Kind {
        /// Records of one packet follow, none for a gap alone.
        static let records: UInt64 = 1
        /// A definition: the worker (re)builds the instrument's state.
        static let definition: UInt64 = 2
        /// Ingest has finished; nothing follows.
        static let end: UInt64 = 3
    }

    static let byteCount = 96

    var kind: UInt64
    /// Index of the instrument in the registry.
    var instrument: UInt32
    /// Records that follow.
    var recordCount: UInt32
    /// Monotonic nanoseconds at which the message was received; 0 without a clock.
    var receivedAt: UInt64
    /// Session of the input stream.
    var session: UInt64
    /// Sequence of the first record that follows.
    var sequence: UInt64
    /// Sequence of the first record of this session that could have come: what went before it is not missing.
    var firstSequence: UInt64
    var lost: MissingRange
    var dropped: MissingRange
    /// Session of the dropped records: they may be the end of an older one.
    var droppedSession: UInt64
    /// Records that the ring had taken before this one: what comes out of a slot beside the ring waits for them.
    var ringCount: UInt64

    init(kind: UInt64) {
        self.kind = kind
        instrument = 0
        recordCount = 0
        receivedAt = 0
        session = 0
        sequence = 0
        firstSequence = 0
        lost = .none
        dropped = .none
        droppedSession = 0
        ringCount = 0
    }
}

/// A run of missing records.
struct MissingRange: BitwiseCopyable, Equatable {
    /// Sequence of the first missing record.
    var first: UInt64
    /// Missing records; 0 for none. `GapRecord.unknownCount` if it cannot be known.
    var count: UInt32
    /// A value of `GapReason`, 0 for none.
    var reason: UInt32

    static let none = MissingRange(first: 0, count: 0, reason: 0)

    var isUnknown: Bool { count == GapRecord.unknownCount }
}

/// What stands before the signal records of one tick in a signal ring: written by a worker, read by the publisher.
struct SignalEnvelope: BitwiseCopyable {
    enum Kind {
        static let records: UInt32 = 1
        static let end: UInt32 = 2
    }

    static let byteCount = 56

    var kind: UInt32
    var instrument: UInt32
    /// Signal and gap records that follow.
    var recordCount: UInt64
    /// As in the tick envelope: what the latency is measured from. 0 for records that measure nothing.
    var receivedAt: UInt64
    /// Session and sequence of the tick's last input record; 0 for a gap alone.
    var session: UInt64
    var inputSequence: UInt64
    /// As in the tick envelope.
    var firstSequence: UInt64
    /// As in the tick envelope.
    var ringCount: UInt64

    init(kind: UInt32) {
        self.kind = kind
        instrument = 0
        recordCount = 0
        receivedAt = 0
        session = 0
        inputSequence = 0
        firstSequence = 0
        ringCount = 0
    }

    /// For the signals of the tick that the record with this sequence has completed.
    init(_ envelope: TickEnvelope, _ sequence: UInt64, recordCount count: Int) {
        kind = Kind.records
        instrument = envelope.instrument
        recordCount = UInt64(count)
        receivedAt = envelope.receivedAt
        session = envelope.session
        inputSequence = sequence
        firstSequence = envelope.firstSequence
        ringCount = 0
    }
}
