public import MarketData

/// Which symbol an instrument id stands for, on a day.
///
/// Ids come from the metadata's mappings (by day), from symbol mapping records and from definitions (from
/// then on). A record in the stream wins over the metadata. Cold code: look up once per instrument and day,
/// not per record.
public struct SymbolMap: Sendable {
    private struct Interval {
        var startDate: UInt32
        var endDate: UInt32
        var symbol: String
    }

    /// Most instrument ids held; a hostile stream of definitions ends here.
    public let instrumentCountMax: Int
    /// In the order of the metadata; later ones win.
    private var intervals: [UInt32: [Interval]] = [:]
    /// What records in the stream said last.
    private var current: [UInt32: String] = [:]

    public init(instrumentCountMax: Int = 1 << 20) { self.instrumentCountMax = instrumentCountMax }

    /// The mappings of `metadata`. Throws `.symbology` if it names instrument ids on neither side, though it
    /// has mappings, or if one of them is not a number.
    public init(metadata: DBNMetadata, instrumentCountMax: Int = 1 << 20) throws(DBNError) {
        self.init(instrumentCountMax: instrumentCountMax)
        try apply(metadata)
    }

    /// Instrument ids known.
    public var count: Int { Set(intervals.keys).union(current.keys).count }

    /// Adds the mappings of `metadata`, as the initialiser does.
    public mutating func apply(_ metadata: DBNMetadata) throws(DBNError) {
        guard !metadata.mappings.isEmpty else { return }
        let mapsToID = metadata.symbolTypeOut == DBNMetadata.SymbolType.instrumentID
        guard mapsToID || metadata.symbolTypeIn == DBNMetadata.SymbolType.instrumentID else {
            throw DBNError(.symbology("the metadata's mappings name instrument ids on neither side"))
        }
        for mapping in metadata.mappings {
            for interval in mapping.intervals where !interval.symbol.isEmpty {
                let idText = mapsToID ? interval.symbol : mapping.rawSymbol
                guard let id = UInt32(idText) else {
                    throw DBNError(.symbology("\"\(idText)\" stands where an instrument id is expected"))
                }
                try checkRoom(id)
                intervals[id, default: []].append(
                    Interval(
                        startDate: interval.startDate, endDate: interval.endDate,
                        symbol: mapsToID ? mapping.rawSymbol : interval.symbol))
            }
        }
    }

    /// Learns from a symbol mapping or definition record; any other record changes nothing. Returns whether
    /// it was one.
    @discardableResult
    public mutating func apply(_ record: Record) throws(DBNError) -> Bool {
        if let mapping = SymbolMappingView(record) {
            try set(mapping.symbolOut, for: record.instrumentID)
            return true
        }
        if let definition = DefinitionView(record) {
            try set(definition.rawSymbol, for: record.instrumentID)
            return true
        }
        return false
    }

    /// The symbol of `instrumentID` on `date` (YYYYMMDD, UTC); nil if nothing was said of it.
    public func symbol(instrumentID: UInt32, date: UInt32) -> String? {
        if let symbol = current[instrumentID] { return symbol }
        return intervals[instrumentID]?.last { $0.startDate <= date && date < $0.endDate }?.symbol
    }

    /// The symbol of `instrumentID` at `timestamp`, nanoseconds since the epoch.
    public func symbol(instrumentID: UInt32, timestamp: UInt64) -> String? {
        symbol(instrumentID: instrumentID, date: CalendarDate.utc(timestamp))
    }

    /// The symbol of `record`'s instrument on the day of its capture.
    public func symbol(of record: Record) -> String? {
        symbol(instrumentID: record.instrumentID, timestamp: record.indexTimestamp ?? record.venueTimestamp)
    }

    private mutating func set(_ symbol: String, for instrumentID: UInt32) throws(DBNError) {
        guard !symbol.isEmpty else { return }
        try checkRoom(instrumentID)
        current[instrumentID] = symbol
    }

    private func checkRoom(_ instrumentID: UInt32) throws(DBNError) {
        if intervals[instrumentID] != nil || current[instrumentID] != nil { return }
        guard intervals.count + current.count < instrumentCountMax else {
            throw DBNError(.tooManyInstruments(limit: instrumentCountMax))
        }
    }
}
