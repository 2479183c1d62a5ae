import Foundation
import Inference
import Testing

/// A model that `python/oracles/make_models.py` or `make_windows.py` made, its inputs and the outputs that ONNX Runtime gave.
struct ZooModel: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    /// One row per tick.
    let features: [[Float]]
    /// For each output one row per tick.
    let outputs: [String: [[Float]]]
    /// Ticks that the model sees at once; the outputs' rows begin with the first full window.
    let window: Int

    var testDescription: String { name }

    var featureNames: [String] { features[0].indices.map { "f\($0)" } }

    func model(_ kernels: KernelPolicy = .predicted) throws -> Model {
        try Model(onnx: bytes, availableFeatures: featureNames, featureSetVersion: 1, kernels: kernels)
    }

    /// All models that a folder's `zoo.txt` lists.
    static func load(_ folder: URL) throws -> [ZooModel] {
        let list = try String(contentsOf: folder.appending(path: "zoo.txt"), encoding: .utf8)
        return try list.split(separator: "\n").map { line in
            let words = line.split(separator: " ").map(String.init)
            // A window model's list ends with its ticks.
            let hasWindow = words.last.flatMap { Int($0) } != nil
            let outputs = try words[3...].dropLast(hasWindow ? 1 : 0).map { word in
                let parts = word.split(separator: ":").map(String.init)
                return (parts[0], try rows(folder, "\(words[0]).\(parts[0]).f32", width: Int(parts[1]) ?? 0))
            }
            return ZooModel(
                name: words[0],
                bytes: [UInt8](try Data(contentsOf: folder.appending(path: "\(words[0]).onnx"))),
                features: try rows(folder, "\(words[0]).features.f32", width: Int(words[2]) ?? 0),
                outputs: Dictionary(uniqueKeysWithValues: outputs), window: words.last.flatMap { Int($0) } ?? 1)
        }
    }

    private static func rows(_ folder: URL, _ file: String, width: Int) throws -> [[Float]] {
        let data = try Data(contentsOf: folder.appending(path: file))
        let values = data.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
        return stride(from: 0, to: values.count, by: width).map { Array(values[$0..<$0 + width]) }
    }

    func model(streaming: StreamingMode, _ kernels: KernelPolicy = .predicted) throws -> Model {
        try Model(
            onnx: bytes, availableFeatures: featureNames, featureSetVersion: 1, kernels: kernels, streaming: streaming)
    }

    /// The committed models of windows.
    static let windows: [ZooModel] = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/windows")
        do { return try load(folder) } catch { preconditionFailure("The golden windows cannot be read: \(error)") }
    }()

    /// The committed models.
    static let golden: [ZooModel] = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")
        do { return try load(folder) } catch { preconditionFailure("The golden models cannot be read: \(error)") }
    }()

    static func golden(_ name: String) -> ZooModel {
        guard let model = golden.first(where: { $0.name == name }) else {
            preconditionFailure("no golden model \(name)")
        }
        return model
    }
}

/// The outputs of an engine as arrays, by name.
func arrays(_ outputs: ModelOutputs, horizons: Int) -> [String: [Float]] {
    var result: [String: [Float]] = [:]
    func add(_ name: String, _ pointer: UnsafePointer<Float>?, _ count: Int) {
        guard let pointer else { return }
        result[name] = (0..<count).map { pointer[$0] }
    }
    add("probabilities", outputs.probabilities, horizons * 3)
    add("expected_return", outputs.expectedReturn, horizons)
    add("volatility", outputs.volatility, horizons)
    add("value_at_risk", outputs.valueAtRisk, horizons * 2)
    add("expected_shortfall", outputs.expectedShortfall, horizons * 2)
    add("trend", outputs.trend, 3)
    add("position", outputs.position, 1)
    return result
}

/// Runs all ticks of a zoo model through an engine.
func run(_ zoo: ZooModel, _ kernels: KernelPolicy) throws -> [[String: [Float]]] {
    run(zoo, try zoo.model(kernels))
}

/// Runs all ticks of a zoo model through an engine; `parted` says whether a tick is two calls.
func run(_ zoo: ZooModel, _ model: Model, parted: Bool = false) -> [[String: [Float]]] {
    var engine = InferenceEngine(model: model)
    var state = model.makeState()
    var results: [[String: [Float]]] = []
    for row in zoo.features {
        row.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            guard parted else {
                engine.step(features: base, state: &state)
                return results.append(arrays(engine.outputs, horizons: model.metadata.horizons.count))
            }
            engine.predict(features: base, state: &state)
            results.append(arrays(engine.outputs, horizons: model.metadata.horizons.count))
            engine.advance(state: &state)
        }
    }
    return results
}

/// The greatest difference to ONNX Runtime's outputs, over all ticks and outputs.
func greatestDifference(_ zoo: ZooModel, _ results: [[String: [Float]]]) -> Float {
    var greatest: Float = 0
    for (tick, result) in results.enumerated() {
        for (name, rows) in zoo.outputs {
            guard let values = result[name], values.count == rows[tick].count else { return .infinity }
            for (value, expected) in zip(values, rows[tick]) {
                let difference = abs(value - expected)
                // A difference that is no number must not pass as none.
                guard difference.isFinite else { return .infinity }
                greatest = max(greatest, difference)
            }
        }
    }
    return greatest
}

/// Outputs as bit patterns, so that equality is of bits.
func bits(_ results: [[String: [Float]]]) -> [[String: [UInt32]]] {
    results.map { $0.mapValues { $0.map(\.bitPattern) } }
}
