import Glibc

/// An open file. Calls interrupted by signals are repeated; errors carry path, operation and errno.
struct FileDescriptor: ~Copyable {
    private var number: Int32 = -1
    private(set) var path: String

    /// A file that is not open yet.
    init(path: String) { self.path = path }

    /// Opens the file for reading.
    mutating func openForReading() throws(DBNError) {
        try open(flags: O_RDONLY | O_CLOEXEC, mode: 0)
    }

    /// Makes the file, which must not exist yet.
    mutating func create() throws(DBNError) {
        try open(flags: O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode: 0o666)
    }

    private mutating func open(flags: Int32, mode: mode_t) throws(DBNError) {
        precondition(number < 0, "A file is opened once.")
        while true {
            number = unsafe Glibc.open(path, flags, mode)
            if number >= 0 { return }
            if errno != EINTR { throw systemError("open", path) }
        }
    }

    deinit { if number >= 0 { _ = Glibc.close(number) } }

    /// Reads what is there, at most the size of `buffer`; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(DBNError) -> Int {
        while true {
            let count = unsafe Glibc.read(number, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            if errno != EINTR { throw systemError("read", path) }
        }
    }

    /// Writes all of `bytes`.
    func write(_ bytes: RawSpan) throws(DBNError) {
        var position = 0
        while position < bytes.byteCount {
            let rest = bytes.extracting(position..<bytes.byteCount)
            let count = rest.withUnsafeBytes { unsafe Glibc.write(number, $0.baseAddress, $0.count) }
            if count >= 0 {
                position += count
            } else if errno != EINTR {
                throw systemError("write", path)
            }
        }
    }

    /// Brings the data to the disk.
    func synchronize() throws(DBNError) {
        while fsync(number) != 0 {
            if errno != EINTR { throw systemError("fsync", path) }
        }
    }

    /// Closes and reports what only closing tells.
    mutating func close() throws(DBNError) {
        let old = number
        number = -1
        // Linux has closed the file even when it says EINTR.
        if Glibc.close(old) != 0, errno != EINTR { throw systemError("close", path) }
    }
}

/// The error of the system call that just failed.
func systemError(_ operation: String, _ path: String) -> DBNError {
    let number = errno
    let message = unsafe String(cString: strerror(number))
    return DBNError(.file(operation: operation, errno: number, message: message), path: path)
}
