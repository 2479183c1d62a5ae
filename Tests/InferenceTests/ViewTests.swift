import Inference
import Testing

/// Goal: layers read the elements that a view means, wherever they lie.
/// Method: graphs of a few nodes with results that are known.
@Suite struct ViewTests {
    /// A free graph of one input and one output, run on one row.
    private func run(_ file: ModelFile, _ row: [Float]) throws -> [Float] {
        let rows = FeatureRows(width: row.count, values: row)
        let verification = try ModelVerification(onnx: file.bytes, stored: ["x": rows])
        #expect(try verification.checkScalarTwin().status == .passed)
        return try #require(try verification.outputs().first { $0.name == "y" }).values
    }

    private func graph(_ nodes: [ModelFile.NodeText], from input: [Int64], to output: [Int64]) -> ModelFile {
        ModelFile(graph: nodes, inputs: [("x", input)], outputs: [("y", output)])
    }

    @Test func `a free graph without stored rows is verified on random ones`() throws {
        let file = graph([.init(op: "Relu", inputs: ["x"], outputs: ["y"])], from: [1, 3], to: [1, 3])
        let verification = try ModelVerification(onnx: file.bytes, stored: [:])
        let rows = try #require(verification.inputs["x"])
        #expect(rows.count == verification.ticks && Set(rows.values).count > 100)
        #expect(try verification.outputs().first?.values == rows.values.map { max($0, 0) })
    }

    @Test func `a product reads one row of inputs backwards`() throws {
        var file = graph(
            [
                .init(op: "Slice", inputs: ["x", "last", "first", "axis", "back"], outputs: ["turned"]),
                .init(op: "MatMul", inputs: ["turned", "w"], outputs: ["y"]),
            ], from: [1, 3], to: [1, 2])
        file.integers = [("last", [1], [-1]), ("first", [1], [.min]), ("axis", [1], [1]), ("back", [1], [-1])]
        file.floats = [("w", [3, 2], [1, 2, 10, 20, 100, 200])]
        #expect(try run(file, [1, 2, 3]) == [123, 246])
    }

    @Test func `a value for each row is copied in runs to where padded rows want it`() throws {
        var file = graph(
            [
                .init(op: "MatMul", inputs: ["x", "w"], outputs: ["rows"]),
                .init(op: "ReduceMean", inputs: ["rows"], outputs: ["mean"], lists: [("axes", [0])]),
                .init(op: "Sub", inputs: ["rows", "mean"], outputs: ["y"]),
            ], from: [6, 1], to: [6, 20])
        file.floats = [("w", [1, 20], (0..<20).map { Float($0) })]
        #expect(
            try run(file, [0, 2, 4, 6, 8, 10]) == (0..<120).map { Float($0 / 20 * 2 - 5) * Float($0 % 20) })
        let copy = try #require(try AnyModel(onnx: file.bytes).plan.first { $0.operation == "gather" })
        // 6 rows of 32 floats, 12 of them padding: 12 bytes a run, and less than a cache line before them.
        #expect(copy.packedByteCount < 11 * 12 + 64)
    }

    @Test func `a mean counts the padding that makes sizes the same, but not what rounding up adds`() throws {
        func mean(_ strings: [(String, String)], _ lists: [(String, [Int64])]) throws -> [Float] {
            let node = ModelFile.NodeText(
                op: "AveragePool", inputs: ["x"], outputs: ["y"],
                integers: [("ceil_mode", 1), ("count_include_pad", 1)], lists: lists, strings: strings)
            return try run(graph([node], from: [1, 1, 3], to: [1, 1, 3]), [2, 4, 8])
        }
        #expect(try mean([("auto_pad", "SAME_UPPER")], [("kernel_shape", [2])]) == [3, 6, 4])
        #expect(try mean([], [("kernel_shape", [2]), ("strides", [2]), ("pads", [0, 0])]) == [3, 8])
    }

    @Test func `an offset that rounds what it is added to is not merged with what takes it away again`() throws {
        // 1.5 · 2^23: the sum has no bits below 1.
        var file = graph(
            [
                .init(op: "Mul", inputs: ["x", "two"], outputs: ["double"]),
                .init(op: "Add", inputs: ["double", "magic"], outputs: ["sum"]),
                .init(op: "Sub", inputs: ["sum", "magic"], outputs: ["y"]),
            ], from: [1, 4], to: [1, 4])
        file.floats = [("two", [], [2]), ("magic", [], [12_582_912])]
        #expect(try run(file, [0.3, 0.7, -1.3, 20.2]) == [1, 1, -3, 40])
        // The same behind a product, whose bias would take in the sum.
        file.nodes[0] = .init(op: "MatMul", inputs: ["x", "twice"], outputs: ["double"])
        file.nodes.insert(.init(op: "Add", inputs: ["double", "half"], outputs: ["raised"]), at: 1)
        file.nodes[2].inputs[0] = "raised"
        let diagonal = (0..<16).map { Float($0 % 5 == 0 ? 2 : 0) }
        file.floats += [("twice", [4, 4], diagonal), ("half", [], [0.5])]
        #expect(try run(file, [0.3, 0.7, -1.3, 20.2]) == [1, 2, -2, 41])
    }

    @Test func `parts of unequal size without a list of sizes are for operator set 18 and later`() throws {
        var file = graph(
            [
                .init(op: "Split", inputs: ["x"], outputs: ["y", "rest"], integers: [("axis", 1), ("num_outputs", 2)])
            ], from: [1, 5], to: [1, 3])
        file.opset = 18
        #expect(try run(file, [1, 2, 3, 4, 5]) == [1, 2, 3])
        file.opset = 17
        file.nodes[0].integers = [("axis", 1)]
        #expect(
            throws: ModelError.node(
                name: "node0", operator: "Split", reason: "2 equal parts of axis 1 of shape [1, 5]")
        ) { try AnyModel(onnx: file.bytes) }
    }

    @Test(arguments: [Int64.max, .max - 1, .min, -1])
    func `a size of blocks beyond all shapes is no trap`(_ size: Int64) {
        var file = graph(
            [
                .init(
                    op: "QuantizeLinear", inputs: ["x", "scale"], outputs: ["codes"],
                    integers: [("axis", 1), ("block_size", size)]),
                .init(op: "Cast", inputs: ["codes"], outputs: ["y"], integers: [("to", 1)]),
            ], from: [4, 3], to: [4, 3])
        file.opset = 21
        file.floats = [("scale", [4, 2], Array(repeating: 1, count: 8))]
        #expect(throws: ModelError.self) { try AnyModel(onnx: file.bytes) }
    }

    @Test(arguments: [[Int64.min, 0], [0, .min], [.max, .max], [.min, .max]])
    func `padding beyond all shapes is no trap`(_ pads: [Int64]) {
        var file = graph([.init(op: "Pad", inputs: ["x", "pads"], outputs: ["y"])], from: [8], to: [8])
        file.integers = [("pads", [2], pads)]
        #expect(throws: ModelError.self) { try AnyModel(onnx: file.bytes) }
    }
}
