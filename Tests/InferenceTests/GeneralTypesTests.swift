import Inference
import ONNX
import Testing

/// Goal: operators on other types than 32-bit floats give exact results, or are refused by the type's name; values without
/// elements do no harm.
/// Method: graphs of a few nodes with results that are known. The types are made by `Cast`.
@Suite struct GeneralTypesTests {
    private static let types: [(ElementType, Int64)] = [
        (.float, 1), (.uint8, 2), (.int8, 3), (.int64, 7), (.bool, 9), (.float16, 10), (.double, 11), (.uint64, 13),
        (.bfloat16, 16),
    ]

    private static func number(_ type: ElementType) -> Int64 { types.first { $0.0 == type }?.1 ?? 0 }

    /// What a graph of one input `x` makes of it, as 64-bit floats.
    private func run(
        _ nodes: [ModelFile.NodeText], _ shape: [Int64], _ values: [Float], integers: [(String, [Int64], [Int64])] = [],
        floats: [(String, [Int64], [Float])] = [], output: String = "y", kernels: KernelPolicy = .predicted
    ) throws -> Tensor {
        var file = ModelFile(graph: nodes, inputs: [("x", shape)], outputs: [(output, shape)])
        file.opset = 20
        file.floats = floats
        file.integers = integers
        let program = try Program(graph: try Graph(onnx: file.bytes), kernels: kernels)
        let input = Tensor(name: "x", shape: shape.map { Int($0) }, elements: .float(values))
        return try #require(try program.run(["x": input])[output])
    }

    private func cast(_ input: String, _ output: String, _ type: ElementType) -> ModelFile.NodeText {
        ModelFile.NodeText(op: "Cast", inputs: [input], outputs: [output], integers: [("to", Self.number(type))])
    }

    /// The refusal of a graph.
    private func refusal(_ nodes: [ModelFile.NodeText], integers: [(String, [Int64], [Int64])] = []) -> String {
        do {
            _ = try run(nodes, [2], [1, 2], integers: integers)
            return "accepted"
        } catch { return "\(error)" }
    }

    // MARK: 16-bit floats

    @Test(arguments: ["Add", "Sub", "Mul", "Div", "Pow", "Min"], [ElementType.float16, .bfloat16])
    func `arithmetic of 16-bit floats is refused by type`(_ name: String, _ type: ElementType) {
        let node = ModelFile.NodeText(op: name, inputs: ["a", "a"], outputs: ["y"])
        #expect(refusal([cast("x", "a", type), node]).contains("\(type)"))
    }

    @Test(arguments: [ElementType.float16, .bfloat16, .bool])
    func `a negative of a type without arithmetic is refused`(_ type: ElementType) {
        let node = ModelFile.NodeText(op: "Neg", inputs: ["a"], outputs: ["y"])
        #expect(refusal([cast("x", "a", type), node]).contains("values of type \(type)"))
    }

    // MARK: No rows

    @Test(arguments: [KernelPolicy.dense, .sparse])
    func `a product without rows is a value without elements`(_ policy: KernelPolicy) throws {
        let products: [ModelFile.NodeText] = [
            .init(op: "MatMul", inputs: ["x", "w"], outputs: ["y"]),
            .init(op: "Gemm", inputs: ["x", "w", "b"], outputs: ["y"]),
        ]
        for node in products {
            let result = try run(
                [node], [0, 2], [], floats: [("w", [2, 3], Array(repeating: 1, count: 6)), ("b", [3], [1, 2, 3])],
                kernels: policy)
            #expect(result.shape == [0, 3])
        }
        let left: [ModelFile.NodeText] = [
            .init(op: "Transpose", inputs: ["x"], outputs: ["t"]),
            .init(op: "MatMul", inputs: ["w", "t"], outputs: ["y"]),
        ]
        #expect(
            try run(left, [0, 2], [], floats: [("w", [3, 2], Array(repeating: 1, count: 6))], kernels: policy).shape
                == [3, 0])
    }

    // MARK: Pools

    @Test(arguments: [ElementType.float, .float16, .double, .int8])
    func `the largest elements and their places, of negative numbers and in padding`(_ type: ElementType) throws {
        let nodes = [
            cast("x", "a", type),
            ModelFile.NodeText(
                op: "MaxPool", inputs: ["a"], outputs: ["m", "p"],
                lists: [("kernel_shape", [2]), ("pads", [1, 1])]),
            cast("m", "f", .double),
        ]
        let values: [Float] = [-3, -1, -2, -5, 4, 0]
        let greatest = try run(nodes, [1, 2, 3], values, output: "f")
        #expect(greatest.doubles == [-3, -1, -1, -2, -5, 4, 4, 0])
        #expect(try run(nodes, [1, 2, 3], values, output: "p").integers == [0, 1, 1, 2, 3, 4, 4, 5])
    }

    @Test func `places over two axes with steps and dilations, numbered by rows and by columns`() throws {
        func places(_ order: Int64) throws -> [Int64]? {
            let pool = ModelFile.NodeText(
                op: "MaxPool", inputs: ["x"], outputs: ["m", "p"], integers: [("storage_order", order)],
                lists: [
                    ("kernel_shape", [2, 2]), ("strides", [1, 2]), ("dilations", [1, 2]), ("pads", [1, 0, 0, 1]),
                ])
            return try run([pool], [1, 1, 2, 4], [1, 9, 3, 2, 8, 4, 7, 6], output: "p").integers
        }
        // Windows of columns 0 and 2, then 2 and 4 (padding); rows before 0 are padding.
        #expect(try places(0) == [2, 2, 4, 6])
        #expect(try places(1) == [4, 4, 1, 5])
    }

    @Test func `a pool of integers that ONNX does not pool is refused`() {
        let pool = ModelFile.NodeText(op: "MaxPool", inputs: ["r"], outputs: ["y"], lists: [("kernel_shape", [1])])
        let shape = ModelFile.NodeText(op: "Reshape", inputs: ["a", "s"], outputs: ["r"])
        #expect(
            refusal([cast("x", "a", .int64), shape, pool], integers: [("s", [3], [1, 1, 2])])
                .contains("values of type int64"))
    }

    // MARK: Padding

    @Test func `padding has the bits of its type`() throws {
        let pad = ModelFile.NodeText(op: "Pad", inputs: ["a", "pads", "fill"], outputs: ["y"])
        let fraction = try run(
            [cast("x", "a", .double), cast("h", "fill", .double), pad], [2], [1.5, -2],
            integers: [("pads", [2], [1, 1])], floats: [("h", [], [0.25])])
        #expect(fraction.doubles == [0.25, 1.5, -2, 0.25])
        let large = try run(
            [cast("x", "a", .int64), pad], [2], [1, 2],
            integers: [("pads", [2], [0, 1]), ("fill", [], [1 << 53 + 1])])
        #expect(large.integers == [1, 2, 1 << 53 + 1])
        let truth = try run(
            [cast("x", "a", .bool), cast("one", "fill", .bool), pad, cast("y", "z", .int64)], [2], [1, 0],
            integers: [("pads", [2], [1, 0]), ("one", [], [1])], output: "z")
        #expect(truth.integers == [1, 1, 0])
    }

    @Test func `a fill of another type and an axis that stands twice are refused by name`() {
        let pad = ModelFile.NodeText(op: "Pad", inputs: ["x", "pads", "fill"], outputs: ["y"])
        #expect(
            refusal([pad], integers: [("pads", [2], [1, 1]), ("fill", [], [1])])
                .contains("a fill of 1 elements of int64, expected one of float"))
        let axes = ModelFile.NodeText(op: "Pad", inputs: ["x", "pads", "", "axes"], outputs: ["y"])
        #expect(
            refusal([axes], integers: [("pads", [4], [1, 1, 1, 1]), ("axes", [2], [0, -1])])
                .contains("an axis stands twice in [0, 0]"))
    }

    // MARK: Conversions and sums

    @Test func `integers become floats in one rounding, and large floats integers without a sign`() throws {
        // Halfway between two floats but for the last bit, which 64-bit floats cannot hold.
        let odd = Int64(1 << 61 + 1 << 37 + 1)
        let add = ModelFile.NodeText(op: "Add", inputs: ["a", "c"], outputs: ["s"])
        let rounded = try run(
            [cast("x", "a", .int64), add, cast("s", "y", .float)], [1], [0], integers: [("c", [1], [odd])])
        #expect(rounded.floats == [Float(1 << 61 + 1 << 38)])
        let unsigned = try run([cast("x", "y", .uint64)], [3], [0x1.8p63, 0x1p64, 7])
        #expect(unsigned.elements == .uint64([3 << 62, .max, 7]))
    }

    @Test func `sums of integers and of 64-bit floats`() throws {
        let sum = ModelFile.NodeText(
            op: "ReduceSum", inputs: ["a", "axes"], outputs: ["y"], integers: [("keepdims", 0)])
        let axes: [(String, [Int64], [Int64])] = [("axes", [1], [1])]
        for type in [ElementType.int64, .double] {
            let result = try run([cast("x", "a", type), sum], [2, 3], [1, 2, 3, -4, 5, -6], integers: axes)
            #expect(result.elementType == type)
            #expect(result.integers ?? result.doubles?.map { Int64($0) } == [6, -5])
        }
        let wrapped = try run([cast("x", "a", .uint8), sum], [1, 2], [200, 100], integers: axes)
        #expect(wrapped.elements == .uint8([44]))
        let mean = ModelFile.NodeText(op: "ReduceMean", inputs: ["a"], outputs: ["y"])
        #expect(refusal([cast("x", "a", .int64), mean]).contains("values of type int64"))
    }

    @Test func `values that are all zero are quantised with a scale of 1`() throws {
        let node = ModelFile.NodeText(op: "DynamicQuantizeLinear", inputs: ["x"], outputs: ["q", "s", "z"])
        #expect(try run([node], [2], [0, 0], output: "s").floats == [1])
        #expect(try run([node], [2], [0, 0], output: "q").integers == [0, 0])
        #expect(try run([node], [2], [0, 510], output: "s").floats == [2])
    }

    // MARK: Texts

    @Test func `long lists are shortened in errors`() {
        let node = ModelFile.NodeText(op: "Expand", inputs: ["x", "s"], outputs: ["y"])
        let text = refusal([node], integers: [("s", [1000], Array(repeating: -1, count: 1000))])
        #expect(text.contains("… 1000 in all") && text.count < 200)
    }
}
