#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The lines of a byte stream, one at a time, where they lie in one buffer. A line ends at LF (a CR before it
/// is dropped) or at the end of the stream.
///
/// Belongs to one thread at a time.
package final class LineReader {
    /// Longest line. A REST snapshot of 5,000 levels a side is some 400 KB.
    package static let lineByteCountMax = 8 << 20
    private static let initialByteCount = 256 << 10

    let path: String
    let stream: ByteStream
    /// Number of the current line, counted from 1; 0 before the first.
    private(set) var lineNumber: UInt64 = 0

    private var buffer: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    /// Bytes `begin..<filled` of the buffer are not handed out yet.
    private var begin = 0
    private var filled = 0
    private var lineStart = 0
    private var lineEnd = 0
    private var isAtEnd = false

    package init(path: String, stream: ByteStream) {
        self.path = path
        self.stream = stream
        capacity = LineReader.initialByteCount
        buffer = .allocate(capacity: capacity)
    }

    deinit { unsafe buffer.deallocate() }

    /// The current line, without its end. Valid until the next call of `next()`.
    package var line: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let bytes = unsafe UnsafeBufferPointer(start: buffer + lineStart, count: lineEnd - lineStart)
            return unsafe _overrideLifetime(Span(_unsafeElements: bytes), borrowing: self)
        }
    }

    /// Goes to the next line. False at the end of the stream.
    package func next() throws(FeedError) -> Bool {
        var searched = begin
        while true {
            if searched < filled, let found = unsafe memchr(buffer + searched, 0x0A, filled - searched) {
                let end = unsafe found.assumingMemoryBound(to: UInt8.self) - buffer
                take(from: begin, to: end, next: end + 1)
                return true
            }
            searched = filled
            if isAtEnd {
                guard begin < filled else { return false }
                take(from: begin, to: filled, next: filled)
                return true
            }
            let moved = begin
            try makeRoom()
            searched -= moved - begin
            let got = unsafe try stream.read(into: buffer + filled, count: capacity - filled)
            filled += got
            isAtEnd = got == 0
        }
    }

    private func take(from start: Int, to end: Int, next: Int) {
        lineStart = start
        lineEnd = unsafe end > start && buffer[end - 1] == 0x0D ? end - 1 : end
        begin = next
        lineNumber += 1
    }

    private func makeRoom() throws(FeedError) {
        if begin > 0 {
            unsafe memmove(buffer, buffer + begin, filled - begin)
            filled -= begin
            begin = 0
        }
        guard filled == capacity else { return }
        guard capacity < LineReader.lineByteCountMax else {
            throw .content(
                path: path, line: lineNumber + 1, found: "a line of more than \(capacity) bytes",
                expected: "lines of at most \(LineReader.lineByteCountMax) bytes")
        }
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2)
        unsafe larger.update(from: buffer, count: filled)
        unsafe buffer.deallocate()
        unsafe buffer = larger
        capacity *= 2
    }
}
