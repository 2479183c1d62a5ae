public import DBN
public import MarketData

/// Streams the records of a DBN file of any schema and counts what is in it. Memory grows with the number of
/// instruments only, up to a limit.
///
/// Used on one thread. Also takes records one by one, from any source.
public struct FeedInspector {
    /// Most instruments that get a part of their own; a day of all American options has some 1.5 million.
    public static let instrumentCountMax = 65_536
    /// Most texts of system and error records kept.
    public static let messageCountMax = 20

    private var inspection: Inspection
    private let rule: TickRule
    private var symbols = SymbolMap(instrumentCountMax: FeedInspector.instrumentCountMax)
    private var typeCounts = [UInt64](repeating: 0, count: 256)
    private var instruments: [InstrumentState] = []
    private var indices: [UInt64: Int] = [:]
    /// The last index found: records of one instrument come in runs.
    private var lastKey: UInt64 = .max
    private var lastIndex = 0

    /// Reads all of a file. Throws where it is damaged, with the place.
    public static func inspect(path: String) throws(DBNError) -> Inspection {
        var reader = try DBNFileReader(path: path)
        var inspector = FeedInspector(path: path, metadata: reader.metadata)
        while try reader.next() { inspector.add(reader.record) }
        return inspector.finish()
    }

    /// An inspection of records that are added one by one. `path` names the source in the answer.
    public init(path: String, metadata: DBNMetadata?) {
        rule = TickRule(schema: metadata?.schema)
        inspection = Inspection(path: path, tickRule: rule == .lastFlag ? "last_flag" : "every_record")
        guard let metadata else { return }
        inspection.metadata = Inspection.MetadataSummary(
            version: metadata.version, dataset: metadata.dataset, schema: metadata.schema?.name ?? "mixed",
            start: metadata.start, end: metadata.end, symbols: metadata.symbols,
            hasSendTimestamps: metadata.hasSendTimestamps)
        // Mappings that name no instrument leave the symbols unknown, which is no reason not to show the
        // rest.
        do throws(DBNError) { try symbols.apply(metadata) } catch {
            inspection.messages.append("symbol mappings: \(error)")
        }
    }

    /// Counts one record.
    public mutating func add(_ record: Record) {
        inspection.records += 1
        typeCounts[Int(record.type.rawValue)] += 1
        let isTick = rule.completesTick(record)
        if isTick { inspection.ticks += 1 }
        noteSymbol(record)
        let index = self.index(of: record)
        if let text = FeedInspector.message(record) {
            if let index, let counts = FeedInspector.conversion(text) {
                instruments[index].inspection.conversion = counts
            } else if inspection.messages.count < FeedInspector.messageCountMax {
                inspection.messages.append(text)
            }
        }
        let captured = FeedInspector.captureTimestamp(record)
        if let captured {
            inspection.firstTimestamp = inspection.firstTimestamp ?? captured
            inspection.lastTimestamp = captured
        }
        guard let index else {
            inspection.instrumentsLeftOut += 1
            return
        }
        instruments[index].add(record, isTick: isTick, captureTimestamp: captured)
    }

    /// The answer. Nothing can be added afterwards.
    public consuming func finish() -> Inspection {
        var result = inspection
        for type in typeCounts.indices where typeCounts[type] > 0 {
            let name = FeedInspector.name(RecordType(rawValue: UInt8(type)))
            result.types.append(Inspection.TypeCount(type: UInt8(type), name: name, count: typeCounts[type]))
        }
        for state in instruments {
            var instrument = state.inspection
            for type in state.typeCounts.indices where state.typeCounts[type] > 0 {
                let name = FeedInspector.name(RecordType(rawValue: UInt8(type)))
                instrument.types[name, default: 0] += state.typeCounts[type]
            }
            instrument.symbol = symbols.symbol(
                instrumentID: instrument.instrumentID,
                timestamp: instrument.firstTimestamp ?? result.metadata?.start ?? 0)
            result.instruments.append(instrument)
        }
        result.instruments.sort {
            ($0.publisherID, $0.instrumentID) < ($1.publisherID, $1.instrumentID)
        }
        return result
    }

    private mutating func noteSymbol(_ record: Record) {
        do throws(DBNError) { _ = try symbols.apply(record) } catch {
            if inspection.messages.count < FeedInspector.messageCountMax {
                inspection.messages.append("symbols: \(error)")
            }
        }
    }

    /// Which instrument a record is of; nil when there are too many.
    private mutating func index(of record: Record) -> Int? {
        let key = UInt64(record.publisherID) << 32 | UInt64(record.instrumentID)
        if key == lastKey { return lastIndex }
        if let known = indices[key] {
            lastKey = key
            lastIndex = known
            return known
        }
        guard instruments.count < FeedInspector.instrumentCountMax else { return nil }
        instruments.append(
            InstrumentState(publisherID: record.publisherID, instrumentID: record.instrumentID))
        lastKey = key
        lastIndex = instruments.count - 1
        indices[key] = lastIndex
        return lastIndex
    }
}

extension FeedInspector {
    /// The name of a record type: that of its schema, or of what it is.
    static func name(_ type: RecordType) -> String {
        switch type {
        case .trade: "trades"
        case .mbp1: "mbp-1"
        case .mbp10: "mbp-10"
        case .mbo: "mbo"
        case .cmbp1: "cmbp-1"
        case .cbbo1Second: "cbbo-1s"
        case .cbbo1Minute: "cbbo-1m"
        case .tcbbo: "tcbbo"
        case .bbo1Second: "bbo-1s"
        case .bbo1Minute: "bbo-1m"
        case .ohlcvDeprecated: "ohlcv"
        case .ohlcv1Second: "ohlcv-1s"
        case .ohlcv1Minute: "ohlcv-1m"
        case .ohlcv1Hour: "ohlcv-1h"
        case .ohlcv1Day: "ohlcv-1d"
        case .ohlcvEndOfDay: "ohlcv-eod"
        case .status: "status"
        case .definition: "definition"
        case .imbalance: "imbalance"
        case .statistics: "statistics"
        case .symbolMapping: "symbol-mapping"
        case .system: "system"
        case .error: "error"
        default: "rtype-\(type.rawValue)"
        }
    }

    /// `ts_recv` of a record that can be part of a tick; nil if it has none or it is undefined.
    static func captureTimestamp(_ record: Record) -> UInt64? {
        var timestamp = Timestamp.undefined
        if record.isTradeOrBook {
            timestamp = record.captureTimestamp
        } else if let view = MBOView(record) {
            timestamp = view.captureTimestamp
        } else if let view = BBOView(record) {
            timestamp = view.captureTimestamp
        } else if let view = CMBP1View(record) {
            timestamp = view.captureTimestamp
        }
        return timestamp == Timestamp.undefined ? nil : timestamp
    }

    private static func message(_ record: Record) -> String? {
        if let view = SystemView(record) { return view.message }
        if let view = ErrorView(record) { return "error: \(view.message)" }
        return nil
    }

    /// The counts in a conversion's remark; nil if the text is something else.
    static func conversion(_ text: String) -> [String: UInt64]? {
        let parts = text.split(separator: " ")
        guard parts.first == InstrumentConversion.remarkPrefix[...] else { return nil }
        var counts: [String: UInt64] = [:]
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=")
            guard pair.count == 2, let count = UInt64(pair[1]) else { return nil }
            counts[String(pair[0])] = count
        }
        return counts
    }
}
