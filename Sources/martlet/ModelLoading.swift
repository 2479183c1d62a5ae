import ArgumentParser
import Features
import Foundation
import Inference
import Recorder

/// A model file and what signals say of it.
struct LoadedModel {
    let model: Model
    /// Longest name: it leaves room for any dataset and symbol in a topic.
    private static let nameByteCountMax = 64
    /// First 8 bytes of the file's SHA-256.
    let id: UInt64
    /// The component of the signal topics: the file's name without its ending, unless given.
    let name: String

    init(path: String, name: String?) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandError(.noInput, "\(path): the model cannot be opened")
        }
        do {
            model = try Model(
                onnx: [UInt8](data), availableFeatures: FeatureExtractor.names,
                featureSetVersion: FeatureExtractor.version)
            id = try FileDigest.prefix(path)
        } catch let error as ModelError {
            throw CommandError(.data, "\(path): \(error)")
        }
        if let name, name.isEmpty || name.utf8.count > LoadedModel.nameByteCountMax {
            throw CommandError(
                .usage, "--name '\(name)' is wrong; expected 1 to \(LoadedModel.nameByteCountMax) bytes of text")
        }
        self.name = name ?? URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
    }
}
