import Foundation
import Testing
import Wire

/// The tables in docs/WIRE.md, and the structures in memory: the same fields at the same offsets.
@Suite struct LayoutTests {
    struct Row: Equatable {
        let offset: Int
        let type: String
        let name: String
    }

    @Test func `Records have their documented sizes and no padding at the end`() {
        #expect(MemoryLayout<PacketHeader>.size == 40 && MemoryLayout<PacketHeader>.stride == 40)
        #expect(MemoryLayout<SignalRecord>.size == 112 && MemoryLayout<SignalRecord>.stride == 112)
        #expect(MemoryLayout<GapRecord>.size == 48 && MemoryLayout<GapRecord>.stride == 48)
        #expect(
            MemoryLayout<RetransmissionResponse>.size == 40
                && MemoryLayout<RetransmissionResponse>.stride == 40)
        #expect(PacketHeader.byteCount == 40 && SignalRecord.byteCount == 112 && GapRecord.byteCount == 48)
        #expect(MemoryLayout<SignalRecord>.alignment == 8 && MemoryLayout<GapRecord>.alignment == 8)
    }

    @Test func `The document's packet header is the structure's`() throws {
        try compare(
            "PacketHeader", MemoryLayout<PacketHeader>.size,
            [
                row(\PacketHeader.magic, "magic"),
                row(\PacketHeader.version, "version"),
                row(\PacketHeader.kind, "kind"),
                row(\PacketHeader.count, "count"),
                row(\PacketHeader.flags, "flags"),
                row(\PacketHeader.session, "session"),
                row(\PacketHeader.sequence, "sequence"),
                row(\PacketHeader.sentTimestamp, "sent"),
                row(\PacketHeader.publisher, "publisher"),
                row(\PacketHeader.recordFormat, "record_format"),
                row(\PacketHeader.reserved0, "reserved0"),
                row(\PacketHeader.reserved1, "reserved1"),
            ])
    }

    @Test func `The document's signal record is the structure's`() throws {
        try compare(
            "SignalRecord", MemoryLayout<SignalRecord>.size,
            [
                row(\SignalRecord.length, "length"),
                row(\SignalRecord.type, "rtype"),
                row(\SignalRecord.publisherID, "publisher_id"),
                row(\SignalRecord.instrumentID, "instrument_id"),
                row(\SignalRecord.venueTimestamp, "ts_event"),
                row(\SignalRecord.captureTimestamp, "ts_recv"),
                row(\SignalRecord.inputSequence, "input_sequence"),
                row(\SignalRecord.modelID, "model_id"),
                row(\SignalRecord.horizon, "horizon"),
                row(\SignalRecord.horizonUnit, "horizon_unit"),
                row(\SignalRecord.direction, "direction"),
                row(\SignalRecord.flags, "flags"),
                row(\SignalRecord.probabilityDown, "probability_down"),
                row(\SignalRecord.probabilityFlat, "probability_flat"),
                row(\SignalRecord.probabilityUp, "probability_up"),
                row(\SignalRecord.expectedReturn, "expected_return"),
                row(\SignalRecord.volatility, "volatility"),
                row(\SignalRecord.valueAtRisk95, "value_at_risk_95"),
                row(\SignalRecord.valueAtRisk99, "value_at_risk_99"),
                row(\SignalRecord.expectedShortfall95, "expected_shortfall_95"),
                row(\SignalRecord.expectedShortfall99, "expected_shortfall_99"),
                row(\SignalRecord.trendDown, "trend_down"),
                row(\SignalRecord.trendFlat, "trend_flat"),
                row(\SignalRecord.trendUp, "trend_up"),
                row(\SignalRecord.position, "position"),
                row(\SignalRecord.reserved, "reserved"),
                row(\SignalRecord.midPrice, "mid_price"),
            ])
    }

    @Test func `The document's gap record is the structure's`() throws {
        try compare(
            "GapRecord", MemoryLayout<GapRecord>.size,
            [
                row(\GapRecord.length, "length"),
                row(\GapRecord.type, "rtype"),
                row(\GapRecord.publisherID, "publisher_id"),
                row(\GapRecord.instrumentID, "instrument_id"),
                row(\GapRecord.venueTimestamp, "ts_event"),
                row(\GapRecord.inputSession, "input_session"),
                row(\GapRecord.firstMissing, "first_missing"),
                row(\GapRecord.count, "count"),
                row(\GapRecord.reason, "reason"),
                row(\GapRecord.reserved0, "reserved0"),
                row(\GapRecord.reserved1, "reserved1"),
                row(\GapRecord.reserved2, "reserved2"),
            ])
    }

    @Test func `The document's retransmission response is the structure's`() throws {
        try compare(
            "RetransmissionResponse", MemoryLayout<RetransmissionResponse>.size,
            [
                row(\RetransmissionResponse.magic, "magic"),
                row(\RetransmissionResponse.version, "version"),
                row(\RetransmissionResponse.kind, "kind"),
                row(\RetransmissionResponse.statusCode, "status"),
                row(\RetransmissionResponse.packets, "packets"),
                row(\RetransmissionResponse.requestID, "request_id"),
                row(\RetransmissionResponse.session, "session"),
                row(\RetransmissionResponse.firstAvailable, "first_available"),
                row(\RetransmissionResponse.lastAvailable, "last_available"),
            ])
    }

    private func row<Record, Field>(_ field: KeyPath<Record, Field>, _ name: String) -> Row {
        let types: [ObjectIdentifier: String] = [
            ObjectIdentifier(UInt8.self): "u8", ObjectIdentifier(UInt16.self): "u16",
            ObjectIdentifier(UInt32.self): "u32", ObjectIdentifier(UInt64.self): "u64",
            ObjectIdentifier(Int8.self): "i8", ObjectIdentifier(Int64.self): "i64",
            ObjectIdentifier(Float.self): "f32",
        ]
        return Row(
            offset: MemoryLayout<Record>.offset(of: field) ?? -1,
            type: types[ObjectIdentifier(Field.self)] ?? "?",
            name: name)
    }

    /// The rows are those of the document, follow each other without a hole and fill `byteCount`.
    private func compare(_ name: String, _ byteCount: Int, _ rows: [Row]) throws {
        let document = try String(contentsOf: Golden.root.appending(path: "docs/WIRE.md"), encoding: .utf8)
        let rest = try #require(
            document.components(separatedBy: "<!-- layout: \(name) -->\n").dropFirst().first)
        let table = rest.components(separatedBy: "\n\n")[0].split(separator: "\n").dropFirst(2)
        let documented = table.map { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            return Row(
                offset: Int(cells[0]) ?? -1, type: cells[1], name: cells[2].trimmingCharacters(in: ["`"]))
        }
        #expect(documented == rows)
        var end = 0
        for row in rows {
            #expect(row.offset == end, "\(name).\(row.name) follows the field before it")
            end += (Int(row.type.dropFirst()) ?? 0) / 8
        }
        #expect(end == byteCount)
    }
}
