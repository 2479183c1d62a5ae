import Feeds
import Foundation
import Inference

/// Asks a Python program what ONNX Runtime and the integer reference say of the same ticks.
///
/// The rows go to it in a folder: `index.json` names for each input and output its array, in files `0.npy`, `1.npy`, …
/// It answers with one check a line, as JSON.
struct ModelRuntimeCheck {
    let python: String
    static let name = "ONNX Runtime"

    private struct Index: Encodable {
        var inputs: [String: String] = [:]
        var outputs: [String: String] = [:]
        /// Whether the model's state goes from row to row.
        let isContract: Bool
        /// Rows of outputs before the first full window.
        let leadingTicks: Int
    }

    func run(_ bytes: ModelBytes, _ verification: ModelVerification) throws -> [ModelVerification.Check] {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
        let unfinished = UnfinishedFile(folder.path)
        defer { unfinished.remove() }
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try write(verification, isContract: try bytes.model().metadata != nil, to: folder)
        } catch { throw CommandError(.noInput, "\(folder.path) cannot be written: \(oneLine(error))") }
        let (status, output, complaint) = try start(["-m", "martlet.model_verify", bytes.path, "--data", folder.path])
        unfinished.endIfInterrupted()
        guard status == 0 else {
            let line = complaint.split(whereSeparator: \.isNewline).last.map(String.init) ?? "status \(status)"
            return [.init(Self.name, .failed, "\(python) -m martlet.model_verify: \(line)")]
        }
        do {
            let checks = try output.split(separator: UInt8(ascii: "\n")).map {
                try JSONDecoder().decode(ModelVerification.Check.self, from: Data($0))
            }
            // A program that says nothing has checked nothing.
            return checks.isEmpty
                ? [.init(Self.name, .failed, "\(python) -m martlet.model_verify said nothing")] : checks
        } catch {
            return [
                .init(Self.name, .failed, "\(python) -m martlet.model_verify said what is no check: \(oneLine(error))")
            ]
        }
    }

    private func write(_ verification: ModelVerification, isContract: Bool, to folder: URL) throws {
        var index = Index(isContract: isContract, leadingTicks: verification.leadingTicks)
        var count = 0
        func store(_ width: Int, _ values: [Float]) throws -> String {
            let name = "\(count).npy"
            count += 1
            var writer = try NPYWriter(
                path: folder.appendingPathComponent(name).path, elementType: .float32, columnCount: width)
            try values.withUnsafeBytes { try writer.append($0) }
            try writer.finish()
            return name
        }
        for (name, rows) in verification.inputs { index.inputs[name] = try store(rows.width, rows.values) }
        for output in try verification.outputs() where output.width > 0 {
            index.outputs[output.name] = try store(output.width, output.values)
        }
        try JSONEncoder().encode(index).write(to: folder.appendingPathComponent("index.json"))
    }

    private func start(_ arguments: [String]) throws -> (status: Int32, output: Data, complaint: String) {
        let process = Process()
        let (output, complaint) = (Foundation.Pipe(), Foundation.Pipe())
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = complaint
        do { try process.run() } catch {
            throw CommandError(.noInput, "\(python): it cannot be run: \(error.localizedDescription)")
        }
        // Both are read at once: a full pipe would stop the program.
        let errors = PipeReader(complaint)
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, text, String(decoding: errors.finish(), as: UTF8.self))
    }
}

/// Reads a pipe to its end on another thread.
///
/// `@unchecked Sendable`: `data` is written before the semaphore is signalled and read after the wait for it.
private final class PipeReader: @unchecked Sendable {
    private let done = DispatchSemaphore(value: 0)
    private var data = Data()

    init(_ pipe: Foundation.Pipe) {
        let handle = pipe.fileHandleForReading
        Thread { [self] in
            data = handle.readDataToEndOfFile()
            done.signal()
        }.start()
    }

    func finish() -> Data {
        done.wait()
        return data
    }
}
