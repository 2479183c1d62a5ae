/// Turns a tensor of the file into a checked `Tensor`.
struct TensorReader {
    let limits: GraphLimits

    /// Reads `proto`.
    ///
    /// - Parameter name: The name to report and to give, for a tensor in an attribute not the file's own.
    func read(_ proto: Martlet_Onnx_TensorProto, name: String) throws(ONNXError) -> Tensor {
        guard proto.dataLocation == 0, proto.externalData.isEmpty else {
            throw .tensor(name: name, reason: "its data is in another file, which is not supported")
        }
        guard proto.segment.isEmpty else {
            throw .tensor(name: name, reason: "it is a segment of a tensor, which is not supported")
        }
        guard let type = ElementType(rawValue: Int(proto.dataType)) else {
            throw .tensor(name: name, reason: "\(UnreadType(number: proto.dataType))")
        }
        let (shape, count) = try shape(proto.dims, name: name)
        let elements =
            proto.rawData.isEmpty
            ? try typed(proto, type: type, count: count, name: name)
            : try raw([UInt8](proto.rawData), type: type, count: count, name: name)
        return Tensor(name: name, shape: shape, elements: elements)
    }

    private func shape(_ dims: [Int64], name: String) throws(ONNXError) -> ([Int], Int) {
        guard dims.count <= limits.rank else {
            throw .limit(what: "dimensions of tensor '\(name)'", found: dims.count, limit: limits.rank)
        }
        var count = 1
        for extent in dims {
            // Each extent is bounded as well as their product, which a 0 among them would hide.
            guard extent >= 0, extent <= Int64(limits.elements) else {
                throw .tensor(name: name, reason: "dimension \(extent)")
            }
            let (product, overflow) = count.multipliedReportingOverflow(by: Int(extent))
            guard !overflow, product <= limits.elements else {
                throw .limit(
                    what: "elements of tensor '\(name)'", found: overflow ? .max : product,
                    limit: limits.elements)
            }
            count = product
        }
        return (dims.map { Int($0) }, count)
    }

    private func raw(
        _ bytes: [UInt8], type: ElementType, count: Int, name: String
    ) throws(ONNXError) -> Tensor.Elements {
        let expected = count * type.byteCount
        guard bytes.count == expected else {
            throw .tensor(name: name, reason: "\(bytes.count) bytes of data, expected \(expected)")
        }
        switch type {
        case .float: return .float(decoded(bytes).map { Float(bitPattern: $0) })
        case .double: return .double(decoded(bytes).map { Double(bitPattern: $0) })
        case .float16: return .float16(decoded(bytes).map { Float(float16BitPattern: $0) })
        case .bfloat16: return .bfloat16(decoded(bytes).map { Float(bfloat16BitPattern: $0) })
        case .int64: return .int64(decoded(bytes))
        case .int32: return .int32(decoded(bytes))
        case .int16: return .int16(decoded(bytes))
        case .int8: return .int8(decoded(bytes))
        case .uint64: return .uint64(decoded(bytes))
        case .uint32: return .uint32(decoded(bytes))
        case .uint16: return .uint16(decoded(bytes))
        case .uint8: return .uint8(bytes)
        case .bool: return .bool(bytes.map { $0 != 0 })
        }
    }

    /// The elements in the field that the specification gives their type: all of 16 bits and less stand in
    /// `int32_data`, 16-bit floats by their bits, and uint32 in `uint64_data`.
    private func typed(
        _ proto: Martlet_Onnx_TensorProto, type: ElementType, count: Int, name: String
    ) throws(ONNXError) -> Tensor.Elements {
        let elements: Tensor.Elements =
            switch type {
            case .float: .float(proto.floatData)
            case .double: .double(proto.doubleData)
            case .float16: .float16(try narrowed(proto.int32Data, type, name).map { Float(float16BitPattern: $0) })
            case .bfloat16: .bfloat16(try narrowed(proto.int32Data, type, name).map { Float(bfloat16BitPattern: $0) })
            case .int64: .int64(proto.int64Data)
            case .int32: .int32(proto.int32Data)
            case .int16: .int16(try narrowed(proto.int32Data, type, name))
            case .int8: .int8(try narrowed(proto.int32Data, type, name))
            case .uint64: .uint64(proto.uint64Data)
            case .uint32: .uint32(try narrowed(proto.uint64Data, type, name))
            case .uint16: .uint16(try narrowed(proto.int32Data, type, name))
            case .uint8: .uint8(try narrowed(proto.int32Data, type, name))
            case .bool: .bool(proto.int32Data.map { $0 != 0 })
            }
        guard elements.count == count else {
            throw .tensor(name: name, reason: "\(elements.count) elements of \(type), expected \(count)")
        }
        return elements
    }

    private func narrowed<Wide: FixedWidthInteger, Narrow: FixedWidthInteger>(
        _ values: [Wide], _ type: ElementType, _ name: String
    ) throws(ONNXError) -> [Narrow] {
        guard values.allSatisfy({ Narrow(exactly: $0) != nil }) else {
            throw .tensor(name: name, reason: "an element outside of \(type)")
        }
        return values.map { Narrow(truncatingIfNeeded: $0) }
    }

    /// Little-endian integers, whose number of bytes the caller has checked.
    private func decoded<Element: FixedWidthInteger & BitwiseCopyable>(_ bytes: [UInt8]) -> [Element] {
        let size = MemoryLayout<Element>.size
        return bytes.withUnsafeBytes { raw in
            (0..<raw.count / size).map {
                Element(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * size, as: Element.self))
            }
        }
    }
}
