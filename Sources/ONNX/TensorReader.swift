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
            throw .tensor(name: name, reason: "element type \(typeName(proto.dataType)) is not supported")
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
        case .float: return .float(decode32(bytes).map { Float(bitPattern: $0) })
        case .int32: return .int32(decode32(bytes).map { Int32(bitPattern: $0) })
        case .double: return .double(decode64(bytes).map { Double(bitPattern: $0) })
        case .int64: return .int64(decode64(bytes).map { Int64(bitPattern: $0) })
        case .int8: return .int8(bytes.map { Int8(bitPattern: $0) })
        case .uint8: return .uint8(bytes)
        case .bool: return .bool(bytes.map { $0 != 0 })
        }
    }

    private func typed(
        _ proto: Martlet_Onnx_TensorProto, type: ElementType, count: Int, name: String
    ) throws(ONNXError) -> Tensor.Elements {
        let found: Int
        let elements: Tensor.Elements
        switch type {
        case .float: (found, elements) = (proto.floatData.count, .float(proto.floatData))
        case .double: (found, elements) = (proto.doubleData.count, .double(proto.doubleData))
        case .int64: (found, elements) = (proto.int64Data.count, .int64(proto.int64Data))
        case .int32: (found, elements) = (proto.int32Data.count, .int32(proto.int32Data))
        case .int8:
            guard proto.int32Data.allSatisfy({ Int8(exactly: $0) != nil }) else {
                throw .tensor(name: name, reason: "an element outside of int8")
            }
            (found, elements) = (
                proto.int32Data.count, .int8(proto.int32Data.map { Int8(truncatingIfNeeded: $0) })
            )
        case .uint8:
            guard proto.int32Data.allSatisfy({ UInt8(exactly: $0) != nil }) else {
                throw .tensor(name: name, reason: "an element outside of uint8")
            }
            (found, elements) = (
                proto.int32Data.count, .uint8(proto.int32Data.map { UInt8(truncatingIfNeeded: $0) })
            )
        case .bool:
            (found, elements) = (proto.int32Data.count, .bool(proto.int32Data.map { $0 != 0 }))
        }
        guard found == count else {
            throw .tensor(name: name, reason: "\(found) elements of \(type), expected \(count)")
        }
        return elements
    }

    private func decode32(_ bytes: [UInt8]) -> [UInt32] {
        stride(from: 0, to: bytes.count, by: 4).map { index in
            (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[index + $1]) << UInt32(8 * $1) }
        }
    }

    private func decode64(_ bytes: [UInt8]) -> [UInt64] {
        stride(from: 0, to: bytes.count, by: 8).map { index in
            (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[index + $1]) << UInt64(8 * $1) }
        }
    }

    /// Names of the specification's element types that are not read, for the error.
    private func typeName(_ number: Int32) -> String {
        let names: [Int32: String] = [
            0: "undefined", 4: "uint16", 5: "int16", 8: "string", 10: "float16", 12: "uint32", 13: "uint64",
            14: "complex64", 15: "complex128", 16: "bfloat16", 21: "uint4", 22: "int4",
        ]
        return names[number] ?? "number \(number)"
    }
}
