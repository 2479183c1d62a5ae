import MarketData

extension DBNMetadata {
    /// Writes version 3 metadata, byte for byte as Databento's encoder does, padded so that records begin
    /// 8-byte aligned.
    func encode(into buffer: inout ByteBuffer) throws(DBNError) {
        let length = encodedByteCount
        guard length <= Int(UInt32.max) - 8 else {
            throw DBNError(
                .metadataLength(
                    found: .max, minimum: MetadataLayout.byteCountMin, maximum: Int(UInt32.max) - 8))
        }
        var writer = MetadataWriter(byteCount: MetadataLayout.preludeByteCount + length)
        writer.bytes.append(contentsOf: [UInt8(ascii: "D"), UInt8(ascii: "B"), UInt8(ascii: "N")])
        writer.append(DBNMetadata.currentVersion)
        writer.append(UInt32(length))
        try writer.append(dataset, byteCount: MetadataLayout.datasetByteCount)
        writer.append(schema?.rawValue ?? Schema.mixedRawValue)
        writer.append(start)
        writer.append(end ?? MetadataLayout.undefinedTimestamp)
        writer.append(limit ?? 0)
        writer.append(symbolTypeIn ?? SymbolType.null)
        writer.append(symbolTypeOut)
        writer.append(UInt8(hasSendTimestamps ? 1 : 0))
        writer.append(UInt16(MetadataLayout.symbolByteCount))
        writer.append(zeros: MetadataLayout.reservedByteCount)
        writer.append(UInt32(0))  // Length of a schema definition that no version has.
        for list in [symbols, partial, notFound] {
            writer.append(UInt32(list.count))
            for symbol in list { try writer.append(symbol, byteCount: MetadataLayout.symbolByteCount) }
        }
        writer.append(UInt32(mappings.count))
        for mapping in mappings { try writer.append(mapping) }
        writer.append(zeros: MetadataLayout.preludeByteCount + length - writer.bytes.count)
        buffer.append(writer.bytes.span.bytes)
    }

    /// Bytes behind the prelude.
    private var encodedByteCount: Int {
        let symbolByteCount = MetadataLayout.symbolByteCount
        var byteCount = MetadataLayout.byteCountMin
        byteCount += (symbols.count + partial.count + notFound.count) * symbolByteCount
        for mapping in mappings {
            byteCount += symbolByteCount + 4 + mapping.intervals.count * (8 + symbolByteCount)
        }
        return (byteCount + 7) / 8 * 8
    }
}

private struct MetadataWriter {
    var bytes: [UInt8] = []

    init(byteCount: Int) { bytes.reserveCapacity(byteCount) }

    mutating func append<T: FixedWidthInteger>(_ value: T) {
        for shift in stride(from: 0, to: T.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }

    mutating func append(zeros count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

    mutating func append(_ text: String, byteCount: Int) throws(DBNError) {
        try FixedText.check(text, byteCount: byteCount, at: UInt64(bytes.count), record: 0)
        bytes.append(contentsOf: text.utf8)
        append(zeros: byteCount - text.utf8.count)
    }

    mutating func append(_ mapping: SymbolMapping) throws(DBNError) {
        try append(mapping.rawSymbol, byteCount: MetadataLayout.symbolByteCount)
        append(UInt32(mapping.intervals.count))
        for interval in mapping.intervals {
            for date in [interval.startDate, interval.endDate] {
                guard CalendarDate.isValid(date) else {
                    throw DBNError(.invalidDate(date), byteOffset: UInt64(bytes.count))
                }
                append(date)
            }
            try append(interval.symbol, byteCount: MetadataLayout.symbolByteCount)
        }
    }
}

/// Text in a field of fixed size: ASCII, with at least one zero behind it.
enum FixedText {
    static func check(_ text: String, byteCount: Int, at offset: UInt64, record: UInt64) throws(DBNError) {
        let isASCII = text.utf8.allSatisfy { $0 < 0x80 }
        guard isASCII, text.utf8.count < byteCount else {
            throw DBNError(
                .unencodableText(text, byteCountMax: byteCount - 1), byteOffset: offset, recordNumber: record)
        }
    }
}
