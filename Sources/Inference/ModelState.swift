/// The recurrent state of one instrument: what a model remembers from tick to tick.
///
/// Belongs to the worker that owns the instrument and is used on its thread only.
public struct ModelState: ~Copyable {
    let memory: UnsafeMutableRawPointer
    /// The model that this state belongs to, kept alive so that its identity is not given to another one.
    private let owner: ModelStorage
    let identity: ObjectIdentifier

    init(owner: ModelStorage) {
        self.owner = owner
        identity = ObjectIdentifier(owner)
        memory = .allocate(byteCount: owner.stateByteCount, alignment: 64)
        memory.copyMemory(from: owner.initialState, byteCount: owner.stateByteCount)
    }

    deinit { memory.deallocate() }

    /// Forgets all ticks. Does not allocate.
    public mutating func reset() {
        memory.copyMemory(from: owner.initialState, byteCount: owner.stateByteCount)
    }

    /// The state's values, for a checkpoint: `Model.stateCount` words of 32 bits, not all of them floats, whose layout
    /// is that of the model file's plan. Valid as long as this state.
    public var values: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(
            start: memory.assumingMemoryBound(to: Float.self), count: owner.stateByteCount / 4)
    }
}
