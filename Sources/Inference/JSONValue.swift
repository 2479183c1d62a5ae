/// A JSON value as a model's metadata holds them. Read once, at load.
enum JSONValue: Equatable {
    case null
    case bool(Bool)
    /// A number without fraction and exponent that fits 64 bits, exactly.
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// The value as a number, integers included.
    var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}

/// Why a text is not JSON, and at which byte.
struct JSONError: Error, Equatable {
    let byteOffset: Int
    let reason: String
}

/// A strict reader of RFC 8259 with a bounded depth. Duplicate keys are refused.
struct JSONReader {
    /// Arrays and objects within each other. The metadata need three.
    static let depthMax = 16

    private let bytes: [UInt8]
    private var offset = 0

    private init(_ text: String) {
        bytes = [UInt8](text.utf8)
    }

    /// Reads the one value that `text` consists of.
    static func read(_ text: String) throws(JSONError) -> JSONValue {
        var reader = JSONReader(text)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.offset == reader.bytes.count else { throw reader.error("text after the value") }
        return value
    }

    private func error(_ reason: String) -> JSONError {
        JSONError(byteOffset: offset, reason: reason)
    }

    private var next: UInt8? {
        offset < bytes.count ? bytes[offset] : nil
    }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D {
            offset += 1
        }
    }

    private mutating func skip(_ character: Character) -> Bool {
        guard next == character.asciiValue else { return false }
        offset += 1
        return true
    }

    /// The nesting is bounded by `depthMax`, which bounds this recursion.
    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < JSONReader.depthMax else { throw error("nested deeper than \(JSONReader.depthMax)") }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw error("the text ends where a value should be")
        default: return try number()
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        guard bytes[offset...].starts(with: word.utf8) else { throw error("not a value") }
        offset += word.utf8.count
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        offset += 1
        var members: [String: JSONValue] = [:]
        skipSpace()
        if skip("}") { return .object(members) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw error("a member without a name") }
            let name = try string()
            skipSpace()
            guard skip(":") else { throw error("a name without a colon") }
            let value = try value(depth: depth + 1)
            guard members.updateValue(value, forKey: name) == nil else {
                throw error("'\(name)' stands twice")
            }
            skipSpace()
            if skip("}") { return .object(members) }
            guard skip(",") else { throw error("an object that is not closed") }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        offset += 1
        var elements: [JSONValue] = []
        skipSpace()
        if skip("]") { return .array(elements) }
        while true {
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if skip("]") { return .array(elements) }
            guard skip(",") else { throw error("an array that is not closed") }
        }
    }

    private mutating func string() throws(JSONError) -> String {
        offset += 1
        var text: [UInt8] = []
        while let byte = next {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else { throw error("not UTF-8") }
                return string
            case UInt8(ascii: "\\"):
                let scalar = try escape()
                text.append(contentsOf: String(scalar).utf8)
            case 0..<0x20:
                throw error("a control character in a string")
            default:
                text.append(byte)
            }
        }
        throw error("a string that is not closed")
    }

    private mutating func escape() throws(JSONError) -> Unicode.Scalar {
        guard let byte = next else { throw error("a string that is not closed") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: throw error("an unknown escape")
        }
        var code = try hexadecimal()
        if (0xD800..<0xDC00).contains(code) {
            guard skip("\\"), skip("u") else { throw error("half of a surrogate pair") }
            let low = try hexadecimal()
            guard (0xDC00..<0xE000).contains(low) else { throw error("half of a surrogate pair") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw error("half of a surrogate pair") }
        return scalar
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("four hexadecimal digits should follow \\u")
            }
            offset += 1
            code = code << 4 | UInt32(digit)
        }
        return code
    }

    private mutating func digits() throws(JSONError) {
        let start = offset
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { offset += 1 }
        guard offset > start else { throw error("not a value") }
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = offset
        _ = skip("-")
        let first = next
        let integerStart = offset
        try digits()
        guard first != UInt8(ascii: "0") || offset == integerStart + 1 else { throw error("a leading zero") }
        var isInteger = true
        if skip(".") {
            isInteger = false
            try digits()
        }
        if skip("e") || skip("E") {
            isInteger = false
            if !skip("+") { _ = skip("-") }
            try digits()
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw error("a number beyond the range") }
        return .number(value)
    }
}
