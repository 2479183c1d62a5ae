public import MarketData

/// Reads a DBN file, plain or zstd, record by record. A thin shell around `DBNDecoder`.
///
///     var reader = try DBNFileReader(path: path)
///     while try reader.next() { use(reader.record) }
///
/// Errors name the file. A reader belongs to one thread at a time.
public struct DBNFileReader: ~Copyable {
    /// Bytes asked of the system at a time: large enough that the call does not count, small enough for the
    /// L2 cache.
    private static let readByteCount = 128 << 10

    public let path: String
    private var decoder: DBNDecoder
    private var file: FileDescriptor
    private var isAtEnd = false
    /// The first record was met while looking for metadata.
    private var hasRecordWaiting = false

    /// Opens `path` and reads its metadata.
    public init(
        path: String, format: DBNDecoder.Format = .automatic, limits: DBNDecoder.Limits = DBNDecoder.Limits()
    ) throws(DBNError) {
        self.path = path
        decoder = DBNDecoder(format: format, limits: limits)
        file = FileDescriptor(path: path)
        try file.openForReading()
        switch try step() {
        case .record: hasRecordWaiting = true
        case .end: isAtEnd = true
        default: break
        }
    }

    /// The metadata; nil for a fragment.
    public var metadata: DBNMetadata? { decoder.metadata }
    /// DBN version of the records; nil if unknown.
    public var version: UInt8? { decoder.version }
    /// Number of the current record, counted from 1.
    public var recordNumber: UInt64 { hasRecordWaiting ? 0 : decoder.recordNumber }
    /// Where the current record begins, in decompressed bytes.
    public var byteOffset: UInt64 { decoder.byteOffset }
    /// Whether each record ends in 8 bytes with its send timestamp.
    public var hasSendTimestamps: Bool { decoder.hasSendTimestamps }

    /// The current record, valid until `next` is called. Only after `next` returned true.
    public var record: Record {
        @_lifetime(borrow self)
        get { decoder.record }
    }

    /// Moves to the next record; false at the end.
    public mutating func next() throws(DBNError) -> Bool {
        if hasRecordWaiting {
            hasRecordWaiting = false
            return true
        }
        if isAtEnd { return false }
        switch try step() {
        case .record: return true
        default:
            isAtEnd = true
            return false
        }
    }

    private mutating func step() throws(DBNError) -> DBNDecoder.Step {
        do throws(DBNError) {
            while true {
                let step = try decoder.next()
                guard step == .needsInput else { return step }
                try read()
            }
        } catch {
            throw error.at(path: path)
        }
    }

    private mutating func read() throws(DBNError) {
        let count = try decoder.feed(byteCount: DBNFileReader.readByteCount) { buffer throws(DBNError) in
            try unsafe file.read(into: buffer)
        }
        if count == 0 { decoder.finish() }
    }
}
