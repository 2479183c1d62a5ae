import CZlib

/// The bytes of a gzip file of any number of members, of a plain file, or of one zip entry, in order,
/// decompressed as they are asked for. Memory is two fixed buffers whatever the file says of itself. Check
/// sums and sizes are verified.
///
/// Belongs to one thread at a time.
package final class ByteStream {
    /// Compressed bytes read at once.
    private static let inputByteCount = 128 << 10

    private enum Kind {
        case plain
        case gzip
        case zipStored
        case zipDeflated
    }

    private let file: InputFile
    private let kind: Kind
    /// Next byte of the file to read, and where the stream's bytes end there.
    private var offset: UInt64
    private let endOffset: UInt64
    private var isFinished = false
    /// A gzip member has begun and not ended.
    private var isInsideMember = false
    /// gzip members read to their end.
    private var memberCount = 0
    private var produced: UInt64 = 0
    private var checksum: UInt = 0
    /// What a zip's central directory says of the entry.
    private let entry: ZipEntry?
    private let input: UnsafeMutablePointer<UInt8>
    /// zlib keeps this address, so it must not move.
    private let stream: UnsafeMutablePointer<z_stream>

    /// Compressed bytes read so far, for progress.
    private(set) var consumedByteCount: UInt64 = 0

    /// Streams a whole file: gzip if it begins as one, else as it is.
    package convenience init(file: InputFile) throws(FeedError) {
        let magic = file.byteCount >= 2 ? try file.bytes(count: 2, at: 0) : []
        try self.init(
            file: file, kind: magic == [0x1F, 0x8B] ? .gzip : .plain, offset: 0, byteCount: file.byteCount,
            entry: nil)
    }

    /// Streams one entry of a zip.
    package convenience init(file: InputFile, entry: ZipEntry) throws(FeedError) {
        try self.init(
            file: file, kind: entry.isDeflated ? .zipDeflated : .zipStored, offset: entry.dataOffset,
            byteCount: entry.compressedByteCount, entry: entry)
    }

    private init(file: InputFile, kind: Kind, offset: UInt64, byteCount: UInt64, entry: ZipEntry?)
        throws(FeedError)
    {
        self.file = file
        self.kind = kind
        self.offset = offset
        self.endOffset = offset + byteCount
        self.entry = entry
        input = .allocate(capacity: ByteStream.inputByteCount)
        stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // 15 is the largest window; + 16 reads a gzip header and trailer, negative is raw deflate.
        if kind == .gzip || kind == .zipDeflated {
            let status = unsafe inflateInit2_(
                stream, kind == .gzip ? 15 + 16 : -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
            guard status == Z_OK else {
                throw .archive(path: file.path, offset: 0, problem: "zlib cannot start (\(status))")
            }
        }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
        unsafe input.deallocate()
    }

    /// Fills `target` from the stream. Returns how many bytes; 0 only at the end, when everything was
    /// verified.
    func read(into target: UnsafeMutablePointer<UInt8>, count: Int) throws(FeedError) -> Int {
        guard !isFinished, count > 0 else { return 0 }
        let got: Int
        switch kind {
        case .plain, .zipStored: got = unsafe try readStored(into: target, count: count)
        case .gzip, .zipDeflated: got = unsafe try readInflated(into: target, count: count)
        }
        produced += UInt64(got)
        if let entry {
            checksum = unsafe crc32(checksum, target, uInt(got))
            guard produced <= entry.byteCount else {
                throw damage(
                    "\(entry.name) is longer than the \(entry.byteCount) bytes that the archive announces")
            }
        }
        if got == 0 { try finish() }
        return got
    }

    private func finish() throws(FeedError) {
        isFinished = true
        guard let entry else { return }
        guard produced == entry.byteCount else {
            throw damage("\(entry.name) has \(produced) bytes, the archive announces \(entry.byteCount)")
        }
        guard checksum == UInt(entry.checksum) else {
            throw damage("\(entry.name) does not match its CRC-32")
        }
    }

    private func readStored(into target: UnsafeMutablePointer<UInt8>, count: Int) throws(FeedError) -> Int {
        let wanted = Int(min(UInt64(count), endOffset - offset))
        let got = unsafe try file.read(into: target, count: wanted, at: offset)
        guard got == wanted || kind == .plain else { throw damage("the file ends inside an entry") }
        offset += UInt64(got)
        consumedByteCount += UInt64(got)
        return got
    }

    private func readInflated(into target: UnsafeMutablePointer<UInt8>, count: Int) throws(FeedError) -> Int {
        unsafe stream.pointee.next_out = target
        unsafe stream.pointee.avail_out = uInt(clamping: count)
        let wanted = unsafe stream.pointee.avail_out
        // Each turn takes input, gives output or ends the stream, so this ends.
        while unsafe stream.pointee.avail_out == wanted {
            if unsafe stream.pointee.avail_in == 0 {
                if try !refill() {
                    guard !isInsideMember else {
                        throw damage("the compressed data ends before its end mark")
                    }
                    break
                }
            }
            if kind == .gzip && !isInsideMember && memberCount > 0 {
                // Zero bytes behind the last member are padding (tapes, block devices), as gzip itself has
                // it.
                if unsafe stream.pointee.next_in.pointee == 0 {
                    unsafe stream.pointee.next_in += 1
                    unsafe stream.pointee.avail_in -= 1
                    continue
                }
            }
            isInsideMember = true
            let status = unsafe inflate(stream, Z_NO_FLUSH)
            switch status {
            case Z_OK, Z_BUF_ERROR:
                continue
            case Z_STREAM_END:
                isInsideMember = false
                if kind == .zipDeflated {
                    let left = unsafe endOffset - offset + UInt64(stream.pointee.avail_in)
                    guard left == 0 else {
                        throw damage("\(left) bytes stand behind the end mark of an entry")
                    }
                    return unsafe Int(wanted - stream.pointee.avail_out)
                }
                memberCount += 1
                unsafe inflateReset(stream)
            default:
                let text = unsafe stream.pointee.msg.map { unsafe String(cString: $0) } ?? "error \(status)"
                throw damage("zlib: \(text)")
            }
        }
        return unsafe Int(wanted - stream.pointee.avail_out)
    }

    /// Reads the next compressed bytes. False at their end.
    private func refill() throws(FeedError) -> Bool {
        let wanted = Int(min(UInt64(ByteStream.inputByteCount), endOffset - offset))
        guard wanted > 0 else { return false }
        let got = unsafe try file.read(into: input, count: wanted, at: offset)
        guard got > 0 else { return false }
        offset += UInt64(got)
        consumedByteCount += UInt64(got)
        unsafe stream.pointee.next_in = input
        unsafe stream.pointee.avail_in = uInt(got)
        return true
    }

    private func damage(_ problem: String) -> FeedError {
        .archive(path: file.path, offset: offset, problem: problem)
    }
}
