import MarketData
import Testing
import Wire

@Suite struct PacketBuilderTests {
    static let session: UInt64 = 1_700_000_000_000_000_000
    static let sent: UInt64 = 1_700_000_000_123_456_789

    @Test func `Memory too small for a topic and its header traps`() async {
        await #expect(processExitsWith: .failure) {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 551, alignment: 8)
            _ = PacketBuilder(memory: memory)
        }
    }

    @Test func `A packet without records traps`() async {
        await #expect(processExitsWith: .failure) {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 552, alignment: 8)
            var builder = PacketBuilder(memory: memory)
            builder.begin(topic: Topic.ticks(dataset: "X", symbol: "A"))
            _ = builder.finish(sequence: 1, session: 1, sentTimestamp: 0, publisher: 0)
        }
    }

    @Test func `Built messages are the golden ones, in memory used before`() throws {
        let file = try Golden.file()
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 8)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0xAA)
        var builder = PacketBuilder(memory: memory)
        builder.begin(topic: Topic.signals(model: "default", dataset: "XNAS.ITCH", symbol: "BRK.B"))
        let taken = [
            builder.append(signal(horizon: 10, direction: 1, probabilities: (0.125, 0.25, 0.625))),
            builder.append(signal(horizon: 20, direction: 0, probabilities: (0.25, 0.5, 0.25))),
            builder.append(gap()),
        ]
        #expect(taken == [true, true, true] && builder.count == 3 && builder.byteCount == 344)
        let signals = Array(
            builder.finish(
                sequence: 42, session: Self.session, sentTimestamp: Self.sent, publisher: 7))
        #expect(signals == Golden.bytes(file.signalsMessage))

        builder.begin(topic: Topic.ticks(dataset: "XNAS.ITCH", symbol: "BRK/B"))
        let trade = Golden.bytes(file.trade)
        let tradeTaken = builder.append(trade.span.bytes)
        #expect(tradeTaken)
        let ticks = Array(
            builder.finish(sequence: 7, session: Self.session, sentTimestamp: Self.sent, publisher: 7))
        #expect(ticks == Golden.bytes(file.ticksMessage))

        builder.beginAgain()
        let heartbeat = builder.finishHeartbeat(
            payload: try Heartbeat.payload(address: "tcp://127.0.0.1:5557"), sequence: 8,
            session: Self.session,
            sentTimestamp: Self.sent, publisher: 7
        ).map { Array($0) }
        #expect(heartbeat == Golden.bytes(file.heartbeatMessage))
        builder.beginAgain()
        let end = Array(
            builder.finishEndOfSession(
                sequence: 8, session: Self.session, sentTimestamp: Self.sent, publisher: 7))
        #expect(end == Golden.bytes(file.endMessage))
    }

    /// Every capacity around the edge: a record is taken exactly when it fits, and a refused one leaves no
    /// trace.
    @Test func `A full packet refuses records and stays whole`() {
        for byteCount in 552...(552 + 3 * 112) {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 8)
            defer { memory.deallocate() }
            var builder = PacketBuilder(memory: memory)
            builder.begin(topic: Topic.ticks(dataset: "X", symbol: String(repeating: "A", count: 505)))
            var taken = 0
            while taken < 5, builder.append(SignalRecord()) { taken += 1 }
            #expect(taken == (byteCount - 552) / 112 && builder.count == taken)
            guard taken > 0 else { continue }
            let message = Array(builder.finish(sequence: 1, session: 1, sentTimestamp: 0, publisher: 0))
            #expect(message.count == 552 + taken * 112 && parseError(message) == nil)
        }
    }

    @Test func `A message is never longer than the protocol allows, whatever memory there is`() {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
        defer { memory.deallocate() }
        var builder = PacketBuilder(memory: memory)
        builder.begin(topic: Topic.ticks(dataset: "X", symbol: "A"))
        let record: [UInt8] = [4] + [UInt8](repeating: 0, count: 15)
        var taken = 0
        while builder.append(record.span.bytes) { taken += 1 }
        #expect(taken == (PacketHeader.messageByteCountMax - 48) / 16)
        let message = Array(builder.finish(sequence: 1, session: 1, sentTimestamp: 0, publisher: 0))
        #expect(parseError(message) == nil)
        #expect(
            parseError(message + [UInt8](repeating: 0, count: 1 << 16))
                == WireError(.messageTooLong, at: PacketHeader.messageByteCountMax))
    }

    private func signal(
        horizon: UInt32, direction: Int8, probabilities: (Float, Float, Float)
    ) -> SignalRecord {
        var record = SignalRecord()
        record.publisherID = 2
        record.instrumentID = 1001
        record.venueTimestamp = 1_700_000_000_000_000_100
        record.captureTimestamp = 1_700_000_000_000_000_200
        record.inputSequence = 42
        record.modelID = 0xA7A6_A5A4_A3A2_A1A0
        record.horizon = horizon
        record.direction = direction
        record.flags = 5
        (record.probabilityDown, record.probabilityFlat, record.probabilityUp) = probabilities
        record.position = 0.5
        record.midPrice = 100_005_000_000
        return record
    }

    private func gap() -> GapRecord {
        GapRecord(
            publisherID: 2, instrumentID: 1001, venueTimestamp: 1_700_000_000_000_000_100,
            inputSession: 1_699_999_999_000_000_000, firstMissing: 43, count: 17, reason: .lostOnInput)
    }
}
