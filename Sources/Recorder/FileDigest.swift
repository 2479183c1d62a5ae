internal import Wire

#if canImport(Glibc)
    internal import Glibc
#endif

/// The SHA-256 of a file, read in pieces.
public enum FileDigest {
    private static let pieceByteCount = 1 << 20

    /// 64 lower-case hexadecimal digits.
    public static func sha256(_ path: String) throws(Score.Failure) -> String {
        try digest(path).hex
    }

    /// The first 8 bytes, as a signal carries them of its model.
    public static func prefix(_ path: String) throws(Score.Failure) -> UInt64 {
        try digest(path).prefix
    }

    private static func digest(_ path: String) throws(Score.Failure) -> SHA256Digest {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .feed("\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceByteCount, alignment: 64)
        defer { unsafe piece.deallocate() }
        var hash = SHA256()
        while true {
            let count = unsafe read(descriptor, piece.baseAddress, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .feed("\(path): \(String(cString: strerror(errno)))") }
            guard count > 0 else { return hash.finish() }
            unsafe hash.update(UnsafeRawBufferPointer(rebasing: piece[..<count]))
        }
    }
}
