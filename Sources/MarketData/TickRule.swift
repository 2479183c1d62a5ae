/// Which records complete a tick.
///
/// A tick is one event. In order and price-level data it is the records up to and including one with `F_LAST`; in a
/// feed of trades, TBBO, BBO or consolidated quotes alone every record is a tick. Status, definition, mapping,
/// system, error, OHLCV, imbalance and statistics records are never ticks.
public enum TickRule: UInt8, Sendable {
    /// The record with `F_LAST` completes the tick.
    case lastFlag
    /// Every market record is a tick.
    case everyRecord

    /// The rule for a feed whose metadata name `schema`; nil stands for a feed of mixed schemas.
    public init(schema: Schema?) {
        switch schema {
        case .trades, .tbbo, .bbo1Second, .bbo1Minute, .cmbp1, .cbbo1Second, .cbbo1Minute, .tcbbo: self = .everyRecord
        default: self = .lastFlag
        }
    }

    /// Whether `record` completes a tick under this rule.
    @inlinable
    public func completesTick(_ record: borrowing Record) -> Bool {
        switch record.type {
        case .trade, .mbp1, .mbp10:
            guard record.isTradeOrBook else { return false }
            return self == .everyRecord || record.flags.contains(.last)
        case .mbo:
            guard record.bytes.byteCount >= 56 else { return false }
            // The flags of an MBO record stand at another offset than those of the price-level records.
            return RecordFlags(rawValue: record.load(36, as: UInt8.self)).contains(.last)
        case .cmbp1, .cbbo1Second, .cbbo1Minute, .tcbbo, .bbo1Second, .bbo1Minute:
            return true
        default:
            return false
        }
    }
}
