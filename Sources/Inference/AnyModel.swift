internal import ONNX

/// A model file as the tools run it: by the model contract if it says that it follows it, as a free graph if not.
public struct AnyModel: Sendable {
    public enum Form: Sendable {
        /// The file has metadata of the model contract.
        case model(Model)
        /// Any other graph, such as one that PyTorch exported.
        case program(Program)
    }

    public let form: Form
    /// Ticks that a model of the contract sees at once: 1, or the length of its window. 1 for a free graph.
    public let window: Int
    /// The file's name of the graph, often empty.
    public let graphName: String
    /// Version of the default operator set.
    public let opset: Int

    /// Reads, checks and plans a file. The features are those that the file's metadata list, whatever they are called:
    /// a tool looks at models of any feature set.
    ///
    /// - Throws: `ModelError`; a file with a key that begins with `martlet.` has to follow the model contract.
    public init(
        onnx bytes: [UInt8], kernels: KernelPolicy = .predicted, streaming: StreamingMode = .automatic
    ) throws(ModelError) {
        let graph: Graph
        do {
            graph = try Graph(onnx: bytes)
        } catch {
            throw .onnx(error)
        }
        graphName = graph.name
        opset = graph.opset
        guard graph.followsContract else {
            form = .program(try Program(graph: graph, kernels: kernels))
            window = 1
            return
        }
        let metadata = try ModelMetadata(graph.metadata)
        let model = try Model(
            onnx: bytes, availableFeatures: metadata.featureNames, featureSetVersion: metadata.featureSetVersion,
            kernels: kernels, streaming: streaming)
        form = .model(model)
        window = model.windowTicks
    }

    private var storage: PlanStorage {
        switch form {
        case .model(let model): model.storage.plan
        case .program(let program): program.storage
        }
    }

    var list: LayerList { storage.list }

    /// The model, if the file follows the contract.
    var model: Model? {
        if case .model(let model) = form { model } else { nil }
    }

    /// What the file says of itself; nil for a free graph.
    public var metadata: ModelMetadata? {
        if case .model(let model) = form { model.metadata } else { nil }
    }

    /// The layers in the order in which they run.
    public var plan: [PlannedLayer] { storage.layers }

    /// Floats that one row of values for a run holds: the features of a model, in the order that it lists; of a free graph
    /// all its inputs, sorted by name and one after another.
    public var rowWidth: Int {
        metadata?.featureNames.count ?? inputs.reduce(0) { $0 + $1.shape.reduce(1, *) }
    }

    /// Whether an array stands for one run of a free graph, whose value has this shape, and not for rows of runs.
    public func isOneRun(_ array: [Int], shape: [Int]) -> Bool { metadata == nil && array == shape }

    /// Predicted time of the products of a run, those after its outputs included, in nanoseconds.
    public var predictedNanoseconds: Double { plan.reduce(0) { $0 + $1.predictedNanoseconds } }

    /// Names of the outputs, sorted; without the next states of a model.
    public var outputNames: [String] { storage.list.outputs.keys.sorted() }

    /// Inputs that have to be given for each run, sorted by name, and whether they are 32-bit floats.
    public var inputs: [(name: String, shape: [Int], isFloat: Bool)] {
        switch form {
        case .model(let model): [(GraphCompiler.featuresName, [1, window, model.featureCount], true)]
        case .program(let program): program.inputs.map { ($0.name, $0.shape, $0.type == .float) }
        }
    }

    /// The outputs' shapes, by name.
    public var outputShapes: [String: [Int]] { storage.list.outputs.mapValues(\.view.shape) }

    /// Bytes of packed weights and tables.
    public var packedByteCount: Int { storage.packedByteCount }

    /// Bytes of an engine's own memory for values within a tick.
    public var arenaByteCount: Int { storage.placement.arenaBytes }

    /// Bytes of one instrument's state.
    public var stateByteCount: Int { storage.placement.stateBytes }

    /// How the model goes from tick to tick.
    public var streamingDescription: String {
        switch form {
        case .model(let model): model.streamingDescription
        case .program: "none: a free graph, each run by itself"
        }
    }

    /// `int8` if any layer is, else `fp32`.
    public var precision: String { plan.contains { $0.precision == "int8" } ? "int8" : "fp32" }

    /// Multiply-adds of a tick as if the matrices were full.
    public var multiplyAdds: Int { plan.reduce(0) { $0 + $1.multiplyAdds } }

    /// Multiply-adds that the chosen kernels do.
    public var executedMultiplyAdds: Int { plan.reduce(0) { $0 + $1.executedMultiplyAdds } }

    /// Share of all matrices' weights that are not zero; 1 without weights.
    public var density: Double {
        let count = plan.reduce(0) { $0 + $1.weightCount }
        let nonZero = plan.reduce(0.0) { $0 + $1.density * Double($1.weightCount) }
        return count == 0 ? 1 : nonZero / Double(count)
    }

    /// Whether a part of a tick's work is done when its outputs are there: for later ticks, or on the state alone.
    public var runsLater: Bool { plan.contains { $0.isLater || $0.isAhead } || !list.stateUpdates.isEmpty }
}

extension Graph {
    /// Whether the file says that it follows the model contract.
    var followsContract: Bool { metadata.keys.contains { $0.hasPrefix("martlet.") } }
}
