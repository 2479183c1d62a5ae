import ArgumentParser
import Foundation
import Inference
import Recorder

struct ModelQuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Makes the products of a model products of integers, with ranges measured on a recorded feed.",
        discussion: """
            Activations get codes of 7 bits and weights values from -63 to 63 with a scale for each output, which is what the \
            fast kernels need. Any ONNX runtime reads the result; one with its optimisations on may saturate, see \
            docs/MODEL.md.

              martlet model quantize model.onnx --calibrate day.dbn.zst --out int8.onnx
              martlet model quantize model.onnx --calibrate features.npy --percentile 99.99 --out int8.onnx

            A file without metadata of the model contract is a graph whose runs have nothing to do with each other. Rows of \
            its input come from an array [runs, …]; of several inputs from a folder with NAME.npy for each. A DBN file does \
            for a graph with one input of 128 features, or of a window of them [ticks, 128].
            """)

    @OptionGroup var arguments: CompressionArguments

    @Option(
        help: "A DBN file, an array of rows (.npy) or a folder of one for each input, to measure ranges and outputs on."
    )
    var calibrate: String

    @Option(help: "Values beyond this percentile at either end are clipped, 50 to 100; 100 keeps all.")
    var percentile = 100.0

    @Flag(inversion: .prefixedNo, help: "Keep the last layer in floats.")
    var keepLast = true

    private struct Report: Encodable {
        struct Layer: Encodable {
            let name: String
            let `operator`: String
            let precision: String
            @OrNull var reason: String?
            @OrNull var low: Float?
            @OrNull var high: Float?
            @OrNull var scale: Float?
            let kernels: [String]
            let isFast: Bool

            init(_ layer: ModelQuantization.Layer) {
                name = layer.name
                self.operator = layer.operatorName
                precision = layer.reason == nil ? "int8" : "fp32"
                kernels = layer.kernels
                isFast = layer.isFast
                reason = layer.reason
                low = layer.range?.lowerBound
                high = layer.range?.upperBound
                scale = layer.scale
            }
        }

        let out: String
        let layers: [Layer]
        let predictedNanosecondsBefore: Double
        let predictedNanosecondsAfter: Double
        let change: ChangeReport
    }

    mutating func run() throws {
        guard (50...100).contains(percentile) else {
            throw CommandError(.usage, "--percentile \(percentile) is wrong; expected 50 to 100")
        }
        let bytes = try arguments.read(calibration: calibrate)
        let before = try arguments.model(bytes)
        var progress = ProgressLine()
        defer { progress.clear() }
        let rows = try arguments.rows(calibrate, for: before, &progress)
        var options = ModelQuantization.Options()
        options.percentile = percentile
        options.keepsLast = keepLast
        let quantization: ModelQuantization
        var pass = ""
        do throws(CompressionError) {
            quantization = try ModelQuantization(onnx: bytes, rows: rows, options: options) { name, ticks in
                if name != pass { (pass, progress) = (name, ProgressLine()) }
                progress.show(name, done: ticks, total: rows.count)
            }
        } catch { throw arguments.failure(error) }
        progress = ProgressLine()
        let change = ChangeReport(from: before, to: quantization.model, over: rows, &progress)
        try arguments.write(quantization.bytes)
        progress.clear()
        let report = Report(
            out: arguments.out,
            layers: quantization.layers.map(Report.Layer.init),
            predictedNanosecondsBefore: before.predictedNanoseconds,
            predictedNanosecondsAfter: quantization.model.predictedNanoseconds, change: change)
        guard !arguments.json else { return try StandardOutput.print(json: report) }
        StandardOutput.print(ModelQuantizeCommand.text(report))
    }

    private static func text(_ report: Report) -> String {
        var lines = report.layers.map { layer in
            let head = "layer    \(layer.name) (\(layer.operator)): "
            guard let low = layer.low, let high = layer.high else {
                return head + "stays in floats, \(layer.reason ?? "")"
            }
            return head + "int8, inputs \(low) to \(high), " + layer.kernels.joined(separator: "; ")
                + (layer.isFast ? "" : ", not on the fast path")
        }
        lines.append(
            "predicted \(ChangeReport.microseconds(report.predictedNanosecondsBefore)) → "
                + "\(ChangeReport.microseconds(report.predictedNanosecondsAfter)) µs a tick, products alone")
        lines += report.change.lines
        lines.append(
            "int8     \(report.layers.count { $0.precision == "int8" }) of \(report.layers.count) layers → \(report.out)"
        )
        return lines.joined(separator: "\n")
    }
}
