internal import MarketData

/// What is in a DBN file: the answer of `FeedInspector`. Printable as text; JSON through `Codable`.
public struct Inspection: Codable, Equatable, Sendable, CustomStringConvertible {
    public var path: String
    /// Nil for a fragment, which has no metadata.
    public var metadata: MetadataSummary?
    /// `last_flag` (the record with `F_LAST` completes a tick) or `every_record`.
    public var tickRule: String
    public var records: UInt64 = 0
    public var ticks: UInt64 = 0
    /// Records by type, in order of the type's number.
    public var types: [TypeCount] = []
    /// In order of publisher and id.
    public var instruments: [InstrumentInspection] = []
    /// Instruments beyond `FeedInspector.instrumentCountMax`: counted in the totals, not shown.
    public var instrumentsLeftOut: UInt64 = 0
    /// `ts_recv` of the first and last tick record that has one, nanoseconds since the epoch.
    public var firstTimestamp: UInt64?
    public var lastTimestamp: UInt64?
    /// Texts of system and error records, the first few.
    public var messages: [String] = []

    /// Records of one type.
    public struct TypeCount: Codable, Equatable, Sendable {
        /// DBN's number.
        public var type: UInt8
        /// The schema's name as Databento writes it, `mbp-10` for example.
        public var name: String
        public var count: UInt64
    }

    /// What a file's metadata say.
    public struct MetadataSummary: Codable, Equatable, Sendable {
        public var version: UInt8
        public var dataset: String
        /// `mixed` where the records are of several schemas.
        public var schema: String
        public var start: UInt64
        public var end: UInt64?
        public var symbols: [String]
        public var hasSendTimestamps: Bool
    }

    public var description: String {
        var rows = [path]
        if let metadata {
            rows.append(
                "  DBN version \(metadata.version), dataset \(metadata.dataset), schema \(metadata.schema)")
            rows.append(
                "  start \(UTCText.text(metadata.start)), end \(metadata.end.map(UTCText.text) ?? "unknown")")
            let shown = metadata.symbols.prefix(10).joined(separator: ", ")
            rows.append(
                "  symbols \(shown)\(metadata.symbols.count > 10 ? ", … (\(metadata.symbols.count))" : "")")
        } else {
            rows.append("  a fragment: no metadata")
        }
        rows.append("  \(records) records, \(ticks) ticks (\(tickRule))")
        rows.append("  " + types.map { "\($0.name) \($0.count)" }.joined(separator: ", "))
        if let firstTimestamp, let lastTimestamp {
            let seconds =
                lastTimestamp >= firstTimestamp ? (lastTimestamp - firstTimestamp) / 1_000_000_000 : 0
            rows.append("  \(UTCText.text(firstTimestamp)) to \(UTCText.text(lastTimestamp)), \(seconds) s")
        }
        rows += instruments.flatMap(\.rows)
        if instrumentsLeftOut > 0 { rows.append("  records of further instruments: \(instrumentsLeftOut)") }
        rows += messages.map { "  message: \($0)" }
        return rows.map(\.singleLine).joined(separator: "\n")
    }
}

/// One instrument's part of a file.
public struct InstrumentInspection: Codable, Equatable, Sendable, CustomStringConvertible {
    public var publisherID: UInt16
    public var instrumentID: UInt32
    /// From mappings and definitions; nil where the file does not say.
    public var symbol: String?
    /// From the definition, in 1e-9; nil where there is none or it says nothing.
    public var tickSize: Int64?
    public var lotSize: Int64?
    public var records: UInt64 = 0
    public var ticks: UInt64 = 0
    /// Records by type's name.
    public var types: [String: UInt64] = [:]
    public var firstTimestamp: UInt64?
    public var lastTimestamp: UInt64?
    /// How `sequence` counts, which decides what a gap is; `unknown` where gaps cannot be told.
    public var sequenceRule: SequenceRule = .unknown
    /// Jumps in `sequence`, and how many numbers they left out.
    public var sequenceGaps: UInt64 = 0
    public var sequencesMissing: UInt64 = 0
    /// Book records with the best bid at or above the best ask.
    public var crossedBooks: UInt64 = 0
    /// Book records without a bid or without an ask.
    public var oneSidedBooks: UInt64 = 0
    /// Trades and orders without a price.
    public var undefinedPrices: UInt64 = 0
    /// Records flagged `F_MAYBE_BAD_BOOK`, `F_BAD_TS_RECV` and `F_SNAPSHOT`.
    public var doubtfulBooks: UInt64 = 0
    public var badCaptureTimestamps: UInt64 = 0
    public var snapshotRecords: UInt64 = 0
    /// Records whose `ts_recv` or `ts_event` is before that of the record before them.
    public var captureReversals: UInt64 = 0
    public var venueReversals: UInt64 = 0
    /// What Martlet's own conversion left in the file: lines read, superseded diffs and so on; nil in other
    /// files.
    public var conversion: [String: UInt64]?

    /// Diffs that a snapshot superseded when the file was converted; nil in files that were not.
    public var superseded: UInt64? { conversion?["superseded"] }

    public var description: String { rows.map(\.singleLine).joined(separator: "\n") }

    fileprivate var rows: [String] {
        let name = symbol ?? "(no symbol)"
        var text = "  \(name) (publisher \(publisherID), id \(instrumentID)"
        if let tickSize { text += ", tick \(FixedPoint.text(tickSize))" }
        if let lotSize { text += ", lot \(FixedPoint.text(lotSize))" }
        var rows = [text + ")"]
        let kinds = types.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        rows.append("    \(records) records, \(ticks) ticks: \(kinds)")
        let gaps =
            sequenceRule == .unknown
            ? "not told by this dataset" : "\(sequenceGaps) (\(sequencesMissing) missing)"
        rows.append(
            "    sequence gaps: \(gaps); crossed books: \(crossedBooks); one-sided books: \(oneSidedBooks)")
        rows.append(
            "    clock backwards: ts_recv \(captureReversals), ts_event \(venueReversals); "
                + "prices undefined: \(undefinedPrices)")
        rows.append(
            "    flagged: doubtful book \(doubtfulBooks), bad ts_recv \(badCaptureTimestamps), "
                + "snapshot \(snapshotRecords)")
        if let conversion {
            let counts = conversion.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            rows.append("    when converted: \(counts.joined(separator: ", "))")
        }
        return rows
    }
}
