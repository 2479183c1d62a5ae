import ONNX
import Testing

/// Goal: the elements of every type that is read come out as they are, from raw data and from the typed field that
/// the specification gives the type, and every number that a type does not have is refused.
@Suite struct TensorTests {
    private func tensor(
        _ type: ElementType, _ shape: [Int64], _ content: @escaping (inout WireWriter) -> Void
    ) throws(ONNXError) -> Tensor {
        var writer = WireWriter()
        FileParts.tensor("t", shape, type: Int64(type.rawValue), content)(&writer)
        return try Tensor(onnxTensor: writer.bytes)
    }

    private func error(_ bytes: [UInt8], _ limits: GraphLimits = GraphLimits()) -> ONNXError? {
        do {
            _ = try Tensor(onnxTensor: bytes, limits: limits)
            return nil
        } catch {
            return error
        }
    }

    /// Two elements of each type: their raw bytes, their values in the typed field, and what they are.
    static let pairs: [(ElementType, raw: [UInt8], field: Int, typed: [Int64], Tensor.Elements)] = [
        (.uint8, [1, 255], 5, [1, 255], .uint8([1, 255])),
        (.int8, [1, 255], 5, [1, -1], .int8([1, -1])),
        (.uint16, [1, 2, 255, 255], 5, [513, 65_535], .uint16([513, 65_535])),
        (.int16, [1, 2, 254, 255], 5, [513, -2], .int16([513, -2])),
        (.int32, [1, 2, 3, 4, 254, 255, 255, 255], 5, [0x0403_0201, -2], .int32([0x0403_0201, -2])),
        (
            .uint32, [1, 2, 3, 4, 254, 255, 255, 255], 11, [0x0403_0201, 0xFFFF_FFFE],
            .uint32([0x0403_0201, 0xFFFF_FFFE])
        ),
        (
            .int64, [1, 0, 0, 0, 0, 0, 0, 2] + Array(repeating: 255, count: 8), 7, [0x0200_0000_0000_0001, -1],
            .int64([0x0200_0000_0000_0001, -1])
        ),
        (
            .uint64, [1, 0, 0, 0, 0, 0, 0, 2] + Array(repeating: 255, count: 8), 11,
            [0x0200_0000_0000_0001, -1], .uint64([0x0200_0000_0000_0001, .max])
        ),
        (.bool, [0, 2], 5, [0, 2], .bool([false, true])),
        (.float16, [0x00, 0x3C, 0x01, 0x80], 5, [0x3C00, 0x8001], .float16([1, -0x1p-24])),
        (.bfloat16, [0x80, 0x3F, 0x01, 0x80], 5, [0x3F80, 0x8001], .bfloat16([1, -0x1p-133])),
    ]

    @Test(arguments: pairs.indices) func `raw data and the typed field hold the same elements`(
        _ index: Int
    ) throws {
        let (type, raw, field, typed, elements) = TensorTests.pairs[index]
        let expected = Tensor(name: "t", shape: [2], elements: elements)
        #expect(expected.elementType == type)
        #expect(try tensor(type, [2]) { $0.data(9, raw) } == expected)
        let single = try tensor(type, [2]) { writer in
            for value in typed { writer.integer(field, value) }
        }
        #expect(single == expected)
        let packed = try tensor(type, [2]) { writer in
            var numbers = WireWriter()
            for value in typed { numbers.varint(UInt64(bitPattern: value)) }
            writer.data(field, numbers.bytes)
        }
        #expect(packed == expected)
    }

    @Test func `floats and doubles are read`() throws {
        #expect(try tensor(.float, []) { $0.float(4, 1.5) }.floats == [1.5])
        #expect(try tensor(.float, [1]) { $0.data(9, [0, 0, 0xC0, 0x3F]) }.floats == [1.5])
        let bits: [UInt8] = [0, 0, 0, 0, 0, 0, 0xF8, 0x3F]
        #expect(try tensor(.double, [1]) { $0.data(9, bits) }.elements == .double([1.5]))
        #expect(try tensor(.double, [1]) { $0.data(10, bits) }.elements == .double([1.5]))
    }

    @Test(arguments: [
        (ElementType.int8, 5, 128), (.int8, 5, -129), (.uint8, 5, -1), (.uint8, 5, 256), (.int16, 5, 32_768),
        (.uint16, 5, -1), (.uint16, 5, 65_536), (.float16, 5, 65_536), (.bfloat16, 5, -1),
        (.uint32, 11, 1 << 32),
    ])
    func `a number that its type does not have is refused`(_ type: ElementType, _ field: Int, _ value: Int64) {
        #expect(throws: ONNXError.tensor(name: "t", reason: "an element outside of \(type)")) {
            try tensor(type, [1]) { $0.integer(field, value) }
        }
    }

    @Test(arguments: ElementType.allCases) func `too few and too many elements are refused`(_ type: ElementType) {
        for count in [0, 1, 31] {
            #expect(throws: ONNXError.self) {
                try tensor(type, [2]) { $0.data(9, Array(repeating: 0, count: count)) }
            }
        }
        #expect(throws: ONNXError.tensor(name: "t", reason: "0 elements of \(type), expected 2")) {
            try tensor(type, [2]) { _ in }
        }
    }

    @Test(arguments: ElementType.allCases) func `a tensor without elements is read`(_ type: ElementType) throws {
        let tensor = try tensor(type, [3, 0]) { _ in }
        #expect(tensor.shape == [3, 0])
        #expect(tensor.count == 0)
        #expect(tensor.elementType == type)
    }

    @Test func `integers keep the bits of uint64 and doubles hold every float`() {
        func tensor(_ elements: Tensor.Elements) -> Tensor {
            Tensor(name: "", shape: [elements.count], elements: elements)
        }
        #expect(tensor(.uint64([1, .max])).integers == [1, -1])
        #expect(tensor(.uint32([.max])).integers == [0xFFFF_FFFF])
        #expect(tensor(.uint16([.max])).integers == [65_535])
        #expect(tensor(.int16([.min])).integers == [-32_768])
        #expect(tensor(.bool([true])).integers == nil)
        #expect(tensor(.float16([1])).integers == nil)
        #expect(tensor(.float16([1.5])).doubles == [1.5])
        #expect(tensor(.bfloat16([1.5])).doubles == [1.5])
        #expect(tensor(.float([1.5])).doubles == [1.5])
        #expect(tensor(.double([0.1])).doubles == [0.1])
        #expect(tensor(.int8([1])).doubles == nil)
        #expect(tensor(.float16([1])).floats == nil)
    }

    @Test func `a file that holds no tensor is refused`() {
        #expect(error([]) == .malformed(byteOffset: 0, reason: "the file is empty"))
        #expect(error(FileParts().bytes) != nil)
        #expect(error([16, 8]) == .tensor(name: "", reason: "element type string is not supported"))
        #expect(error([16, 0]) == .tensor(name: "", reason: "element type undefined is not supported"))
        #expect(
            error([16, 99]) == .tensor(name: "", reason: "element type number 99 is not supported"))
    }

    @Test func `a tensor over a limit is refused by what is too much`() {
        var limits = GraphLimits()
        limits.bytes = 3
        #expect(error([16, 1, 16, 1], limits) == .limit(what: "bytes", found: 4, limit: 3))
        limits = GraphLimits()
        limits.fields = 1
        #expect(error([16, 1, 16, 1], limits) == .limit(what: "protobuf fields", found: 2, limit: 1))
        limits = GraphLimits()
        limits.elements = 5
        #expect(
            error([8, 2, 8, 3, 16, 1], limits)
                == .limit(what: "elements of tensor ''", found: 6, limit: 5))
        limits = GraphLimits()
        limits.nameBytes = 1
        #expect(
            error([66, 2, 97, 97], limits)
                == .limit(what: "bytes in the name of a tensor", found: 2, limit: 1))
    }
}
