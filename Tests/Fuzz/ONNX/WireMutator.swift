/// libFuzzer's own mutations break the length of a message with nearly every byte that they insert, so that most of
/// their files end at the first check. These keep the lengths right: a file is taken apart into fields, one field is
/// changed, and it is put together again.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutateONNX(_ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int, _ seed: CUnsignedInt) -> Int {
    var random = SmallRandom(state: UInt64(seed) | 1)
    let bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: count))
    // One in eight stays raw, since broken lengths are to be tried as well.
    guard random.next(8) > 0, var fields = Field.parse(bytes[...], depth: 0), !fields.isEmpty else {
        return unsafe mutateRaw(data, count, limit)
    }
    for _ in 0...random.next(3) { Field.mutate(&fields, &random) }
    let result = Field.serialized(fields)
    guard result.count <= limit else { return unsafe mutateRaw(data, count, limit) }
    for (index, byte) in result.enumerated() { unsafe data[index] = byte }
    return result.count
}

/// libFuzzer's own mutation, exported for custom mutators.
@_silgen_name("LLVMFuzzerMutate")
private func mutateRaw(_ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int) -> Int

/// Xorshift (Marsaglia, 2003): the seed alone decides, so that libFuzzer can repeat a run.
private struct SmallRandom {
    var state: UInt64

    mutating func next(_ bound: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state >> 11) % bound
    }
}

/// One field of a protobuf message.
private struct Field {
    enum Content {
        case number(UInt64)
        /// Eight or four bytes, or a length-delimited field that is no message.
        case bytes([UInt8])
        case message([Field])
    }

    var tag: UInt64
    var content: Content

    /// Deeper than the schema nests, text is no message.
    static let depthMax = 8

    /// The fields of a message, or nil if it is none. A text that looks like a message is taken for one.
    static func parse(_ bytes: ArraySlice<UInt8>, depth: Int) -> [Field]? {
        var fields: [Field] = []
        var rest = bytes
        while !rest.isEmpty {
            guard let tag = varint(&rest), tag >> 3 > 0, tag >> 3 < 100 else { return nil }
            switch tag & 7 {
            case 0:
                guard let number = varint(&rest) else { return nil }
                fields.append(Field(tag: tag, content: .number(number)))
            case 1, 5:
                let size = tag & 7 == 1 ? 8 : 4
                guard rest.count >= size else { return nil }
                fields.append(Field(tag: tag, content: .bytes(Array(rest.prefix(size)))))
                rest = rest.dropFirst(size)
            case 2:
                guard let length = varint(&rest), length <= UInt64(rest.count) else { return nil }
                let part = rest.prefix(Int(length))
                rest = rest.dropFirst(Int(length))
                let inner = depth < depthMax && !part.isEmpty ? parse(part, depth: depth + 1) : nil
                fields.append(Field(tag: tag, content: inner.map(Content.message) ?? .bytes(Array(part))))
            default: return nil
            }
        }
        return fields
    }

    static func serialized(_ fields: [Field]) -> [UInt8] {
        var result: [UInt8] = []
        for field in fields {
            append(field.tag, to: &result)
            switch field.content {
            case .number(let number): append(number, to: &result)
            case .bytes(let bytes):
                if field.tag & 7 == 2 { append(UInt64(bytes.count), to: &result) }
                result += bytes
            case .message(let inner):
                let bytes = serialized(inner)
                append(UInt64(bytes.count), to: &result)
                result += bytes
            }
        }
        return result
    }

    /// Changes one field at a random depth.
    static func mutate(_ fields: inout [Field], _ random: inout SmallRandom) {
        guard !fields.isEmpty else { return }
        let index = random.next(fields.count)
        if case .message(var inner) = fields[index].content, random.next(8) > 0 {
            mutate(&inner, &random)
            fields[index].content = inner.isEmpty ? .bytes([]) : .message(inner)
            return
        }
        switch random.next(8) {
        case 0: fields.remove(at: index)
        case 1: fields.insert(fields[index], at: random.next(fields.count + 1))
        case 2: fields.swapAt(index, random.next(fields.count))
        case 3:
            // The content of a neighbour of the same kind: a name that exists, another tensor, another node.
            let other = fields[random.next(fields.count)]
            if other.tag & 7 == fields[index].tag & 7 { fields[index].content = other.content }
        default: fields[index].content = changed(fields[index], &random)
        }
    }

    private static func changed(_ field: Field, _ random: inout SmallRandom) -> Content {
        switch field.content {
        case .number(let number):
            let edge: [UInt64] = [0, 1, 2, 3, .max, 1 << 31, 1 << 32, 1 << 62, 1 << 63, number &+ 1, number &- 1]
            return .number(edge[random.next(edge.count)])
        case .bytes(var bytes):
            if field.tag & 7 == 2, random.next(3) == 0 { return .bytes(Array(words[random.next(words.count)].utf8)) }
            guard !bytes.isEmpty else { return .bytes(field.tag & 7 == 2 ? [UInt8(random.next(256))] : []) }
            bytes[random.next(bytes.count)] = UInt8(random.next(256))
            if field.tag & 7 == 2, random.next(4) == 0 { bytes.removeLast() }
            return .bytes(bytes)
        case .message(let inner):
            return .message(inner + [inner[random.next(inner.count)]])
        }
    }

    private static func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }

    private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// Names that an importer knows: operators, attributes, values of attributes.
private let words =
    """
    Gemm MatMul Conv LSTM GRU RNN Relu LeakyRelu Elu Gelu Sigmoid HardSigmoid Tanh Softplus Erf Exp Sqrt Pow Neg Clip
    Pad AveragePool GlobalAveragePool Softmax LayerNormalization BatchNormalization Add Sub Mul Div ReduceMean ReduceSum
    MaxPool Reshape Transpose Slice Concat Split Squeeze Unsqueeze Flatten Gather Expand Identity Cast Constant Shape
    ConstantOfShape QuantizeLinear DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearMatMul TreeEnsemble
    TreeEnsembleRegressor TreeEnsembleClassifier ai.onnx.ml axis axes perm alpha beta transA transB to value epsilon
    keepdims noop_with_empty_axes start end mode pads strides dilations kernel_shape group auto_pad SAME_UPPER SAME_LOWER
    VALID ceil_mode count_include_pad allowzero num_outputs split hidden_size direction reverse bidirectional layout clip
    activations linear_before_reset input_forget block_size saturate approximate edge reflect wrap constant
    """.split(whereSeparator: \.isWhitespace).map(String.init)
