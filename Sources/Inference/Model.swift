import ONNX

/// A model that is ready to run: read, checked, planned, its weights packed. Immutable and shared by all workers.
///
///     let model = try Model(onnx: bytes, availableFeatures: names, featureSetVersion: 1)
///     var engine = InferenceEngine(model: model)      // one per worker
///     var state = model.makeState()                   // one per instrument
///     engine.step(features: vector, state: &state)
///     let up = engine.outputs.probabilities[2]
public struct Model: Sendable {
    let storage: ModelStorage

    /// Ticks of a window; 1 for a model whose state carries all it remembers.
    public let windowTicks: Int

    /// How a window is run, for people: one tick at a time, or anew on every tick and which node asks for it.
    public let streamingDescription: String

    /// What the file says of itself.
    public var metadata: ModelMetadata { storage.metadata }

    /// The layers in the order in which they run.
    public var plan: [PlannedLayer] { storage.plan.layers }

    /// Names of the outputs of the model contract that the model has, `probabilities` among them, sorted.
    public var outputNames: [String] { storage.plan.list.outputs.keys.sorted() }

    /// Floats that `InferenceEngine.step` reads: the length of the feature set.
    public var featureCount: Int { storage.featureCount }

    /// Bytes of packed weights.
    public var packedByteCount: Int { storage.plan.packedByteCount }

    /// Words of 32 bits of one instrument's recurrent state, padding included.
    public var stateCount: Int { storage.stateByteCount / 4 }

    /// The plan as text, one line per layer.
    public var planDescription: String {
        plan.map(\.description).joined(separator: "\n")
    }

    /// Reads, checks and plans a model. Takes milliseconds; never traps, whatever the bytes.
    ///
    /// - Parameters:
    ///   - bytes: An ONNX file as `docs/MODEL.md` describes it.
    ///   - availableFeatures: Names of the feature set's features, in the order of the vectors given to
    ///     `InferenceEngine.step`.
    ///   - featureSetVersion: Version of the feature set. A model for another version is refused.
    ///   - kernels: Which kernels to pack for; other than `.predicted` is for tests and measurements.
    ///   - streaming: Whether a window may be run one tick at a time; the outputs are the same bits.
    public init(
        onnx bytes: [UInt8], availableFeatures: [String], featureSetVersion: Int,
        kernels: KernelPolicy = .predicted, streaming: StreamingMode = .automatic
    ) throws(ModelError) {
        let graph: Graph
        do {
            graph = try Graph(onnx: bytes)
        } catch {
            throw .onnx(error)
        }
        let metadata = try ModelMetadata(graph.metadata)
        guard metadata.featureSetVersion == featureSetVersion else {
            throw .featureSetVersion(found: metadata.featureSetVersion, expected: featureSetVersion)
        }
        let indices = try Model.indices(of: metadata.featureNames, in: availableFeatures)
        let (list, plan) = try GraphCompiler.compile(
            graph, featureIndices: indices, featureCount: availableFeatures.count,
            horizonCount: metadata.horizons.count, streaming: streaming)
        storage = ModelStorage(
            metadata: metadata, list: list, featureCount: availableFeatures.count, policy: kernels)
        windowTicks = graph.inputs.first { $0.name == GraphCompiler.featuresName }
            .flatMap { $0.shape.count > 1 ? $0.shape[1] : nil }
            .flatMap { if case .fixed(let ticks) = $0 { ticks } else { nil } } ?? 1
        streamingDescription = GraphCompiler.describe(plan, windowTicks: windowTicks, mode: streaming)
    }

    private static func indices(of names: [String], in available: [String]) throws(ModelError) -> [Int] {
        var places: [String: Int] = [:]
        for (index, name) in available.enumerated() {
            precondition(
                places.updateValue(index, forKey: name) == nil, "The names of a feature set are distinct.")
        }
        var indices: [Int] = []
        for name in names {
            guard let index = places[name] else { throw .unknownFeature(name: name) }
            indices.append(index)
        }
        return indices
    }

    /// The state of one instrument before its first tick: zeros. Allocates.
    public func makeState() -> ModelState {
        ModelState(owner: storage)
    }
}

/// What the copies of a `Model` share.
///
/// `@unchecked Sendable`: the memory behind the pointer is written in `init` and read only from then on, by any
/// thread, until `deinit`.
final class ModelStorage: @unchecked Sendable {
    let metadata: ModelMetadata
    let featureCount: Int
    let plan: PlanStorage
    let stateByteCount: Int
    /// An instrument's state before its first tick.
    let initialState: UnsafeRawPointer

    init(metadata: ModelMetadata, list: LayerList, featureCount: Int, policy: KernelPolicy) {
        self.metadata = metadata
        self.featureCount = featureCount
        plan = PlanStorage(list, policy: policy)
        stateByteCount = max(plan.placement.stateBytes, 64)
        let state = UnsafeMutableRawPointer.allocate(byteCount: stateByteCount, alignment: 64)
        state.initializeMemory(as: UInt8.self, repeating: 0, count: stateByteCount)
        PlanMemory(plan).reset(state)
        initialState = UnsafeRawPointer(state)
    }

    deinit { initialState.deallocate() }
}
