import ArgumentParser
import Foundation
import Inference
import Recorder

struct ModelPruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Sets whole blocks of a model's weights to zero, those of the smallest magnitude, at once.",
        discussion: """
            Weights of MatMul, Gemm, Conv, LSTM, GRU and RNN, but for biases and the last layer. A block of a recurrent layer \
            is 8 units of every gate, whatever --block says of its outputs. Training after pruning keeps more of the quality; \
            see docs/MODELS.md.

              martlet model prune model.onnx --density 0.25 --out pruned.onnx --calibrate day.dbn.zst
              martlet model prune model.onnx --block 8x4 --density 0.25 --out pruned.onnx    # to be quantised
            """)

    @OptionGroup var arguments: CompressionArguments

    @Option(help: "Blocks, outputs by inputs: 16x1 or 32x1 for floats, 8x4 or 32x4 for int8.")
    var block = "16x1"

    @Option(help: "Share of the weights to keep, above 0 and at most 1.")
    var density: Double

    @Flag(help: "Rank the blocks of all matrices together, by their norm per weight; else each keeps the same share.")
    var global = false

    @Option(
        help: "A DBN file, an array of rows (.npy) or a folder of one for each input, to report changed outputs on.")
    var calibrate: String?

    private struct Report: Encodable {
        struct Layer: Encodable {
            let name: String
            let outputs: Int
            let inputs: Int
            let block: String
            let densityBefore: Double
            let densityAfter: Double
        }

        let out: String
        let density: Double
        let layers: [Layer]
        let skipped: [String]
        let predictedNanosecondsBefore: Double
        let predictedNanosecondsAfter: Double
        @OrNull var change: ChangeReport?
    }

    mutating func run() throws {
        guard let shape = BlockShape(block) else {
            throw CommandError(
                .usage, "--block '\(block)' is wrong; expected one of \(BlockShape.known.joined(separator: ", "))")
        }
        guard density > 0, density <= 1 else {
            throw CommandError(.usage, "--density \(density) is wrong; expected a share above 0 and at most 1")
        }
        let bytes = try arguments.read(calibration: calibrate)
        let before = try arguments.model(bytes)
        var progress = ProgressLine()
        defer { progress.clear() }
        let pruning: ModelPruning
        do throws(CompressionError) {
            pruning = try ModelPruning(
                onnx: bytes, options: ModelPruning.Options(block: shape, density: density, isGlobal: global))
        } catch { throw arguments.failure(error) }
        let after = try arguments.model(pruning.bytes)
        let change = try calibrate.map { path in
            let rows = try arguments.rows(path, for: before, &progress)
            return ChangeReport(from: before, to: after, over: rows, &progress)
        }
        try arguments.write(pruning.bytes)
        progress.clear()
        let report = Report(
            out: arguments.out, density: pruning.density,
            layers: pruning.layers.map {
                Report.Layer(
                    name: $0.name, outputs: $0.outputs, inputs: $0.inputs, block: $0.block,
                    densityBefore: $0.densityBefore, densityAfter: $0.densityAfter)
            },
            skipped: pruning.skipped, predictedNanosecondsBefore: before.predictedNanoseconds,
            predictedNanosecondsAfter: after.predictedNanoseconds, change: OrNull(wrappedValue: change))
        guard !arguments.json else { return try StandardOutput.print(json: report) }
        StandardOutput.print(ModelPruneCommand.text(report))
    }

    private static func text(_ report: Report) -> String {
        var lines = report.layers.map { layer in
            "layer    \(layer.name), \(layer.outputs)×\(layer.inputs): density "
                + ChangeReport.percent(layer.densityBefore)
                + (layer.block.isEmpty
                    ? ", kept as the last layer"
                    : " → \(ChangeReport.percent(layer.densityAfter)) in blocks of \(layer.block)")
        }
        lines += report.skipped.map { "skipped  \($0)" }
        lines.append(
            "predicted \(ChangeReport.microseconds(report.predictedNanosecondsBefore)) → "
                + "\(ChangeReport.microseconds(report.predictedNanosecondsAfter)) µs a tick, products alone")
        if let change = report.change { lines += change.lines }
        lines.append(
            "density  \(ChangeReport.percent(report.density)) of the weights, biases and last layer not counted → "
                + report.out)
        return lines.joined(separator: "\n")
    }
}
