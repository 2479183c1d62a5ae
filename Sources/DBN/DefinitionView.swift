public import MarketData

/// An instrument definition of version 1, 2 or 3, read where it lies. Sizes tell the versions apart.
public struct DefinitionView: ~Escapable {
    public let record: Record
    private let layout: Layout

    /// nil if `record` is not a definition of a known size.
    @_lifetime(copy record)
    public init?(_ record: Record) {
        guard record.type == .definition else { return nil }
        let byteCount = record.bytes.byteCount
        if byteCount >= RecordLayout.definitionByteCount3 {
            layout = .version3
        } else if byteCount >= RecordLayout.definitionByteCount2 {
            layout = .version2
        } else if byteCount >= RecordLayout.definitionByteCount1 {
            layout = .version1
        } else {
            return nil
        }
        self.record = record
    }

    private struct Layout {
        var version: UInt8
        var lotSize: Int
        var strikePrice: Int
        var rawInstrumentID: Int
        var multiplier: Int
        var currency: Int
        var rawSymbol: Int
        var rawSymbolByteCount: Int
        var exchange: Int
        var asset: Int
        var assetByteCount: Int
        var securityType: Int
        var underlying: Int
        var instrumentClass: Int
        var updateAction: Int

        static let version1 = Layout(
            version: 1, lotSize: 88, strikePrice: 328, rawInstrumentID: 120, multiplier: 160, currency: 186,
            rawSymbol: 200, rawSymbolByteCount: 22, exchange: 243, asset: 248, assetByteCount: 7,
            securityType: 262, underlying: 300, instrumentClass: 325, updateAction: 349)
        static let version2 = Layout(
            version: 2, lotSize: 88, strikePrice: 112, rawInstrumentID: 128, multiplier: 164, currency: 186,
            rawSymbol: 200, rawSymbolByteCount: 71, exchange: 292, asset: 297, assetByteCount: 7,
            securityType: 311, underlying: 349, instrumentClass: 374, updateAction: 382)
        static let version3 = Layout(
            version: 3, lotSize: 80, strikePrice: 104, rawInstrumentID: 112, multiplier: 176, currency: 224,
            rawSymbol: 238, rawSymbolByteCount: 71, exchange: 330, asset: 335, assetByteCount: 11,
            securityType: 353, underlying: 391, instrumentClass: 487, updateAction: 493)
    }

    /// The version of the record's layout.
    public var version: UInt8 { layout.version }
    /// `ts_recv`, nanoseconds since the epoch.
    public var captureTimestamp: UInt64 { record.load(16, as: UInt64.self) }
    /// `min_price_increment`, in 1e-9; `Price.undefined` or 0 where it varies or is unknown.
    public var tickSize: Int64 { record.load(24, as: Int64.self) }
    /// What display prices are multiplied by, in 1e-9.
    public var displayFactor: Int64 { record.load(32, as: Int64.self) }
    /// Last time of trading, nanoseconds since the epoch.
    public var expiration: UInt64 { record.load(40, as: UInt64.self) }
    /// First time of trading, nanoseconds since the epoch.
    public var activation: UInt64 { record.load(48, as: UInt64.self) }
    public var highLimitPrice: Int64 { record.load(56, as: Int64.self) }
    public var lowLimitPrice: Int64 { record.load(64, as: Int64.self) }
    /// `unit_of_measure_qty`, in 1e-9: the lot size in Martlet's own datasets, the contract's size in
    /// Databento's.
    public var unitOfMeasureQuantity: Int64 { record.load(layout.lotSize, as: Int64.self) }
    public var strikePrice: Int64 { record.load(layout.strikePrice, as: Int64.self) }
    /// The venue's own number of the instrument; 32 bits wide before version 3.
    public var rawInstrumentID: UInt64 {
        layout.version == 3
            ? record.load(layout.rawInstrumentID, as: UInt64.self)
            : UInt64(record.load(layout.rawInstrumentID, as: UInt32.self))
    }
    public var contractMultiplier: Int32 { record.load(layout.multiplier, as: Int32.self) }
    public var currency: String { record.text(layout.currency, byteCount: 4) }
    /// The publisher's symbol.
    public var rawSymbol: String { record.text(layout.rawSymbol, byteCount: layout.rawSymbolByteCount) }
    public var exchange: String { record.text(layout.exchange, byteCount: 5) }
    public var asset: String { record.text(layout.asset, byteCount: layout.assetByteCount) }
    public var securityType: String { record.text(layout.securityType, byteCount: 7) }
    public var underlying: String { record.text(layout.underlying, byteCount: 21) }
    /// An ASCII letter: F future, K stock, C and P options and so on; 0 for none.
    public var instrumentClass: UInt8 { record.load(layout.instrumentClass, as: UInt8.self) }
    /// An ASCII letter: A added, M modified, D deleted.
    public var updateAction: UInt8 { record.load(layout.updateAction, as: UInt8.self) }

    /// The instrument as `dataset` names it. `lotSize` overrides the record's unit of measure, which states
    /// the lot only in Martlet's own datasets. nil if the record has no symbol, or a tick or lot size is
    /// undefined or not positive.
    public func instrument(dataset: String, lotSize: Int64? = nil) -> Instrument? {
        let symbol = rawSymbol
        let tickSize = tickSize
        let lotSize = lotSize ?? unitOfMeasureQuantity
        guard !symbol.isEmpty, tickSize > 0, tickSize != Price.undefined else { return nil }
        guard lotSize > 0, lotSize != Price.undefined else { return nil }
        return Instrument(dataset: dataset, symbol: symbol, tickSize: tickSize, lotSize: lotSize)
    }
}

extension Record {
    /// The text at `offset`, up to its first zero and at most `byteCount` bytes; what is not UTF-8 is
    /// replaced by U+FFFD.
    func text(_ offset: Int, byteCount: Int) -> String {
        let field = bytes.extracting(offset..<offset + byteCount)
        return field.withUnsafeBytes { field in
            let length = unsafe field.firstIndex(of: 0) ?? field.count
            return unsafe String(decoding: field[..<length], as: UTF8.self)
        }
    }
}
