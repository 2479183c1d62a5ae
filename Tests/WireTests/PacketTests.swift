import MarketData
import Testing
import Wire

@Suite struct PacketTests {
    /// Messages built from one good one by a change of some bytes, and what the parser says about each.
    @Test func `Each malformed part is refused by name and place`() throws {
        let good = Golden.bytes(try Golden.file().signalsMessage)
        let header = 32
        let changes: [(at: Int, to: [UInt8], error: WireError)] = [
            (0, [0], WireError(.topicPadding, at: 0)),
            (0, [UInt8](repeating: 0, count: 8), WireError(.topicEmpty, at: 0)),
            (31, [65], WireError(.topicPadding, at: 28)),
            (header, [0], WireError(.magic, at: header)),
            (header + 2, [2], WireError(.version, at: header + 2)),
            (header + 3, [0], WireError(.kind, at: header + 3)),
            (header + 3, [4], WireError(.kind, at: header + 3)),
            (header + 3, [2], WireError(.count, at: header + 4)),
            (header + 4, [0, 0], WireError(.count, at: header + 4)),
            (header + 4, [2], WireError(.trailingBytes, at: 72 + 224)),
            (header + 4, [4], WireError(.recordTruncated, at: 72 + 272)),
            (header + 6, [1], WireError(.flags, at: header + 6)),
            (header + 16, [UInt8](repeating: 0, count: 8), WireError(.sequence, at: header + 16)),
            (header + 16, [UInt8](repeating: 255, count: 8), WireError(.sequence, at: header + 16)),
            (header + 36, [1], WireError(.recordFormat, at: header + 36)),
            (72, [3], WireError(.recordTooShort, at: 72)),
            (72 + 112, [0], WireError(.recordTooShort, at: 72 + 112)),
            (72 + 224, [13], WireError(.recordTruncated, at: 72 + 224)),
            (72 + 224, [11], WireError(.trailingBytes, at: 72 + 224 + 44)),
        ]
        for change in changes {
            var message = good
            message.replaceSubrange(change.at..<change.at + change.to.count, with: change.to)
            #expect(parseError(message) == change.error)
        }
        #expect(parseError([]) == WireError(.topicUnterminated, at: 0))
        #expect(parseError([UInt8](repeating: 65, count: 504)) == WireError(.topicUnterminated, at: 504))
        #expect(parseError([UInt8](repeating: 65, count: 600)) == WireError(.topicTooLong, at: 511))
        #expect(parseError(good + [0]) == WireError(.trailingBytes, at: good.count))
    }

    @Test func `Heartbeats with a wrong address and ends with a payload are refused`() throws {
        let heartbeat = Golden.bytes(try Golden.file().heartbeatMessage)
        let payload = 24 + 40
        for (offset, value) in [
            (payload, UInt8(21)), (payload, 30), (payload + 1, 1), (heartbeat.count - 1, 1),
        ] {
            var message = heartbeat
            message[offset] = value
            #expect(parseError(message)?.what == .heartbeatAddress)
        }
        #expect(parseError(heartbeat + [UInt8](repeating: 0, count: 8))?.what == .heartbeatAddress)
        let end = Golden.bytes(try Golden.file().endMessage)
        #expect(parseError(end + [0]) == WireError(.trailingBytes, at: end.count))
        #expect(throws: WireError(.heartbeatAddress, at: 278)) {
            try Heartbeat.payload(address: String(repeating: "a", count: 279))
        }
    }

    @Test func `Every truncation of a message is refused inside the message`() throws {
        for message in try Golden.messages() {
            #expect(parseError(message) == nil)
            for count in 0..<message.count {
                let error = try #require(parseError(Array(message[..<count])))
                #expect(error.offset >= 0 && error.offset <= count)
            }
        }
    }

    @Test(arguments: [11, 12] as [UInt64])
    func `Flipped bits and noise never trap`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let messages = try Golden.messages()
        var packets = 0
        for _ in 0..<20_000 {
            var message = messages.randomElement(using: &generator)!
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                message[Int.random(in: 0..<message.count, using: &generator)] ^=
                    1 << UInt8.random(in: 0..<8, using: &generator)
            }
            packets += walk(message)
        }
        // Most flips hit a record's body, which the packet does not judge.
        #expect(packets > 5_000)
        for message in messages {
            for bit in 0..<message.count * 8 {
                var flipped = message
                flipped[bit / 8] ^= 1 << UInt8(bit % 8)
                _ = walk(flipped)
            }
        }
    }

    /// Reads all that a packet offers; 1 for a packet, 0 for a malformed message.
    private func walk(_ message: [UInt8]) -> Int {
        guard case .packet(let view) = PacketView.parse(message.span.bytes) else { return 0 }
        var (count, byteCount) = (0, 0)
        if view.header.kind == PacketHeader.Kind.records {
            var records = view.records(in: message.span.bytes)
            while let record = records.next() {
                count += 1
                byteCount += record.bytes.byteCount
                _ = SignalRecord(record)
                _ = GapRecord(record)
                _ = StreamSchema(record)
            }
            #expect(count == Int(view.header.count) && byteCount == view.payloadByteCount)
        } else {
            _ = Heartbeat.address(in: view.payload(in: message.span.bytes))
        }
        return 1
    }

    @Test func `The golden signals read as they were packed`() throws {
        let file = try Golden.file()
        let message = Golden.bytes(file.signalsMessage)
        let view = try parse(message).get()
        #expect(view.topicByteCount == 28 && view.paddedTopicByteCount == 32 && view.payloadByteCount == 272)
        #expect(view.header.session == 1_700_000_000_000_000_000 && view.header.publisher == 7)
        #expect(view.header.sequence == 42 && view.header.nextSequence == 45)
        #expect(view.header.sentTimestamp == 1_700_000_000_123_456_789)
        let topic = view.topic(in: message.span.bytes).withUnsafeBytes { Topic.parse($0) }
        #expect(topic?.kind == .signals("default") && topic?.symbol == "BRK.B")
        var signals: [SignalRecord] = []
        var gaps: [GapRecord] = []
        var records = view.records(in: message.span.bytes)
        while let record = records.next() {
            if let signal = SignalRecord(record) { signals.append(signal) }
            if let gap = GapRecord(record) { gaps.append(gap) }
        }
        #expect(signals.map(\.horizon) == [10, 20] && gaps.count == 1)
        let signal = try #require(signals.first)
        #expect(signal.horizonUnit == HorizonUnit.ticks.rawValue && signal.direction == 1)
        #expect(signal.flags == SignalFlags([.warmingUp, .crossedBook]).rawValue)
        #expect(signal.probabilityDown == 0.125 && signal.probabilityUp == 0.625 && signal.position == 0.5)
        #expect(signal.trendUp.bitPattern == 0x7FC0_0000 && signal.midPrice == 100_005_000_000)
        #expect(withUnsafeBytes(of: signal.modelID) { Array($0) } == Array(0xA0...0xA7))
        let gap = try #require(gaps.first)
        #expect(gap.firstMissing == 43 && gap.count == 17 && gap.reason == GapReason.lostOnInput.rawValue)
    }

    @Test func `Ticks, heartbeats and ends read as they were packed`() throws {
        let file = try Golden.file()
        let ticks = Golden.bytes(file.ticksMessage)
        let view = try parse(ticks).get()
        var records = view.records(in: ticks.span.bytes)
        var prices: [Int64] = []
        while let record = records.next() { prices.append(record.price) }
        #expect(prices == [100_010_000_000])
        for (hexadecimal, address) in [
            (file.heartbeatMessage, "tcp://127.0.0.1:5557"), (file.heartbeatWithoutAddress, nil),
        ] as [(String, String?)] {
            let message = Golden.bytes(hexadecimal)
            let view = try parse(message).get()
            #expect(view.header.kind == PacketHeader.Kind.heartbeat)
            #expect(Heartbeat.address(in: view.payload(in: message.span.bytes)) == address)
        }
        #expect(try parse(Golden.bytes(file.endMessage)).get().header.kind == PacketHeader.Kind.endOfSession)
    }
}
