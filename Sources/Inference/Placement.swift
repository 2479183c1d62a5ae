/// Where each buffer of a plan lies: offsets in bytes in the engine's memory and in an instrument's state.
///
/// A buffer of the arena takes the lowest place that is free from the first layer that writes it to the last one that
/// reads it: a small arena stays in the cache.
struct Placement: Sendable {
    /// By buffer. For the features 0.
    private(set) var offsets: [Int]
    private(set) var arenaBytes = 0
    private(set) var stateBytes = 0
    /// By buffer: which ring it is.
    private(set) var rings: [Int: Int] = [:]
    /// Rows of each ring, and bytes of a row.
    private(set) var ringShapes: [(depth: Int, rowBytes: Int)] = []

    /// Buffers begin on cache lines and end with room for a vector more than they need.
    private static let lineBytes = 64

    private static func size(_ buffer: Buffer) -> Int {
        let bytes = buffer.count * buffer.storage.byteCount
        return (bytes + 31 + lineBytes) / lineBytes * lineBytes
    }

    init(_ list: LayerList) {
        offsets = Array(repeating: 0, count: list.buffers.count)
        placeState(list)
        let (first, last) = Placement.lifetimes(list)
        for (index, buffer) in list.buffers.enumerated() where buffer.place == .pinned || buffer.place == .constant {
            offsets[index] = arenaBytes
            arenaBytes += Placement.size(buffer)
        }
        placeArena(list, first: first, last: last)
    }

    private mutating func placeState(_ list: LayerList) {
        for (index, buffer) in list.buffers.enumerated() {
            if case .ring(let depth, let width) = buffer.place {
                rings[index] = ringShapes.count
                ringShapes.append((depth, width * buffer.storage.byteCount))
            }
        }
        // The cursors of the rings come first, 4 bytes each.
        stateBytes = (ringShapes.count * 4 + Placement.lineBytes - 1) / Placement.lineBytes * Placement.lineBytes
        for (index, buffer) in list.buffers.enumerated() {
            offsets[index] = stateBytes
            switch buffer.place {
            case .state: stateBytes += Placement.size(buffer)
            case .ring:
                // Every row stands twice, so that the newest rows are always side by side.
                stateBytes += 2 * Placement.size(buffer)
            default: offsets[index] = 0
            }
        }
    }

    /// By buffer the first and the last layer that touch it.
    private static func lifetimes(_ list: LayerList) -> (first: [Int], last: [Int]) {
        var first = Array(repeating: Int.max, count: list.buffers.count)
        var last = Array(repeating: -1, count: list.buffers.count)
        func touch(_ operand: Operand, _ time: Int) {
            first[operand.buffer] = min(first[operand.buffer], time)
            last[operand.buffer] = max(last[operand.buffer], time)
        }
        for (time, layer) in list.layers.enumerated() {
            for operand in layer.reads + layer.writes { touch(operand, time) }
        }
        // The states move on before the layers that run ahead; the outputs are read after everything.
        for update in list.stateUpdates { touch(update.source, min(list.aheadStart, list.layers.count)) }
        for output in list.outputs.values { touch(output.view.operand, list.layers.count + 1) }
        return (first, last)
    }

    private mutating func placeArena(_ list: LayerList, first: [Int], last: [Int]) {
        let base = arenaBytes
        let order = list.buffers.indices.filter { list.buffers[$0].place == .arena && first[$0] != .max }
            .sorted { (first[$0], $0) < (first[$1], $1) }
        var live: [(start: Int, end: Int, last: Int)] = []
        for index in order {
            live.removeAll { $0.last < first[index] }
            let size = Placement.size(list.buffers[index])
            var start = base
            // In the order of their places.
            var place = 0
            while place < live.count, live[place].start - start < size {
                start = max(start, live[place].end)
                place += 1
            }
            offsets[index] = start
            live.insert((start, start + size, last[index]), at: place)
            arenaBytes = max(arenaBytes, start + size)
        }
    }

    /// Where an operand lies.
    func slot(_ operand: Operand, _ list: LayerList) -> Step.Slot {
        let buffer = list.buffers[operand.buffer]
        var slot = Step.Slot()
        slot.offset = offsets[operand.buffer] + operand.offset * buffer.storage.byteCount
        switch buffer.place {
        case .arena, .pinned, .constant: slot.space = .arena
        case .features: slot.space = .features
        case .state: slot.space = .state
        case .ring:
            slot.space = .ring
            slot.ring = Int32(rings[operand.buffer] ?? 0)
        }
        return slot
    }
}

extension LayerList {
    /// Puts the layers in the order in which they run: first what the outputs need; then what only the state needs;
    /// then, when the state has moved on, what depends on the state alone, to be there before the next tick. What the
    /// next tick reads of that is kept in the state.
    mutating func arrange() {
        var isCurrent = buffers.map { buffer in
            switch buffer.place {
            case .features, .ring, .pinned: true
            case .arena, .constant, .state: false
            }
        }
        // General operations find their operands in the engine's memory only.
        var general: Set<Int> = []
        for case let layer in layers {
            if case .general(let operation) = layer.operation { general.formUnion(operation.sources.map(\.buffer)) }
        }
        var current: [Layer] = []
        var ahead: [Layer] = []
        for layer in layers {
            let isGeneral =
                if case .general = layer.operation { true } else { general.contains(layer.destination.buffer) }
            let isPinned = buffers[layer.destination.buffer].place == .pinned
            if isGeneral || isPinned || layer.reads.contains(where: { isCurrent[$0.buffer] }) {
                for operand in layer.writes { isCurrent[operand.buffer] = true }
                current.append(layer)
            } else {
                ahead.append(layer)
            }
        }
        // A buffer that both write, as the gate of a GRU's first half over its sums, counts as ahead for its place.
        let made = Set(ahead.flatMap { $0.writes.map(\.buffer) })
        var kept = Set(current.flatMap { $0.reads.map(\.buffer) })
        for update in stateUpdates { kept.insert(update.source.buffer) }
        for output in outputs.values { kept.insert(output.view.operand.buffer) }
        for buffer in made.intersection(kept) where buffers[buffer].place == .arena {
            buffers[buffer].place = .state
        }
        keepOutputs(&current)
        let (first, later) = parted(current)
        laterStart = first.count
        aheadStart = first.count + later.count
        layers = first + later + ahead
    }

    /// The layers that the outputs need, and the others, which find the features in the engine's memory.
    private mutating func parted(_ current: [Layer]) -> (first: [Layer], later: [Layer]) {
        var needed = Set(outputs.values.map(\.view.operand.buffer))
        var isFirst = Array(repeating: false, count: current.count)
        for index in current.indices.reversed()
        where current[index].writes.contains(where: { needed.contains($0.buffer) }) {
            isFirst[index] = true
            needed.formUnion(current[index].reads.map(\.buffer))
        }
        var first: [Layer] = []
        var later: [Layer] = []
        for (layer, isFirst) in zip(current, isFirst) {
            let readsFeatures = layer.reads.contains { buffers[$0.buffer].place == .features }
            if isFirst || readsFeatures { first.append(layer) } else { later.append(layer) }
        }
        return (first, later)
    }

    /// Outputs are read from the engine's memory: what lies elsewhere is copied there on every tick.
    private mutating func keepOutputs(_ current: inout [Layer]) {
        for (name, output) in outputs {
            switch buffers[output.view.operand.buffer].place {
            case .arena, .pinned: continue
            case .constant, .features, .state, .ring: break
            }
            let source = output.view.operand
            buffers.append(Buffer(place: .pinned, storage: .float, count: source.count))
            let copy = Operand(buffer: buffers.count - 1, count: source.count)
            current.append(
                Layer(name: name, operation: .copy(source: source), destination: copy, shape: output.view.shape))
            outputs[name]?.view.operand = copy
        }
    }
}
