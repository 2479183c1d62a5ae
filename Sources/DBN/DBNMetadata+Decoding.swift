import MarketData

extension DBNMetadata {
    /// Reads the metadata that follow the prelude; `bytes` is what the prelude's length announced.
    ///
    /// Memory is bounded by a small multiple of `bytes`: every count is compared with the bytes left before
    /// anything is allocated, and each string stands for at least `MetadataLayout.symbolByteCount1` bytes.
    init(version: UInt8, bytes: RawSpan) throws(DBNError) {
        precondition(
            bytes.byteCount >= MetadataLayout.byteCountMin, "The length is checked before the body is read.")
        var reader = MetadataReader(bytes)
        let dataset = try reader.text(MetadataLayout.datasetByteCount, field: .dataset)
        let rawSchema = reader.integer(UInt16.self)
        let schema = Schema(rawValue: rawSchema)
        guard schema != nil || rawSchema == Schema.mixedRawValue else {
            throw reader.error(.unknownSchema(rawSchema), back: 2)
        }
        let start = reader.integer(UInt64.self)
        let end = reader.integer(UInt64.self)
        let limit = reader.integer(UInt64.self)
        // Version 1 counts records here, and no writer ever filled it in.
        if version == 1 { reader.skip(8) }
        let symbolTypeIn = reader.integer(UInt8.self)
        let symbolTypeOut = reader.integer(UInt8.self)
        let hasSendTimestamps = reader.integer(UInt8.self) != 0
        if version == 1 {
            reader.symbolByteCount = MetadataLayout.symbolByteCount1
        } else {
            let found = reader.integer(UInt16.self)
            guard found >= MetadataLayout.symbolByteCount1 else {
                throw reader.error(
                    .symbolLength(found: found, minimum: MetadataLayout.symbolByteCount1), back: 2)
            }
            reader.symbolByteCount = Int(found)
        }
        reader.skip(version == 1 ? MetadataLayout.reservedByteCount1 : MetadataLayout.reservedByteCount)
        let definitionLength = reader.integer(UInt32.self)
        guard definitionLength == 0 else {
            throw reader.error(.schemaDefinition(length: definitionLength), back: 4)
        }
        let symbols = try reader.texts(field: .symbols)
        let partial = try reader.texts(field: .partial)
        let notFound = try reader.texts(field: .notFound)
        let mappings = try reader.mappings()
        self.init(
            version: version, dataset: dataset, schema: schema, start: start,
            end: end == MetadataLayout.undefinedTimestamp || end == 0 ? nil : end,
            limit: limit == 0 ? nil : limit,
            symbolTypeIn: symbolTypeIn == SymbolType.null ? nil : symbolTypeIn, symbolTypeOut: symbolTypeOut,
            hasSendTimestamps: hasSendTimestamps, symbols: symbols, partial: partial, notFound: notFound,
            mappings: mappings)
    }
}

/// A cursor over the metadata. Fixed fields are read unchecked by throwing code, since the caller checked the
/// length.
private struct MetadataReader: ~Escapable {
    private let bytes: RawSpan
    private var position = 0
    var symbolByteCount = MetadataLayout.symbolByteCount

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) { self.bytes = bytes }

    private var available: Int { bytes.byteCount - position }

    func error(_ reason: DBNError.Reason, back: Int = 0) -> DBNError {
        DBNError(reason, byteOffset: UInt64(MetadataLayout.preludeByteCount + position - back))
    }

    @_lifetime(self: copy self)
    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> T {
        precondition(available >= MemoryLayout<T>.size, "Space is checked before a field is read.")
        let value = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: position, as: T.self)
        position += MemoryLayout<T>.size
        return T(littleEndian: value)
    }

    @_lifetime(self: copy self)
    mutating func skip(_ byteCount: Int) {
        precondition(available >= byteCount, "Space is checked before a field is skipped.")
        position += byteCount
    }

    private func require(_ byteCount: UInt64, _ field: DBNError.MetadataField) throws(DBNError) {
        guard byteCount <= UInt64(available) else {
            throw error(.metadataOverrun(field: field, needed: byteCount, available: available))
        }
    }

    /// A text of fixed size, padded with zeros at its end.
    @_lifetime(self: copy self)
    mutating func text(_ byteCount: Int, field: DBNError.MetadataField) throws(DBNError) -> String {
        try require(UInt64(byteCount), field)
        var length = byteCount
        let span = bytes.extracting(position..<position + byteCount)
        while length > 0, unsafe span.unsafeLoad(fromUncheckedByteOffset: length - 1, as: UInt8.self) == 0 {
            length -= 1
        }
        let text = span.extracting(first: length).withUnsafeBytes {
            unsafe String(validating: $0, as: UTF8.self)
        }
        guard let text else { throw error(.invalidText(field: field)) }
        position += byteCount
        return text
    }

    @_lifetime(self: copy self)
    mutating func texts(field: DBNError.MetadataField) throws(DBNError) -> [String] {
        let count = try self.count(field: field, bytesEach: symbolByteCount)
        var texts: [String] = []
        texts.reserveCapacity(count)
        for _ in 0..<count { texts.append(try text(symbolByteCount, field: field)) }
        return texts
    }

    @_lifetime(self: copy self)
    mutating func mappings() throws(DBNError) -> [SymbolMapping] {
        let count = try self.count(field: .mappings, bytesEach: symbolByteCount + 4)
        var mappings: [SymbolMapping] = []
        mappings.reserveCapacity(count)
        for _ in 0..<count {
            let rawSymbol = try text(symbolByteCount, field: .mappings)
            mappings.append(SymbolMapping(rawSymbol: rawSymbol, intervals: try intervals()))
        }
        return mappings
    }

    @_lifetime(self: copy self)
    private mutating func intervals() throws(DBNError) -> [SymbolMapping.Interval] {
        let count = try self.count(field: .intervals, bytesEach: symbolByteCount + 8)
        var intervals: [SymbolMapping.Interval] = []
        intervals.reserveCapacity(count)
        for _ in 0..<count {
            let startDate = try date()
            let endDate = try date()
            let symbol = try text(symbolByteCount, field: .intervals)
            intervals.append(SymbolMapping.Interval(startDate: startDate, endDate: endDate, symbol: symbol))
        }
        return intervals
    }

    /// A count of items that take `bytesEach` bytes at least, all of which must be there.
    @_lifetime(self: copy self)
    private mutating func count(field: DBNError.MetadataField, bytesEach: Int) throws(DBNError) -> Int {
        try require(4, field)
        let count = integer(UInt32.self)
        try require(UInt64(count) * UInt64(bytesEach), field)
        return Int(count)
    }

    @_lifetime(self: copy self)
    private mutating func date() throws(DBNError) -> UInt32 {
        let date = integer(UInt32.self)
        guard CalendarDate.isValid(date) else { throw error(.invalidDate(date), back: 4) }
        return date
    }
}
