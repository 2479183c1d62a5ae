import Inference
import ONNX
import Testing

/// Goal: a small file cannot ask for much memory or time, and weights that are used often are packed once.
/// Method: files of a few kilobytes that ask for gigabytes or minutes are refused at a node, by name; graphs that share
/// weights give the bits of those that do not.
@Suite struct LimitsTests {
    private typealias NodeText = ModelFile.NodeText

    private func file(_ nodes: [NodeText], _ input: [Int64], _ output: String) -> ModelFile {
        var file = ModelFile(graph: nodes, inputs: [("x", input)], outputs: [(output, input)])
        file.opset = 20
        return file
    }

    private func program(_ file: ModelFile, _ kernels: KernelPolicy = .predicted) throws -> Program {
        try Program(graph: try Graph(onnx: file.bytes), kernels: kernels)
    }

    /// The limit that a file breaks, in words.
    private func limit(_ file: ModelFile) throws -> String {
        do {
            _ = try program(file)
            return "accepted"
        } catch ModelError.limit(let what, _, _) { return what }
    }

    /// Nodes one after the other: each has the name before in place of `·`.
    private func chain(_ count: Int, _ make: (String, String) -> NodeText) -> [NodeText] {
        (0..<count).map { make($0 == 0 ? "x" : "c\($0 - 1)", "c\($0)") }
    }

    // MARK: Refusals

    @Test func `constants that are made at load count as memory`() throws {
        let constants = (0..<300).map { NodeText(op: "ConstantOfShape", inputs: ["s"], outputs: ["c\($0)"]) }
        var file = file(constants + [NodeText(op: "Relu", inputs: ["x"], outputs: ["y"])], [1, 4], "y")
        file.integers = [("s", [1], [1 << 21])]
        #expect(try limit(file) == "bytes of weights, constants and intermediate values up to 'node63'")
    }

    @Test func `absent connections of grouped convolutions count as memory`() throws {
        let nodes = chain(60) { input, output in
            NodeText(op: "Conv", inputs: [input, "w" + output], outputs: [output], integers: [("group", 4096)])
        }
        var file = file(nodes, [1, 4096, 1], "c59")
        file.floats = nodes.map { ($0.inputs[1], [4096, 1, 1], Array(repeating: Float(1), count: 4096)) }
        #expect(try limit(file) == "bytes of weights, constants and intermediate values up to 'node2'")
    }

    @Test func `additions that go into a bias, and slices by index, count as planning`() throws {
        let product = NodeText(op: "MatMul", inputs: ["x", "w"], outputs: ["a"])
        let sums = (0..<1000).map {
            NodeText(op: "Add", inputs: [$0 == 0 ? "a" : "c\($0 - 1)", "b"], outputs: ["c\($0)"])
        }
        var file = file([product] + sums, [1 << 17, 1], "c999")
        file.floats = [("w", [1, 16], Array(repeating: 1, count: 16)), ("b", [16], Array(repeating: 1, count: 16))]
        #expect(try limit(file).hasPrefix("elements to go through when planning up to 'node1"))
        let count = Int64(1 << 18)
        let slices = chain(200) { NodeText(op: "Gather", inputs: [$0, "i"], outputs: [$1]) }
        file = self.file(slices, [count], "c199")
        file.integers = [("i", [count], Array(0..<count))]
        #expect(try limit(file).hasPrefix("elements to go through when planning up to 'node8"))
    }

    @Test func `what products by columns pack for each of them counts as memory`() throws {
        // The bias stands in memory for each result: 4 bytes for each of 4 × 2^18, and as much on the way.
        let heads = [
            NodeText(op: "Tanh", inputs: ["x"], outputs: ["t"]),
            NodeText(op: "Transpose", inputs: ["t"], outputs: ["rows"]),
        ]
        let products = (0..<60).map { NodeText(op: "MatMul", inputs: ["rows", "w"], outputs: ["c\($0)"]) }
        var file = ModelFile(
            graph: heads + products, inputs: [("x", [2, 1 << 18])],
            outputs: (0..<60).map { ("c\($0)", [1 << 18, 4]) })
        file.floats = [("w", [2, 4], Array(repeating: 1, count: 8))]
        let found = try limit(file)
        #expect(found == "bytes of weights, constants and intermediate values up to 'node28'")
    }

    @Test func `states that become rings count as state`() throws {
        var file = ModelFile()
        let width = Int64(1 << 18)
        for index in 0..<30 {
            let name = "state_\(index)"
            file.inputs.append((name, [2, width]))
            file.outputs.append((name + "_next", [2, width]))
            file.nodes.append(
                .init(op: "Concat", inputs: [name, "row"], outputs: ["j\(index)"], integers: [("axis", 0)]))
            file.nodes.append(
                .init(op: "Slice", inputs: ["j\(index)", "one", "three", "zero"], outputs: [name + "_next"]))
        }
        file.floats.append(("row", [1, width], Array(repeating: 0, count: Int(width))))
        file.integers = [("zero", [1], [0]), ("one", [1], [1]), ("three", [1], [3])]
        do {
            _ = try Model(onnx: file.bytes, availableFeatures: ["a", "b"], featureSetVersion: 1)
            Issue.record("The file is accepted.")
        } catch ModelError.limit(let what, _, _) { #expect(what == "bytes of state up to 'node22'") }
    }

    @Test func `one value under many names counts with each`() throws {
        var file = file([], [1 << 20], "y0")
        file.nodes = (0..<100).map { NodeText(op: "Identity", inputs: ["x"], outputs: ["y\($0)"]) }
        file.outputs = (0..<100).map { ("y\($0)", [1 << 20]) }
        #expect(try limit(file).hasPrefix("bytes of weights"))
    }

    // MARK: What is shared

    private func weights(_ count: Int, seed: UInt64, zeros: Bool = false) -> [Float] {
        var generator = SplitMix(state: seed)
        return (0..<count).map { index in
            zeros && index / 16 % 3 != 0 ? 0 : Float.random(in: -0.5...0.5, using: &generator)
        }
    }

    @Test(arguments: [KernelPolicy.dense, .sparse], [1, 7 as Int64])
    func `a weight of several products is packed once, with the same bits`(
        _ policy: KernelPolicy, _ rows: Int64
    ) throws {
        var results: [[UInt32]] = []
        for isShared in [true, false] {
            let nodes = chain(3) {
                NodeText(op: "Gemm", inputs: [$0, isShared ? "w" : "w" + $1, "b" + $1], outputs: [$1])
            }
            var file = file(nodes, [rows, 48], "c2")
            for name in isShared ? ["w"] : nodes.map({ $0.inputs[1] }) {
                file.floats.append((name, [48, 48], weights(48 * 48, seed: 5, zeros: true)))
            }
            for (index, node) in nodes.enumerated() {
                file.floats.append((node.inputs[2], [48], weights(48, seed: UInt64(index))))
            }
            let program = try program(file, policy)
            let packed = program.plan.map(\.packedByteCount)
            #expect(packed[0] > 48 * 16 * 4)
            #expect((packed[2] < 1024) == isShared, "The second use brings a bias only.")
            let input = Tensor(
                name: "x", shape: [Int(rows), 48], elements: .float(weights(Int(rows) * 48, seed: 9)))
            let result = try program.run(["x": input])["c2"]
            results.append(try #require(result?.floats).map(\.bitPattern))
        }
        #expect(results[0] == results[1])
    }

    @Test(arguments: [KernelPolicy.dense, .sparse])
    func `a quantised weight of several products is packed once, with the same bits`(_ policy: KernelPolicy) throws {
        var results: [[UInt32]] = []
        for isShared in [true, false] {
            var nodes: [NodeText] = [NodeText(op: "Cast", inputs: ["z"], outputs: ["z8"], integers: [("to", 3)])]
            for name in isShared ? ["w"] : ["w", "v"] {
                nodes.append(NodeText(op: "Cast", inputs: [name], outputs: [name + "8"], integers: [("to", 3)]))
                nodes.append(NodeText(op: "DequantizeLinear", inputs: [name + "8", "s", "z8"], outputs: [name + "f"]))
            }
            for (input, weight, output) in [("x", "wf", "a"), ("a", isShared ? "wf" : "vf", "y")] {
                nodes.append(NodeText(op: "QuantizeLinear", inputs: [input, "s", "z8"], outputs: [output + "q"]))
                nodes.append(
                    NodeText(op: "DequantizeLinear", inputs: [output + "q", "s", "z8"], outputs: [output + "d"]))
                nodes.append(NodeText(op: "MatMul", inputs: [output + "d", weight], outputs: [output]))
            }
            var file = file(nodes, [1, 32], "y")
            file.floats = [("s", [], [0.0625])]
            let codes = (0..<1024).map { Int64($0 * 37 % 101) - 50 }
            file.integers = [("z", [], [0]), ("w", [32, 32], codes), ("v", [32, 32], codes)]
            let program = try program(file, policy)
            let products = program.plan.filter { $0.precision == "int8" }
            #expect(products.count == 2)
            #expect((products[1].packedByteCount < 1024) == isShared)
            let input = Tensor(name: "x", shape: [1, 32], elements: .float(weights(32, seed: 3)))
            results.append(try #require(try program.run(["x": input])["y"]?.floats).map(\.bitPattern))
        }
        #expect(results[0] == results[1])
    }

    @Test func `the steps of a recurrent layer share their weights`() throws {
        let units: Int64 = 512
        var file = file(
            [NodeText(op: "LSTM", inputs: ["x", "w", "r"], outputs: ["y"], integers: [("hidden_size", units)])],
            [300, 1, 4], "y")
        file.floats = [
            ("w", [1, 4 * units, 4], weights(Int(16 * units), seed: 1)),
            ("r", [1, 4 * units, units], weights(Int(4 * units * units), seed: 2)),
        ]
        let program = try program(file)
        let bytes = program.plan.reduce(0) { $0 + $1.packedByteCount }
        #expect(bytes < 5 * Int(units * units) * 4, "One copy of the weights, and tables.")
    }
}
