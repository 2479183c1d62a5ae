import Inference
import Testing

/// Goal: Min and Max take any number of values, whatever their shapes, and a sequence without steps ends in zeros.
/// Method: graphs of a few nodes with results that are known. ONNX's own cases of Min and Max are in the outside suite.
@Suite struct ExtremeTests {
    private func run(_ nodes: [ModelFile.NodeText], _ file: ModelFile, _ row: [Float]) throws -> [Float] {
        var file = file
        file.nodes = nodes
        let verification = try ModelVerification(
            onnx: file.bytes, stored: ["x": FeatureRows(width: row.count, values: row)])
        #expect(try verification.checkScalarTwin().status == .passed)
        return try #require(try verification.outputs().first { $0.name == "y" }).values
    }

    private func file(from input: [Int64], to output: [Int64]) -> ModelFile {
        ModelFile(graph: [], inputs: [("x", input)], outputs: [("y", output)])
    }

    @Test(arguments: [("Min", [-3, -3, 0, 0, -1, 0]), ("Max", [1, 2, 5, 1, 2, 7] as [Float])])
    func `the extremes of three values that are stretched to one shape`(_ name: String, _ expected: [Float]) throws {
        var file = file(from: [2, 3], to: [2, 3])
        file.floats = [("row", [3], [1, 2, 0]), ("one", [], [0])]
        let node = ModelFile.NodeText(op: name, inputs: ["x", "row", "one"], outputs: ["y"])
        #expect(try run([node], file, [-3, -3, 5, 0, -1, 7]) == expected)
    }

    @Test(arguments: [("Min", Float(1)), ("Max", -1)])
    func `integers of 64 bits without a sign are compared as such`(_ name: String, _ expected: Float) throws {
        // -1 is the greatest of them.
        let file = file(from: [1], to: [1])
        let nodes: [ModelFile.NodeText] = [
            .init(op: "Neg", inputs: ["x"], outputs: ["minus"]),
            .init(op: "Cast", inputs: ["x"], outputs: ["a"], integers: [("to", 7)]),
            .init(op: "Cast", inputs: ["minus"], outputs: ["b"], integers: [("to", 7)]),
            .init(op: "Cast", inputs: ["a"], outputs: ["c"], integers: [("to", 13)]),
            .init(op: "Cast", inputs: ["b"], outputs: ["d"], integers: [("to", 13)]),
            .init(op: name, inputs: ["c", "d"], outputs: ["e"]),
            .init(op: "Cast", inputs: ["e"], outputs: ["f"], integers: [("to", 7)]),
            .init(op: "Cast", inputs: ["f"], outputs: ["y"], integers: [("to", 1)]),
        ]
        #expect(try run(nodes, file, [1]) == [expected])
    }

    @Test(arguments: [("Min", 10), ("Max", 9 as Int64)])
    func `types without an order of their own here are refused`(_ name: String, _ type: Int64) {
        var file = file(from: [2], to: [2])
        file.nodes = [
            .init(op: "Cast", inputs: ["x"], outputs: ["a"], integers: [("to", type)]),
            .init(op: name, inputs: ["a", "a"], outputs: ["b"]),
            .init(op: "Cast", inputs: ["b"], outputs: ["y"], integers: [("to", 1)]),
        ]
        #expect(throws: ModelError.self) { try AnyModel(onnx: file.bytes) }
    }

    @Test(arguments: [("RNN", 1, 1), ("GRU", 3, 1), ("LSTM", 4, 1), ("LSTM", 4, 2)])
    func `a sequence without steps ends in zeros, not in its initial state`(
        _ name: String, _ gates: Int, _ output: Int
    ) throws {
        var file = file(from: [2, 2, 1], to: [1, 2, 1])
        let half = Array(repeating: Float(0.5), count: gates)
        file.floats = [
            ("w", [1, Int64(gates), 1], half), ("r", [1, Int64(gates), 1], half), ("h", [1, 2, 1], [0.25, 0.25]),
        ]
        file.integers = [("lengths", [2], [0, 2])]
        let state = name == "LSTM" ? ["h", "h"] : ["h"]
        let node = ModelFile.NodeText(
            op: name, inputs: ["x", "w", "r", "", "lengths"] + state,
            outputs: output == 1 ? ["", "y"] : ["", "", "y"], integers: [("hidden_size", 1)])
        let ends = try run([node], file, [1, 1, 1, 1])
        #expect(ends[0] == 0)
        #expect(ends[1] > 0.25)
    }
}
