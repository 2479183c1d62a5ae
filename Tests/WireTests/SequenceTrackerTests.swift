import Testing
import Wire

@Suite struct SequenceTrackerTests {
    private func header(
        _ sequence: UInt64, _ count: UInt16, session: UInt64 = 5, kind: UInt8 = PacketHeader.Kind.records
    ) -> PacketHeader {
        PacketHeader(
            kind: kind, count: count, session: session, sequence: sequence, sentTimestamp: 0, publisher: 1)
    }

    private func feed(_ headers: [PacketHeader]) -> ([SequenceOutcome], SequenceTracker) {
        var tracker = SequenceTracker()
        let outcomes = headers.map { tracker.feed($0, now: 0) }
        return (outcomes, tracker)
    }

    @Test func `What came before the join is not lost`() {
        let (outcomes, tracker) = feed([header(11, 5), header(16, 1)])
        #expect(outcomes == [.beforeJoin(count: 10), .inOrder])
        #expect(
            tracker.beforeJoin == 10 && tracker.lost == 0 && tracker.received == 6 && tracker.expected == 17)
        #expect(feed([header(1, 5)]).0 == [.inOrder])
    }

    @Test func `A jump is a gap, and what comes again is skipped`() {
        let (outcomes, tracker) = feed([header(1, 2), header(5, 2), header(5, 2), header(6, 3), header(1, 1)])
        #expect(
            outcomes == [
                .inOrder, .gap(from: 3, count: 2), .duplicate(skip: 2), .duplicate(skip: 1),
                .duplicate(skip: 1),
            ])
        #expect(
            tracker.lost == 2 && tracker.duplicates == 4 && tracker.received == 6 && tracker.expected == 9)
    }

    @Test func `Heartbeats and ends reveal a loss at the tail`() {
        let heartbeat = PacketHeader.Kind.heartbeat
        let end = PacketHeader.Kind.endOfSession
        let (outcomes, tracker) = feed([
            header(1, 2), header(3, 0, kind: heartbeat), header(5, 0, kind: heartbeat),
            header(2, 0, kind: heartbeat),
            header(6, 0, kind: end),
        ])
        #expect(outcomes == [.inOrder, .inOrder, .gap(from: 3, count: 2), .inOrder, .gap(from: 5, count: 1)])
        #expect(tracker.lost == 3 && tracker.isEnded)
        let (joined, joinedTracker) = feed([header(9, 0, kind: heartbeat), header(9, 1)])
        #expect(joined == [.beforeJoin(count: 8), .inOrder] && joinedTracker.lost == 0)
    }

    @Test func `A new session after an end has lost nothing that is unknown`() {
        let end = PacketHeader.Kind.endOfSession
        let (outcomes, tracker) = feed([header(1, 2), header(3, 0, kind: end), header(4, 1, session: 6)])
        #expect(outcomes[2] == .newSession(missing: 3, isTailUnknown: false))
        #expect(
            tracker.lost == 3 && tracker.sessionChanges == 1 && tracker.unknownLosses == 0 && !tracker.isEnded
        )
    }

    @Test func `A new session without an end may have lost the old one's tail, and an old session is stale`() {
        let (outcomes, tracker) = feed([
            header(1, 2), header(1, 1, session: 6), header(3, 1), header(2, 1, session: 6),
        ])
        #expect(
            outcomes == [.inOrder, .newSession(missing: 0, isTailUnknown: true), .staleSession, .inOrder])
        #expect(tracker.unknownLosses == 1 && tracker.stalePackets == 1 && tracker.lost == 0)
    }

    @Test func `A loss beyond belief is refused and changes nothing`() {
        let far = 3 + SequenceTracker.lossMax
        let (outcomes, tracker) = feed([
            header(1, 2), header(far + 1, 1), header(far, 1, session: 6), header(3, 1), header(far + 1, 1),
        ])
        #expect(
            outcomes == [
                .inOrder, .implausibleLoss, .implausibleLoss, .inOrder,
                .gap(from: 4, count: SequenceTracker.lossMax),
            ])
        #expect(tracker.session == 5 && tracker.lost == SequenceTracker.lossMax && tracker.implausiblePackets == 2)
    }

    @Test func `A session of the future is refused, first or later, and changes nothing`() {
        let now: UInt64 = 1_700_000_000_000_000_000
        var tracker = SequenceTracker()
        let latest = now + SequenceTracker.aheadMax
        for (session, outcome) in [
            (latest + 1, .futureSession), (now, .inOrder), (latest + 1, .futureSession), (.max, .futureSession),
            (latest, .newSession(missing: 0, isTailUnknown: true)),
        ] as [(UInt64, SequenceOutcome)] {
            #expect(tracker.feed(header(1, 1, session: session), now: now) == outcome)
        }
        #expect(tracker.session == latest && tracker.implausiblePackets == 3 && tracker.received == 2)
        #expect(tracker.feed(header(1, 1, session: .max), now: 0) != .futureSession)
    }

    @Test func `A session that survives a restart goes on after its end`() {
        let end = PacketHeader.Kind.endOfSession
        let (outcomes, tracker) = feed([header(1, 2), header(3, 0, kind: end), header(3, 2)])
        #expect(outcomes == [.inOrder, .inOrder, .inOrder] && tracker.received == 4 && !tracker.isEnded)
    }

    @Test func `Hostile headers never trap and counters stay at their limit`() {
        var generator = SeededGenerator(seed: 3)
        let edges: [UInt64] = [0, 1, 2, .max, .max - 1, 1 << 63]
        var tracker = SequenceTracker()
        for _ in 0..<50_000 {
            var hostile = header(
                edges.randomElement(using: &generator)!, UInt16.random(in: 0...(.max), using: &generator),
                session: edges.randomElement(using: &generator)!,
                kind: UInt8.random(in: 0...4, using: &generator))
            if Bool.random(using: &generator) { hostile.sequence = generator.next() }
            let before = tracker
            let outcome = tracker.feed(hostile, now: Bool.random(using: &generator) ? 1 << 60 : 0)
            if case .duplicate(let skip) = outcome { #expect(skip >= 0 && skip <= Int(hostile.count)) }
            #expect(tracker.lost >= before.lost && tracker.received >= before.received)
            #expect(tracker.session >= before.session)
            if Int.random(in: 0..<100, using: &generator) == 0 { tracker = SequenceTracker() }
        }
    }

    /// A publisher sends numbered records in packets of random cuts; packets are dropped and repeated at
    /// random. A plain set of numbers says what must be counted: every record is received once, lost, or
    /// before the join.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func `Every record is received once, lost or before the join`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var packets: [PacketHeader] = []
        var next: UInt64 = 1
        while next < 500 {
            let count = UInt16.random(in: 0...7, using: &generator)
            let kind = count > 0 ? PacketHeader.Kind.records : PacketHeader.Kind.heartbeat
            packets.append(header(next, count, kind: kind))
            next += UInt64(count)
        }
        packets.removeFirst(Int.random(in: 0..<packets.count / 2, using: &generator))
        var tracker = SequenceTracker()
        var delivered: [UInt64] = []
        var duplicates: UInt64 = 0
        var first: UInt64?
        var sent: [PacketHeader] = []
        for packet in packets where Int.random(in: 0..<4, using: &generator) > 0 {
            sent.append(packet)
            if Int.random(in: 0..<5, using: &generator) == 0,
                let again = sent.randomElement(using: &generator)
            {
                sent.append(again)
            }
        }
        sent.append(header(next, 0, kind: PacketHeader.Kind.endOfSession))
        for packet in sent {
            first = first ?? packet.sequence
            var skip: UInt64 = 0
            if case .duplicate(let count) = tracker.feed(packet, now: 0) { skip = UInt64(count) }
            duplicates += skip
            delivered += Array(packet.sequence + skip..<packet.nextSequence)
        }
        #expect(Set(delivered).count == delivered.count && delivered == delivered.sorted())
        #expect(tracker.received == UInt64(delivered.count) && tracker.duplicates == duplicates)
        #expect(tracker.beforeJoin == (first ?? 0) - 1)
        #expect(tracker.beforeJoin + tracker.received + tracker.lost == next - 1)
    }
}
