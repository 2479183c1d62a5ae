/// A forward reader over the bytes of one JSON text (RFC 8259), made for messages of known shape.
///
/// It builds nothing: the caller walks objects key by key and takes numbers and strings as ranges of bytes.
/// Nesting is counted and limited, nothing recurses. What a caller skips is checked for balance, quotes and
/// structure only. An impossible byte throws `Malformed`; the text is outside input.
struct JSONCursor: ~Escapable {
    /// What the text is not.
    struct Malformed: Error {
        /// Byte of the text, counted from 0.
        var offset: Int
        /// What had to stand there.
        var expected: StaticString
    }

    /// Deepest nesting of a skipped value. Binance's messages nest four deep.
    static let depthMax = 32

    let text: Span<UInt8>
    private(set) var position: Int

    @_lifetime(copy text)
    init(_ text: Span<UInt8>, from position: Int = 0) {
        self.text = text
        self.position = position
    }

    /// The next byte that is not white space, without taking it; nil at the end.
    @inline(__always)
    var peeked: UInt8? {
        mutating get {
            while position < text.count {
                let byte = text[position]
                guard byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D else { return byte }
                position += 1
            }
            return nil
        }
    }

    /// Takes `byte`, if it is next.
    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard peeked == byte else { return false }
        position += 1
        return true
    }

    /// Takes `byte`, which must be next.
    @inline(__always)
    mutating func expect(_ byte: UInt8, _ name: StaticString) throws(Malformed) {
        guard take(byte) else { throw malformed(name) }
    }

    /// Nothing but white space may follow.
    mutating func expectEnd() throws(Malformed) {
        guard peeked == nil else { throw malformed("the end of the line") }
    }

    func malformed(_ expected: StaticString) -> Malformed { Malformed(offset: position, expected: expected) }

    /// The next key of an object whose `{` was taken, with its colon; nil at its `}`, which is taken.
    @inline(__always)
    mutating func key(isFirst: Bool) throws(Malformed) -> Range<Int>? {
        if take(UInt8(ascii: "}")) { return nil }
        if !isFirst { try expect(UInt8(ascii: ","), "a comma or }") }
        let name = try string()
        try expect(UInt8(ascii: ":"), "a colon")
        return name
    }

    /// The bytes between the quotes of a string. Escapes are passed over, not decoded: no known text has any.
    @inline(__always)
    mutating func string() throws(Malformed) -> Range<Int> {
        try expect(UInt8(ascii: "\""), "a string")
        let start = position
        while position < text.count {
            let byte = text[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return start..<position - 1
            }
            guard byte >= 0x20 else { throw malformed("no control character in a string") }
            position += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        position = text.count
        throw malformed("the end of a string")
    }

    /// An unsigned integer without sign, fraction or exponent.
    @inline(__always)
    mutating func integer() throws(Malformed) -> UInt64 {
        _ = peeked
        let start = position
        while position < text.count, text[position] &- 0x30 <= 9 { position += 1 }
        guard let value = FixedPoint.integer(text, from: start, to: position) else {
            throw malformed("an unsigned integer of 64 bits")
        }
        return value
    }

    /// A decimal, quoted or bare, in 1e-9, exact.
    @inline(__always)
    mutating func decimal() throws(Malformed) -> Int64 {
        let range: Range<Int>
        if peeked == UInt8(ascii: "\"") {
            range = try string()
        } else {
            let start = position
            while position < text.count, text[position] &- 0x30 <= 9 || text[position] == UInt8(ascii: ".") {
                position += 1
            }
            range = start..<position
        }
        guard let value = FixedPoint.parse(text, from: range.lowerBound, to: range.upperBound) else {
            throw malformed("a decimal of at most nine places below 9223372036")
        }
        return value
    }

    /// `true` or `false`.
    mutating func boolean() throws(Malformed) -> Bool {
        if peeked == UInt8(ascii: "t") {
            try word("true")
            return true
        }
        try word("false")
        return false
    }

    private mutating func word(_ letters: StaticString) throws(Malformed) {
        for index in 0..<letters.utf8CodeUnitCount {
            let letter = unsafe letters.utf8Start[index]
            guard position < text.count, text[position] == letter else {
                throw malformed("true, false or null")
            }
            position += 1
        }
    }

    /// Passes over one value of any kind.
    mutating func skip() throws(Malformed) {
        var depth = 0
        repeat {
            switch peeked {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                position += 1
                depth += 1
                guard depth <= JSONCursor.depthMax else { throw malformed("nesting of at most 32") }
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { throw malformed("a value") }
                position += 1
                depth -= 1
            case UInt8(ascii: "\""):
                _ = try string()
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard depth > 0 else { throw malformed("a value") }
                position += 1
            case UInt8(ascii: "t"): try word("true")
            case UInt8(ascii: "f"): try word("false")
            case UInt8(ascii: "n"): try word("null")
            default: try skipNumber()
            }
        } while depth > 0
    }

    private mutating func skipNumber() throws(Malformed) {
        let start = position
        while position < text.count {
            switch text[position] {
            case 0x30...0x39, UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "e"),
                UInt8(ascii: "E"):
                position += 1
            default:
                guard position > start else { throw malformed("a value") }
                return
            }
        }
        guard position > start else { throw malformed("a value") }
    }

    /// Whether the bytes of `range` spell `letters`.
    @inline(__always)
    func matches(_ range: Range<Int>, _ letters: StaticString) -> Bool {
        guard range.count == letters.utf8CodeUnitCount else { return false }
        for index in 0..<range.count where unsafe text[range.lowerBound + index] != letters.utf8Start[index] {
            return false
        }
        return true
    }

    /// The bytes of `range` as text.
    func text(_ range: Range<Int>) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        for index in range { bytes.append(text[index]) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
