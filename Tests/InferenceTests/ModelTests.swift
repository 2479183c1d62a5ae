import CMallocCounter
import Inference
import Testing

@Suite struct ModelTests {
    @Test func `metadata are read as the document lists them`() throws {
        var file = ModelFile()
        let hash = String(repeating: "0a", count: 32)
        file.metadata["martlet.name"] = #""default""#
        file.metadata["martlet.training_data_sha256"] = "[\"\(hash)\"]"
        file.metadata["martlet.training_end_timestamp"] = "1340285400123456789"
        file.metadata["martlet.metrics"] = #"{"macro_f1": 0.5}"#
        file.metadata["martlet.density"] = "0.25"
        file.metadata["martlet.precision"] = #""fp32""#
        file.metadata["martlet.nmae"] = "1"
        file.metadata["other.key"] = "not JSON"
        let metadata = try Model(onnx: file.bytes, availableFeatures: ["b", "a"], featureSetVersion: 1)
            .metadata
        #expect(metadata.featureNames == ["a", "b"])
        #expect(
            metadata.horizons
                == [.init(length: 10, unit: .ticks, labelName: Labels.smoothedMidName, alpha: 1e-5)])
        #expect(metadata.warmUpTicks == 5)
        #expect(metadata.name == "default")
        #expect(metadata.trainingDataSHA256 == [hash])
        #expect(metadata.trainingEndTimestamp == 1_340_285_400_123_456_789)
        #expect(metadata.metrics == ["macro_f1": 0.5])
        #expect(metadata.density == 0.25)
        #expect(metadata.precision == .fp32)
        #expect(metadata.unknownKeys == ["martlet.nmae"])
    }

    @Test func `outputs that a model lacks are nil`() throws {
        let model = try ZooModel.golden("gru_odd").model()
        let engine = InferenceEngine(model: model)
        let outputs = engine.outputs
        #expect(model.outputNames == ["probabilities"])
        #expect(outputs.position == nil && outputs.trend == nil && outputs.valueAtRisk == nil)
        #expect(try ZooModel.golden("all_heads").model().outputNames.count == 7)
    }

    @Test func `the plan names layers, kernels and densities`() throws {
        let plan = try ZooModel.golden("gru_odd").model().plan
        // The product of the hidden state does not wait for the tick.
        #expect(plan.map(\.operation) == ["linear", "GRU", "linear", "softmax over 3", "linear"])
        #expect(plan.map(\.isAhead) == [false, false, false, false, true])
        #expect(plan[0].kernel == "dense 24×1")
        #expect(plan[0].multiplyAdds == 33 * 13)
        #expect(plan[4].multiplyAdds == 33 * 11)
        #expect(plan[0].density == 1)
        #expect(plan[0].packedByteCount >= 4 * 48 * 13)
    }

    @Test func `the planner takes sparse kernels where blocks are empty`() throws {
        var file = ModelFile()
        let rows = 64
        let names = (0..<64).map { "f\($0)" }
        file.inputs = [("features", [1, 1, 64])]
        file.metadata["martlet.feature_names"] = "[" + names.map { "\"\($0)\"" }.joined(separator: ",") + "]"
        file.nodes.insert(.init(op: "MatMul", inputs: ["features", "w1"], outputs: ["h"]), at: 0)
        file.nodes[1].inputs[0] = "h"
        file.floats = [("w", [64, 3], Array(repeating: 0.1, count: 192))]
        for (kept, kernel) in [(64, "dense 16×1"), (8, "block-sparse 16×1")] {
            // Row-major [inputs, outputs]: the first `kept` inputs have weights.
            let weights = (0..<64 * rows).map { $0 / rows < kept ? Float(0.5) : 0 }
            file.floats = [file.floats[0], ("w1", [64, Int64(rows)], weights)]
            let model = try Model(onnx: file.bytes, availableFeatures: names, featureSetVersion: 1)
            #expect(model.plan[0].kernel == kernel)
            #expect(model.plan[0].blockDensity == Double(kept) / 64)
        }
    }

    @Test(arguments: ["lstm_odd", "all_heads", "layouts", "window"])
    func `a step does not allocate`(_ name: String) throws {
        let zoo = ZooModel.golden(name)
        let model = try zoo.model()
        var engine = InferenceEngine(model: model)
        var state = model.makeState()
        let allocations = zoo.features[0].withUnsafeBufferPointer { buffer -> UInt64 in
            guard let base = buffer.baseAddress else { return .max }
            engine.step(features: base, state: &state)
            let before = martlet_malloc_count_thread()
            for _ in 0..<1_000 { engine.step(features: base, state: &state) }
            state.reset()
            return martlet_malloc_count_thread() - before
        }
        #expect(!martlet_malloc_counter_is_active() || allocations == 0)
    }

    @Test func `a state of another model is a programmer's mistake`() async {
        await #expect(processExitsWith: .failure) {
            let zoo = ZooModel.golden("gru_odd")
            var engine = InferenceEngine(model: try zoo.model())
            var state = try zoo.model().makeState()
            zoo.features[0].withUnsafeBufferPointer { buffer in
                if let base = buffer.baseAddress { engine.step(features: base, state: &state) }
            }
        }
    }
}
