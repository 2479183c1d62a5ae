import Foundation
import Inference
import TestSupport
import Testing

/// Goal: the engine computes what ONNX Runtime computes, and the same bits whichever kernels it uses.
/// Method: models with random weights, stepped with their state carried on; the outputs of ONNX Runtime beside them.
@Suite struct AgreementTests {
    @Test(arguments: ZooModel.golden)
    func `a golden model agrees with ONNX Runtime and between kernels`(_ zoo: ZooModel) throws {
        try check(zoo)
    }

    @Test(.enabled(if: PythonProcess.isAvailable, "MARTLET_PYTHON is not set"))
    func `every model of the zoo agrees with ONNX Runtime over 250 ticks`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "martlet-zoo-\(UUID().uuidString)")
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: folder) } }
        let maker = try PythonProcess("make_models.py", ["zoo", folder.path, "--steps", "250"])
        #expect(try maker.readLine(timeoutSeconds: 300) == "done")
        let models = try ZooModel.load(folder)
        #expect(models.count >= 20)
        for zoo in models {
            try check(zoo)
        }
    }

    /// Dense, sparse and chosen kernels and the scalar twin give equal bits, near those of ONNX Runtime.
    private func check(_ zoo: ZooModel) throws {
        let predicted = try run(zoo, .predicted)
        let difference = greatestDifference(zoo, predicted)
        #expect(difference <= 1e-5, "\(zoo.name) differs from ONNX Runtime")
        let expected = bits(predicted)
        #expect(bits(try run(zoo, .dense)) == expected, "\(zoo.name): dense kernels")
        #expect(bits(try run(zoo, .sparse)) == expected, "\(zoo.name): sparse kernels")
        var reference = ScalarReference(model: try zoo.model())
        let scalar = zoo.features.map { reference.step(features: $0) }
        #expect(bits(scalar) == expected, "\(zoo.name): scalar twin")
    }

    @Test func `after a reset the outputs are those of a new state`() throws {
        let zoo = ZooModel.golden("lstm_odd")
        let model = try zoo.model()
        var engine = InferenceEngine(model: model)
        var state = model.makeState()
        func pass() -> [[String: [Float]]] {
            zoo.features.map { row in
                row.withUnsafeBufferPointer { buffer in
                    if let base = buffer.baseAddress { engine.step(features: base, state: &state) }
                }
                return arrays(engine.outputs, horizons: model.metadata.horizons.count)
            }
        }
        let first = bits(pass())
        let continued = bits(pass())
        state.reset()
        let again = bits(pass())
        #expect(first != continued)
        #expect(first == again)
    }

    @Test func `two instruments on one engine do not see each other`() throws {
        let zoo = ZooModel.golden("gru_odd")
        let model = try zoo.model()
        let alone = bits(try run(zoo, .predicted))
        var engine = InferenceEngine(model: model)
        var state = model.makeState()
        var other = model.makeState()
        var mixed: [[String: [Float]]] = []
        for (tick, row) in zoo.features.enumerated() {
            let stranger = zoo.features[zoo.features.count - 1 - tick]
            stranger.withUnsafeBufferPointer {
                if let base = $0.baseAddress { engine.step(features: base, state: &other) }
            }
            row.withUnsafeBufferPointer {
                if let base = $0.baseAddress { engine.step(features: base, state: &state) }
            }
            mixed.append(arrays(engine.outputs, horizons: model.metadata.horizons.count))
        }
        #expect(bits(mixed) == alone)
    }

    @Test func `features are found by name, in any order`() throws {
        let zoo = ZooModel.golden("gru_odd")
        let names = (zoo.featureNames + ["unused"]).reversed()
        let model = try Model(onnx: zoo.bytes, availableFeatures: Array(names), featureSetVersion: 1)
        var engine = InferenceEngine(model: model)
        var state = model.makeState()
        var results: [[String: [Float]]] = []
        for row in zoo.features {
            let vector = Array((row + [1e30]).reversed())
            vector.withUnsafeBufferPointer {
                if let base = $0.baseAddress { engine.step(features: base, state: &state) }
            }
            results.append(arrays(engine.outputs, horizons: model.metadata.horizons.count))
        }
        #expect(bits(results) == bits(try run(zoo, .predicted)))
    }
}
