import ArgumentParser
import Foundation
import Inference
import Recorder

/// Options of the commands that make one model file of another.
struct CompressionArguments: ParsableArguments {
    @Argument(help: "The model, an ONNX file.")
    var file: String

    @Option(help: "The file to write.")
    var out: String

    @Option(help: "Ticks of the calibration feed to play; 0 for all.")
    var ticks = 20_000

    @Option(
        help: "Tick and lot size of an instrument whose feed does not say, as SYMBOL:tick=0.01,lot=1. May be repeated.")
    var instrument: [String] = []

    @Flag(help: "Print one JSON object.")
    var json = false

    /// The model's bytes, once the files are known to be there.
    func read(calibration: String?) throws -> [UInt8] {
        // A folder's files are checked when they are read.
        try checkReadable([file] + [calibration].compactMap { $0 }.filter { !CalibrationFeed.isFolder($0) })
        _ = try inRange(ticks, "ticks", 0...Int.max)
        try checkOutput(out)
        // Also by another path or link: the model would be lost if the result were not what was wanted.
        guard FileIdentity(file) != FileIdentity(out) else {
            throw CommandError(.usage, "--out \(out) is the model itself; give another file")
        }
        guard let data = FileManager.default.contents(atPath: file) else {
            throw CommandError(.noInput, "\(file): the model cannot be opened")
        }
        return [UInt8](data)
    }

    func model(_ bytes: [UInt8]) throws -> AnyModel {
        do { return try AnyModel(onnx: bytes) } catch { throw ModelBytes.error(file, error) }
    }

    func failure(_ error: CompressionError) -> CommandError { CommandError(.data, "\(file): \(error)") }

    /// What to calibrate on.
    func rows(_ path: String, for model: AnyModel, _ progress: inout ProgressLine) throws -> CalibrationRows {
        var options = FeedReplay.Options()
        options.ticksMax = ticks > 0 ? ticks : nil
        options.instruments = try InstrumentArgument.parse(instrument)
        let total = options.ticksMax
        do throws(CalibrationFeed.Failure) {
            return try CalibrationFeed.rows(path: path, for: model, options: options) {
                progress.show("features", done: $0, total: total)
            }
        } catch {
            if case .file = error { throw CommandError(.noInput, "\(error)") }
            throw CommandError(.data, "\(error)")
        }
    }

    /// Writes the whole file or none of it.
    func write(_ bytes: [UInt8]) throws {
        do { try Data(bytes).write(to: URL(fileURLWithPath: out), options: .atomic) } catch {
            throw CommandError(.noInput, "\(out) cannot be written: \(error.localizedDescription)")
        }
    }
}

/// How the outputs and the time of a model have changed. Field names are part of the command line's contract.
struct ChangeReport: Encodable {
    struct Output: Encodable {
        let name: String
        /// Null where values are not finite.
        @OrNull var meanChange: Double?
        @OrNull var greatestChange: Double?
        /// Mean of |value| before.
        @OrNull var meanMagnitude: Double?

        init(_ output: OutputChange.Output) {
            func finite(_ value: Double) -> Double? { value.isFinite ? value : nil }
            name = output.name
            meanChange = finite(output.mean)
            greatestChange = finite(output.greatest)
            meanMagnitude = finite(output.magnitude)
        }
    }

    struct Horizon: Encodable {
        let length: Int
        let unit: String
        let meanChange: Double
        let greatestChange: Double
        /// Share of ticks whose most probable class is another one.
        let classChanges: Double
    }

    /// Rows compared: ticks of a model, runs of a free graph.
    let ticks: Int
    let outputs: [Output]
    /// Of a model of the contract.
    let horizons: [Horizon]
    let nanosecondsBefore: Double
    let nanosecondsAfter: Double

    init(from before: AnyModel, to after: AnyModel, over rows: CalibrationRows, _ progress: inout ProgressLine) {
        let change = OutputChange(from: before, to: after, over: rows) {
            progress.show("comparing", done: $0, total: rows.count)
        }
        ticks = change.rows
        outputs = change.outputs.map(Output.init)
        horizons = zip(change.horizons, before.metadata?.horizons ?? []).map { result, horizon in
            Horizon(
                length: Int(horizon.length), unit: horizon.unit == .ticks ? "ticks" : "milliseconds",
                meanChange: result.mean, greatestChange: result.greatest,
                classChanges: Double(result.classChanges) / Double(max(change.rows, 1)))
        }
        nanosecondsBefore = change.nanosecondsBefore
        nanosecondsAfter = change.nanosecondsAfter
    }

    var lines: [String] {
        outputs.map { output in
            "output   \(output.name): |change| "
                + String(
                    format: "mean %.3g, greatest %.3g, of values of %.3g in the mean", output.meanChange ?? .infinity,
                    output.greatestChange ?? .infinity, output.meanMagnitude ?? .infinity)
        }
            + horizons.map { horizon in
                "horizon  \(horizon.length) \(horizon.unit): |change of a probability| "
                    + String(format: "mean %.5f, greatest %.5f, ", horizon.meanChange, horizon.greatestChange)
                    + String(format: "another class in %.2f %% of ticks", 100 * horizon.classChanges)
            } + [
                "measured \(ChangeReport.microseconds(nanosecondsBefore)) → "
                    + "\(ChangeReport.microseconds(nanosecondsAfter)) µs a run, over \(Format.count(ticks)) "
                    + (horizons.isEmpty ? "runs" : "ticks")
            ]
    }

    static func microseconds(_ nanoseconds: Double) -> String { String(format: "%.3f", nanoseconds / 1000) }

    static func percent(_ share: Double) -> String { String(format: "%.1f %%", 100 * share) }
}
