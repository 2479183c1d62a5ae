import ArgumentParser
import Foundation
import Inference
import MarketData

/// What the planner made of a model file.
struct ModelInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Shows a model's layers, the kernels chosen for them and why, memory, and predicted time.",
        discussion: """
            A weight that pruning has made zero saves time where whole blocks are zero: 'blocks' is the share that is \
            left of those. A matrix is packed as dense or as block-sparse by predicted cost, and both are shown under \
            'chosen by': they are of the planner's fixed machine, so that a file gives the same kernels everywhere. \
            'predicted' is this machine's, from cache bandwidths and multiply-adds measured at the start. It counts \
            products only. Layers marked 'later' run when the outputs are there, for later ticks; those marked 'ahead', \
            then too, on the state alone.

              martlet model inspect models/default.onnx
              martlet model inspect mine.onnx --json
            """)

    @Argument(help: "An ONNX file.")
    var file: String

    @Flag(help: "Print one JSON object.")
    var json = false

    mutating func run() throws {
        let bytes = try ModelBytes(file)
        let inspection = ModelInspection(try bytes.model(), bytes, MachineRates.ofThisProcess)
        guard !json else { return try StandardOutput.print(json: inspection) }
        StandardOutput.print(inspection.table())
    }
}

/// What `model inspect` says. Field names are part of the command line's contract.
struct ModelInspection: Encodable {
    struct Layer: Encodable {
        let name, operation: String
        let shape: [Int]
        let macs, macsExecuted: Int
        let density, blockDensity: Double
        let precision, kernel: String
        /// The planner's cost of both forms, in nanoseconds of its machine; null where there was nothing to choose.
        @OrNull var plannerDenseNs: Double?
        @OrNull var plannerSparseNs: Double?
        let bytes: Int
        let predictedNs: Double
        /// Whether it runs when the outputs are there, and whether it then depends on the state alone.
        let isLater, isAhead: Bool

        init(_ layer: PlannedLayer, _ rates: MachineRates) {
            name = layer.name
            operation = layer.operation
            shape = layer.shape
            macs = layer.multiplyAdds
            macsExecuted = layer.executedMultiplyAdds
            density = layer.density
            blockDensity = layer.blockDensity
            precision = layer.precision
            kernel = layer.kernel
            bytes = layer.packedByteCount
            predictedNs = rates.nanoseconds(layer.predicted)
            isLater = layer.isLater
            isAhead = layer.isAhead
            plannerDenseNs = layer.alternatives?.denseNanoseconds
            plannerSparseNs = layer.alternatives?.sparseNanoseconds
        }
    }

    struct Rates: Encodable {
        let l1LoadGbPerS, l2LoadGbPerS, macsPerNs: Double

        init(_ rates: MachineRates) {
            l1LoadGbPerS = rates.firstLevelBytes
            l2LoadGbPerS = rates.secondLevelBytes
            macsPerNs = rates.multiplyAdds
        }
    }

    struct Metadata: Encodable {
        let name: String
        let featureSetVersion, features, warmUpTicks: Int
        let horizons: [String]
        let metrics: [String: Double]
        let unknownKeys: [String]

        init(_ metadata: ModelMetadata) {
            name = metadata.name
            featureSetVersion = metadata.featureSetVersion
            features = metadata.featureNames.count
            warmUpTicks = metadata.warmUpTicks
            horizons = metadata.horizons.map {
                "\($0.length) \($0.unit == .ticks ? "ticks" : "ms"), \($0.labelName), alpha \($0.alpha)"
            }
            metrics = metadata.metrics
            unknownKeys = metadata.unknownKeys
        }
    }

    struct Value: Encodable {
        let name: String
        let shape: [Int]
    }

    let machine: MachineDescription
    let measured: Rates
    let model, sha256: String
    /// Whether the file follows the model contract.
    let isContract: Bool
    let opset: Int
    let streaming: String
    let window: Int
    let inputs, outputs: [Value]
    @OrNull var metadata: Metadata?
    let layers: [Layer]
    let macs, macsExecuted, packedBytes, arenaBytes, stateBytes: Int
    let density: Double
    let precision: String
    /// All layers, and those between the features and the outputs.
    let predictedNs, predictedCriticalPathNs: Double

    init(_ model: AnyModel, _ bytes: ModelBytes, _ rates: MachineRates) {
        machine = MachineDescription()
        measured = Rates(rates)
        self.model = bytes.path
        sha256 = bytes.sha256
        isContract = model.metadata != nil
        opset = model.opset
        streaming = model.streamingDescription
        window = model.window
        inputs = model.inputs.map { Value(name: $0.name, shape: $0.shape) }
        outputs = model.outputShapes.sorted { $0.key < $1.key }.map { Value(name: $0.key, shape: $0.value) }
        layers = model.plan.map { Layer($0, rates) }
        macs = model.multiplyAdds
        macsExecuted = model.executedMultiplyAdds
        packedBytes = model.packedByteCount
        arenaBytes = model.arenaByteCount
        stateBytes = model.stateByteCount
        density = model.density
        precision = model.precision
        predictedNs = layers.reduce(0) { $0 + $1.predictedNs }
        predictedCriticalPathNs = layers.reduce(0) { $0 + ($1.isLater || $1.isAhead ? 0 : $1.predictedNs) }
        metadata = model.metadata.map(Metadata.init)
    }

    /// Tables for people.
    func table() -> String {
        var lines = [
            "\(machine)",
            "measured loads from L1 \(Self.number(measured.l1LoadGbPerS)) GB/s, from L2 "
                + "\(Self.number(measured.l2LoadGbPerS)) GB/s, \(Self.number(measured.macsPerNs)) multiply-adds (fp32) per ns",
            "model    \(model.singleLine), sha256 \(sha256), opset \(opset)",
        ]
        lines += describe()
        lines.append("")
        lines += layerLines()
        lines.append("")
        let critical =
            predictedCriticalPathNs < predictedNs
            ? ", \(Self.number(predictedCriticalPathNs)) ns of it before the outputs" : ""
        lines.append(
            "total    \(Format.count(macs)) multiply-adds, \(Format.count(macsExecuted)) done; density "
                + "\(Format.percent(density)); \(precision); products predicted \(Self.number(predictedNs)) ns\(critical)"
        )
        lines.append(
            "memory   \(Format.count(packedBytes)) bytes of packed weights, \(Format.count(arenaBytes)) of arena an engine, "
                + "\(Format.count(stateBytes)) of state an instrument")
        return lines.joined(separator: "\n")
    }

    private func describe() -> [String] {
        let text = { (value: Value) in "\(value.name.singleLine) \(value.shape)" }
        var lines = [
            "inputs   " + inputs.map(text).joined(separator: ", "),
            "outputs  " + outputs.map(text).joined(separator: ", "),
            "stream   \(streaming)",
        ]
        guard let metadata else { return lines + ["contract none: the file has no metadata of the model contract"] }
        let name = metadata.name.isEmpty ? "" : "'\(metadata.name.singleLine)', "
        lines.append(
            "contract \(name)\(metadata.features) features of feature set \(metadata.featureSetVersion), warm-up "
                + "\(metadata.warmUpTicks) ticks")
        for horizon in metadata.horizons { lines.append("horizon  \(horizon)") }
        for (name, value) in metadata.metrics.sorted(by: { $0.key < $1.key }) {
            lines.append("metric   \(name.singleLine) \(value)")
        }
        for key in metadata.unknownKeys {
            lines.append("note     metadata key \(key.singleLine) is not known and has no effect")
        }
        return lines
    }

    private func layerLines() -> [String] {
        var rows = [
            [
                "layer", "operation", "shape", "multiply-adds", "density", "blocks", "precision", "bytes", "predicted",
                "when",
                "kernel", "chosen by",
            ]
        ]
        for layer in layers {
            let hasWeights = layer.macs > 0 || !layer.kernel.isEmpty
            rows.append([
                layer.name.singleLine, layer.operation, layer.shape.map(String.init).joined(separator: "×"),
                hasWeights ? Format.count(layer.macs) : "", hasWeights ? Format.percent(layer.density) : "",
                hasWeights ? Format.percent(layer.blockDensity) : "", layer.precision, Format.count(layer.bytes),
                hasWeights ? "\(Self.number(layer.predictedNs)) ns" : "",
                layer.isAhead ? "ahead" : layer.isLater ? "later" : "", layer.kernel,
                Self.reason(layer),
            ])
        }
        return TextTable.lines(
            rows, isNumber: [false, false, false, true, true, true, false, true, true, false, false, false])
    }

    private static func reason(_ layer: Layer) -> String {
        guard let dense = layer.plannerDenseNs, let sparse = layer.plannerSparseNs else {
            return layer.kernel.isEmpty || layer.macs == 0 ? "" : "there is one form only"
        }
        return "dense \(number(dense)) ns, sparse \(number(sparse)) ns"
    }

    private static func number(_ value: Double) -> String { String(format: value < 100 ? "%.1f" : "%.0f", value) }
}
