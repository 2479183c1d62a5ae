import ArgumentParser
import CPlatform
import Foundation
import Inference
import MarketData

/// The time of a tick.
struct ModelBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Times a model's ticks one by one, in this process.",
        discussion: """
            Features are those of NAME.data/features.npy beside NAME.onnx if that is there, else random; they are copied \
            to where the engine reads them before the clock starts. The clock's own cost is subtracted. 'full step' is \
            all work of a tick; 'critical path' ends when the outputs are there, where a part of the work comes after \
            them. 'checksum' is the sum over one pass of all rows of p(down) + 2 p(flat) + 3 p(up).

              martlet model bench models/default.onnx
              martlet model bench mine.onnx --core 3 --steps 100000 --json
            """)

    @Argument(help: "An ONNX file.")
    var file: String

    @Option(help: "Timed ticks of each kind. Default: 20000, fewer where these would take more than 10 s.")
    var steps: Int?

    @Option(help: "Ticks before the first timed one.")
    var warmUp = 2_000

    @Option(help: "The CPU for the measuring thread; --core=-1 leaves it to the scheduler. Default: the last one.")
    var core: Int?

    @Option(help: "Folder with features.npy. Default: NAME.data beside NAME.onnx, if there is one.")
    var data: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    private static let randomRowCount = 1_024

    mutating func run() throws {
        var options = ModelBench.Options()
        options.steps = try steps.map { try inRange($0, "steps", 1...100_000_000) }
        options.warmUp = try inRange(warmUp, "warm-up", 0...100_000_000)
        let count = ProcessInfo.processInfo.processorCount
        let wanted = try inRange(core ?? count - 1, "core", -1...4_095)
        let machine = MachineDescription()
        let bytes = try ModelBytes(file)
        let model = try bytes.model()
        let (rows, source) = try features(bytes, model)
        let measurement = ModelMeasurement(model: model, rows: rows, core: wanted, options: options)
        measurement.run()
        if core != nil, measurement.pinError != 0 {
            throw CommandError(
                .usage,
                "--core \(wanted): the thread cannot be pinned: \(String(cString: strerror(measurement.pinError)))")
        }
        guard let result = measurement.result, let rates = measurement.rates else {
            throw CommandError(.software, "the measurement has no result")
        }
        let report = ModelBenchReport(
            machine: machine, bytes: bytes, model: model, features: source, result: result, rates: rates,
            core: wanted >= 0 && measurement.pinError == 0 ? wanted : nil)
        guard !json else { return try StandardOutput.print(json: report) }
        StandardOutput.print(report.table())
    }

    private func features(_ bytes: ModelBytes, _ model: AnyModel) throws -> (FeatureRows, String) {
        let width = model.metadata?.featureNames.count ?? 1
        let isStored = data != nil || FileManager.default.fileExists(atPath: bytes.dataFolder)
        if model.metadata != nil, isStored {
            let folder = data ?? bytes.dataFolder
            if let rows = try ModelData(folder: folder, model: model).inputs[ModelData.features] {
                guard rows.width == width else {
                    throw CommandError(
                        .data, "\(folder)/features.npy: rows of \(rows.width) values, the model has \(width) features")
                }
                return (rows, "\(Format.count(rows.count)) rows of \(folder)/features.npy")
            }
            guard data == nil else { throw CommandError(.noInput, "\(folder): no features.npy") }
        }
        let rows = FeatureRows(random: 1, count: ModelBenchCommand.randomRowCount, width: width)
        return (rows, "random")
    }
}

/// A measurement on a thread of its own, pinned to one CPU if that is possible.
///
/// `@unchecked Sendable`: what it holds belongs to the new thread from `start` on until the semaphore is signalled, and
/// to the waiting thread before and after that.
private final class ModelMeasurement: @unchecked Sendable {
    private let model: AnyModel
    private let rows: FeatureRows
    private let core: Int
    private let options: ModelBench.Options
    private let done = DispatchSemaphore(value: 0)
    private(set) var result: ModelBench.Result?
    private(set) var rates: MachineRates?
    /// errno of pinning the thread, or 0.
    private(set) var pinError: Int32 = 0

    init(model: AnyModel, rows: FeatureRows, core: Int, options: ModelBench.Options) {
        self.model = model
        self.rows = rows
        self.core = core
        self.options = options
    }

    func run() {
        let thread = Thread { [self] in
            measure()
            done.signal()
        }
        thread.start()
        done.wait()
    }

    private func measure() {
        if core >= 0 { pinError = martlet_thread_pin(Int32(core)) }
        _ = martlet_thread_set_name("model-bench")
        rates = MachineRates.ofThisProcess
        var progress = ProgressLine()
        defer { progress.clear() }
        result = ModelBench(options).run(model, rows: rows) { share in
            progress.show("measuring: \(Int(share * 100)) %")
        }
    }
}

/// What `model bench` says. Field names are part of the command line's contract; those of the critical path are there
/// where it differs from the full step.
struct ModelBenchReport: Encodable {
    let machine: MachineDescription
    let model, sha256, precision, features: String
    let density: Double
    @OrNull var core: Int?
    let steps: Int
    let timerNs, p50Ns, p99Ns, p999Ns: Double
    var criticalPathP50Ns: Double?
    var criticalPathP99Ns: Double?
    var criticalPathP999Ns: Double?
    /// Multiply-adds as if the matrices were full, and those that the kernels do.
    let macs, macsExecuted: Int
    /// Of those that the kernels do, over the full step's median.
    let macsPerNs, peakMacsPerNs, shareOfPeak: Double
    let checksum: Double

    init(
        machine: MachineDescription, bytes: ModelBytes, model: AnyModel, features: String, result: ModelBench.Result,
        rates: MachineRates, core: Int?
    ) {
        self.machine = machine
        self.model = bytes.path
        sha256 = bytes.sha256
        precision = model.precision
        self.features = features
        density = model.density
        steps = result.steps
        timerNs = result.timerNanoseconds
        p50Ns = result.full.p50
        p99Ns = result.full.p99
        p999Ns = result.full.p999
        criticalPathP50Ns = result.criticalPath?.p50
        criticalPathP99Ns = result.criticalPath?.p99
        criticalPathP999Ns = result.criticalPath?.p999
        macs = model.multiplyAdds
        macsExecuted = model.executedMultiplyAdds
        macsPerNs = Double(model.executedMultiplyAdds) / max(result.full.p50, 1)
        peakMacsPerNs = rates.multiplyAdds
        shareOfPeak = macsPerNs / rates.multiplyAdds
        checksum = result.checksum
        self.core = core
    }

    /// A table for people.
    func table() -> String {
        let place = core.map { "on CPU \($0)" } ?? "on a thread that is not pinned"
        var lines = [
            "\(machine)", "model          \(model.singleLine), sha256 \(sha256)",
            "               \(precision), density \(Format.percent(density))",
            "method         \(Format.count(steps)) ticks \(place), features \(features.singleLine)",
            "timer          \(Self.nanoseconds(timerNs)), subtracted",
            "full step      \(Self.line(p50Ns, p99Ns, p999Ns))",
        ]
        if let p50 = criticalPathP50Ns, let p99 = criticalPathP99Ns, let p999 = criticalPathP999Ns {
            lines.append("critical path  \(Self.line(p50, p99, p999))   features → outputs")
        }
        let peak = String(format: "%.1f", peakMacsPerNs)
        lines.append(
            "multiply-adds  \(Format.count(macs)), \(Format.count(macsExecuted)) done: "
                + "\(String(format: "%.1f", macsPerNs)) per ns, "
                + "\(Format.percent(shareOfPeak)) of the measured peak of fp32, \(peak)")
        lines.append("checksum       \(checksum)")
        return lines.joined(separator: "\n")
    }

    private static func line(_ p50: Double, _ p99: Double, _ p999: Double) -> String {
        "p50 \(nanoseconds(p50))  p99 \(nanoseconds(p99))  p99.9 \(nanoseconds(p999))"
    }

    private static func nanoseconds(_ value: Double) -> String {
        value < 1_000 ? String(format: "%.1f ns", value) : Format.duration(UInt64(value))
    }
}
