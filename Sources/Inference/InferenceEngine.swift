/// Runs a model one tick at a time. Each worker has its own, for all of its instruments.
///
/// `init` allocates; `step` and `prepare` do not, and call nothing inside their inner loops. An engine is used on one
/// thread at a time.
///
///     engine.step(features: vector, state: &state)    // the outputs are there
///     publish(engine.outputs)
///     engine.prepare(state: &state)                   // what the next tick needs and is known already
public struct InferenceEngine: ~Copyable {
    /// What the model said after the latest step; zeros before the first. The pointers stay the same from step to
    /// step and are valid as long as the engine.
    public let outputs: ModelOutputs

    private let owner: ModelStorage
    private let identity: ObjectIdentifier
    private let memory: PlanMemory

    /// Allocates the memory that a step needs.
    public init(model: Model) {
        owner = model.storage
        identity = ObjectIdentifier(owner)
        memory = PlanMemory(owner.plan)
        outputs = ModelOutputs(plan: owner.plan, arena: memory.arena)
    }

    /// Computes the outputs for one tick of the instrument that `state` belongs to, and moves the state on.
    ///
    /// - Parameters:
    ///   - features: `Model.featureCount` floats, finite, in the order of the feature set.
    ///   - state: The instrument's state, made by the same model.
    /// - Precondition: `state` was made by the engine's model.
    public mutating func step(features: UnsafePointer<Float>, state: inout ModelState) {
        precondition(state.identity == identity, "A state is used with the model that made it.")
        if !state.isPrepared { memory.runAhead(state: state.memory) }
        memory.runCurrent(features: features, state: state.memory)
        state.isPrepared = false
    }

    /// Computes what the next tick of the instrument needs and what depends on its state alone, such as the products
    /// of the hidden state. To be called when the outputs are out of the way; `step` does it where it was not. The
    /// outputs are the same bits either way.
    ///
    /// - Precondition: `state` was made by the engine's model.
    public mutating func prepare(state: inout ModelState) {
        precondition(state.identity == identity, "A state is used with the model that made it.")
        guard !state.isPrepared else { return }
        memory.runAhead(state: state.memory)
        state.isPrepared = true
    }
}
