import CCrypto

/// The 32 bytes of a SHA-256.
@frozen
public struct SHA256Digest: Hashable, Sendable, BitwiseCopyable {
    /// The bytes, eight at a time, as they lie in memory.
    let words: (UInt64, UInt64, UInt64, UInt64)

    public static var byteCount: Int { 32 }

    public var bytes: [UInt8] { withUnsafeBytes(of: words) { bytes in unsafe Array(bytes) } }

    /// 64 lower-case hexadecimal digits.
    public var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// The first 8 bytes as a little-endian integer: stored again, they are in the digest's order. A
    /// `SignalRecord`'s `modelID` is this prefix of the model file's digest.
    public var prefix: UInt64 { words.0 }

    public static func == (left: SHA256Digest, right: SHA256Digest) -> Bool { left.words == right.words }
    public func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

/// A running SHA-256 (FIPS 180-4), computed by libcrypto, which uses the processor's instructions for it.
///
/// `update` does not allocate. Used on one thread at a time.
public struct SHA256: ~Copyable {
    private let context: OpaquePointer

    public init() {
        // Fails when memory is exhausted, or when the library was built without SHA-256, which TLS could not
        // do either.
        guard let context = unsafe EVP_MD_CTX_new() else {
            preconditionFailure("libcrypto has memory for a digest.")
        }
        unsafe self.context = context
        precondition(unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1, "libcrypto has SHA-256.")
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    /// Adds bytes.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        precondition(unsafe EVP_DigestUpdate(context, start, bytes.count) == 1, "A digest takes bytes.")
    }

    /// Adds bytes.
    public mutating func update(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// The digest of all bytes added; the value begins anew.
    public mutating func finish() -> SHA256Digest {
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { bytes in
            let start = bytes.bindMemory(to: UInt8.self).baseAddress
            precondition(unsafe EVP_DigestFinal_ex(context, start, nil) == 1, "A digest ends.")
        }
        precondition(unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1, "libcrypto has SHA-256.")
        return SHA256Digest(words: words)
    }

    /// The digest of all bytes added.
    public consuming func finalize() -> SHA256Digest { finish() }

    /// The digest of `bytes`.
    public static func digest(of bytes: [UInt8]) -> SHA256Digest {
        var hash = SHA256()
        bytes.withUnsafeBytes { unsafe hash.update($0) }
        return hash.finalize()
    }
}
