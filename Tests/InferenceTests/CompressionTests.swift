import ONNX
import Testing

@testable import Inference

/// Goal: what is pruned is what was asked for, and what is quantised stays near the model and on the fast path.
@Suite struct CompressionTests {
    private func matrices(_ name: String) throws -> [WeightedMatrix] {
        WeightFinder(try Graph(onnx: ZooModel.golden(name).bytes)).find().matrices
    }

    private func rows(_ zoo: ZooModel) -> CalibrationRows {
        var rows = CalibrationRows(featureCount: zoo.features[0].count)
        for row in zoo.features { rows.append(row) }
        return rows
    }

    private func probabilities(_ model: Model, _ zoo: ZooModel) -> [[Float]] {
        var engine = InferenceEngine(model: model)
        var state = model.makeState()
        return zoo.features.map { row in
            row.withUnsafeBufferPointer { if let base = $0.baseAddress { engine.step(features: base, state: &state) } }
            return arrays(engine.outputs, horizons: model.metadata.horizons.count)["probabilities"] ?? []
        }
    }

    // MARK: Blocks

    @Test(arguments: ["16", "16x", "x1", "0x1", "16x2", "4x4", "16x1x1", "-8x4", ""])
    func `a block that no kernel uses is none`(_ text: String) {
        #expect(BlockShape(text) == nil)
    }

    @Test(arguments: BlockShape.known)
    func `a known block reads back`(_ text: String) {
        #expect(BlockShape(text)?.description == text)
        #expect(BlockShape(text.uppercased()) == BlockShape(text))
    }

    @Test(arguments: ["gru_odd", "lstm_odd", "mlp_sigmoid", "layouts"], BlockShape.known)
    func `the blocks of a matrix hold each of its weights once`(_ name: String, _ text: String) throws {
        let block = try #require(BlockShape(text))
        for matrix in try matrices(name) {
            let places = block.blocks(of: matrix).flatMap { $0 }
            #expect(places.count == matrix.weightCount)
            #expect(Set(places) == Set(matrix.map.places))
        }
    }

    @Test func `a block of an LSTM is 8 units of every gate`() throws {
        let matrix = try #require(try matrices("lstm_odd").first { $0.role == .recurrentHidden })
        let (units, columns) = (13, 13)
        let blocks = try #require(BlockShape("16x1")).blocks(of: matrix)
        #expect(blocks.count == 2 * columns)
        let expected = (0..<4).flatMap { gate in (0..<8).map { (gate * units + $0) * columns + 5 } }
        #expect(Set(blocks[5]) == Set(expected))
        #expect(blocks[columns].count == 4 * 5)
    }

    // MARK: Finding

    @Test func `the layers before the outputs are last, and no other`() throws {
        #expect(try matrices("gru_odd").map(\.isLast) == [false, false, true])
        #expect(try matrices("mlp_sigmoid").map(\.isLast) == [false, false, true])
        // A GRU with a head for each output.
        #expect(try matrices("all_heads").map(\.isLast) == [false, false] + Array(repeating: true, count: 7))
    }

    // MARK: Pruning

    /// features · [4, 32] → relu → [32, 3] → softmax.
    private func file(_ weight: [Float], _ change: (inout ModelFile) -> Void = { _ in }) -> [UInt8] {
        var file = ModelFile()
        file.inputs = [("features", [1, 1, 4])]
        file.metadata["martlet.feature_names"] = #"["a", "b", "c", "d"]"#
        file.nodes = [
            .init(op: "MatMul", inputs: ["features", "w"], outputs: ["a"]),
            .init(op: "Relu", inputs: ["a"], outputs: ["b"]),
            .init(op: "MatMul", inputs: ["b", "v"], outputs: ["logits"]),
            .init(op: "Softmax", inputs: ["logits"], outputs: ["probabilities"]),
        ]
        file.floats = [("w", [4, 32], weight), ("v", [32, 3], Array(repeating: 0.001, count: 96))]
        change(&file)
        return file.bytes
    }

    /// Weights whose magnitude is that of their block: of input i and outputs 16n … 16n + 15 it is order[2i + n].
    private func weights(_ order: [Float]) -> [Float] {
        (0..<128).map { index in order[index / 32 * 2 + index % 32 / 16] * (index % 3 == 0 ? -1 : 1) }
    }

    @Test func `the blocks of the smallest magnitude become zero`() throws {
        let order: [Float] = [5, 2, 8, 1, 7, 3, 4, 6]
        let block = try #require(BlockShape("16x1"))
        let result = try ModelPruning(onnx: file(weights(order)), options: .init(block: block, density: 0.5))
        let graph = try Graph(onnx: result.bytes)
        #expect(graph.initializers["w"]?.floats == weights(order.map { $0 >= 5 ? $0 : 0 }))
        #expect(graph.initializers["v"]?.floats == Array(repeating: 0.001, count: 96))
        #expect(graph.metadata["martlet.density"] == "0.5")
        #expect(result.density == 0.5)
        #expect(result.layers.map(\.densityAfter) == [0.5, 1])
        #expect(result.layers.map(\.block) == ["16x1", ""])
        let model = try #require(try AnyModel(onnx: result.bytes).model)
        #expect(model.plan[0].blockDensity == 0.5)
        #expect(model.metadata.density == 0.5)
    }

    @Test func `one block stays however low the density`() throws {
        let block = try #require(BlockShape("16x1"))
        let order: [Float] = [5, 2, 8, 1, 7, 3, 4, 6]
        let result = try ModelPruning(onnx: file(weights(order)), options: .init(block: block, density: 1e-6))
        #expect(try Graph(onnx: result.bytes).initializers["w"]?.floats == weights(order.map { $0 == 8 ? 8 : 0 }))
    }

    @Test func `all matrices are ranked together only when asked`() throws {
        let block = try #require(BlockShape("16x1"))
        let small: [Float] = [5, 2, 8, 1, 7, 3, 4, 6]
        // A second hidden layer whose weights are all larger.
        let bytes = file(weights(small)) { file in
            file.nodes.insert(.init(op: "MatMul", inputs: ["b", "u"], outputs: ["c"]), at: 2)
            file.nodes[3].inputs[0] = "c"
            file.floats.append(("u", [32, 32], Array(repeating: 10, count: 1024)))
        }
        let balanced = try ModelPruning(onnx: bytes, options: .init(block: block, density: 0.5))
        #expect(balanced.layers.prefix(2).map(\.densityAfter) == [0.5, 0.5])
        let global = try ModelPruning(onnx: bytes, options: .init(block: block, density: 0.9, isGlobal: true))
        #expect(global.layers[1].densityAfter == 1)
        #expect(global.layers[0].densityAfter < 0.2)
        #expect(abs(global.density - 0.9) < 0.01)
    }

    @Test func `bytes behind a DequantizeLinear become their zero points`() throws {
        let block = try #require(BlockShape("8x4"))
        var model = try EditableModel(onnx: file(weights([5, 2, 8, 1, 7, 3, 4, 6])))
        let levels = (0..<128).map { Int8($0 % 32 < 24 ? 3 + $0 % 2 : 30) }
        model.setInitializer(Tensor(name: "q", shape: [4, 32], elements: .int8(levels)))
        model.setInitializer(Tensor(name: "s", shape: [32], elements: .float(Array(repeating: 0.1, count: 32))))
        model.setInitializer(Tensor(name: "z", shape: [32], elements: .int8(Array(repeating: 2, count: 32))))
        model.insert(
            Node(
                name: "dq", operatorName: "DequantizeLinear", inputs: ["q", "s", "z"], outputs: ["d"],
                attributes: ["axis": .integer(1)]))
        model.setInput(1, ofNode: 1, to: "d")
        let result = try ModelPruning(onnx: try model.serialized(), options: .init(block: block, density: 0.25))
        let pruned = try Graph(onnx: result.bytes).initializers["q"]
        #expect(pruned?.elements == .int8(levels.map { $0 == 30 ? 30 : 2 }))
        #expect(result.density == 0.25)
    }

    @Test func `a model without weights, and one with a last layer alone, are refused`() throws {
        let block = try #require(BlockShape("16x1"))
        func reason(_ bytes: [UInt8]) -> String {
            do {
                _ = try ModelPruning(onnx: bytes, options: .init(block: block, density: 0.5))
                return ""
            } catch { return "\(error)" }
        }
        #expect(reason(ModelFile().bytes).contains("last layer"))
        #expect(reason(ZooModel.golden("swapped").bytes).contains("last layer"))
        var file = ModelFile()
        file.inputs = [("features", [1, 1, 3])]
        file.nodes = [.init(op: "Softmax", inputs: ["features"], outputs: ["probabilities"])]
        #expect(reason(file.bytes).contains("no constant weight"))
        #expect(reason([1, 2, 3]).contains("not an ONNX file"))
    }

    // MARK: Quantising

    @Test func `codes hold zero and stay within 7 bits`() {
        for range: ClosedRange<Float> in [-1...1, 0...3, 2...5, -4...(-1), -1e-3...7, 0...0, -3e38...3e38] {
            let codes = ActivationCodes(range)
            #expect(codes.zeroPoint <= 127)
            #expect(codes.range.contains(0))
            #expect(codes.scale.isFinite && codes.scale > 0)
            // Both ends are within half a step.
            #expect(codes.range.lowerBound <= min(range.lowerBound, 0) + codes.scale * 0.5001)
            #expect(codes.range.upperBound >= max(range.upperBound, 0) - codes.scale * 0.5001)
        }
        #expect(ActivationCodes(0...0).scale == 1)
    }

    @Test(arguments: ["gru_odd", "lstm_odd", "mlp_sigmoid", "window", "layouts"], [true, false])
    func `a quantised model stays near its model and on the fast path`(_ name: String, _ keepsLast: Bool) throws {
        let zoo = ZooModel.golden(name)
        var options = ModelQuantization.Options()
        options.keepsLast = keepsLast
        let result = try ModelQuantization(onnx: zoo.bytes, rows: rows(zoo), options: options) { _, _ in }
        let integers = result.layers.filter { $0.reason == nil }
        #expect(!integers.isEmpty)
        for layer in integers { #expect(layer.isFast, "\(layer)") }
        let model = try #require(result.model.model)
        #expect(model.metadata.precision == .int8)
        #expect(keepsLast == result.layers.contains { $0.reason == "it is the last layer" })
        let change = OutputChange(from: try AnyModel(onnx: zoo.bytes), to: result.model, over: rows(zoo)) { _ in }
        for horizon in change.horizons {
            #expect(horizon.greatest > 0)
            #expect(horizon.greatest < 0.08, "\(name)")
        }
        // The scalar twin says what the kernels say, to the bit.
        var reference = ScalarReference(model: model)
        let scalar = zoo.features.map { reference.step(features: $0)["probabilities"] ?? [] }
        #expect(scalar.map { $0.map(\.bitPattern) } == probabilities(model, zoo).map { $0.map(\.bitPattern) })
    }

    @Test func `a recurrent layer has two products of integers`() throws {
        let zoo = ZooModel.golden("lstm_odd")
        let result = try ModelQuantization(onnx: zoo.bytes, rows: rows(zoo), options: .init()) { _, _ in }
        #expect(result.layers[0].kernels.count == 2)
        let graph = try Graph(onnx: result.bytes)
        let node = try #require(graph.nodes.first { $0.operatorName == "LSTM" })
        let producers = Dictionary(
            uniqueKeysWithValues: graph.nodes.flatMap { node in node.outputs.map { ($0, node.operatorName) } })
        for input in [0, 1, 2, 5] { #expect(producers[node.inputs[input]] == "DequantizeLinear", "\(input)") }
        // The float weights are gone.
        #expect(graph.initializers.values.allSatisfy { $0.floats == nil || $0.shape.count < 3 })
    }

    @Test func `a percentile leaves out the farthest values`() throws {
        let zoo = ZooModel.golden("mlp_sigmoid")
        func range(_ percentile: Double) throws -> ClosedRange<Float> {
            var options = ModelQuantization.Options()
            options.percentile = percentile
            let result = try ModelQuantization(onnx: zoo.bytes, rows: rows(zoo), options: options) { _, _ in }
            return try #require(result.layers[0].range)
        }
        let (all, some) = (try range(100), try range(90))
        #expect(some.lowerBound > all.lowerBound && some.upperBound < all.upperBound)
        #expect(try range(99.999) == all)
    }

    @Test func `a pruned model keeps its zeros when it is quantised`() throws {
        let zoo = ZooModel.golden("lstm_odd")
        let block = try #require(BlockShape("8x4"))
        let pruned = try ModelPruning(onnx: zoo.bytes, options: .init(block: block, density: 0.3))
        let result = try ModelQuantization(onnx: pruned.bytes, rows: rows(zoo), options: .init()) { _, _ in }
        let matrices = WeightFinder(try Graph(onnx: result.bytes)).find().matrices.filter { !$0.isLast }
        let kept = matrices.reduce(0) { $0 + $1.nonZeroCount }
        #expect(Double(kept) / Double(matrices.reduce(0) { $0 + $1.weightCount }) <= pruned.density)
        #expect(result.model.metadata?.density == (pruned.density * 1e6).rounded() / 1e6)
    }

    @Test func `what cannot be quantised is refused with its reason`() throws {
        func reason(_ bytes: [UInt8], features: Int) -> String {
            var rows = CalibrationRows(featureCount: features)
            rows.append(Array(repeating: 1, count: features))
            do {
                _ = try ModelQuantization(onnx: bytes, rows: rows, options: .init()) { _, _ in }
                return ""
            } catch { return "\(error)" }
        }
        #expect(reason(ModelFile().bytes, features: 2).contains("it is the last layer"))
        let whole = file(weights([5, 2, 8, 1, 7, 3, 4, 6]))
        #expect(reason(whole, features: 3).contains("rows of 3 features"))
        #expect(
            reason(file(weights([5, 2, 8, 1, 7, 3, 4, 6])) { $0.opset = 12 }, features: 4).contains("operator set 12"))
        let zoo = ZooModel.golden("mlp_sigmoid")
        let once = try ModelQuantization(onnx: zoo.bytes, rows: rows(zoo), options: .init()) { _, _ in }
        #expect(reason(once.bytes, features: 9).contains("it is quantised"))
    }

    @Test func `infinities that stay have not changed`() throws {
        var file = ModelFile(
            graph: [
                .init(op: "MatMul", inputs: ["x", "w"], outputs: ["a"]),
                .init(op: "Exp", inputs: ["a"], outputs: ["y"]),
            ], inputs: [("x", [1, 2])], outputs: [("y", [1, 3])])
        file.floats = [("w", [2, 3], [1000, 1, -1000, 1000, 1, -1000])]
        var rows = CalibrationRows(featureCount: 2)
        rows.append([1, 1])
        let model = try AnyModel(onnx: file.bytes)
        let output = try #require(OutputChange(from: model, to: model, over: rows) { _ in }.outputs.first)
        #expect(output.mean == 0 && output.greatest == 0 && output.magnitude == .infinity)
    }
}
