/// Walks the protobuf wire format of a model once, before it is decoded, and counts its fields.
///
/// Decoding turns two bytes of an empty message into an object of some hundred bytes; this scan refuses such a file
/// while it has cost nothing. It follows only the messages of the schema and goes no deeper than they nest.
struct WireScan {
    private let limits: GraphLimits
    private var fieldCount = 0

    /// Messages of the schema that contain other messages or repeated fields.
    enum Message {
        case model, graph, node, attribute, tensor, valueInfo, type, tensorType, shape, leaf

        /// The message behind a length-delimited field, or nil where the bytes are not a message of the schema.
        func child(field: Int) -> Message? {
            switch (self, field) {
            case (.model, 7): .graph
            case (.model, 8), (.model, 14): .leaf
            case (.graph, 1): .node
            case (.graph, 5): .tensor
            case (.graph, 11), (.graph, 12): .valueInfo
            case (.node, 5): .attribute
            case (.attribute, 5): .tensor
            case (.tensor, 13): .leaf
            case (.valueInfo, 2): .type
            case (.type, 1): .tensorType
            case (.tensorType, 2): .shape
            case (.shape, 1): .leaf
            default: nil
            }
        }
    }

    private struct Frame {
        let message: Message
        let end: Int
    }

    private init(limits: GraphLimits) {
        self.limits = limits
    }

    /// Checks that `bytes`, a message of kind `root`, are within `limits.bytes`, well-formed down to the schema's
    /// messages and within `limits.fields`.
    static func check(_ bytes: [UInt8], root: Message, limits: GraphLimits) throws(ONNXError) {
        guard bytes.count <= limits.bytes else {
            throw .limit(what: "bytes", found: bytes.count, limit: limits.bytes)
        }
        guard !bytes.isEmpty else { throw .malformed(byteOffset: 0, reason: "the file is empty") }
        var scan = WireScan(limits: limits)
        try scan.run(bytes, root: root)
    }

    private mutating func run(_ bytes: [UInt8], root: Message) throws(ONNXError) {
        var offset = 0
        // The schema nests 7 deep, so that the stack is bounded by it and not by the file.
        var stack = [Frame(message: root, end: bytes.count)]
        while let frame = stack.last {
            if offset == frame.end {
                stack.removeLast()
                continue
            }
            let start = offset
            fieldCount += 1
            guard fieldCount <= limits.fields else {
                throw .limit(what: "protobuf fields", found: fieldCount, limit: limits.fields)
            }
            let tag = try WireScan.varint(bytes, &offset, end: frame.end)
            guard tag >> 3 > 0, tag >> 3 < 1 << 29 else {
                throw .malformed(byteOffset: start, reason: "field number \(tag >> 3)")
            }
            switch tag & 7 {
            case 0:
                _ = try WireScan.varint(bytes, &offset, end: frame.end)
            case 1:
                try WireScan.skip(8, &offset, end: frame.end)
            case 5:
                try WireScan.skip(4, &offset, end: frame.end)
            case 2:
                let length = try WireScan.varint(bytes, &offset, end: frame.end)
                guard length <= UInt64(frame.end - offset) else {
                    throw .malformed(
                        byteOffset: start,
                        reason: "a field of \(length) bytes where \(frame.end - offset) are left")
                }
                if let child = frame.message.child(field: Int(tag >> 3)) {
                    stack.append(Frame(message: child, end: offset + Int(length)))
                } else {
                    offset += Int(length)
                }
            default:
                throw .malformed(byteOffset: start, reason: "wire type \(tag & 7)")
            }
        }
    }

    private static func skip(_ count: Int, _ offset: inout Int, end: Int) throws(ONNXError) {
        guard end - offset >= count else {
            throw .malformed(byteOffset: offset, reason: "a field of \(count) bytes is cut off")
        }
        offset += count
    }

    private static func varint(_ bytes: [UInt8], _ offset: inout Int, end: Int) throws(ONNXError) -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 70, by: 7) {
            guard offset < end else {
                throw .malformed(byteOffset: start, reason: "a number is cut off")
            }
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte & 0x80 == 0 { return value }
        }
        throw .malformed(byteOffset: start, reason: "a number of more than 10 bytes")
    }
}
