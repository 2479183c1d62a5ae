/// The payload of a heartbeat: the address of the publisher's retransmission endpoint, if it has one.
///
/// A u16 length, the address in UTF-8, and zeros up to a multiple of 8. Cold code.
public enum Heartbeat {
    /// Most bytes of an address: a host name has at most 253, and `tcp://` and a port fit beside it.
    @inlinable public static var addressByteCountMax: Int { 278 }

    /// Bytes of the payload that carries an address of `byteCount` bytes.
    @inlinable
    public static func payloadByteCount(address byteCount: Int) -> Int { (byteCount &+ 2 &+ 7) & ~7 }

    /// The payload for `address`; empty for none.
    ///
    /// - Throws: `heartbeatAddress` if the address is longer than `addressByteCountMax`.
    public static func payload(address: String) throws(WireError) -> [UInt8] {
        let text = Array(address.utf8)
        guard text.count <= addressByteCountMax else {
            throw WireError(.heartbeatAddress, at: addressByteCountMax)
        }
        var payload: [UInt8] = [UInt8(text.count & 0xFF), UInt8(text.count >> 8)]
        payload += text
        payload += Array(repeating: 0, count: payloadByteCount(address: text.count) - payload.count)
        return payload
    }

    /// The address in the payload of a parsed heartbeat; nil where there is none, or where the bytes are not
    /// UTF-8.
    public static func address(in payload: RawSpan) -> String? {
        guard payload.byteCount >= 8 else { return nil }
        let count = Int(unsafe payload.unsafeLoadUnaligned(as: UInt16.self))
        guard count > 0, count + 2 <= payload.byteCount else { return nil }
        let text = payload.extracting(2..<(2 + count))
        return text.withUnsafeBytes { bytes in String(validating: unsafe bytes, as: UTF8.self) }
    }

    /// Whether the bytes from `start` to the end are a heartbeat's payload. The text itself is looked at by
    /// `address`.
    @inlinable
    static func isValid(_ message: RawSpan, from start: Int, _ error: inout WireError) -> Bool {
        error = WireError(.heartbeatAddress, at: start)
        let byteCount = message.byteCount &- start
        guard byteCount >= 8 else { return false }
        let count = Int(
            UInt16(
                littleEndian: unsafe message.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: start, as: UInt16.self)))
        guard count <= addressByteCountMax, payloadByteCount(address: count) == byteCount else {
            return false
        }
        let textEnd = start &+ 2 &+ count
        for offset in (start &+ 2)..<message.byteCount {
            let isNUL = unsafe message.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self) == 0
            guard isNUL == (offset >= textEnd) else {
                error.offset = offset
                return false
            }
        }
        return true
    }
}
