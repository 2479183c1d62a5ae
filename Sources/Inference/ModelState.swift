/// The recurrent state of one instrument: what a model remembers from tick to tick.
///
/// Belongs to the worker that owns the instrument and is used on its thread only.
public struct ModelState: ~Copyable {
    let memory: UnsafeMutablePointer<Float>
    let count: Int
    /// The model that this state belongs to, kept alive so that its identity is not given to another one.
    private let owner: ModelStorage
    let identity: ObjectIdentifier

    init(owner: ModelStorage) {
        self.owner = owner
        identity = ObjectIdentifier(owner)
        count = owner.list.stateCount
        memory = UnsafeMutableRawPointer.allocate(byteCount: max(count * 4, 64), alignment: 64)
            .bindMemory(to: Float.self, capacity: max(count, 16))
        memory.initialize(repeating: 0, count: max(count, 16))
    }

    deinit { memory.deallocate() }

    /// Forgets all ticks. Does not allocate.
    public mutating func reset() {
        memory.update(repeating: 0, count: count)
    }

    /// The state's values, for a checkpoint: `Model.stateCount` floats whose layout is that of the model file's plan.
    /// Valid as long as this state.
    public var values: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: memory, count: count)
    }
}
