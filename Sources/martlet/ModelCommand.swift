import ArgumentParser
import Foundation
import Inference
import Recorder

/// Tools for who has a model file.
struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Looks into a model file, verifies what it computes, measures how fast, prunes it and quantises it.",
        discussion: """
            Takes any ONNX file that the engine runs. One with metadata of the model contract (docs/MODEL.md) is run \
            tick by tick with its state, and its features are those that it lists itself, of any feature set; 'run' and \
            'score' demand this program's. Any other is run as a free graph, each run by itself.

              martlet model inspect models/default.onnx
              martlet model verify mine.onnx --onnxruntime .venv/bin/python
              martlet model bench mine.onnx --json
              martlet model prune mine.onnx --density 0.25 --out pruned.onnx --calibrate day.dbn.zst
              martlet model quantize mine.onnx --calibrate day.dbn.zst --out int8.onnx
            """,
        subcommands: [
            ModelInspectCommand.self, ModelVerifyCommand.self, ModelBenchCommand.self, ModelPruneCommand.self,
            ModelQuantizeCommand.self,
        ])
}

/// A model file in memory, with its digest.
struct ModelBytes {
    let path: String
    let bytes: [UInt8]
    let sha256: String

    init(_ path: String) throws {
        try checkReadable([path])
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandError(.noInput, "\(path): the model cannot be opened")
        }
        self.path = path
        bytes = [UInt8](data)
        do { sha256 = try FileDigest.sha256(path) } catch { throw CommandError(error) }
    }

    func model() throws -> AnyModel {
        do { return try AnyModel(onnx: bytes) } catch { throw ModelBytes.error(path, error) }
    }

    /// What the engine says of a file, with its path in front.
    static func error(_ path: String, _ error: any Error) -> CommandError {
        if let error = error as? CommandError { return error }
        return CommandError(.data, "\(path): \(oneLine(error))")
    }

    /// The folder that belongs to the file: NAME.data beside NAME.onnx.
    var dataFolder: String { URL(fileURLWithPath: path).deletingPathExtension().path + ".data" }
}

/// Columns of text, each as wide as its widest cell.
enum TextTable {
    /// - Parameter isNumber: for each column whether it is aligned to the right.
    static func lines(_ rows: [[String]], isNumber: [Bool]) -> [String] {
        let widths = isNumber.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                return isNumber[column] ? space + row[column] : row[column] + space
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }
}
