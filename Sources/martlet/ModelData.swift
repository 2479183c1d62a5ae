import Feeds
import Foundation
import Inference
import Recorder

/// What is stored beside a model: rows for its inputs, and the outputs that belong to them.
struct ModelData {
    /// What `data.json` says, as far as it matters here.
    private struct Description: Decodable {
        let expected: String?
    }

    /// The file that holds a model's features.
    static let features = "features"
    /// What `data.json` calls outputs that have to come out to the bit.
    private static let exact = "integer reference"

    let folder: String
    private(set) var inputs: [String: FeatureRows] = [:]
    private(set) var outputs: [ModelVerification.Output] = []
    /// Whether the outputs are to the bit.
    private(set) var isExact = false

    /// - Throws: `CommandError` for a folder that is not there, and for a file in it that is broken.
    init(folder: String, model: AnyModel) throws {
        self.folder = folder
        guard CalibrationFeed.isFolder(folder) else {
            throw CommandError(.noInput, "\(folder): the folder with the stored data cannot be opened")
        }
        for (name, shape, _) in model.inputs {
            guard let array = try array(name) else { continue }
            let count = model.isOneRun(array.shape, shape: shape) ? 1 : array.shape.first ?? 1
            guard count > 0, !array.values.isEmpty else {
                throw CommandError(.data, "\(path(name)): shape \(array.shape), expected rows")
            }
            inputs[name] = FeatureRows(width: array.values.count / count, values: array.values)
        }
        for (name, shape) in model.outputShapes {
            guard let array = try array(name) else { continue }
            let count = model.isOneRun(array.shape, shape: shape) ? 1 : array.shape.first ?? 1
            guard count > 0, !array.values.isEmpty else {
                throw CommandError(.data, "\(path(name)): shape \(array.shape), expected rows")
            }
            outputs.append(
                ModelVerification.Output(name: name, width: array.values.count / count, values: array.values))
        }
        guard outputs.isEmpty || !inputs.isEmpty else {
            throw CommandError(.data, "\(folder): stored outputs without stored inputs")
        }
        try readDescription()
    }

    private func path(_ name: String) -> String { "\(folder)/\(name).npy" }

    /// The array of a value, if there is one. A name that would lead out of the folder has none.
    private func array(_ name: String) throws -> NPYArray? {
        guard !name.contains("/"), FileManager.default.fileExists(atPath: path(name)) else { return nil }
        do { return try NPYArray(path: path(name)) } catch { throw CommandError(error) }
    }

    private mutating func readDescription() throws {
        let path = folder + "/data.json"
        guard let text = FileManager.default.contents(atPath: path) else { return }
        do {
            isExact = try JSONDecoder().decode(Description.self, from: text).expected == ModelData.exact
        } catch {
            throw CommandError(.data, "\(path): not the description of stored data: \(oneLine(error))")
        }
    }
}
