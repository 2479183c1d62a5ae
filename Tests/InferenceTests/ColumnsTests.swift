import Inference
import Testing

/// Goal: a product of few outputs over many rows that lie side by side runs by columns, with the bits of one row by row.
/// Method: graphs that make a value and multiply its transpose, beside a graph that is given that transpose as its rows.
@Suite struct ColumnsTests {
    private static let ticks = 3

    struct Case: CustomTestStringConvertible {
        let rows, inputs, outputs: Int
        /// Inputs from the first on that have weights; the others have zeros.
        var used = Int.max
        let kernel: String

        var testDescription: String { "\(rows)×\(inputs)·\(inputs)×\(outputs), \(kernel)" }
    }

    private static let cases = [
        Case(rows: 60, inputs: 10, outputs: 10, kernel: "dense 1×4 by columns, 60 rows"),
        Case(rows: 120, inputs: 10, outputs: 5, kernel: "dense 1×4 by columns, 120 rows"),
        Case(rows: 16, inputs: 1, outputs: 1, kernel: "dense 1×4 by columns, 16 rows"),
        Case(rows: 17, inputs: 23, outputs: 3, kernel: "dense 1×4 by columns, 17 rows"),
        Case(rows: 33, inputs: 7, outputs: 9, kernel: "dense 1×4 by columns, 33 rows"),
        Case(rows: 24, inputs: 40, outputs: 2, used: 9, kernel: "block-sparse 1×4 by columns, 24 rows"),
        Case(rows: 15, inputs: 10, outputs: 5, kernel: "dense 8×1, 15 rows"),
        Case(rows: 64, inputs: 64, outputs: 16, kernel: "dense 16×1, 64 rows"),
        Case(rows: 60, inputs: 10, outputs: 17, kernel: "dense 16×1, 60 rows"),
    ]

    private func numbers(_ count: Int, _ seed: Int) -> [Float] {
        FeatureRows(random: UInt64(seed), count: 1, width: count).values
    }

    private func graph(_ nodes: [ModelFile.NodeText], _ input: [Int], _ outputs: [(String, [Int])]) -> ModelFile {
        ModelFile(
            graph: nodes, inputs: [("x", input.map { Int64($0) })],
            outputs: outputs.map { ($0.0, $0.1.map { Int64($0) }) })
    }

    /// `transposed` and then the product and what follows it, to `y`.
    private func expectSameBits(
        _ form: Case, _ tail: [ModelFile.NodeText], _ constants: [(String, [Int64], [Float])], operation: String
    ) throws {
        let (rows, inputs, outputs) = (form.rows, form.inputs, form.outputs)
        let weights = numbers(inputs * outputs, 2).enumerated().map { $0 / outputs < form.used ? $1 : 0 }
        let floats: [(String, [Int64], [Float])] =
            [("w", [Int64(inputs), Int64(outputs)], weights)] + constants
        var whole = graph(
            [
                .init(op: "MatMul", inputs: ["x", "v"], outputs: ["h"]),
                .init(op: "Transpose", inputs: ["h"], outputs: ["t"], lists: [("perm", [1, 0])]),
            ] + tail,
            [inputs, 4], [("h", [inputs, rows]), ("y", [rows, outputs])])
        whole.floats = floats + [("v", [4, Int64(rows)], numbers(4 * rows, 3))]
        let x = FeatureRows(random: 1, count: Self.ticks, width: inputs * 4)
        let verification = try ModelVerification(onnx: whole.bytes, stored: ["x": x])
        for check in [try verification.checkScalarTwin(), try verification.checkPolicies()] {
            #expect(check.status == .passed, "\(check.name): \(check.detail)")
        }
        let product = try #require(try AnyModel(onnx: whole.bytes).plan.dropFirst().first { $0.multiplyAdds > 0 })
        #expect(product.kernel == form.kernel)
        #expect(product.operation == operation)
        let found = try verification.outputs()
        let h = try #require(found.first { $0.name == "h" }).values
        let y = try #require(found.first { $0.name == "y" }).values

        var part = graph(
            [.init(op: "Identity", inputs: ["x"], outputs: ["t"])] + tail, [rows, inputs], [("y", [rows, outputs])])
        part.floats = floats
        let size = rows * inputs
        let turned = (0..<Self.ticks * size).map { place in
            h[place / size * size + place % inputs * rows + place % size / inputs]
        }
        let rowWise = try ModelVerification(onnx: part.bytes, stored: ["x": FeatureRows(width: size, values: turned)])
        let expected = try #require(try rowWise.outputs().first).values
        #expect(y.map(\.bitPattern) == expected.map(\.bitPattern))
        #expect(!(try AnyModel(onnx: part.bytes).plan.contains { $0.kernel.contains("by columns") }))
    }

    @Test(arguments: cases)
    func `a product has the bits of its rows`(_ form: Case) throws {
        try expectSameBits(form, [.init(op: "MatMul", inputs: ["t", "w"], outputs: ["y"])], [], operation: "linear")
    }

    @Test(arguments: cases)
    func `a bias and a function go into the product`(_ form: Case) throws {
        try expectSameBits(
            form,
            [
                .init(op: "MatMul", inputs: ["t", "w"], outputs: ["p"]),
                .init(op: "Add", inputs: ["p", "b"], outputs: ["q"]),
                .init(op: "Tanh", inputs: ["q"], outputs: ["y"]),
            ], [("b", [Int64(form.outputs)], numbers(form.outputs, 4))], operation: "linear + tanh")
    }

    @Test(arguments: cases)
    func `a constant for each result and a function go into a product by columns`(_ form: Case) throws {
        let isByColumns = form.kernel.contains("by columns")
        try expectSameBits(
            form,
            [
                .init(op: "MatMul", inputs: ["t", "w"], outputs: ["p"]),
                .init(op: "Add", inputs: ["p", "b"], outputs: ["q"]),
                .init(op: "Relu", inputs: ["q"], outputs: ["y"]),
            ],
            [("b", [Int64(form.rows), Int64(form.outputs)], numbers(form.rows * form.outputs, 4))],
            operation: isByColumns ? "linear + relu" : "linear")
    }

    @Test(arguments: cases)
    func `a second bias is added to the first one before the first tick`(_ form: Case) throws {
        let count = Int64(form.outputs)
        try expectSameBits(
            form,
            [
                .init(op: "Gemm", inputs: ["t", "w", "a"], outputs: ["p"]),
                .init(op: "Add", inputs: ["p", "b"], outputs: ["q"]),
                .init(op: "Tanh", inputs: ["q"], outputs: ["y"]),
            ], [("a", [count], numbers(form.outputs, 4)), ("b", [count], numbers(form.outputs, 5))],
            operation: "linear + tanh")
    }

    @Test(arguments: cases)
    func `a constant for each result is added after a bias`(_ form: Case) throws {
        try expectSameBits(
            form,
            [
                .init(op: "Gemm", inputs: ["t", "w", "a"], outputs: ["p"]),
                .init(op: "Add", inputs: ["p", "b"], outputs: ["y"]),
            ],
            [
                ("a", [Int64(form.outputs)], numbers(form.outputs, 4)),
                ("b", [Int64(form.rows), Int64(form.outputs)], numbers(form.rows * form.outputs, 5)),
            ], operation: "linear")
    }

    @Test func `a product by columns stays as it is where its results are read without their constant`() throws {
        let form = Case(rows: 40, inputs: 6, outputs: 4, kernel: "dense 1×4 by columns, 40 rows")
        try expectSameBits(
            form,
            [
                .init(op: "MatMul", inputs: ["t", "w"], outputs: ["p"]),
                .init(op: "Add", inputs: ["p", "b"], outputs: ["q"]),
                .init(op: "Mul", inputs: ["p", "q"], outputs: ["y"]),
            ], [("b", [40, 4], numbers(160, 4))], operation: "linear")
    }

    @Test func `a normalisation of rows does not go into the weights of as many outputs`() throws {
        let (count, inputs) = (16, 4)
        let nodes: [ModelFile.NodeText] = [
            .init(op: "Tanh", inputs: ["x"], outputs: ["a"]),
            .init(op: "Transpose", inputs: ["a"], outputs: ["t"], lists: [("perm", [0, 2, 1])]),
            .init(op: "MatMul", inputs: ["t", "w"], outputs: ["p"]),
            .init(op: "BatchNormalization", inputs: ["p", "s", "o", "m", "v"], outputs: ["y"]),
        ]
        func results(_ last: Int) throws -> [Float] {
            let shape = [1, count, count]
            var file = graph(Array(nodes[...last]), [1, inputs, count], [(nodes[last].outputs[0], shape)])
            let ones = Array(repeating: Float(1), count: count)
            file.floats = [
                ("w", [Int64(inputs), Int64(count)], numbers(inputs * count, 1)),
                ("s", [Int64(count)], (0..<count).map { Float($0 + 1) }), ("o", [Int64(count)], numbers(count, 2)),
                ("m", [Int64(count)], numbers(count, 3)), ("v", [Int64(count)], ones),
            ]
            let rows = FeatureRows(width: inputs * count, values: numbers(inputs * count, 4))
            let verification = try ModelVerification(onnx: file.bytes, stored: ["x": rows])
            #expect(try AnyModel(onnx: file.bytes).plan.contains { $0.kernel.contains("by columns") })
            return try #require(try verification.outputs().first).values
        }
        let (products, normalised) = (try results(2), try results(3))
        let (offset, mean) = (numbers(count, 2), numbers(count, 3))
        for index in products.indices {
            let row = index / count
            let factor = Float(row + 1) / Float(1.00001).squareRoot()
            let expected = (products[index] - mean[row]) * factor + offset[row]
            #expect(abs(normalised[index] - expected) <= 1e-4 * max(1, abs(expected)), "\(index)")
        }
    }
}
