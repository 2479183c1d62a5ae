public import MarketData

/// Turns the bytes of a DBN file or stream into records, without doing any I/O.
///
///     var decoder = DBNDecoder()
///     try decoder.feed(bytes)
///     while try decoder.next() == .record { use(decoder.record) }
///
/// Versions 1, 2 and 3; plain or zstd with any number of frames; with metadata or as a fragment without: all
/// recognised by itself. Records come out byte for byte as they are in the input, so a version 1 definition
/// stays one: the typed views read every version. The same bytes give the same records however they are cut;
/// only of a damaged zstd frame does the cut decide how many records come out before the error.
///
/// Memory is bounded: see `Limits`. Compressed input is decompressed through a buffer of fixed size, so a
/// small input that stands for a huge one costs time but not memory. No record allocates. A decoder belongs
/// to one thread at a time.
public struct DBNDecoder: ~Copyable {
    /// What the input is.
    public enum Format: Equatable, Sendable {
        /// Metadata, or a fragment that begins with a record whose type and size DBN has.
        case automatic
        /// Metadata and then records.
        case file
        /// Records only. `version` says which version they are, nil if unknown: sizes tell versions apart
        /// where layouts differ.
        case fragment(version: UInt8? = nil, hasSendTimestamps: Bool = false)
    }

    /// What hostile input may cost.
    public struct Limits: Equatable, Sendable {
        /// Longest metadata. A request for every US option has some 1.5 million symbols, one stock a handful:
        /// 128 MiB hold 0.6 million with one mapping each.
        public var metadataByteCountMax = 128 << 20
        /// Largest zstd window, as a power of two, and so libzstd's memory. 27 is zstd's own bound for untold
        /// windows.
        public var windowLogMax = 27
        /// Most bytes that may be fed and not yet be consumed, beside the metadata.
        public var inputByteCountMax = 64 << 20

        public init() {}
    }

    /// What `next` found.
    public enum Step: Equatable, Sendable {
        /// Feed more, or call `finish`.
        case needsInput
        /// `metadata` is there; records follow.
        case metadata
        /// `record` is the next record.
        case record
        /// The input ended after a whole record.
        case end
    }

    private enum Phase {
        case compression
        case start
        case metadata(byteCount: Int)
        case records
        case end
        case failed
    }

    /// libzstd advises 128 KiB of output room; twice that and a record also lets plain files be read in large
    /// pieces.
    private static let bufferByteCount = 256 << 10

    /// The metadata, once `next` has returned `.metadata`; nil for a fragment.
    public private(set) var metadata: DBNMetadata?
    /// Number of the current record, counted from 1; 0 before the first.
    public private(set) var recordNumber: UInt64 = 0
    /// Whether each record ends in 8 bytes with its send timestamp.
    public private(set) var hasSendTimestamps = false

    private let format: Format
    private let limits: Limits
    private var phase = Phase.compression
    private var failure: DBNError?
    private var isFinished = false
    private var extraByteCount = 0
    private var lengths = RecordLengthTable(extra: 0)
    /// Bytes of the current record, which is still at the front of `decoded`; 0 when there is none.
    private var currentByteCount = 0
    private var fragmentVersion: UInt8?
    /// Decompressed bytes; plain input is fed straight into it.
    private var decoded: ByteBuffer
    /// Compressed bytes.
    private var compressed = ByteBuffer(capacity: 1)
    private var isCompressed = false
    private var decompressor = ZstdDecompressor()

    public init(format: Format = .automatic, limits: Limits = Limits()) {
        self.format = format
        self.limits = limits
        decoded = ByteBuffer(capacity: DBNDecoder.bufferByteCount)
        if case .fragment(let version, let hasSendTimestamps) = format {
            fragmentVersion = version
            setSendTimestamps(hasSendTimestamps)
        }
    }

    /// DBN version of the records: the metadata's, or what was said of a fragment; nil if unknown.
    public var version: UInt8? { metadata?.version ?? fragmentVersion }

    /// The current record, valid until the decoder is used again. Only after `next` returned `.record`.
    public var record: Record {
        @_lifetime(borrow self)
        get {
            guard currentByteCount > 0, let record = Record(at: decoded.prefix(currentByteCount)) else {
                preconditionFailure("A record is read after next() returned .record.")
            }
            return record
        }
    }

    /// When Databento's gateway sent the current record, nanoseconds since the epoch; nil where records do
    /// not say.
    public var sendTimestamp: UInt64? {
        guard hasSendTimestamps, currentByteCount >= Record.headerByteCount + extraByteCount else {
            return nil
        }
        let bytes = record.bytes
        return UInt64(
            littleEndian: unsafe bytes.unsafeLoadUnaligned(
                fromUncheckedByteOffset: bytes.byteCount - extraByteCount, as: UInt64.self))
    }

    /// Where the current or next item begins, in bytes from the start of the decompressed input.
    public var byteOffset: UInt64 { decoded.offset }

    /// Takes a copy of `bytes`, of any length from 0. Throws `.inputTooLarge` when more would wait than
    /// `Limits` allow.
    public mutating func feed(_ bytes: RawSpan) throws(DBNError) {
        try checkRoom(bytes.byteCount)
        dropCurrent()
        if isCompressed {
            compressed.append(bytes)
        } else {
            decoded.append(bytes)
        }
    }

    /// Says that no more input comes: what is incomplete now is truncated.
    public mutating func finish() { isFinished = true }

    /// Moves to the next item. After an error each further call throws the same error.
    public mutating func next() throws(DBNError) -> Step {
        dropCurrent()
        // The common case, kept short: a whole record of a known type and its usual length waits.
        if case .records = phase, decoded.count >= Record.headerByteCount {
            let length = decoded.byte(0)
            let byteCount = Int(length) &* 4
            if length == lengths[decoded.byte(1)], length != 0, byteCount <= decoded.count {
                currentByteCount = byteCount
                recordNumber &+= 1
                return .record
            }
        }
        return try nextSlowly()
    }
}

/// Reading straight into the decoder, without a copy between.
extension DBNDecoder {
    /// Lets `body` write up to `byteCount` bytes of input; it returns how many it wrote.
    package mutating func feed(
        byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws(DBNError) -> Int
    ) throws(DBNError) -> Int {
        try checkRoom(byteCount)
        dropCurrent()
        if isCompressed {
            compressed.reserve(byteCount)
            let count = try unsafe body(compressed.free())
            compressed.commit(count)
            return count
        }
        decoded.reserve(byteCount)
        let count = try unsafe body(decoded.free())
        decoded.commit(count)
        return count
    }

    private func checkRoom(_ byteCount: Int) throws(DBNError) {
        if let failure { throw failure }
        precondition(!isFinished, "Nothing is fed after finish().")
        let held = (isCompressed ? compressed.count : decoded.count) + byteCount
        let limit = limits.inputByteCountMax + limits.metadataByteCountMax
        guard held <= limit else { throw error(.inputTooLarge(found: held, limit: limit)) }
    }
}

/// The rare steps.
extension DBNDecoder {
    private mutating func setSendTimestamps(_ value: Bool) {
        hasSendTimestamps = value
        extraByteCount = value ? RecordLayout.sendTimestampByteCount : 0
        lengths = RecordLengthTable(extra: extraByteCount)
    }

    @inline(__always)
    private mutating func dropCurrent() {
        decoded.consume(currentByteCount)
        currentByteCount = 0
    }

    /// Whether the record at the front may have `byteCount` bytes.
    private func accepts(_ byteCount: Int) -> Bool {
        RecordLayout.accepts(
            RecordType(rawValue: decoded.byte(1)), byteCount: byteCount, extra: extraByteCount)
            && !isHeader
    }

    /// A metadata header where a record should be would be taken for a record of an unknown type.
    private var isHeader: Bool {
        decoded.byte(0) == UInt8(ascii: "D") && decoded.byte(1) == UInt8(ascii: "B")
            && decoded.byte(2) == UInt8(ascii: "N")
    }

    private mutating func nextSlowly() throws(DBNError) -> Step {
        if let failure { throw failure }
        do {
            while true {
                switch phase {
                case .compression:
                    guard try detectCompression() else { return .needsInput }
                case .start:
                    guard try start() else { return .needsInput }
                case .metadata(let byteCount):
                    guard try fill(byteCount) else { return .needsInput }
                    try readMetadata(byteCount: byteCount)
                    return .metadata
                case .records: return try readRecord()
                case .end: return .end
                case .failed: preconditionFailure("A failure is thrown again.")
                }
            }
        } catch {
            failure = error
            phase = .failed
            throw error
        }
    }

    private func error(_ reason: DBNError.Reason) -> DBNError {
        var number = recordNumber
        if case .records = phase { number += 1 }
        return DBNError(reason, byteOffset: decoded.offset, recordNumber: number)
    }

    /// Looks at the first four bytes. Input that ends sooner is plain.
    private mutating func detectCompression() throws(DBNError) -> Bool {
        guard decoded.count >= 4 || isFinished else { return false }
        phase = .start
        guard decoded.count >= 4 else { return true }
        var magic: UInt32 = 0
        for index in 0..<4 { magic |= UInt32(decoded.byte(index)) << UInt32(8 * index) }
        if magic & 0xFFFF_FFF0 == 0x184D_2A50 { throw error(.legacyDBZ) }
        guard magic == 0xFD2F_B528 else { return true }
        try decompressor.open(windowLogMax: limits.windowLogMax)
        isCompressed = true
        // What was fed so far is compressed; decompressed bytes go to a fresh buffer.
        compressed = ByteBuffer(capacity: DBNDecoder.bufferByteCount)
        swap(&compressed, &decoded)
        return true
    }

    /// Finds out whether metadata or a record comes first.
    private mutating func start() throws(DBNError) -> Bool {
        if case .fragment = format {
            phase = .records
            return true
        }
        guard try fill(MetadataLayout.preludeByteCount) || isFinished else { return false }
        guard decoded.count > 0 else { throw error(.empty) }
        if decoded.count >= 3, isHeader {
            guard decoded.count >= MetadataLayout.preludeByteCount else {
                throw error(.truncated(found: decoded.count, expected: MetadataLayout.preludeByteCount))
            }
            try readPrelude()
            return true
        }
        guard format == .automatic, decoded.count >= 2 else { throw notDBN() }
        let type = RecordType(rawValue: decoded.byte(1))
        let byteCount = Int(decoded.byte(0)) * 4
        guard RecordLayout.currentByteCount(type) > 0 else { throw notDBN() }
        if RecordLayout.accepts(type, byteCount: byteCount, extra: 0) {
            setSendTimestamps(false)
        } else if RecordLayout.accepts(type, byteCount: byteCount, extra: RecordLayout.sendTimestampByteCount) {
            setSendTimestamps(true)
        } else {
            throw notDBN()
        }
        phase = .records
        return true
    }

    private func notDBN() -> DBNError {
        var found: [UInt8] = []
        for index in 0..<min(decoded.count, 8) { found.append(decoded.byte(index)) }
        return error(.notDBN(found: found))
    }

    private mutating func readPrelude() throws(DBNError) {
        let version = decoded.byte(3)
        guard version >= 1, version <= DBNMetadata.currentVersion else {
            throw error(.unsupportedVersion(version))
        }
        var length: UInt32 = 0
        for index in 0..<4 { length |= UInt32(decoded.byte(4 + index)) << UInt32(8 * index) }
        let minimum = MetadataLayout.byteCountMin
        guard length >= minimum, length <= limits.metadataByteCountMax else {
            throw error(
                .metadataLength(found: length, minimum: minimum, maximum: limits.metadataByteCountMax))
        }
        phase = .metadata(byteCount: MetadataLayout.preludeByteCount + Int(length))
    }

    private mutating func readMetadata(byteCount: Int) throws(DBNError) {
        let prelude = MetadataLayout.preludeByteCount
        let metadata = try DBNMetadata(
            version: decoded.byte(3), bytes: decoded.prefix(byteCount).extracting(prelude..<byteCount))
        setSendTimestamps(metadata.hasSendTimestamps)
        self.metadata = metadata
        decoded.consume(byteCount)
        phase = .records
    }

    private mutating func readRecord() throws(DBNError) -> Step {
        guard try fill(Record.headerByteCount, mayEnd: true) else {
            guard isFinished else { return .needsInput }
            phase = .end
            return .end
        }
        let byteCount = Int(decoded.byte(0)) * 4
        guard accepts(byteCount) else {
            if isHeader { throw error(.secondHeader) }
            throw wrongLength(byteCount)
        }
        guard try fill(byteCount) else { return .needsInput }
        currentByteCount = byteCount
        recordNumber &+= 1
        return .record
    }

    private func wrongLength(_ byteCount: Int) -> DBNError {
        let type = RecordType(rawValue: decoded.byte(1))
        let expected = RecordLayout.byteCounts(type, extra: extraByteCount)
        return error(.recordLength(type: type.rawValue, found: byteCount, expected: expected))
    }

    /// Gets `byteCount` bytes to the front if the input holds them. False: more input is needed, or, only
    /// with `mayEnd`, the input has ended in a proper place. Throws if it ended elsewhere.
    private mutating func fill(_ byteCount: Int, mayEnd: Bool = false) throws(DBNError) -> Bool {
        while decoded.count < byteCount {
            guard try decompress(toward: byteCount) else {
                if isFinished { try checkEnd(byteCount, mayEnd: mayEnd) }
                return false
            }
        }
        return true
    }

    private func checkEnd(_ byteCount: Int, mayEnd: Bool) throws(DBNError) {
        if case .start = phase { return }  // `start` says itself what it misses.
        let isWhole = !decompressor.isInsideFrame
        if mayEnd, decoded.count == 0, isWhole { return }
        guard decoded.count > 0 || isWhole else { throw error(.zstd("the input ends inside a frame")) }
        throw error(.truncated(found: decoded.count, expected: byteCount))
    }

    /// One step of decompression, with room for `byteCount` bytes at most. The room grows with what arrives
    /// and not with what was announced. Returns whether there was progress.
    private mutating func decompress(toward byteCount: Int) throws(DBNError) -> Bool {
        guard isCompressed else { return false }
        if decoded.freeCount < DBNDecoder.bufferByteCount / 2 { decoded.compact() }
        if decoded.freeCount == 0 { decoded.reserve(min(decoded.capacity, byteCount)) }
        do {
            return try decompressor.step(from: &compressed, into: &decoded)
        } catch {
            throw DBNError(
                error.reason, byteOffset: error.byteOffset, recordNumber: self.error(.empty).recordNumber)
        }
    }
}
