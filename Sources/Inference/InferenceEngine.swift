/// Runs a model one tick at a time. Each worker has its own, for all of its instruments.
///
/// `init` allocates; `step` does not, and calls nothing inside its inner loops. An engine is used on one thread at a
/// time.
public struct InferenceEngine: ~Copyable {
    /// What the model said after the latest step; zeros before the first. The pointers stay the same from step to
    /// step and are valid as long as the engine.
    public let outputs: ModelOutputs

    private let owner: ModelStorage
    private let identity: ObjectIdentifier
    private let runner: StepRunner
    private let steps: UnsafePointer<Step>
    private let stepCount: Int
    private let updates: UnsafePointer<StateUpdate>
    private let updateCount: Int
    private let arena: UnsafeMutablePointer<Float>

    /// Allocates the memory that a step needs.
    public init(model: Model) {
        owner = model.storage
        identity = ObjectIdentifier(owner)
        steps = owner.steps
        stepCount = owner.stepCount
        updates = owner.updates
        updateCount = owner.updateCount
        let count = max(owner.list.arenaCount, 16)
        arena = UnsafeMutableRawPointer.allocate(byteCount: count * 4, alignment: 64)
            .bindMemory(to: Float.self, capacity: count)
        arena.initialize(repeating: 0, count: count)
        for (operand, values) in owner.list.constants {
            for (index, value) in values.enumerated() { arena[operand.offset + index] = value }
        }
        runner = StepRunner(packed: owner.packed, arena: arena)
        outputs = ModelOutputs(list: owner.list, arena: UnsafePointer(arena))
    }

    deinit { arena.deallocate() }

    /// Computes the outputs for one tick of the instrument that `state` belongs to, and moves the state on.
    ///
    /// - Parameters:
    ///   - features: `Model.featureCount` floats, finite, in the order of the feature set.
    ///   - state: The instrument's state, made by the same model.
    /// - Precondition: `state` was made by the engine's model.
    public mutating func step(features: UnsafePointer<Float>, state: inout ModelState) {
        precondition(state.identity == identity, "A state is used with the model that made it.")
        for index in 0..<stepCount {
            runner.run(steps + index, features: features, state: state.memory)
        }
        for index in 0..<updateCount {
            let update = updates[index]
            StepRunner.copy(arena + update.source, state.memory + update.destination, count: update.count)
        }
    }
}
