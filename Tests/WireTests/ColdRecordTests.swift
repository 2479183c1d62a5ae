import MarketData
import Testing
import Wire

/// Records and frames that travel rarely: the schema of a stream, requests for retransmission and their
/// answers.
@Suite struct ColdRecordTests {
    private func schema(_ bytes: [UInt8]) -> StreamSchema? {
        guard let record = Record(at: bytes.span.bytes) else { return nil }
        return StreamSchema(record)
    }

    @Test func `System records that say something else are no schema`() throws {
        let good = Golden.bytes(try Golden.file().schemaTrades)
        let changes: [(at: Int, to: [UInt8])] = [
            (0, [4]), (0, [79]), (1, [0x15]), (16, [0]), (16, Array("Schema".utf8)),
            (23, Array("Trades".utf8)),
            (23, [0]), (29, Array("x".utf8)), (23, [0xFF]), (23, Array("mixed\0".utf8) + Array("x".utf8)),
        ]
        for (index, change) in changes.enumerated() {
            var record = good
            record.replaceSubrange(change.at..<change.at + change.to.count, with: change.to)
            // The last change is another valid name, with rubbish behind its NUL.
            #expect(schema(record) == (index == changes.count - 1 ? .mixed : nil), "change \(index)")
        }
    }

    @Test func `Every schema has a record that says it, and the rule of its ticks`() throws {
        let file = try Golden.file()
        for stream in Schema.allCases.map(StreamSchema.one) + [.mixed] {
            let record = stream.record(
                publisherID: 2, instrumentID: 1001, venueTimestamp: 1_700_000_000_000_000_300)
            #expect(schema(record) == stream)
            if stream == .one(.trades) { #expect(record == Golden.bytes(file.schemaTrades)) }
            if stream == .mixed { #expect(record == Golden.bytes(file.schemaMixed)) }
        }
        #expect(
            StreamSchema(Schema.trades).tickRule == .everyRecord && StreamSchema(nil).tickRule == .lastFlag)
        #expect(StreamSchema.one(.mbp10).tickRule == .lastFlag)
    }

    @Test func `Malformed requests and responses are typed errors`() throws {
        let file = try Golden.file()
        let request = Golden.bytes(file.request)
        let requestChanges: [(at: Int, to: [UInt8], error: WireError)] = [
            (0, [0], WireError(.magic, at: 0)), (2, [2], WireError(.version, at: 2)),
            (3, [2], WireError(.kind, at: 3)),
            (4, [20], WireError(.request, at: 4)), (24, [0], WireError(.sequence, at: 24)),
            (24, [UInt8](repeating: 255, count: 8), WireError(.sequence, at: 24)),
            (32, [0], WireError(.request, at: 32)), (40, [0], WireError(.topicPadding, at: 40)),
            (63, [65], WireError(.topicPadding, at: 61)),
        ]
        for change in requestChanges {
            var frame = request
            frame.replaceSubrange(change.at..<change.at + change.to.count, with: change.to)
            #expect(throws: change.error) { try RetransmissionRequest(frame.span.bytes) }
        }
        for count in 0..<request.count {
            let frame = Array(request[..<count])
            #expect(throws: WireError.self) { try RetransmissionRequest(frame.span.bytes) }
        }
        let long = request + [UInt8](repeating: 0, count: 8)
        #expect(throws: WireError(.trailingBytes, at: 64)) { try RetransmissionRequest(long.span.bytes) }

        let response = Golden.bytes(file.response)
        for (offset, value, what) in [
            (0, 0, .magic), (2, 2, .version), (3, 1, .kind), (4, 7, .status),
        ] as [(Int, UInt8, WireError.What)] {
            var frame = response
            frame[offset] = value
            #expect(throws: WireError(what, at: offset)) { try RetransmissionResponse(frame.span.bytes) }
        }
        let (short, longer) = (Array(response.dropLast()), response + [0])
        #expect(throws: WireError(.headerTruncated, at: 39)) { try RetransmissionResponse(short.span.bytes) }
        #expect(throws: WireError(.trailingBytes, at: 40)) { try RetransmissionResponse(longer.span.bytes) }
    }

    @Test func `Requests and responses are the golden ones, there and back`() throws {
        let file = try Golden.file()
        let request = RetransmissionRequest(
            requestID: 77, topic: Topic.ticks(dataset: "XNAS.ITCH", symbol: "BRK/B"),
            session: 1_700_000_000_000_000_000, first: 43, count: 17)
        #expect(request.bytes == Golden.bytes(file.request))
        #expect(try RetransmissionRequest(Golden.bytes(file.request).span.bytes) == request)
        let response = RetransmissionResponse(
            status: .partial, packets: 3, requestID: 77, session: 1_700_000_000_000_000_000,
            firstAvailable: 11,
            lastAvailable: 99)
        #expect(withUnsafeBytes(of: response) { Array($0) } == Golden.bytes(file.response))
        let read = try RetransmissionResponse(Golden.bytes(file.response).span.bytes)
        #expect(read == response && read.status == .partial)
    }

    @Test func `Each error says what is wrong and where`() {
        let texts = Set(WireError.What.allCases.map { WireError($0, at: 3).description })
        #expect(
            texts.count == WireError.What.allCases.count && texts.allSatisfy { $0.hasSuffix(", at byte 3") })
    }
}
