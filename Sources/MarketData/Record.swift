/// A borrowed view of one record: the 16-byte header that all records share, and the typed fields behind it.
///
/// The view reads the bytes where they lie, in a file buffer, a message or ring memory, and cannot outlive them.
/// Bytes need not be aligned: DBN version 1 and 2 files begin their records at odd offsets. Layouts are those of
/// Databento's DBN, version 3 (`rust/dbn/src/record.rs`); the version-dependent cold records are in `DBN`.
///
/// A view can be made only of bytes that hold the whole record. An accessor of a field that the record is too short for
/// traps, so code that meets outside bytes asks `isTradeOrBook` (or the typed views of `DBN`) first.
@frozen
public struct Record: ~Escapable {
    /// The record's bytes, header included; `bytes.byteCount == header length * 4`.
    public let bytes: RawSpan

    /// A view of the record at the start of `bytes`, or nil if they are too few for it or its length is impossible.
    @inlinable
    @_lifetime(copy bytes)
    public init?(at bytes: RawSpan) {
        guard bytes.byteCount >= Record.headerByteCount else { return nil }
        let byteCount = Int(unsafe bytes.unsafeLoad(fromUncheckedByteOffset: 0, as: UInt8.self)) &* 4
        guard byteCount >= Record.headerByteCount, byteCount <= bytes.byteCount else { return nil }
        self.bytes = bytes.extracting(first: byteCount)
    }

    /// Bytes of the header that all records share.
    @inlinable public static var headerByteCount: Int { 16 }

    /// Bytes of the longest record that the length byte can describe.
    @inlinable public static var byteCountMax: Int { 255 * 4 }

    /// The integer at `offset`, little-endian as DBN writes it. `offset` is a constant inside the record: checked
    /// against the record's size by each typed accessor.
    @inlinable
    package func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: T.Type) -> T {
        // One predictable comparison, which the compiler drops after a size check such as `isTradeOrBook`.
        precondition(offset >= 0 && offset &+ MemoryLayout<T>.size <= bytes.byteCount, "A field lies in its record.")
        return T(
            littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
    }

    /// Which layout the record has.
    @inlinable public var type: RecordType { RecordType(rawValue: load(1, as: UInt8.self)) }
    /// Databento's number of the publisher (dataset and venue).
    @inlinable public var publisherID: UInt16 { load(2, as: UInt16.self) }
    /// The instrument's number, unique within one dataset and day.
    @inlinable public var instrumentID: UInt32 { load(4, as: UInt32.self) }
    /// `ts_event`: the venue's clock, nanoseconds since the epoch.
    @inlinable public var venueTimestamp: UInt64 { load(8, as: UInt64.self) }
}

/// A trade (`Mbp0`, 48 bytes), and the fields with which MBP-1, TBBO and MBP-10 records begin as well.
extension Record {
    @inlinable public static var tradeByteCount: Int { 48 }
    @inlinable public static var mbp1ByteCount: Int { 80 }
    @inlinable public static var mbp10ByteCount: Int { 368 }

    /// Whether this is a trade, MBP-1 (TBBO) or MBP-10 record of full size, so that the fields below may be read.
    @inlinable public var isTradeOrBook: Bool {
        switch type {
        case .trade: bytes.byteCount >= Record.tradeByteCount
        case .mbp1: bytes.byteCount >= Record.mbp1ByteCount
        case .mbp10: bytes.byteCount >= Record.mbp10ByteCount
        default: false
        }
    }

    /// Order or trade price, in 1e-9.
    @inlinable public var price: Int64 { load(16, as: Int64.self) }
    /// Order or trade size, in lots.
    @inlinable public var size: UInt32 { load(24, as: UInt32.self) }
    /// An ASCII letter of `Action`.
    @inlinable public var action: UInt8 { load(28, as: UInt8.self) }
    /// An ASCII letter of `Side`.
    @inlinable public var side: UInt8 { load(29, as: UInt8.self) }
    @inlinable public var flags: RecordFlags { RecordFlags(rawValue: load(30, as: UInt8.self)) }
    /// The book level that the record changed, 0 for the best.
    @inlinable public var depth: UInt8 { load(31, as: UInt8.self) }
    /// `ts_recv`: the capture clock, nanoseconds since the epoch. The clock of the data path.
    @inlinable public var captureTimestamp: UInt64 { load(32, as: UInt64.self) }
    /// The venue's message sequence number.
    @inlinable public var venueSequence: UInt32 { load(44, as: UInt32.self) }

    /// Levels behind the common fields: 1 for MBP-1, 10 for MBP-10, 0 for anything else or too short.
    @inlinable public var levelCount: Int {
        switch type {
        case .mbp1: bytes.byteCount >= Record.mbp1ByteCount ? 1 : 0
        case .mbp10: bytes.byteCount >= Record.mbp10ByteCount ? 10 : 0
        default: 0
        }
    }

    /// Book level `index`, counted from 0; `index` must be below `levelCount`.
    @inlinable public func level(_ index: Int) -> BookLevel {
        precondition(index >= 0 && 48 + (index + 1) * 32 <= bytes.byteCount, "The level exists in this record.")
        return unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: 48 + index * 32, as: BookLevel.self)
    }
}

/// One price level of both sides, laid out as DBN's `BidAskPair` (32 bytes).
@frozen
public struct BookLevel: BitwiseCopyable, Equatable, Sendable {
    /// In 1e-9; `Price.undefined` where the side has no such level.
    public var bidPrice: Int64
    public var askPrice: Int64
    /// In lots.
    public var bidSize: UInt32
    public var askSize: UInt32
    /// Orders at the level; 0 where the source does not say.
    public var bidCount: UInt32
    public var askCount: UInt32

    @inlinable
    public init(
        bidPrice: Int64 = Price.undefined, askPrice: Int64 = Price.undefined, bidSize: UInt32 = 0,
        askSize: UInt32 = 0, bidCount: UInt32 = 0, askCount: UInt32 = 0
    ) {
        self.bidPrice = bidPrice
        self.askPrice = askPrice
        self.bidSize = bidSize
        self.askSize = askSize
        self.bidCount = bidCount
        self.askCount = askCount
    }
}
