import Foundation
import TestSupport
import Testing

@testable import Inference

/// Goal: the engine gives the bits of the integer reference, which computes in NumPy's whole numbers.
/// Method: the int8 models of the speed measurements, and golden models that were quantised here.
@Suite(.enabled(if: PythonProcess.isAvailable, "MARTLET_PYTHON is not set"))
struct IntegerOracleTests {
    private func inFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-int8-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: folder) } }
        try body(folder)
    }

    private func floats(_ file: URL) throws -> [Float] {
        try Data(contentsOf: file).withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
    }

    /// The probabilities of all ticks, one after the other.
    private func probabilities(_ model: Model, _ features: [Float]) -> [Float] {
        var engine = InferenceEngine(model: model)
        var state = model.makeState()
        var result: [Float] = []
        for start in stride(from: 0, to: features.count, by: model.featureCount) {
            features.withUnsafeBufferPointer {
                if let base = $0.baseAddress { engine.step(features: base + start, state: &state) }
            }
            result += UnsafeBufferPointer(
                start: engine.outputs.probabilities, count: 3 * model.metadata.horizons.count)
        }
        return result
    }

    @Test func `the int8 models of the speed measurements have the bits of the reference, on the fast path`() throws {
        try inFolder { folder in
            let process = try PythonProcess("integer_outputs.py", ["bench", folder.path])
            var names: [String] = []
            while case let line = try process.readLine(timeoutSeconds: 300), line != "done" {
                names.append(String(line.split(separator: " ")[0]))
            }
            #expect(names.count >= 10)
            for name in names {
                let file = folder.appending(path: name)
                let bytes = [UInt8](try Data(contentsOf: file.appendingPathExtension("onnx")))
                let model = try #require(try AnyModel(onnx: bytes).model)
                let products = model.plan.filter { $0.weightCount > 0 }
                #expect(products.allSatisfy { $0.kernel.contains("sevenBit") }, "\(name): \(model.planDescription)")
                if !name.contains("explicit") {
                    let isBlocked = ["lstm": "32×4", "gru": "24×4"].first { name.contains($0.key) }?.value
                    if let isBlocked { #expect(products.contains { $0.kernel.contains(isBlocked) }, "\(name)") }
                }
                let found = probabilities(model, try floats(file.appendingPathExtension("features.f32")))
                let expected = try floats(file.appendingPathExtension("probabilities.f32"))
                #expect(found.count == expected.count && !found.isEmpty)
                #expect(found.map(\.bitPattern) == expected.map(\.bitPattern), "\(name)")
            }
        }
    }

    @Test(arguments: ["gru_odd", "lstm_odd", "mlp_sigmoid", "window"], [true, false])
    func `a model that was quantised here has the bits of the reference`(_ name: String, _ keepsLast: Bool) throws {
        let zoo = ZooModel.golden(name)
        var rows = CalibrationRows(featureCount: zoo.features[0].count)
        for row in zoo.features { rows.append(row) }
        var options = ModelQuantization.Options()
        options.keepsLast = keepsLast
        let result = try ModelQuantization(onnx: zoo.bytes, rows: rows, options: options) { _, _ in }
        try inFolder { folder in
            let (file, features) = (folder.appending(path: "model.onnx"), folder.appending(path: "features.f32"))
            let values = zoo.features.flatMap { $0 }
            try Data(result.bytes).write(to: file)
            try values.withUnsafeBytes { Data($0) }.write(to: features)
            let process = try PythonProcess("integer_outputs.py", ["run", file.path, features.path])
            while try process.readLine(timeoutSeconds: 120) != "done" {}
            let expected = try floats(folder.appending(path: "model.probabilities.f32"))
            let model = try #require(result.model.model)
            #expect(expected.count == zoo.features.count * 3 * model.metadata.horizons.count)
            #expect(probabilities(model, values).map(\.bitPattern) == expected.map(\.bitPattern))
        }
    }
}
