public import MarketData

/// Which sizes the records of each type have in versions 1, 2 and 3, in bytes and without the send timestamp.
enum RecordLayout {
    static let definitionByteCount1 = 360
    static let definitionByteCount2 = 400
    static let definitionByteCount3 = 520
    static let statisticsByteCount1 = 64
    static let statisticsByteCount3 = 80
    static let messageByteCount1 = 80
    static let messageByteCount2 = 320
    static let symbolMappingByteCount1 = 80
    static let symbolMappingByteCount2 = 176
    static let sendTimestampByteCount = 8

    /// Size in version 3; 0 for a type that DBN does not have.
    @inline(__always)
    static func currentByteCount(_ type: RecordType) -> Int {
        switch type {
        case .trade: 48
        case .mbp1, .cmbp1, .cbbo1Second, .cbbo1Minute, .tcbbo, .bbo1Second, .bbo1Minute: 80
        case .mbp10: 368
        case .mbo, .ohlcvDeprecated, .ohlcv1Second, .ohlcv1Minute, .ohlcv1Hour, .ohlcv1Day, .ohlcvEndOfDay: 56
        case .status: 40
        case .imbalance: 112
        case .definition: definitionByteCount3
        case .statistics: statisticsByteCount3
        case .symbolMapping: symbolMappingByteCount2
        case .error, .system: messageByteCount2
        default: 0
        }
    }

    /// Whether records of `type` had `byteCount` bytes in a version before 3, where they differ.
    static func isFormer(_ type: RecordType, byteCount: Int) -> Bool {
        switch type {
        case .definition: byteCount == definitionByteCount1 || byteCount == definitionByteCount2
        case .statistics: byteCount == statisticsByteCount1
        case .symbolMapping: byteCount == symbolMappingByteCount1
        case .error, .system: byteCount == messageByteCount1
        default: false
        }
    }

    /// All sizes that records of `type` have, for a message; empty for a type that DBN does not have.
    static func byteCounts(_ type: RecordType, extra: Int) -> [Int] {
        let known = [40, 48, 56, 64, 80, 112, 176, 320, 360, 368, 400, 520]
        let current = currentByteCount(type)
        return known.filter { $0 == current || isFormer(type, byteCount: $0) }.map { $0 + extra }
    }

    /// Whether a record of `type` may have `byteCount` bytes, `extra` of them behind the record's own fields.
    /// A record of unknown type may have any size that holds its header.
    @inline(__always)
    static func accepts(_ type: RecordType, byteCount: Int, extra: Int) -> Bool {
        let current = currentByteCount(type)
        if current &+ extra == byteCount { return current != 0 || byteCount >= Record.headerByteCount }
        if current == 0 { return byteCount >= Record.headerByteCount }
        return isFormer(type, byteCount: byteCount &- extra)
    }
}

/// The length byte that records of each type have in version 3: one load per record instead of a walk through
/// the types.
struct RecordLengthTable: ~Copyable {
    private let lengths: UnsafeMutablePointer<UInt8>

    /// `extra` bytes stand behind each record's own fields.
    init(extra: Int) {
        lengths = .allocate(capacity: 256)
        for type in 0..<256 {
            let byteCount = RecordLayout.currentByteCount(RecordType(rawValue: UInt8(type)))
            unsafe lengths[type] = byteCount == 0 ? 0 : UInt8((byteCount + extra) / 4)
        }
    }

    deinit { unsafe lengths.deallocate() }

    /// 0 for a type that DBN does not have. In bounds: there are 256 entries.
    @inline(__always)
    subscript(type: UInt8) -> UInt8 { unsafe lengths[Int(type)] }
}

extension Record {
    /// The clock by which DBN indexes this record: `ts_recv` where the record type has one, else `ts_event`;
    /// nil where it is undefined or the record is too short for it. Nanoseconds since the epoch.
    public var indexTimestamp: UInt64? {
        let offset: Int
        switch type {
        case .trade, .mbp1, .mbp10, .bbo1Second, .bbo1Minute, .cmbp1, .cbbo1Second, .cbbo1Minute, .tcbbo:
            offset = 32
        case .mbo: offset = 40
        case .status, .definition, .statistics, .imbalance: offset = 16
        default: offset = 8
        }
        guard bytes.byteCount >= offset + 8 else { return nil }
        let timestamp = load(offset, as: UInt64.self)
        return timestamp == Timestamp.undefined ? nil : timestamp
    }
}
