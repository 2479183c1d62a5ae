import ArgumentParser
import Foundation
import Inference
import MarketData

/// Whether a model computes what it should.
struct ModelVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Checks what a model computes: against stored outputs, its scalar twin, and ONNX Runtime.",
        discussion: """
            Inputs are those stored in NAME.data beside NAME.onnx (features.npy [ticks, F], OUTPUT.npy [ticks, …]), if \
            there are any, else random. Stored outputs have to come out to 1e-5, or to the bit where data.json says that \
            they are the integer reference's. All kernels have to give the bits of their scalar twins, dense and \
            block-sparse ones the same bits, and what is computed after the outputs must not change them. With a Python \
            that has this project's package, ONNX Runtime computes the same ticks: to 1e-5 for 32-bit floats; for a \
            quantised model within one quantum on 99.9 % of ticks, and the bits of the integer reference.

              martlet model verify mine.onnx
              martlet model verify mine.onnx --data recorded --onnxruntime .venv/bin/python --json

            Exit code 65 if a check fails.
            """)

    @Argument(help: "An ONNX file.")
    var file: String

    @Option(help: "Folder with stored inputs and outputs. Default: NAME.data beside NAME.onnx, if there is one.")
    var data: String?

    @Option(
        help: ArgumentHelp(
            "A Python with onnxruntime and this project's package. Default: the environment's MARTLET_PYTHON, if set.",
            valueName: "python"))
    var onnxruntime: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Report: Encodable {
        let model, sha256, inputs: String
        let ticks: Int
        let isPassed: Bool
        let checks: [ModelVerification.Check]
    }

    mutating func run() throws {
        let bytes = try ModelBytes(file)
        let report: Report
        do { report = try verify(bytes) } catch { throw ModelBytes.error(file, error) }
        if json {
            try StandardOutput.print(json: report)
        } else {
            StandardOutput.print(table(report))
        }
        let failed = report.checks.filter { $0.status == .failed }.map(\.name)
        guard failed.isEmpty else {
            throw CommandError(
                .data,
                "\(file): \(failed.count) of \(report.checks.count) checks failed: \(failed.joined(separator: ", "))")
        }
    }

    private func verify(_ bytes: ModelBytes) throws -> Report {
        var progress = ProgressLine()
        defer { progress.clear() }
        let model = try bytes.model()
        let hasFolder = data != nil || FileManager.default.fileExists(atPath: bytes.dataFolder)
        let stored = hasFolder ? try ModelData(folder: data ?? bytes.dataFolder, model: model) : nil
        let verification: ModelVerification
        do {
            verification = try ModelVerification(onnx: bytes.bytes, stored: stored?.inputs ?? [:])
        } catch {
            // The file itself has been read: what is wrong is what is stored.
            throw CommandError(.data, "\(stored?.folder ?? file): \(oneLine(error))")
        }
        var checks: [ModelVerification.Check] = []
        if let stored, !stored.outputs.isEmpty {
            progress.show("stored outputs")
            checks += try verification.checkStored(stored.outputs, isExact: stored.isExact)
        } else {
            checks.append(.init("stored outputs", .skipped, "none are stored in \(stored?.folder ?? bytes.dataFolder)"))
        }
        progress.show("scalar twin")
        checks.append(try verification.checkScalarTwin())
        progress.show("dense and sparse")
        checks.append(try verification.checkPolicies())
        if let check = try verification.checkRest() { checks.append(check) }
        if let check = try verification.checkStreaming() { checks.append(check) }
        if let python = onnxruntime ?? ProcessInfo.processInfo.environment["MARTLET_PYTHON"], !python.isEmpty {
            progress.show("ONNX Runtime")
            checks += try ModelRuntimeCheck(python: python).run(bytes, verification)
        } else {
            checks.append(
                .init("ONNX Runtime", .skipped, "no Python is given; --onnxruntime PYTHON or MARTLET_PYTHON names one"))
        }
        let source = stored.map { $0.inputs.isEmpty ? "random" : $0.folder } ?? "random"
        return Report(
            model: bytes.path, sha256: bytes.sha256, inputs: source, ticks: verification.ticks,
            isPassed: !checks.contains { $0.status == .failed }, checks: checks)
    }

    private func table(_ report: Report) -> String {
        let words: [ModelVerification.Check.Status: String] = [.passed: "ok", .failed: "FAILED", .skipped: "skipped"]
        let rows = report.checks.map { [words[$0.status] ?? "", $0.name.singleLine, $0.detail.singleLine] }
        let head = [
            "model   \(report.model.singleLine), sha256 \(report.sha256)",
            "inputs  \(Format.count(report.ticks)) ticks, \(report.inputs.singleLine)",
        ]
        return (head + TextTable.lines(rows, isNumber: [false, false, false])).joined(separator: "\n")
    }
}
