import MarketData
import TestSupport
import Wire

/// Little-endian bytes of an integer.
func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

/// Records made by hand, as DBN lays them out.
enum Make {
    static let tickSize: Int64 = 10_000_000
    /// 2024-01-02 12:00:00 UTC.
    static let noon: UInt64 = 1_704_196_800_000_000_000
    static let dayNanoseconds = Timestamp.nanosecondsPerDay

    private static func header(_ type: RecordType, byteCount: Int, time: UInt64) -> [UInt8] {
        [UInt8(byteCount / 4), type.rawValue] + littleEndian(UInt16(1)) + littleEndian(UInt32(7)) + littleEndian(time)
    }

    private static func common(
        _ type: RecordType, _ byteCount: Int, time: UInt64, action: UInt8, flags: RecordFlags
    ) -> [UInt8] {
        header(type, byteCount: byteCount, time: time) + littleEndian(100 * tickSize) + littleEndian(UInt32(1))
            + [action, UInt8(ascii: "B"), flags.rawValue, 0] + littleEndian(time) + littleEndian(UInt64(0))
    }

    static func trade(time: UInt64 = noon, flags: RecordFlags = .last) -> [UInt8] {
        common(.trade, 48, time: time, action: Action.trade, flags: flags)
    }

    /// Ten levels around the best prices, in ticks; nil for an empty side.
    static func book(
        bid: Int64? = 99, ask: Int64? = 101, time: UInt64 = noon, flags: RecordFlags = .last,
        action: UInt8 = Action.modify, type: RecordType = .mbp10
    ) -> [UInt8] {
        let levels = type == .mbp10 ? 10 : 1
        var bytes = common(type, 48 + 32 * levels, time: time, action: action, flags: flags)
        for level in 0..<Int64(levels) {
            bytes += littleEndian(bid.map { ($0 - level) * tickSize } ?? Price.undefined)
            bytes += littleEndian(ask.map { ($0 + level) * tickSize } ?? Price.undefined)
            bytes += littleEndian(UInt32(bid == nil ? 0 : 10)) + littleEndian(UInt32(ask == nil ? 0 : 10))
            bytes += littleEndian(UInt64(0))
        }
        return bytes
    }

    static func status(_ action: UInt16, time: UInt64 = noon) -> [UInt8] {
        header(.status, byteCount: 40, time: time) + littleEndian(time) + littleEndian(action)
            + [UInt8](repeating: 0, count: 14)
    }

    static func orderByOrder(time: UInt64 = noon) -> [UInt8] {
        var bytes = header(.mbo, byteCount: 56, time: time) + [UInt8](repeating: 0, count: 40)
        bytes[36] = RecordFlags.last.rawValue
        return bytes
    }

    static func definition(tickSize: Int64) -> [UInt8] {
        header(.definition, byteCount: 520, time: noon) + littleEndian(noon) + littleEndian(tickSize)
            + [UInt8](repeating: 0, count: 520 - 32)
    }

    /// `count` books whose prices move, so that signals differ.
    static func books(_ count: Int, from start: UInt64 = noon) -> [[UInt8]] {
        (0..<count).map { index in
            let base = 1_000 + Int64(index * 7 % 11)
            return book(bid: base, ask: base + 1 + Int64(index % 3), time: start + UInt64(index) * 1_000_000)
        }
    }

    /// Records of `ticks` ticks of a random walk with trades.
    static func market(_ ticks: Int, seed: UInt64, isDisorderly: Bool = false) -> [[UInt8]] {
        var generator = MarketRecordGenerator(seed: seed, tickSize: tickSize, isDisorderly: isDisorderly)
        return split(generator.makeRecords(tickCount: ticks))
    }

    static func split(_ bytes: [UInt8]) -> [[UInt8]] {
        var records: [[UInt8]] = []
        var offset = 0
        while offset < bytes.count {
            let byteCount = Int(bytes[offset]) * 4
            records.append(Array(bytes[offset..<offset + byteCount]))
            offset += byteCount
        }
        return records
    }
}

/// Publishes one instrument by hand: counts sequences, and can skip, repeat and restart.
struct TestPublisher {
    var dataset = "T"
    var symbol = "A"
    var session: UInt64 = 1
    var publisher: UInt32 = 1
    var nextSequence: UInt64 = 1

    private var ticks: [UInt8] { Topic.ticks(dataset: dataset, symbol: symbol) }

    private static func build(
        _ topic: [UInt8], _ body: (inout PacketBuilder) -> UnsafeRawBufferPointer
    ) -> [UInt8] {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
        defer { memory.deallocate() }
        var builder = PacketBuilder(memory: memory)
        builder.begin(topic: topic)
        return Array(body(&builder))
    }

    /// A definition and, unless it is nil, the schema.
    func definition(tickSize: Int64? = Make.tickSize, schema: StreamSchema? = .mixed) -> [UInt8] {
        var records: [[UInt8]] = tickSize.map { [Make.definition(tickSize: $0)] } ?? []
        if let schema { records.append(schema.record(publisherID: 1, instrumentID: 7, venueTimestamp: Make.noon)) }
        return packet(Topic.definitions(dataset: dataset, symbol: symbol), records, 1)
    }

    /// A packet of any topic and number.
    func packet(_ topic: [UInt8], _ records: [[UInt8]], _ sequence: UInt64) -> [UInt8] {
        TestPublisher.build(topic) { builder in
            for record in records {
                let fits = record.withUnsafeBytes { builder.append($0) }
                precondition(fits, "A test's packet fits.")
            }
            return builder.finish(
                sequence: sequence, session: session, sentTimestamp: 0, publisher: publisher)
        }
    }

    /// A packet with the next numbers.
    mutating func packet(_ records: [[UInt8]]) -> [UInt8] {
        defer { nextSequence += UInt64(records.count) }
        return packet(ticks, records, nextSequence)
    }

    /// The same records in packets of at most `size`.
    mutating func packets(_ records: [[UInt8]], of size: Int = 1) -> [[UInt8]] {
        stride(from: 0, to: records.count, by: size).map { packet(Array(records[$0..<min($0 + size, records.count)])) }
    }

    func heartbeat() -> [UInt8] {
        TestPublisher.build(ticks) { builder in
            builder.finishHeartbeat(
                payload: [UInt8](repeating: 0, count: Heartbeat.payloadByteCount(address: 0)), sequence: nextSequence,
                session: session, sentTimestamp: 0, publisher: publisher)!
        }
    }

    func end() -> [UInt8] {
        TestPublisher.build(ticks) { builder in
            builder.finishEndOfSession(
                sequence: nextSequence, session: session, sentTimestamp: 0, publisher: publisher)
        }
    }

    /// Starts anew, as a process that was restarted.
    mutating func restart() {
        session += 1
        nextSequence = 1
    }
}
