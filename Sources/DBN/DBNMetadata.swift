public import MarketData

/// What a DBN file or stream says of itself before its first record.
public struct DBNMetadata: Equatable, Sendable {
    /// DBN version of the records, 1 to 3. The encoder writes version 3 whatever stands here.
    public var version: UInt8
    /// The publisher's dataset, `XNAS.ITCH` for example; at most 15 ASCII characters when written.
    public var dataset: String
    /// The one schema of the records, nil where they are mixed.
    public var schema: Schema?
    /// Start of the data, nanoseconds since the epoch.
    public var start: UInt64
    /// End of the data, exclusive, nanoseconds since the epoch; nil where unknown.
    public var end: UInt64?
    /// Most records that were asked for; nil for no limit.
    public var limit: UInt64?
    /// DBN's number of the symbology of `symbols`, nil where it is mixed.
    public var symbolTypeIn: UInt8?
    /// DBN's number of the symbology that they were resolved to.
    public var symbolTypeOut: UInt8
    /// Whether each record carries 8 more bytes, the time when Databento's gateway sent it.
    public var hasSendTimestamps: Bool
    /// The symbols asked for; at most 70 ASCII characters each when written, as all symbols here.
    public var symbols: [String]
    /// Symbols that resolved on some days only.
    public var partial: [String]
    /// Symbols that resolved on no day.
    public var notFound: [String]
    /// What each symbol stands for, and when.
    public var mappings: [SymbolMapping]

    public init(
        version: UInt8 = DBNMetadata.currentVersion, dataset: String, schema: Schema? = nil, start: UInt64,
        end: UInt64? = nil, limit: UInt64? = nil, symbolTypeIn: UInt8? = SymbolType.rawSymbol,
        symbolTypeOut: UInt8 = SymbolType.instrumentID, hasSendTimestamps: Bool = false,
        symbols: [String] = [],
        partial: [String] = [], notFound: [String] = [], mappings: [SymbolMapping] = []
    ) {
        self.version = version
        self.dataset = dataset
        self.schema = schema
        self.start = start
        self.end = end
        self.limit = limit
        self.symbolTypeIn = symbolTypeIn
        self.symbolTypeOut = symbolTypeOut
        self.hasSendTimestamps = hasSendTimestamps
        self.symbols = symbols
        self.partial = partial
        self.notFound = notFound
        self.mappings = mappings
    }

    /// The version that the encoder writes, and the newest that the decoder reads.
    public static let currentVersion: UInt8 = 3

    /// Numbers of symbologies, as DBN has them. Others exist and pass through.
    public enum SymbolType {
        public static let instrumentID: UInt8 = 0
        public static let rawSymbol: UInt8 = 1
        public static let continuous: UInt8 = 3
        public static let parent: UInt8 = 4
        /// Stands for "mixed" in the metadata.
        public static let null: UInt8 = 0xFF
    }
}

/// What one symbol stood for over time.
public struct SymbolMapping: Equatable, Sendable {
    public var rawSymbol: String
    public var intervals: [Interval]

    public init(rawSymbol: String, intervals: [Interval]) {
        self.rawSymbol = rawSymbol
        self.intervals = intervals
    }

    /// Days `startDate` to the day before `endDate`, as YYYYMMDD, in UTC.
    public struct Interval: Equatable, Sendable {
        public var startDate: UInt32
        public var endDate: UInt32
        /// The symbol in the output symbology: the decimal instrument id, as a rule.
        public var symbol: String

        public init(startDate: UInt32, endDate: UInt32, symbol: String) {
            self.startDate = startDate
            self.endDate = endDate
            self.symbol = symbol
        }
    }
}

/// Where things stand in the metadata, in bytes.
enum MetadataLayout {
    /// "DBN", version, length: not counted by the length.
    static let preludeByteCount = 8
    static let datasetByteCount = 16
    /// Everything up to and with the reserved bytes.
    static let fixedByteCount = 100
    static let reservedByteCount1 = 47
    static let reservedByteCount = 53
    static let symbolByteCount1 = 22
    static let symbolByteCount = 71
    /// The fixed part, the schema definition's length, and four counts.
    static let byteCountMin = fixedByteCount + 5 * 4
    static let undefinedTimestamp = UInt64.max
}
