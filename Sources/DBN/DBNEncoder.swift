public import MarketData

/// Writes a DBN version 3 stream, byte for byte as Databento's encoder does, without doing any I/O.
///
/// Output gathers inside until the caller takes it; `outputByteCount` says how much there is. Compressed
/// output is one zstd frame with a checksum, and the same records give the same bytes however the output is
/// taken. An encoder belongs to one thread at a time.
public struct DBNEncoder: ~Copyable {
    /// How the output is compressed.
    public enum Compression: Equatable, Sendable {
        case none
        /// zstd at `level`; 3 is what Databento uses.
        case zstd(level: Int = 3)
    }

    /// Records gather up to here before libzstd sees them, so that its cost per call does not count.
    private static let batchByteCount = 128 << 10

    /// Records written.
    public private(set) var recordCount: UInt64 = 0
    /// Bytes written, before compression.
    public var byteCount: UInt64 { plain.offset + UInt64(plain.count) }

    private let extraByteCount: Int
    private var isFinished = false
    /// Uncompressed bytes: the output itself, or what waits for compression.
    private var plain: ByteBuffer
    private var compressed: ByteBuffer
    private var compressor = ZstdCompressor()
    private let isCompressed: Bool

    /// Begins a stream with `metadata`, whose version is ignored. Throws if its texts or dates cannot be
    /// written or the compression level does not exist.
    public init(metadata: DBNMetadata, compression: Compression) throws(DBNError) {
        self.init(unopened: compression, hasSendTimestamps: metadata.hasSendTimestamps)
        try open(metadata: metadata, compression: compression)
    }

    /// An encoder that has written nothing: a noncopyable value is whole before anything may throw.
    init(unopened compression: Compression, hasSendTimestamps: Bool) {
        extraByteCount = hasSendTimestamps ? RecordLayout.sendTimestampByteCount : 0
        plain = ByteBuffer(capacity: 2 * DBNEncoder.batchByteCount)
        isCompressed = compression != .none
        compressed = ByteBuffer(capacity: isCompressed ? DBNEncoder.batchByteCount : 1)
    }

    mutating func open(metadata: DBNMetadata, compression: Compression) throws(DBNError) {
        try metadata.encode(into: &plain)
        if case .zstd(let level) = compression { try compressor.open(level: level) }
    }

    /// Writes a whole record of version 1, 2 or 3; what differs in version 3 is converted as Databento
    /// converts it.
    ///
    /// The record has its send timestamp behind it exactly if the metadata say so. Types that are not DBN's,
    /// Martlet's signals among them, are refused, since Databento's tools would refuse the file.
    public mutating func encode(_ record: RawSpan) throws(DBNError) {
        precondition(!isFinished, "Nothing is encoded after finish().")
        guard let view = Record(at: record), view.bytes.byteCount == record.byteCount else {
            let length = record.byteCount > 0 ? Int(record.unsafeLoadFirst) * 4 : 0
            throw error(
                .recordLength(type: 0, found: record.byteCount, expected: length >= 16 ? [length] : []))
        }
        let type = view.type
        let current = RecordLayout.currentByteCount(type)
        guard current > 0 else { throw error(.unknownRecordType(type.rawValue)) }
        let ownByteCount = record.byteCount - extraByteCount
        if ownByteCount == current {
            plain.append(record)
        } else if RecordLayout.isFormer(type, byteCount: ownByteCount) {
            RecordUpgrade.append(view, ownByteCount: ownByteCount, to: &plain)
        } else {
            let expected = RecordLayout.byteCounts(type, extra: extraByteCount)
            throw error(.recordLength(type: type.rawValue, found: record.byteCount, expected: expected))
        }
        try finishRecord()
    }

    /// Writes a trade (48 bytes). Only for streams without send timestamps.
    public mutating func encodeTrade(_ fields: MarketFields) throws(DBNError) {
        appendMarketFields(fields, type: .trade, byteCount: Record.tradeByteCount)
        try finishRecord()
    }

    /// Writes an MBP-10 record (368 bytes); missing levels get no price and size 0. Only for streams without
    /// send timestamps.
    public mutating func encodeBook(_ fields: MarketFields, levels: Span<BookLevel>) throws(DBNError) {
        guard levels.count <= OrderBook.depth else { throw error(.tooManyLevels(found: levels.count)) }
        appendMarketFields(fields, type: .mbp10, byteCount: Record.mbp10ByteCount)
        let levelsStart = plain.count - OrderBook.depth * 32
        let padding = BookLevel()
        for index in 0..<OrderBook.depth {
            appendLevel(index < levels.count ? levels[index] : padding, at: levelsStart + index * 32)
        }
        try finishRecord()
    }

    /// Writes a version 3 definition (520 bytes): the tick size in `min_price_increment`, the lot size in
    /// `unit_of_measure_qty`, the symbol in `raw_symbol`; all other fields are undefined. `instrumentClass`
    /// is an ASCII letter of DBN's, 0 for none. Only for streams without send timestamps.
    public mutating func encodeDefinition(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64,
        captureTimestamp: UInt64, instrumentClass: UInt8 = 0
    ) throws(DBNError) {
        try FixedText.check(
            instrument.symbol, byteCount: MetadataLayout.symbolByteCount, at: byteCount,
            record: recordCount + 1)
        let start = appendHeader(
            type: .definition, byteCount: RecordLayout.definitionByteCount3, publisherID: publisherID,
            instrumentID: instrumentID, venueTimestamp: venueTimestamp)
        DefinitionLayout.storeUndefined(in: &plain, at: start)
        plain.store(captureTimestamp, at: start + DefinitionLayout.captureTimestamp)
        plain.store(instrument.tickSize, at: start + DefinitionLayout.tickSize)
        plain.store(instrument.lotSize, at: start + DefinitionLayout.lotSize3)
        plain.store(instrumentClass, at: start + DefinitionLayout.instrumentClass3)
        var offset = start + DefinitionLayout.rawSymbol3
        for byte in instrument.symbol.utf8 {
            plain.store(byte, at: offset)
            offset += 1
        }
        try finishRecord()
    }

    /// Ends the stream; the rest of the output is then ready. Called once.
    public mutating func finish() throws(DBNError) {
        precondition(!isFinished, "A stream ends once.")
        isFinished = true
        try compressPlain(isLast: true)
    }

    /// Bytes that can be taken now.
    public var outputByteCount: Int { isCompressed ? compressed.count : plain.count }

    /// Hands out the output so far.
    public mutating func takeOutput() -> [UInt8] {
        withOutput { bytes in
            [UInt8](unsafeUninitializedCapacity: bytes.byteCount) { target, count in
                bytes.withUnsafeBytes { source in
                    unsafe UnsafeMutableRawBufferPointer(target).copyMemory(from: source)
                }
                count = bytes.byteCount
            }
        }
    }

    /// Lends the output so far to `body` and then forgets it, even if `body` throws.
    public mutating func withOutput<Value, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        if !isCompressed {
            defer { plain.consume(plain.count) }
            return try body(plain.bytes)
        }
        defer { compressed.consume(compressed.count) }
        return try body(compressed.bytes)
    }
}

extension DBNEncoder {
    private func error(_ reason: DBNError.Reason) -> DBNError {
        DBNError(reason, byteOffset: byteCount, recordNumber: recordCount + 1)
    }

    private mutating func finishRecord() throws(DBNError) {
        recordCount += 1
        if plain.count >= DBNEncoder.batchByteCount { try compressPlain(isLast: false) }
    }

    private mutating func compressPlain(isLast: Bool) throws(DBNError) {
        guard isCompressed else { return }
        try compressor.compress(&plain, into: &compressed, isLast: isLast)
    }

    /// Appends a record of zeros with its header. Returns where it starts in `plain`.
    private mutating func appendHeader(
        type: RecordType, byteCount: Int, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64
    ) -> Int {
        precondition(!isFinished, "Nothing is encoded after finish().")
        precondition(extraByteCount == 0, "Fields are encoded into streams without send timestamps.")
        let start = plain.count
        plain.append(zeros: byteCount)
        plain.store(UInt8(byteCount / 4), at: start)
        plain.store(type.rawValue, at: start + 1)
        plain.store(publisherID, at: start + 2)
        plain.store(instrumentID, at: start + 4)
        plain.store(venueTimestamp, at: start + 8)
        return start
    }

    private mutating func appendMarketFields(_ fields: MarketFields, type: RecordType, byteCount: Int) {
        let start = appendHeader(
            type: type, byteCount: byteCount, publisherID: fields.publisherID,
            instrumentID: fields.instrumentID,
            venueTimestamp: fields.venueTimestamp)
        plain.store(fields.price, at: start + 16)
        plain.store(fields.size, at: start + 24)
        plain.store(fields.action, at: start + 28)
        plain.store(fields.side, at: start + 29)
        plain.store(fields.flags.rawValue, at: start + 30)
        plain.store(fields.depth, at: start + 31)
        plain.store(fields.captureTimestamp, at: start + 32)
        plain.store(fields.captureDelta, at: start + 40)
        plain.store(fields.venueSequence, at: start + 44)
    }

    private mutating func appendLevel(_ level: BookLevel, at offset: Int) {
        plain.store(level.bidPrice, at: offset)
        plain.store(level.askPrice, at: offset + 8)
        plain.store(level.bidSize, at: offset + 16)
        plain.store(level.askSize, at: offset + 20)
        plain.store(level.bidCount, at: offset + 24)
        plain.store(level.askCount, at: offset + 28)
    }
}

extension RawSpan {
    /// The first byte of a span that has one.
    fileprivate var unsafeLoadFirst: UInt8 { unsafe unsafeLoad(fromByteOffset: 0, as: UInt8.self) }
}
