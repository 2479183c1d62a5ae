import ArgumentParser
import Features
import Foundation
import Inference
import MarketData
import Recorder

/// A model file and what signals say of it.
struct LoadedModel {
    let model: Model
    /// Longest name: it leaves room for any dataset and symbol in a topic.
    private static let nameByteCountMax = 64
    /// As many as the model's reader takes, which would refuse a larger file after it was read.
    private static let fileByteCountMax = 64 << 20
    /// First 8 bytes of the file's SHA-256.
    let id: UInt64
    /// The component of the signal topics: the file's name without its ending, unless given.
    let name: String

    init(path: String, name: String?) throws {
        let data = try SmallFile.read(path, "the model", byteCountMax: LoadedModel.fileByteCountMax)
        do {
            model = try Model(
                onnx: [UInt8](data), availableFeatures: FeatureExtractor.names,
                featureSetVersion: FeatureExtractor.version)
            id = try FileDigest.prefix(path)
        } catch let error as ModelError {
            throw CommandError(.data, "\(path): \(error)")
        }
        self.name = name ?? URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        // Reports and terminals show it, and topics would have to escape it.
        guard (1...LoadedModel.nameByteCountMax).contains(self.name.utf8.count), self.name == self.name.singleLine
        else {
            let what = name == nil ? "\(path): the file's name as the model's" : "--name '\(self.name)'"
            throw CommandError(
                .usage,
                "\(what) is wrong; expected 1 to \(LoadedModel.nameByteCountMax) bytes without control characters"
                    + (name == nil ? ": give --name" : ""))
        }
    }
}
