import Foundation
import Inference
import ONNX

/// A model that PyTorch exported, with the ticks that it is shown and what ONNX Runtime gave for them, as
/// `python/martlet/pytorch_export.py` writes them: NAME.onnx and the folder NAME.data.
struct TorchModel: Sendable {
    /// What differs, in words.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Of an output to that of ONNX Runtime, beyond 1 relatively.
    static let tolerance: Float = 1e-5

    let name: String
    let bytes: [UInt8]
    /// One row per tick, those before the first full window among them.
    let features: [[Float]]
    /// By output and by tick, from the first full window on; by state the value after the last tick.
    let expected: [String: [[Float]]]
    /// Whether the expected outputs are those of the integer reference, which hold to the bit.
    let isExact: Bool

    private struct Description: Decodable {
        let expected: String
    }

    /// The models of a folder, by name.
    static func load(_ folder: URL) throws -> [TorchModel] {
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        return try files.filter { $0.hasSuffix(".onnx") }.sorted().map { file in
            let name = String(file.dropLast(".onnx".count))
            return try TorchModel(name: name, folder: folder)
        }
    }

    private init(name: String, folder: URL) throws {
        let data = folder.appending(path: "\(name).data")
        var arrays: [String: [[Float]]] = [:]
        for file in try FileManager.default.contentsOfDirectory(atPath: data.path) where file.hasSuffix(".npy") {
            arrays[String(file.dropLast(".npy".count))] = try TorchModel.rows(of: data.appending(path: file))
        }
        guard let features = arrays.removeValue(forKey: "features") else {
            throw Failure(description: "\(name) has no features")
        }
        let description = try JSONDecoder().decode(
            Description.self, from: try Data(contentsOf: data.appending(path: "data.json")))
        self.name = name
        self.features = features
        expected = arrays
        isExact = description.expected == "integer reference"
        bytes = [UInt8](try Data(contentsOf: folder.appending(path: "\(name).onnx")))
    }

    /// A float32 array of NumPy, version 1 of its format, cut along its first axis.
    private static func rows(of file: URL) throws -> [[Float]] {
        let bytes = [UInt8](try Data(contentsOf: file))
        guard bytes.count > 10, bytes[6] == 1 else { throw Failure(description: "\(file.path) is no array, version 1") }
        let start = 10 + Int(bytes[8]) + Int(bytes[9]) << 8
        let header = String(decoding: bytes[10..<min(start, bytes.count)], as: UTF8.self)
        guard header.contains("'descr': '<f4'"), header.contains("'fortran_order': False"),
            let shape = header.split(separator: "(").last?.split(separator: ")").first
        else { throw Failure(description: "\(file.path) is \(header)") }
        let extents = shape.split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        let width = extents.dropFirst().reduce(1, *)
        guard let count = extents.first, bytes.count == start + 4 * count * width else {
            throw Failure(description: "\(file.path) has another size than its header says")
        }
        let values = bytes.withUnsafeBytes { bytes in
            (0..<count * width).map { bytes.loadUnaligned(fromByteOffset: start + 4 * $0, as: Float.self) }
        }
        return (0..<count).map { Array(values[$0 * width..<($0 + 1) * width]) }
    }

    var featureNames: [String] { features[0].indices.map { "f\($0)" } }

    func model(_ kernels: KernelPolicy = .predicted) throws -> Model {
        try Model(onnx: bytes, availableFeatures: featureNames, featureSetVersion: 1, kernels: kernels)
    }

    /// Ticks before the first expected output.
    var ticksAhead: Int { features.count - (expected["probabilities"]?.count ?? 0) }

    /// The outputs of all ticks from an engine that keeps state and window.
    func streamed(_ kernels: KernelPolicy = .predicted) throws -> [[String: [Float]]] {
        let model = try model(kernels)
        var engine = InferenceEngine(model: model)
        var state = model.makeState()
        let horizons = model.metadata.horizons.count
        return features.enumerated().map { tick, row in
            row.withUnsafeBufferPointer { buffer in
                if let base = buffer.baseAddress { engine.step(features: base, state: &state) }
            }
            if tick % 2 == 0 { engine.prepare(state: &state) }
            return arrays(engine.outputs, horizons: horizons)
        }
    }

    /// The outputs of all ticks from the first full window on, each computed anew as a graph without memory: window and
    /// states are inputs like any other. The last element is the states after the last tick.
    func asGraph() throws -> [[String: [Float]]] {
        let graph = try Graph(onnx: bytes)
        let program = try Program(graph: graph)
        var inputs: [String: Tensor] = [:]
        for input in graph.inputs {
            let shape = input.shape.map { if case .fixed(let extent) = $0 { extent } else { 1 } }
            inputs[input.name] = Tensor(
                name: input.name, shape: shape, elements: .float(Array(repeating: 0, count: shape.reduce(1, *))))
        }
        guard let window = inputs["features"]?.shape[1] else {
            throw Failure(description: "there is no input 'features'")
        }
        var results: [[String: [Float]]] = []
        for tick in (window - 1)..<features.count {
            inputs["features"] = Tensor(
                name: "features", shape: [1, window, features[0].count],
                elements: .float(Array(features[(tick - window + 1)...tick].joined())))
            let outputs = try program.run(inputs)
            results.append(
                outputs.filter { !$0.key.hasPrefix("state_") }.mapValues { $0.floats ?? [] })
            var last: [String: [Float]] = [:]
            for (name, tensor) in outputs where name.hasPrefix("state_") {
                inputs[String(name.dropLast("_next".count))] = tensor
                last[name] = tensor.floats ?? []
            }
            if tick == features.count - 1 { results.append(last) }
        }
        return results
    }

    /// Throws the first difference from what is expected. Returns the largest.
    @discardableResult
    func check(_ results: [[String: [Float]]], states: [String: [Float]]? = nil) throws -> Float {
        var largest: Float = 0
        for (name, rows) in expected.sorted(by: { $0.key < $1.key }) {
            if name.hasPrefix("state_") {
                guard let states else { continue }
                largest = max(largest, try difference(name, "the last tick", states[name] ?? [], rows.flatMap { $0 }))
                continue
            }
            guard results.count == rows.count else {
                throw Failure(description: "\(results.count) ticks, expected \(rows.count)")
            }
            for (tick, row) in rows.enumerated() {
                largest = max(largest, try difference(name, "tick \(tick)", results[tick][name] ?? [], row))
            }
        }
        return largest
    }

    private func difference(_ name: String, _ when: String, _ found: [Float], _ expected: [Float]) throws -> Float {
        guard found.count == expected.count else {
            throw Failure(description: "'\(name)' has \(found.count) values, expected \(expected.count)")
        }
        var largest: Float = 0
        for (index, (value, wanted)) in zip(found, expected).enumerated() {
            let isNear =
                isExact
                ? value.bitPattern == wanted.bitPattern
                : abs(value - wanted) <= TorchModel.tolerance * max(1, abs(wanted))
            // What is no number is near nothing.
            guard isNear else {
                throw Failure(
                    description: "'\(name)' at \(when), element \(index): \(value), expected \(wanted)")
            }
            largest = max(largest, abs(value - wanted) / max(1, abs(wanted)))
        }
        return largest
    }
}
