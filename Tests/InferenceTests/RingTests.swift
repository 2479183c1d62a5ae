import Inference
import Testing

/// Goal: what is kept in rings is read as it was put there, whatever its type and wherever its readers want it.
/// Method: small models whose streams are copied, against the window computed anew and the scalar twin.
@Suite struct RingTests {
    /// A window of 4 ticks of 2 features: `nodes` make `flat` [1, 8] of it, a product and a softmax the probabilities.
    private func window(_ nodes: [ModelFile.NodeText]) -> ModelFile {
        var file = ModelFile()
        file.inputs = [("features", [1, 4, 2])]
        file.nodes =
            nodes + [
                .init(op: "MatMul", inputs: ["flat", "w"], outputs: ["logits"]),
                .init(op: "Unsqueeze", inputs: ["logits", "first"], outputs: ["deep"]),
                .init(op: "Softmax", inputs: ["deep"], outputs: ["probabilities"]),
            ]
        file.floats = [("w", [8, 3], (0..<24).map { Float($0 % 7) / 4 - 0.5 }), ("step", [], [0.03125])]
        file.integers = [("first", [1], [0])]
        return file
    }

    private func expectSameStream(_ file: ModelFile) throws {
        let model = try AnyModel(onnx: file.bytes)
        #expect(model.streamingDescription.contains("one tick at a time"), "\(model.streamingDescription)")
        let verification = try ModelVerification(onnx: file.bytes, stored: [:])
        let checks = [try verification.checkScalarTwin(), try verification.checkStreaming()]
        for check in checks.compactMap({ $0 }) { #expect(check.status == .passed, "\(check.name): \(check.detail)") }
    }

    @Test func `quantised ticks that are brought side by side are the window computed anew`() throws {
        try expectSameStream(
            window([
                .init(op: "QuantizeLinear", inputs: ["features", "step"], outputs: ["codes"]),
                .init(op: "DequantizeLinear", inputs: ["codes", "step"], outputs: ["values"]),
                .init(op: "Flatten", inputs: ["values"], outputs: ["flat"], integers: [("axis", 1)]),
            ]))
    }

    @Test func `ticks of 64-bit floats are the window computed anew`() throws {
        try expectSameStream(
            window([
                .init(op: "Cast", inputs: ["features"], outputs: ["wide"], integers: [("to", 11)]),
                .init(op: "Flatten", inputs: ["wide"], outputs: ["row"], integers: [("axis", 1)]),
                .init(op: "Cast", inputs: ["row"], outputs: ["flat"], integers: [("to", 1)]),
            ]))
    }

    @Test func `ticks of integers are the window computed anew`() throws {
        try expectSameStream(
            window([
                .init(op: "QuantizeLinear", inputs: ["features", "step"], outputs: ["codes"]),
                .init(op: "Flatten", inputs: ["codes"], outputs: ["row"], integers: [("axis", 1)]),
                .init(op: "Cast", inputs: ["row"], outputs: ["flat"], integers: [("to", 1)]),
            ]))
    }

    @Test func `a state that takes two rows at a time is no ring, and keeps what the slice says`() throws {
        var file = window([])
        file.inputs = [("features", [1, 1, 2]), ("state_rows", [1, 3, 2])]
        file.outputs.append(("state_rows_next", [1, 3, 2]))
        file.nodes =
            [
                .init(op: "Concat", inputs: ["features", "features"], outputs: ["both"], integers: [("axis", 1)]),
                .init(op: "Concat", inputs: ["state_rows", "both"], outputs: ["rows"], integers: [("axis", 1)]),
                .init(op: "Slice", inputs: ["rows", "one", "four", "one"], outputs: ["state_rows_next"]),
                .init(op: "Slice", inputs: ["state_rows_next", "zero", "three", "one"], outputs: ["part"]),
                .init(op: "Flatten", inputs: ["part"], outputs: ["flat"], integers: [("axis", 1)]),
            ] + file.nodes
        file.floats[0] = ("w", [6, 3], (0..<18).map { Float($0 % 7) / 4 - 0.5 })
        file.integers += [("one", [1], [1]), ("four", [1], [4]), ("zero", [1], [0]), ("three", [1], [3])]
        let verification = try ModelVerification(onnx: file.bytes, stored: [:])
        #expect(try verification.checkScalarTwin().status == .passed)
        // The state is the last row of the tick before it and the first rows of this one, twice.
        file.nodes[2] = .init(op: "Slice", inputs: ["rows", "one", "end", "one"], outputs: ["kept"])
        file.nodes.insert(
            .init(op: "Slice", inputs: ["kept", "zero", "three", "one"], outputs: ["state_rows_next"]), at: 3)
        file.integers.append(("end", [1], [.max]))
        let plain = try ModelVerification(onnx: file.bytes, stored: [:])
        #expect(try verification.outputs().map(\.values) == plain.outputs().map(\.values))
    }

    @Test func `a state is a ring, too, if what its rows are cut by are nodes`() throws {
        func file(_ constants: [ModelFile.NodeText], _ integers: [(String, [Int64], [Int64])]) -> ModelFile {
            var file = window([])
            file.inputs = [("features", [1, 1, 2]), ("state_rows", [1, 3, 2])]
            file.outputs.append(("state_rows_next", [1, 3, 2]))
            file.nodes =
                constants + [
                    .init(
                        op: "Concat", inputs: ["state_rows", "features"], outputs: ["rows"], integers: [("axis", 1)]),
                    .init(op: "Slice", inputs: ["rows", "one", "four", "one"], outputs: ["state_rows_next"]),
                    .init(op: "Flatten", inputs: ["rows"], outputs: ["flat"], integers: [("axis", 1)]),
                ] + file.nodes
            file.integers += integers
            return file
        }
        let plain = file([], [("one", [1], [1]), ("four", [1], [4])])
        let made = file(
            [
                .init(op: "Constant", inputs: [], outputs: ["one"], integers: [("value_int", 1)]),
                .init(op: "Constant", inputs: [], outputs: ["four"], integers: [("value_int", 4)]),
            ], [])
        let outputs = try [plain, made].map { file in
            try ModelVerification(onnx: file.bytes, stored: [:]).outputs().map(\.values)
        }
        #expect(outputs[0] == outputs[1])
        let plans = try [plain, made].map { try AnyModel(onnx: $0.bytes).plan.map(\.operation) }
        #expect(plans[0] == plans[1])
    }

    @Test func `a window beside a state is computed anew`() throws {
        var file = window([
            .init(op: "Tanh", inputs: ["features"], outputs: ["bent"]),
            .init(op: "Add", inputs: ["bent", "state_sum"], outputs: ["sum"]),
            .init(op: "Mul", inputs: ["sum", "step"], outputs: ["state_sum_next"]),
            .init(op: "Flatten", inputs: ["sum"], outputs: ["flat"], integers: [("axis", 1)]),
        ])
        file.inputs.append(("state_sum", [1, 4, 2]))
        file.outputs.append(("state_sum_next", [1, 4, 2]))
        let description = try AnyModel(onnx: file.bytes).streamingDescription
        #expect(description.contains("'state_sum' (input): a state would remember"), "\(description)")
        let check = try #require(try ModelVerification(onnx: file.bytes, stored: [:]).checkStreaming())
        #expect(check.status == .passed, "\(check.detail)")
    }

    @Test func `a product of integers takes the zero point that is found at run time`() throws {
        var file = window([
            .init(op: "DynamicQuantizeLinear", inputs: ["features"], outputs: ["codes", "scale", "zero"]),
            .init(op: "DynamicQuantizeLinear", inputs: ["plane"], outputs: ["weight", "weight_scale", "weight_zero"]),
            .init(
                op: "MatMulInteger", inputs: ["codes", "weight", "zero", "weight_zero"], outputs: ["sums"]),
            .init(op: "Cast", inputs: ["sums"], outputs: ["wide"], integers: [("to", 1)]),
            .init(op: "Mul", inputs: ["wide", "scale"], outputs: ["scaled"]),
            .init(op: "Mul", inputs: ["scaled", "weight_scale"], outputs: ["product"]),
        ])
        file.metadata = [:]
        file.inputs = [("features", [1, 2])]
        file.outputs = [("product", [1, 2])]
        file.nodes.removeLast(3)
        file.floats.append(("plane", [2, 2], [1, -0.5, 0.25, 0.75]))
        let rows = FeatureRows(width: 2, values: [0.5, -0.25, -1, 0.125])
        let product = try #require(
            try ModelVerification(onnx: file.bytes, stored: ["features": rows]).outputs().first { $0.name == "product" }
        )
        let expected: [Float] = [0.5 - 0.0625, -0.25 - 0.1875, -1 + 0.03125, 0.5 + 0.09375]
        for (value, wanted) in zip(product.values, expected) {
            #expect(abs(value - wanted) < 0.02, "\(value), \(wanted)")
        }
    }
}
