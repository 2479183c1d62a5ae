import ONNX

/// A plan that is ready to run: weights packed, every operand at its place. Immutable and shared.
///
/// `@unchecked Sendable`: the memory behind the pointers is written in `init` and read only from then on, by any
/// thread, until `deinit`.
final class PlanStorage: @unchecked Sendable {
    let list: LayerList
    let placement: Placement
    let layers: [PlannedLayer]
    let generals: [(operation: GeneralOperation, destination: Operand)]
    let trees: [PackedTrees]
    let labels: [[Int64]]
    let scratchBytes: Int
    let packedByteCount: Int
    /// Weights, biases and tables, each part on a cache line.
    let packed: UnsafeRawPointer
    let steps: UnsafePointer<Step>
    let stepCount: Int
    /// Steps from here on are not needed for the outputs.
    let laterStart: Int
    /// Steps from here on depend on the state alone.
    let aheadStart: Int
    let updates: UnsafePointer<StateUpdate>
    let updateCount: Int
    let rings: UnsafePointer<RingShape>
    let ringCount: Int

    init(_ list: LayerList, policy: KernelPolicy) {
        self.list = list
        let packer = Packer(list, policy: policy)
        placement = packer.placement
        layers = packer.plan
        generals = packer.generals
        trees = packer.trees
        labels = packer.labels
        scratchBytes = packer.scratchBytes
        packedByteCount = packer.bytes.count
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(packer.bytes.count, 64), alignment: 64)
        packer.bytes.withUnsafeBytes {
            memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: $0.count)
        }
        packed = UnsafeRawPointer(memory)
        steps = PlanStorage.allocated(packer.steps)
        stepCount = packer.steps.count
        laterStart = min(list.laterStart, packer.steps.count)
        aheadStart = min(list.aheadStart, packer.steps.count)
        let updates = list.stateUpdates.map { source, destination in
            StateUpdate(source: packer.slot(source), destination: packer.slot(destination), count: source.count)
        }
        self.updates = PlanStorage.allocated(updates)
        updateCount = updates.count
        let shapes = placement.ringShapes.map { RingShape(rowBytes: Int32($0.rowBytes), depth: Int32($0.depth)) }
        rings = PlanStorage.allocated(shapes)
        ringCount = shapes.count
    }

    deinit {
        packed.deallocate()
        steps.deallocate()
        updates.deallocate()
        rings.deallocate()
    }

    private static func allocated<Element: BitwiseCopyable>(_ values: [Element]) -> UnsafePointer<Element> {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(values.count, 1))
        for (index, value) in values.enumerated() {
            (memory + index).initialize(to: value)
        }
        return UnsafePointer(memory)
    }
}

/// A copy at the end of a tick, in floats.
struct StateUpdate: BitwiseCopyable {
    var source: Step.Slot
    var destination: Step.Slot
    var count: Int
}

/// A ring's rows.
struct RingShape: BitwiseCopyable {
    var rowBytes: Int32
    var depth: Int32
}

/// The memory of one engine, and how a plan runs in it.
///
/// `init` allocates; running does not.
struct PlanMemory: ~Copyable {
    let arena: UnsafeMutableRawPointer
    private let owner: PlanStorage
    private let runner: StepRunner

    init(_ storage: PlanStorage) {
        owner = storage
        let count = max(storage.placement.arenaBytes, 64)
        arena = .allocate(byteCount: count, alignment: 64)
        arena.initializeMemory(as: UInt8.self, repeating: 0, count: count)
        for (index, buffer) in storage.list.buffers.enumerated() where buffer.place == .constant {
            let target = arena + storage.placement.offsets[index]
            switch buffer.values {
            case .float(let values): PlanMemory.store(values, target)
            case .double(let values): PlanMemory.store(values, target)
            case .integer(let values): PlanMemory.store(values, target)
            case .byte(let values): PlanMemory.store(values, target)
            case nil: break
            }
        }
        runner = StepRunner(packed: storage.packed, arena: arena, cold: ColdSteps(storage, arena: arena))
    }

    deinit { arena.deallocate() }

    private static func store<Element: BitwiseCopyable>(_ values: [Element], _ target: UnsafeMutableRawPointer) {
        values.withUnsafeBytes { if let base = $0.baseAddress { target.copyMemory(from: base, byteCount: $0.count) } }
    }

    /// Runs the steps that a tick's outputs need.
    @inline(__always)
    func runCurrent(features: UnsafePointer<Float>, state: UnsafeMutableRawPointer) {
        for index in 0..<owner.laterStart {
            runner.run(owner.steps + index, features: features, state: state)
        }
    }

    /// Runs the other steps of the tick, moves the state on, and runs what the next tick needs and is known by then.
    @inline(__always)
    func runLater(state: UnsafeMutableRawPointer) {
        // Nothing here reads the features any more.
        let none = UnsafePointer(arena.assumingMemoryBound(to: Float.self))
        for index in owner.laterStart..<owner.aheadStart {
            runner.run(owner.steps + index, features: none, state: state)
        }
        let memory = StepRunner.Memory(arena: arena, state: state, features: none)
        for index in 0..<owner.updateCount {
            let update = owner.updates + index
            StepRunner.copy(
                memory.read(update.pointee.source), memory.floats(update.pointee.destination),
                count: update.pointee.count)
        }
        let cursors = state.assumingMemoryBound(to: Int32.self)
        for index in 0..<owner.ringCount {
            let ring = owner.rings[index]
            let next = cursors[index] &+ ring.rowBytes
            cursors[index] = next > ring.rowBytes &* ring.depth ? ring.rowBytes : next
        }
        runAhead(state: state)
    }

    /// Runs the steps that depend on the state alone.
    @inline(__always)
    private func runAhead(state: UnsafeMutableRawPointer) {
        for index in owner.aheadStart..<owner.stepCount {
            runner.run(
                owner.steps + index, features: UnsafePointer(arena.assumingMemoryBound(to: Float.self)), state: state)
        }
    }

    /// Brings a state to what it is before the first tick.
    func reset(_ state: UnsafeMutableRawPointer) {
        state.initializeMemory(as: UInt8.self, repeating: 0, count: owner.placement.stateBytes)
        let cursors = state.assumingMemoryBound(to: Int32.self)
        for index in 0..<owner.ringCount { cursors[index] = owner.rings[index].rowBytes }
        runAhead(state: state)
    }
}
