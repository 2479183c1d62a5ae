public import MarketData

/// An order event (`mbo`, 56 bytes), read where it lies.
public struct MBOView: ~Escapable {
    public let record: Record

    /// nil if `record` is not a whole MBO record.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        guard record.type == .mbo, record.bytes.byteCount >= 56 else { return nil }
        self.record = record
    }

    public var orderID: UInt64 { record.load(16, as: UInt64.self) }
    /// In 1e-9.
    public var price: Int64 { record.load(24, as: Int64.self) }
    /// In lots.
    public var size: UInt32 { record.load(32, as: UInt32.self) }
    public var flags: RecordFlags { RecordFlags(rawValue: record.load(36, as: UInt8.self)) }
    public var channelID: UInt8 { record.load(37, as: UInt8.self) }
    /// An ASCII letter of `Action`.
    public var action: UInt8 { record.load(38, as: UInt8.self) }
    /// An ASCII letter of `Side`.
    public var side: UInt8 { record.load(39, as: UInt8.self) }
    /// `ts_recv`, nanoseconds since the epoch.
    public var captureTimestamp: UInt64 { record.load(40, as: UInt64.self) }
    /// `ts_in_delta`: nanoseconds from the venue's sending to the capture.
    public var captureDelta: Int32 { record.load(48, as: Int32.self) }
    public var venueSequence: UInt32 { record.load(52, as: UInt32.self) }
}

/// The best bid and offer at the end of an interval (`bbo-1s`, `bbo-1m`, 80 bytes), read where it lies.
public struct BBOView: ~Escapable {
    public let record: Record

    /// nil if `record` is not a whole BBO record.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        guard record.type == .bbo1Second || record.type == .bbo1Minute else { return nil }
        guard record.bytes.byteCount >= 80 else { return nil }
        self.record = record
    }

    /// Price of the last trade, in 1e-9; `Price.undefined` if there was none.
    public var lastTradePrice: Int64 { record.load(16, as: Int64.self) }
    public var lastTradeSize: UInt32 { record.load(24, as: UInt32.self) }
    /// An ASCII letter of `Side`.
    public var lastTradeSide: UInt8 { record.load(29, as: UInt8.self) }
    public var flags: RecordFlags { RecordFlags(rawValue: record.load(30, as: UInt8.self)) }
    /// End of the interval on the capture clock, nanoseconds since the epoch.
    public var captureTimestamp: UInt64 { record.load(32, as: UInt64.self) }
    public var venueSequence: UInt32 { record.load(44, as: UInt32.self) }
    public var level: BookLevel {
        BookLevel(
            bidPrice: record.load(48, as: Int64.self), askPrice: record.load(56, as: Int64.self),
            bidSize: record.load(64, as: UInt32.self), askSize: record.load(68, as: UInt32.self),
            bidCount: record.load(72, as: UInt32.self), askCount: record.load(76, as: UInt32.self))
    }
}

/// A consolidated quote (`cmbp-1`, `tcbbo`, `cbbo-1s`, `cbbo-1m`, 80 bytes), read where it lies.
public struct CMBP1View: ~Escapable {
    public let record: Record

    /// nil if `record` is not a whole consolidated record.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        switch record.type {
        case .cmbp1, .tcbbo, .cbbo1Second, .cbbo1Minute: break
        default: return nil
        }
        guard record.bytes.byteCount >= 80 else { return nil }
        self.record = record
    }

    /// Price of the order or of the last trade, in 1e-9.
    public var price: Int64 { record.load(16, as: Int64.self) }
    public var size: UInt32 { record.load(24, as: UInt32.self) }
    /// An ASCII letter of `Action`; reserved in `cbbo-1s` and `cbbo-1m`.
    public var action: UInt8 { record.load(28, as: UInt8.self) }
    /// An ASCII letter of `Side`.
    public var side: UInt8 { record.load(29, as: UInt8.self) }
    public var flags: RecordFlags { RecordFlags(rawValue: record.load(30, as: UInt8.self)) }
    /// `ts_recv`, nanoseconds since the epoch.
    public var captureTimestamp: UInt64 { record.load(32, as: UInt64.self) }
    /// `ts_in_delta`, nanoseconds; reserved in `cbbo-1s` and `cbbo-1m`.
    public var captureDelta: Int32 { record.load(40, as: Int32.self) }
    public var bidPrice: Int64 { record.load(48, as: Int64.self) }
    public var askPrice: Int64 { record.load(56, as: Int64.self) }
    public var bidSize: UInt32 { record.load(64, as: UInt32.self) }
    public var askSize: UInt32 { record.load(68, as: UInt32.self) }
    /// Databento's number of the publisher with the best bid.
    public var bidPublisherID: UInt16 { record.load(72, as: UInt16.self) }
    /// Databento's number of the publisher with the best ask.
    public var askPublisherID: UInt16 { record.load(76, as: UInt16.self) }
}

/// Open, high, low, close and volume of an interval (56 bytes), read where it lies.
public struct OHLCVView: ~Escapable {
    public let record: Record

    /// nil if `record` is not a whole OHLCV record.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        switch record.type {
        case .ohlcv1Second, .ohlcv1Minute, .ohlcv1Hour, .ohlcv1Day, .ohlcvEndOfDay, .ohlcvDeprecated: break
        default: return nil
        }
        guard record.bytes.byteCount >= 56 else { return nil }
        self.record = record
    }

    /// In 1e-9, as the other prices.
    public var open: Int64 { record.load(16, as: Int64.self) }
    public var high: Int64 { record.load(24, as: Int64.self) }
    public var low: Int64 { record.load(32, as: Int64.self) }
    public var close: Int64 { record.load(40, as: Int64.self) }
    /// In lots.
    public var volume: UInt64 { record.load(48, as: UInt64.self) }
}

/// A change of an instrument's trading status (40 bytes), read where it lies.
public struct StatusView: ~Escapable {
    public let record: Record

    /// nil if `record` is not a whole status record.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        guard record.type == .status, record.bytes.byteCount >= 40 else { return nil }
        self.record = record
    }

    /// `ts_recv`, nanoseconds since the epoch.
    public var captureTimestamp: UInt64 { record.load(16, as: UInt64.self) }
    /// DBN's `StatusAction`: 7 trading, 8 halt, 9 pause, and so on.
    public var action: UInt16 { record.load(24, as: UInt16.self) }
    /// DBN's `StatusReason`.
    public var reason: UInt16 { record.load(26, as: UInt16.self) }
    /// DBN's `TradingEvent`.
    public var tradingEvent: UInt16 { record.load(28, as: UInt16.self) }
    /// ASCII `Y`, `N` or `~` for unknown, as the two below.
    public var isTrading: UInt8 { record.load(30, as: UInt8.self) }
    public var isQuoting: UInt8 { record.load(31, as: UInt8.self) }
    public var isShortSellRestricted: UInt8 { record.load(32, as: UInt8.self) }
}

/// A venue's statistic, of version 3 (80 bytes) or earlier (64), read where it lies.
public struct StatisticsView: ~Escapable {
    public let record: Record
    private let is3: Bool

    /// nil if `record` is not a statistics record of a known size.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        guard record.type == .statistics, record.bytes.byteCount >= RecordLayout.statisticsByteCount1 else {
            return nil
        }
        is3 = record.bytes.byteCount >= RecordLayout.statisticsByteCount3
        self.record = record
    }

    /// `ts_recv`, nanoseconds since the epoch.
    public var captureTimestamp: UInt64 { record.load(16, as: UInt64.self) }
    /// The time that the statistic is about, nanoseconds since the epoch.
    public var referenceTimestamp: UInt64 { record.load(24, as: UInt64.self) }
    /// In 1e-9; `Price.undefined` where the statistic is not a price.
    public var price: Int64 { record.load(32, as: Int64.self) }
    /// `Int64.max` where the statistic is not a quantity.
    public var quantity: Int64 {
        if is3 { return record.load(40, as: Int64.self) }
        let quantity = record.load(40, as: Int32.self)
        return quantity == .max ? .max : Int64(quantity)
    }
    public var venueSequence: UInt32 { record.load(is3 ? 48 : 44, as: UInt32.self) }
    /// `ts_in_delta`, nanoseconds.
    public var captureDelta: Int32 { record.load(is3 ? 52 : 48, as: Int32.self) }
    /// DBN's `StatType`.
    public var statisticType: UInt16 { record.load(is3 ? 56 : 52, as: UInt16.self) }
    public var channelID: UInt16 { record.load(is3 ? 58 : 54, as: UInt16.self) }
    /// 1 new, 2 delete.
    public var updateAction: UInt8 { record.load(is3 ? 60 : 56, as: UInt8.self) }
    public var statisticFlags: UInt8 { record.load(is3 ? 61 : 57, as: UInt8.self) }
}
