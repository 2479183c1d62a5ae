public import DBN
public import MarketData

/// Where a converter's records go, in order. `DBNFileWriter` and `DBNEncoder` encode them; a test gathers
/// them in arrays.
///
/// Used on one thread. A sink that cannot take a record throws `FeedError.output`.
public protocol RecordSink: ~Copyable {
    /// Tick and lot size of an instrument, before its first other record.
    mutating func definition(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64
    ) throws(FeedError)

    /// A trade.
    mutating func trade(_ fields: MarketFields) throws(FeedError)

    /// The book after an event, best level first, always `OrderBook.depth` levels.
    mutating func book(_ fields: MarketFields, levels: Span<BookLevel>) throws(FeedError)

    /// A change of the trading status.
    mutating func status(_ status: StatusFields) throws(FeedError)

    /// A text of at most 302 ASCII characters about an instrument: a system record, which is not a tick.
    mutating func remark(
        _ text: String, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64
    ) throws(FeedError)
}

/// A trading halt, or its end. Not a tick.
public struct StatusFields: Equatable, Sendable {
    public var publisherID: UInt16
    public var instrumentID: UInt32
    /// `ts_event` and `ts_recv`, nanoseconds since the epoch.
    public var venueTimestamp: UInt64
    public var captureTimestamp: UInt64
    public var action: StatusAction
    public var isTrading: Bool
    public var isQuoting: Bool

    public init(
        publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64, captureTimestamp: UInt64,
        action: StatusAction, isTrading: Bool, isQuoting: Bool
    ) {
        self.publisherID = publisherID
        self.instrumentID = instrumentID
        self.venueTimestamp = venueTimestamp
        self.captureTimestamp = captureTimestamp
        self.action = action
        self.isTrading = isTrading
        self.isQuoting = isQuoting
    }
}

/// What a status record announces. Values are DBN's.
public enum StatusAction: UInt16, Sendable {
    /// Quoting resumes, trading does not yet.
    case quoting = 3
    /// Trading resumes.
    case trading = 7
    /// Trading is halted.
    case halt = 8
}
