public import MarketData

/// The fields that trades and book records begin with, for writing one.
public struct MarketFields: Equatable, Sendable {
    public var publisherID: UInt16
    public var instrumentID: UInt32
    /// `ts_event`, nanoseconds since the epoch.
    public var venueTimestamp: UInt64
    /// `ts_recv`, nanoseconds since the epoch.
    public var captureTimestamp: UInt64
    /// In 1e-9.
    public var price: Int64
    /// In lots.
    public var size: UInt32
    /// An ASCII letter of `Action`.
    public var action: UInt8
    /// An ASCII letter of `Side`.
    public var side: UInt8
    public var flags: RecordFlags
    /// The book level that the event changed, 0 for the best.
    public var depth: UInt8
    /// `ts_in_delta`: nanoseconds from the venue's sending to the capture.
    public var captureDelta: Int32
    /// The venue's message sequence number.
    public var venueSequence: UInt32

    public init(
        publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64, captureTimestamp: UInt64,
        price: Int64 = Price.undefined, size: UInt32 = 0, action: UInt8 = Action.none,
        side: UInt8 = Side.none,
        flags: RecordFlags = [], depth: UInt8 = 0, captureDelta: Int32 = 0, venueSequence: UInt32 = 0
    ) {
        self.publisherID = publisherID
        self.instrumentID = instrumentID
        self.venueTimestamp = venueTimestamp
        self.captureTimestamp = captureTimestamp
        self.price = price
        self.size = size
        self.action = action
        self.side = side
        self.flags = flags
        self.depth = depth
        self.captureDelta = captureDelta
        self.venueSequence = venueSequence
    }
}
