/// Runs a model one tick at a time. Each worker has its own, for all of its instruments.
///
/// `init` allocates; the rest does not, and calls nothing inside its inner loops. An engine is used on one thread at a
/// time. A tick is one call of `step`, or two where the outputs should be out as soon as they are there:
///
///     engine.predict(features: vector, state: &state)    // the outputs are there
///     publish(engine.outputs)
///     engine.advance(state: &state)                      // what only later ticks need
///
/// The outputs are the same bits either way.
public struct InferenceEngine: ~Copyable {
    /// What the model said after the latest tick; zeros before the first. The pointers stay the same from tick to
    /// tick and are valid as long as the engine.
    public let outputs: ModelOutputs

    private let owner: ModelStorage
    private let identity: ObjectIdentifier
    private let memory: PlanMemory
    /// The state that has been predicted with and has not moved on.
    private var pending: UnsafeMutableRawPointer?

    /// Allocates the memory that a tick needs.
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
    /// - Precondition: `state` was made by the engine's model, and no `predict` waits for its `advance`.
    public mutating func step(features: UnsafePointer<Float>, state: inout ModelState) {
        predict(features: features, state: &state)
        advance(state: &state)
    }

    /// Computes the outputs for one tick: all that is known without it has been computed before. Then comes `advance`,
    /// of the same state, before anything else of this engine or this state.
    ///
    /// - Precondition: As for `step`.
    public mutating func predict(features: UnsafePointer<Float>, state: inout ModelState) {
        precondition(state.identity == identity, "A state is used with the model that made it.")
        precondition(pending == nil, "A state moves on before the next tick.")
        memory.runCurrent(features: features, state: state.memory)
        pending = state.memory
    }

    /// Moves the state on, and computes what its next tick needs and what is known already, such as the products of
    /// the hidden state.
    ///
    /// - Precondition: `predict` was called last, with this state.
    public mutating func advance(state: inout ModelState) {
        precondition(pending == state.memory, "The state that was predicted with moves on.")
        memory.runLater(state: state.memory)
        pending = nil
    }
}
