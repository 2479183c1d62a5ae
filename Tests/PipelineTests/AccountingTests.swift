import MarketData
import Testing
import Wire

@testable import Pipeline

/// Every record that should have come is accounted for, in its place. The small model warms up for 20 ticks.
struct AccountingTests {
    private static let books = Make.books(60)

    @Test("A packet of an older session is refused and says nothing of the present one")
    func olderSession() {
        var publisher = TestPublisher()
        let old = publisher.packets(Array(Self.books[..<4]))
        let oldEnd = publisher.end()
        publisher.restart()
        var messages = [publisher.definition()] + publisher.packets(Array(Self.books[..<3]))
        messages += old + [oldEnd] + publisher.packets(Array(Self.books[3..<6]))
        let outcome = run(messages)
        #expect(outcome.stream.outline == ["1", "2", "3", "4", "5", "6"])
        #expect(outcome[.messagesRefused] == 5)
        #expect(outcome[.sessionChanges] == 0 && outcome[.recordsLost] == 0)
    }

    @Test("A second publisher of one topic is refused by name and changes nothing")
    func secondPublisher() {
        var first = TestPublisher()
        var second = TestPublisher(session: 9, publisher: 77)
        var messages = [first.definition()]
        for book in Self.books[..<10] { messages += [first.packet([book]), second.packet([Make.book(bid: 5)])] }
        let outcome = run(messages)
        var alone = TestPublisher()
        let expected = run([alone.definition()] + alone.packets(Array(Self.books[..<10])))
        #expect(outcome.digest == expected.digest)
        #expect(outcome[.messagesRefused] == 10)
        #expect(
            outcome.incidents == [
                "T A: publisher 77 refused, publisher 1 is followed; one topic takes one publisher"
            ])
    }

    @Test("A lost packet is counted, told in its place, and makes the signals stale for the warm-up length")
    func lostPacket() {
        var publisher = TestPublisher(session: 5)
        var messages = [publisher.definition()] + publisher.packets(Array(Self.books[..<25]))
        _ = publisher.packet([Self.books[25], Self.books[26]])
        messages += publisher.packets(Array(Self.books[27..<60]))
        let outcome = run(messages)
        #expect(outcome[.recordsLost] == 2 && outcome[.gapsPublished] == 1)
        let stream = outcome.stream
        #expect(stream.outline == outline(1...25, "gap 26+2 lostOnInput 5", 28...60))
        #expect(stream.signals.map { $0.has(.staleAfterGap) } == (0..<58).map { (25..<45).contains($0) })
        #expect(stream.signals.map { $0.has(.warmingUp) } == (0..<58).map { $0 < 20 })
    }

    @Test("A packet that comes twice is skipped: same digest")
    func duplicates() {
        var publisher = TestPublisher()
        let packets = publisher.packets(Self.books, of: 7)
        let twice = packets.flatMap { [$0, $0] }
        let once = run([publisher.definition()] + packets)
        let outcome = run([publisher.definition()] + twice)
        #expect(outcome.digest == once.digest)
        #expect(outcome[.recordsDuplicate] == 60 && outcome[.ticks] == 60 && outcome[.recordsLost] == 0)
    }

    @Test("Of a packet that overlaps with what came, the new part is taken")
    func overlap() {
        var publisher = TestPublisher()
        var overlapping = TestPublisher()
        overlapping.nextSequence = 8
        let messages = [
            publisher.definition(), publisher.packet(Array(Self.books[..<10])),
            overlapping.packet(Array(Self.books[7..<15])),
        ]
        let outcome = run(messages)
        var alone = TestPublisher()
        #expect(outcome.digest == run([alone.definition()] + alone.packets(Array(Self.books[..<15]))).digest)
        #expect(outcome[.recordsDuplicate] == 3 && outcome[.recordsReceived] == 15)
    }

    @Test("A heartbeat reveals that the tail was lost")
    func heartbeat() {
        var publisher = TestPublisher()
        var messages = [publisher.definition(), publisher.packet([Self.books[0]]), publisher.heartbeat()]
        _ = publisher.packet(Array(Self.books[1..<4]))
        messages += [publisher.heartbeat(), publisher.heartbeat(), publisher.packet([Self.books[4]])]
        let outcome = run(messages)
        #expect(outcome.stream.outline == ["1", "gap 2+3 lostOnInput 1", "5"])
        #expect(outcome[.recordsLost] == 3 && outcome[.heartbeatsReceived] == 3)
    }

    @Test("The end of a session reveals that the tail was lost")
    func endOfSession() {
        var publisher = TestPublisher()
        var messages = [publisher.definition(), publisher.packet([Self.books[0]])]
        _ = publisher.packet([Self.books[1]])
        messages.append(publisher.end())
        let outcome = run(messages)
        #expect(outcome.stream.outline == ["1", "gap 2+1 lostOnInput 1"])
        #expect(outcome[.sessionsEnded] == 1)
    }

    @Test("A publisher that restarts without an end resets the state, and its loss has no known count")
    func restart() throws {
        var publisher = TestPublisher()
        var messages = [publisher.definition()] + publisher.packets(Array(Self.books[..<30]))
        publisher.restart()
        messages += publisher.packets(Array(Self.books[..<30]))
        let outcome = run(messages)
        let stream = outcome.stream
        #expect(stream.outline == outline(1...30, "gap 1+? lostOnInput 2", 1...30))
        #expect(outcome[.sessionChanges] == 1 && outcome[.resets] == 1)
        let signals = stream.signals
        try #require(signals.count == 60)
        #expect(signals.indices.filter { signals[$0].has(.firstAfterReset) } == [0, 30])
        #expect(signals.map { $0.has(.warmingUp) } == (0..<60).map { $0 % 30 < 20 })
        #expect(signals.allSatisfy { !$0.has(.staleAfterGap) }, "a reset state is fresh, not stale")
        // The same records from a fresh state: the same predictions.
        let bits = signals.map { [$0.probabilityDown.bitPattern, $0.probabilityUp.bitPattern] }
        #expect(Array(bits[..<30]) == Array(bits[30...]))
    }

    @Test("A new session after an orderly end tells no loss, and one that begins late tells how much")
    func orderlyRestart() {
        var publisher = TestPublisher()
        var messages = [publisher.definition()] + publisher.packets(Array(Self.books[..<2])) + [publisher.end()]
        publisher.restart()
        messages += publisher.packets(Array(Self.books[..<2])) + [publisher.end()]
        publisher.restart()
        publisher.nextSequence = 4
        messages += publisher.packets(Array(Self.books[..<2]))
        let outcome = run(messages)
        #expect(outcome.stream.outline == ["1", "2", "1", "2", "gap 1+3 lostOnInput 3", "4", "5"])
        #expect(outcome.stream.signals.map { $0.has(.firstAfterReset) } == [true, false, true, false, true, false])
        #expect(outcome[.recordsLost] == 3)
    }

    @Test("Who joins in the middle has lost nothing")
    func join() {
        var publisher = TestPublisher()
        publisher.nextSequence = 101
        let outcome = run([publisher.definition()] + publisher.packets(Array(Self.books[..<3])))
        #expect(outcome.stream.outline == ["101", "102", "103"])
        #expect(outcome[.recordsBeforeJoin] == 100 && outcome[.recordsLost] == 0)
    }

    @Test("A sequence that jumps by more than a gap record counts is told as unknown")
    func hugeGap() {
        var publisher = TestPublisher()
        var messages = [publisher.definition(), publisher.packet([Self.books[0]])]
        let far = 2 + SequenceTracker.lossMax
        publisher.nextSequence = far
        messages.append(publisher.packet([Self.books[1]]))
        let outcome = run(messages)
        #expect(outcome.stream.gaps.map(\.count) == [GapRecord.unknownCount])
        #expect(outcome.stream.signals.map(\.inputSequence) == [1, far])
    }

    @Test("A header that would mean a loss beyond belief is refused by name, and what follows is taken")
    func forgedSequence() {
        let forgeries: [UInt64] = [3 + SequenceTracker.lossMax, 1 << 40, .max - 1]
        for forged in forgeries {
            var publisher = TestPublisher()
            var messages = [publisher.definition(), publisher.packet([Self.books[0]])]
            publisher.nextSequence = forged
            messages.append(publisher.packet([Self.books[1]]))
            publisher.nextSequence = 2
            messages.append(publisher.packet([Self.books[1]]))
            let outcome = run(messages)
            #expect(outcome.stream.outline == ["1", "2"] && outcome[.recordsLost] == 0)
            #expect(outcome[.messagesRefused] == 1)
            #expect(outcome.incidents == ["T A: a packet refused that would mean a loss of more than 2^32 records"])
        }
    }

    @Test("An instrument defined anew starts afresh with its new tick size")
    func redefinition() {
        var publisher = TestPublisher()
        var messages = [publisher.definition()] + publisher.packets(Array(Self.books[..<25]))
        messages += [publisher.definition(), publisher.definition(tickSize: 2 * Make.tickSize)]
        messages += publisher.packets(Array(Self.books[25..<50]))
        let signals = run(messages).stream.signals
        #expect(signals.map(\.inputSequence) == Array(1...50))
        #expect(signals.indices.filter { signals[$0].has(.firstAfterReset) } == [0, 25])
    }
}
