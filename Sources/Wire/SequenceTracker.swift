public import MarketData

/// What a packet's session and sequence say about the records before it and in it.
@frozen
public enum SequenceOutcome: Equatable, Sendable, BitwiseCopyable {
    /// All that was expected. Take the packet's records.
    case inOrder
    /// `count` records are missing, the first of them number `from`. Take the packet's records.
    case gap(from: UInt64, count: UInt64)
    /// The first `skip` records of the packet came before. Take the rest, if any.
    case duplicate(skip: Int)
    /// The first packet seen: `count` records went before it and are not lost. Take the packet's records.
    case beforeJoin(count: UInt64)
    /// The publisher started anew. `missing` records of the new session went before this packet; if
    /// `isTailUnknown`, the old session did not say that it ended, so some of its last records may be lost.
    /// Take the packet's records.
    case newSession(missing: UInt64, isTailUnknown: Bool)
    /// The packet is of an older session than the last one seen. Take nothing.
    case staleSession
    /// The sequence is further ahead than any stream can lose: a forged or broken header. Take nothing.
    case implausibleLoss
    /// The session, which names the time at which it began, lies in the future. Take nothing.
    case futureSession
}

/// Accounts for every record of one (publisher, topic): what came, what was lost, what came twice.
///
/// A value that belongs to the agent that receives. It does not allocate and never traps, whatever the
/// headers say. Retransmitted packets do not pass through it.
@frozen
public struct SequenceTracker: BitwiseCopyable, Equatable, Sendable {
    /// Session of the last packet; 0 before the first.
    public private(set) var session: UInt64 = 0
    /// The number that the next record should have; 0 before the first packet.
    public private(set) var expected: UInt64 = 0
    /// The last packet was an end of session.
    public private(set) var isEnded = false

    /// Records received, duplicates not counted.
    public private(set) var received: UInt64 = 0
    /// Records known to be lost.
    public private(set) var lost: UInt64 = 0
    /// Records of the first session that were published before the first packet came.
    public private(set) var beforeJoin: UInt64 = 0
    /// Records that came again.
    public private(set) var duplicates: UInt64 = 0
    /// Packets refused because no stream can have lost so much before them, or begun so late.
    public private(set) var implausiblePackets: UInt64 = 0
    /// Packets of an older session, refused.
    public private(set) var stalePackets: UInt64 = 0
    /// Changes to a newer session.
    public private(set) var sessionChanges: UInt64 = 0
    /// Changes of session without the old one's end: each may have lost records that nobody can count.
    public private(set) var unknownLosses: UInt64 = 0

    /// The largest loss that is believed, in records: hours of the busiest feed. Followed further, one forged header
    /// would make all that comes after it a duplicate.
    @inlinable public static var lossMax: UInt64 { 1 << 32 }
    /// How far ahead of the clock a session may begin, in nanoseconds: clocks differ, but not by days. Followed
    /// further, one forged header would make every true session after it stale.
    @inlinable public static var aheadMax: UInt64 { Timestamp.nanosecondsPerDay }

    public init() {}

    /// Takes account of one packet, and says which of its records to take.
    ///
    /// - Parameter now: wall time in nanoseconds since 1970, asked for at a change of session alone; 0 without a clock,
    ///   where any session is believed.
    public mutating func feed(_ header: PacketHeader, now: @autoclosure () -> UInt64) -> SequenceOutcome {
        let outcome: SequenceOutcome
        if header.session > session, isFuture(header.session, now: now()) {
            implausiblePackets.addSaturating(1)
            return .futureSession
        } else if expected == 0 {
            outcome = join(header)
        } else if header.session < session {
            stalePackets.addSaturating(1)
            return .staleSession
        } else if missing(before: header) > SequenceTracker.lossMax {
            implausiblePackets.addSaturating(1)
            return .implausibleLoss
        } else if header.session > session {
            outcome = change(header)
        } else {
            outcome = advance(header)
        }
        isEnded = header.kind == PacketHeader.Kind.endOfSession
        return outcome
    }

    private func isFuture(_ session: UInt64, now: UInt64) -> Bool {
        now > 0 && session > now && session &- now > SequenceTracker.aheadMax
    }

    /// Records that a packet would have us miss.
    private func missing(before header: PacketHeader) -> UInt64 {
        let next = header.session > session ? 1 : expected
        return header.sequence > next ? header.sequence &- next : 0
    }

    private mutating func join(_ header: PacketHeader) -> SequenceOutcome {
        start(header)
        beforeJoin = header.sequence &- 1
        return beforeJoin == 0 ? .inOrder : .beforeJoin(count: beforeJoin)
    }

    private mutating func change(_ header: PacketHeader) -> SequenceOutcome {
        let isTailUnknown = !isEnded
        start(header)
        let missing = header.sequence &- 1
        lost.addSaturating(missing)
        sessionChanges.addSaturating(1)
        if isTailUnknown { unknownLosses.addSaturating(1) }
        return .newSession(missing: missing, isTailUnknown: isTailUnknown)
    }

    private mutating func start(_ header: PacketHeader) {
        session = header.session
        expected = max(header.nextSequence, 1)
        received.addSaturating(UInt64(header.count))
    }

    private mutating func advance(_ header: PacketHeader) -> SequenceOutcome {
        let count = UInt64(header.count)
        guard header.sequence < expected else {
            let from = expected
            let missing = header.sequence &- from
            expected = max(header.nextSequence, 1)
            received.addSaturating(count)
            lost.addSaturating(missing)
            return missing == 0 ? .inOrder : .gap(from: from, count: missing)
        }
        // Without records there is nothing to skip: a heartbeat that is behind tells nothing new.
        guard count > 0 else { return .inOrder }
        let skip = min(expected &- header.sequence, count)
        duplicates.addSaturating(skip)
        received.addSaturating(count &- skip)
        expected = max(expected, header.nextSequence)
        return .duplicate(skip: Int(skip))
    }
}

extension UInt64 {
    /// A counter that a hostile sequence number drives to its limit stays there.
    fileprivate mutating func addSaturating(_ value: UInt64) {
        let (sum, overflow) = addingReportingOverflow(value)
        self = overflow ? .max : sum
    }
}
