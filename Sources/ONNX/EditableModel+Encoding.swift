import Foundation

// The checked values of this module as the messages that a file holds.

extension Martlet_Onnx_TensorProto {
    init(_ tensor: Tensor) {
        self.init()
        name = tensor.name
        dims = tensor.shape.map { Int64($0) }
        dataType = Int32(tensor.elementType.rawValue)
        // The field of bytes is the one that all element types share.
        rawData = Data(tensor.elements.littleEndianBytes)
    }
}

extension Tensor.Elements {
    /// As `raw_data` has them.
    var littleEndianBytes: [UInt8] {
        func bytes<Element: FixedWidthInteger>(_ values: [Element]) -> [UInt8] {
            var result: [UInt8] = []
            result.reserveCapacity(values.count * MemoryLayout<Element>.size)
            for value in values {
                withUnsafeBytes(of: value.littleEndian) { result.append(contentsOf: $0) }
            }
            return result
        }
        switch self {
        case .float(let values): return bytes(values.map(\.bitPattern))
        case .double(let values): return bytes(values.map(\.bitPattern))
        case .float16(let values): return bytes(values.map(\.float16BitPattern))
        case .bfloat16(let values): return bytes(values.map { UInt16(truncatingIfNeeded: $0.bitPattern >> 16) })
        case .int64(let values): return bytes(values)
        case .int32(let values): return bytes(values)
        case .int16(let values): return bytes(values)
        case .int8(let values): return bytes(values)
        case .uint64(let values): return bytes(values)
        case .uint32(let values): return bytes(values)
        case .uint16(let values): return bytes(values)
        case .uint8(let values): return values
        case .bool(let values): return values.map { $0 ? 1 : 0 }
        }
    }
}

extension Martlet_Onnx_NodeProto {
    init(_ node: Node) {
        self.init()
        name = node.name
        opType = node.operatorName
        domain = node.domain
        input = node.inputs
        output = node.outputs
        // Sorted, so that the same changes give the same bytes.
        attribute = node.attributes.sorted { $0.key < $1.key }.map { Martlet_Onnx_AttributeProto($0.key, $0.value) }
    }
}

extension Martlet_Onnx_AttributeProto {
    init(_ name: String, _ value: Attribute) {
        self.init()
        self.name = name
        switch value {
        case .float(let number): (type, f) = (1, number)
        case .integer(let number): (type, i) = (2, number)
        case .string(let text): (type, s) = (3, Data(text.utf8))
        case .tensor(let tensor): (type, t) = (4, Martlet_Onnx_TensorProto(tensor))
        case .floats(let numbers): (type, floats) = (6, numbers)
        case .integers(let numbers): (type, ints) = (7, numbers)
        case .strings(let texts): (type, strings) = (8, texts.map { Data($0.utf8) })
        }
    }
}

extension Martlet_Onnx_ValueInfoProto {
    init(_ value: GraphValue) {
        self.init()
        name = value.name
        var tensor = Martlet_Onnx_TypeProto.Tensor()
        tensor.elemType = Int32(value.elementType.rawValue)
        tensor.shape.dim = value.shape.map { dimension in
            var proto = Martlet_Onnx_TensorShapeProto.Dimension()
            switch dimension {
            case .fixed(let extent): proto.value = .dimValue(Int64(extent))
            case .symbolic(let name): proto.value = name.isEmpty ? nil : .dimParam(name)
            }
            return proto
        }
        type.tensorType = tensor
    }
}
