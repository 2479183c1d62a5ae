#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A file opened for reading at any position. Closed when the last reference goes.
///
/// Belongs to one thread at a time.
package final class InputFile {
    let path: String
    /// Bytes in the file when it was opened.
    let byteCount: UInt64
    private let descriptor: Int32

    package init(path: String) throws(FeedError) {
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else { throw .file(path: path, operation: "open", errno: errno) }
        var status = stat()
        guard fstat(opened, &status) == 0 else {
            let code = errno
            close(opened)
            throw .file(path: path, operation: "read the status of", errno: code)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(opened)
            throw .inputs("\(path) is not a regular file")
        }
        self.path = path
        descriptor = opened
        byteCount = UInt64(max(0, status.st_size))
    }

    deinit { close(descriptor) }

    /// Reads up to `count` bytes at `offset` into `target`. Returns how many; fewer than asked only at the
    /// file's end.
    func read(into target: UnsafeMutableRawPointer, count: Int, at offset: UInt64) throws(FeedError) -> Int {
        var done = 0
        while done < count {
            guard let position = off_t(exactly: offset + UInt64(done)) else { return done }
            let got = unsafe pread(descriptor, target + done, count - done, position)
            if got < 0 {
                if errno == EINTR { continue }
                throw .file(path: path, operation: "read", errno: errno)
            }
            if got == 0 { break }
            done += got
        }
        return done
    }

    /// `count` bytes at `offset`; throws `.archive` if the file ends before them.
    func bytes(count: Int, at offset: UInt64) throws(FeedError) -> [UInt8] {
        guard count > 0 else { return [] }
        var buffer = [UInt8](repeating: 0, count: count)
        let got = try unsafe buffer.withUnsafeMutableBufferPointer { target throws(FeedError) in
            guard let base = target.baseAddress else { return 0 }
            return try unsafe read(into: base, count: count, at: offset)
        }
        guard got == count else {
            throw .archive(
                path: path, offset: offset, problem: "the file ends before \(count) bytes that it announces")
        }
        return buffer
    }
}
