import ONNX

/// How a value of a window model moves in time: with each tick every position takes the value of the next one.
struct TimeAxis: Equatable {
    var axis: Int
    /// The position that depends on the newest tick and nothing newer; position p is `shift - p` ticks old.
    var shift: Int
    /// The positions that depend on no padding, so that they do move.
    var low: Int
    var high: Int

    /// Positions before this one count from a later start.
    func moved(by offset: Int, extent: Int) -> TimeAxis {
        TimeAxis(
            axis: axis, shift: shift - offset, low: max(low - offset, 0), high: min(high - offset, extent - 1))
    }

    func with(axis: Int) -> TimeAxis {
        TimeAxis(axis: axis, shift: shift, low: low, high: high)
    }
}

/// Which values of a window model are computed one tick at a time.
struct StreamPlan {
    /// Values that are computed for the newest tick only, or are views of such.
    var streamed: [String: TimeAxis] = [:]
    /// For each streamed value the greatest age at which it is read, in ticks.
    var lags: [String: Int] = [:]
    /// For each node that computes streamed values, by its first output, the greatest age at which it reads its inputs.
    var reach: [String: Int] = [:]
    /// How all values move that do.
    var times: [String: TimeAxis] = [:]
    /// Positions along the axis of time, of all values that move.
    var extents: [String: Int] = [:]
    /// How the windows of convolutions and pools slide, by the node's first output.
    var windows: [String: SlidingWindow] = [:]
    /// The position that a node picks of a streamed value, by the node's first output.
    var picked: [String: Int] = [:]
    /// Streamed values that are parts of others, or padded ones whose padding nobody reads.
    var aliases: Set<String> = []
    /// The first nodes that need their whole window, with the reason: name, operator, reason.
    var barriers: [(name: String, operator: String, reason: String)] = []

    /// Steps of a recurrent node's window, by the node's first output.
    var windowTicks: [String: Int] = [:]
    /// Values of which there is one row for each window that is under way: the axis of the rows. The last row is that of
    /// the window that ends with this tick.
    var staggered: [String: Int] = [:]
    /// Nodes that compute something, other than where elements are.
    var computingNodes = 0

    var isEmpty: Bool { computingNodes == 0 }
}

/// Proves from the graph which values of a window model can be computed one tick at a time.
///
/// A value moves in time if each position of one axis is the same function of the ticks around it. Convolutions and
/// pools without strides along that axis and all that works on each position alone keep this; padding spoils the
/// positions that see it; sums over the axis, recurrent nodes that start from zero and whatever else mixes positions
/// need the whole window. A value is streamed if it moves and no other than moving positions of it are read.
struct StreamAnalysis {
    /// A compiler that has compiled the whole graph: shapes and constants are known.
    let compiler: GraphCompiler
    private var times: [String: TimeAxis] = [:]
    private var reasons: [String: String] = [:]
    private var reaches: [String: Int] = [:]
    private var windows: [String: SlidingWindow] = [:]
    private var staggered: [String: Int] = [:]

    init(_ compiler: GraphCompiler) {
        self.compiler = compiler
    }

    private func shape(_ name: String) -> [Int] { compiler.values[name]?.shape ?? [] }

    private func isConstant(_ name: String) -> Bool {
        if case .constant = compiler.values[name]?.value { return true }
        return false
    }

    mutating func plan(features: String, window: Int) -> StreamPlan {
        times[features] = TimeAxis(axis: 1, shift: window - 1, low: 0, high: window - 1)
        let nodes = compiler.graph.nodes
        for node in nodes where node.inputs.contains(where: { times[$0] != nil || staggered[$0] != nil }) {
            // A node of constants alone was computed at load.
            guard node.outputs.contains(where: { !$0.isEmpty && !isConstant($0) }) else { continue }
            if let axis = staggeredAxis(node) {
                staggered[node.key] = axis
            } else if let time = time(node) {
                for output in node.outputs where !output.isEmpty { times[output] = time }
            }
        }
        return demands(nodes)
    }

    // MARK: Backwards: what is read of each value

    private func demands(_ nodes: [Node]) -> StreamPlan {
        var plan = StreamPlan()
        // Positions that nodes which need whole windows read.
        var wanted: [String: (low: Int, high: Int)] = [:]
        func demand(_ name: String, _ low: Int, _ high: Int) {
            guard times[name] != nil else { return }
            let old = wanted[name] ?? (low, high)
            wanted[name] = (min(old.low, low), max(old.high, high))
        }
        for output in compiler.graph.outputs {
            if let time = times[output.name] { demand(output.name, 0, shape(output.name)[time.axis] - 1) }
        }
        // Staggered values of which more than their windows under way are read.
        var spoilt: Set<String> = []
        // Positions that must move, though they are read when they are new.
        var moving: [String: Int] = [:]
        for node in nodes.reversed()
        where node.inputs.contains(where: { times[$0] != nil || staggered[$0] != nil }) {
            let outputs = node.outputs.filter { !$0.isEmpty }
            if staggered[node.key] != nil, !spoilt.contains(node.key) {
                plan.staggered[node.key] = staggered[node.key]
                if StreamAnalysis.recurrent.contains(node.operatorName) {
                    plan.computingNodes += 1
                    plan.windowTicks[node.key] = shape(node.inputs[0])[0]
                    moving[node.inputs[0]] = shape(node.inputs[0])[0] - 1
                    plan.lags[node.inputs[0]] = plan.lags[node.inputs[0]] ?? 0
                }
                continue
            }
            if let source = node.inputs.first, staggered[source] != nil, isLast(node) { continue }
            for name in node.inputs where staggered[name] != nil { spoilt.insert(name) }
            let isStreamed = outputs.allSatisfy { name in
                guard let time = times[name] else { return false }
                if let high = moving[name], time.low > 0 || time.high < high { return false }
                guard let range = wanted[name] else { return true }
                return range.low >= time.low && range.high <= time.high
            }
            guard isStreamed, let name = outputs.first, let time = times[name] else {
                demandWindow(node, demand)
                continue
            }
            let lag = outputs.map { output in wanted[output].map { time.shift - $0.low } ?? 0 }.max() ?? 0
            for output in outputs {
                plan.streamed[output] = times[output]
                plan.lags[output] = max(plan.lags[output] ?? 0, lag)
            }
            if isAlias(node), let source = node.inputs.first {
                plan.aliases.insert(name)
                // Padding has a row of its own: it ends what is pending of a value.
                if node.operatorName == "Pad" { continue }
                // A part of the axis, or padding that nobody reads: the ages stay.
                plan.lags[source] = max(plan.lags[source] ?? 0, outputs.map { plan.lags[$0] ?? 0 }.max() ?? 0)
                continue
            }
            let reach = reaches[node.key] ?? 0
            plan.reach[node.key] = reach
            if !StreamAnalysis.layout.contains(node.operatorName) { plan.computingNodes += 1 }
            for input in node.inputs where times[input] != nil {
                plan.lags[input] = max(plan.lags[input] ?? 0, reach)
            }
        }
        finish(&plan, nodes, wanted)
        plan.times = times
        plan.windows = windows
        for (name, time) in times { plan.extents[name] = shape(name)[time.axis] }
        return plan
    }

    /// A node that needs its window reads all of it, or the one position that it picks.
    private func demandWindow(_ node: Node, _ demand: (String, Int, Int) -> Void) {
        for input in node.inputs {
            guard let time = times[input] else { continue }
            let extent = shape(input)[time.axis]
            if node.operatorName == "Gather", input == node.inputs[0], let position = pickedPosition(node, time) {
                demand(input, position, position)
            } else {
                demand(input, 0, extent - 1)
            }
        }
    }

    /// Values that are wanted whole and move, but are made by a node that is not streamed, stay as they are; the first
    /// nodes that stop the stream are named.
    private func finish(_ plan: inout StreamPlan, _ nodes: [Node], _ wanted: [String: (low: Int, high: Int)]) {
        let features = GraphCompiler.featuresName
        if let range = wanted[features], let time = times[features] {
            plan.lags[features] = max(plan.lags[features] ?? 0, time.shift - range.low)
        }
        plan.streamed[features] = times[features]
        for node in nodes where node.inputs.contains(where: { plan.streamed[$0] != nil }) {
            let output = node.key
            guard plan.streamed[output] == nil, plan.staggered[output] == nil, !isConstant(output) else { continue }
            if node.operatorName == "Gather", let time = times[node.inputs[0]],
                let position = pickedPosition(node, time)
            {
                plan.picked[node.key] = position
                continue
            }
            // Of a single tick nothing is computed twice.
            let mixes = node.inputs.contains { name in
                plan.streamed[name].map { shape(name)[$0.axis] > 1 } ?? false
            }
            guard mixes else { continue }
            let reason = reasons[node.key] ?? "a part of its window that sees padding is read"
            plan.barriers.append((node.name, node.operatorName, reason))
        }
        // A streamed value that is read at an age keeps its rows; a row that another node reads whole does too.
        for (name, range) in wanted {
            guard let time = plan.streamed[name] else { continue }
            plan.lags[name] = max(plan.lags[name] ?? 0, time.shift - range.low)
        }
    }

    // MARK: Windows that are under way

    private static let recurrent: Set<String> = ["LSTM", "GRU", "RNN"]

    /// The axis of a value that has a row for each window under way: what a recurrent node makes that starts from zeros
    /// at the first tick of the window, and what is a layout or function of each row of that.
    private func staggeredAxis(_ node: Node) -> Int? {
        guard let source = node.inputs.first, !source.isEmpty else { return nil }
        if StreamAnalysis.recurrent.contains(node.operatorName) {
            let place = times[source]?.axis ?? staggered[source]
            guard place == 0, let shape = compiler.recurrentShape(node), shape.steps > 1, shape.batch == 1,
                shape.directions == 1, !shape.startsAtEnd, !shape.isRagged, shape.isBatched,
                [5, 6].allSatisfy({ $0 >= node.inputs.count || node.inputs[$0].isEmpty }),
                node.inputs.count < 8 || node.inputs[7].isEmpty
            else { return nil }
            if let time = times[source], time.shift != shape.steps - 1 { return nil }
            return 0
        }
        guard let axis = staggered[source] else { return nil }
        let moved = TimeAxis(axis: axis, shift: 0, low: 0, high: 0)
        switch node.operatorName {
        case "Transpose": return transposed(node, moved)?.axis
        case "Reshape", "Squeeze", "Unsqueeze", "Flatten":
            return reshaped(moved, from: shape(source), to: shape(node.outputs[0]))?.axis
        case let name where StreamAnalysis.pointwise.contains(name):
            return node.inputs.dropFirst().allSatisfy { $0.isEmpty || isSingle($0) } ? axis : nil
        default: return nil
        }
    }

    /// Whether a node reads nothing but the last row of a staggered value.
    private func isLast(_ node: Node) -> Bool {
        guard let source = node.inputs.first, let axis = staggered[source], node.inputs.dropFirst().allSatisfy(isConstant)
        else { return false }
        let rows = shape(source)[axis]
        let time = TimeAxis(axis: axis, shift: 0, low: 0, high: 0)
        if node.operatorName == "Gather" { return pickedPosition(node, time) == rows - 1 }
        guard node.operatorName == "Slice", let output = node.outputs.first, shape(output)[axis] == 1 else { return false }
        return sliced(node, TimeAxis(axis: axis, shift: rows - 1, low: 0, high: rows - 1))?.shift == 0
    }

    private func pickedPosition(_ node: Node, _ time: TimeAxis) -> Int? {
        guard let axis = axis(node, default: 0, rank: shape(node.inputs[0]).count), axis == time.axis,
            node.inputs.count > 1, case .constant(let tensor)? = compiler.values[node.inputs[1]]?.value,
            let index = tensor.integers?.first, tensor.count == 1
        else { return nil }
        let position = Int(index) < 0 ? Int(index) + shape(node.inputs[0])[axis] : Int(index)
        return position
    }

    // MARK: Forwards: how values move

    private func axis(_ node: Node, _ name: String = "axis", default value: Int64, rank: Int) -> Int? {
        guard let axis = try? compiler.integerAttribute(node, name, default: value) else { return nil }
        return try? compiler.axis(node, axis, rank: rank)
    }

    /// Whether the node only says which positions of the axis it means.
    private func isAlias(_ node: Node) -> Bool {
        guard node.operatorName == "Slice" || node.operatorName == "Pad", let source = node.inputs.first,
            let time = times[source], let output = node.outputs.first, times[output] != nil
        else { return false }
        return shape(output)[time.axis] != shape(source)[time.axis]
    }

    private mutating func time(_ node: Node) -> TimeAxis? {
        let found = timeAxis(node)
        if found == nil, reasons[node.key] == nil { reasons[node.key] = "it mixes the ticks of its window" }
        return found
    }

    private static let layout: Set<String> = [
        "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Gather", "Concat",
    ]
    private static let pointwise: Set<String> = [
        "Relu", "Tanh", "Sigmoid", "LeakyRelu", "Elu", "HardSigmoid", "Gelu", "Softplus", "Erf", "Exp", "Sqrt", "Neg",
        "Clip", "Identity", "QuantizeLinear", "DequantizeLinear", "Cast",
    ]

    private mutating func timeAxis(_ node: Node) -> TimeAxis? {
        guard let first = node.inputs.first else { return nil }
        let time = times[first]
        switch node.operatorName {
        case let name where StreamAnalysis.pointwise.contains(name):
            return node.inputs.dropFirst().allSatisfy { $0.isEmpty || isSingle($0) } ? time : nil
        case "Add", "Sub", "Mul", "Div", "Pow": return combined(node)
        case "Concat": return concatenated(node)
        case "Transpose": return time.flatMap { transposed(node, $0) }
        case "Reshape", "Squeeze", "Unsqueeze", "Flatten":
            return time.flatMap { reshaped($0, from: shape(first), to: shape(node.outputs[0])) }
        case "Slice": return time.flatMap { sliced(node, $0) }
        case "Split", "Gather":
            guard let time, let axis = axis(node, default: 0, rank: shape(first).count), axis != time.axis else {
                return nil
            }
            guard node.operatorName == "Gather" else { return time }
            let change = shape(node.outputs[0]).count - shape(first).count
            return isConstant(node.inputs[1]) ? time.with(axis: time.axis + (axis < time.axis ? change : 0)) : nil
        case "Pad": return time.flatMap { padded(node, $0) }
        case "Conv", "MaxPool", "AveragePool": return time.flatMap { slid(node, $0) }
        case "MatMul", "Gemm": return multiplied(node)
        case "Softmax", "LayerNormalization":
            guard let time, let axis = axis(node, default: -1, rank: shape(first).count) else { return nil }
            let reads = node.operatorName == "Softmax" && compiler.graph.opset >= 13 ? axis == time.axis : axis <= time.axis
            return reads ? nil : time
        case "BatchNormalization": return time?.axis == 1 ? nil : time
        case "ReduceMean", "ReduceSum": return time.flatMap { reduced(node, $0) }
        case "GRU", "LSTM", "RNN":
            reasons[node.key] = "it starts from its initial state at the first tick of the window"
            return nil
        default: return nil
        }
    }

    private func isSingle(_ name: String) -> Bool { isConstant(name) && shape(name).reduce(1, *) <= 1 }

    /// The axes of a value counted from the end of a wider shape.
    private func extent(_ name: String, axis: Int, rank: Int) -> Int {
        let place = axis - (rank - shape(name).count)
        return place < 0 ? 1 : shape(name)[place]
    }

    private func combined(_ node: Node) -> TimeAxis? {
        let rank = shape(node.outputs[0]).count
        var result: TimeAxis?
        for name in node.inputs {
            guard let time = times[name] else { continue }
            let wide = time.with(axis: time.axis + rank - shape(name).count)
            guard let known = result else {
                result = wide
                continue
            }
            guard known.axis == wide.axis, known.shift == wide.shift else { return nil }
            result?.low = max(known.low, wide.low)
            result?.high = min(known.high, wide.high)
        }
        guard let result else { return nil }
        for name in node.inputs where times[name] == nil {
            guard isConstant(name), extent(name, axis: result.axis, rank: rank) == 1 else { return nil }
        }
        let extent = shape(node.outputs[0])[result.axis]
        let moves = node.inputs.allSatisfy { times[$0] == nil || self.extent($0, axis: result.axis, rank: rank) == extent }
        return moves ? result : nil
    }

    private func concatenated(_ node: Node) -> TimeAxis? {
        guard let axis = axis(node, default: 0, rank: shape(node.outputs[0]).count) else { return nil }
        var result: TimeAxis?
        for name in node.inputs {
            guard let time = times[name], time.axis != axis else { return nil }
            guard let known = result else {
                result = time
                continue
            }
            guard known.axis == time.axis, known.shift == time.shift else { return nil }
            result?.low = max(known.low, time.low)
            result?.high = min(known.high, time.high)
        }
        return result
    }

    private func transposed(_ node: Node, _ time: TimeAxis) -> TimeAxis? {
        let rank = shape(node.inputs[0]).count
        guard case .integers(let order)? = node.attributes["perm"] else { return time.with(axis: rank - 1 - time.axis) }
        return order.firstIndex(of: Int64(time.axis)).map { time.with(axis: $0) }
    }

    private func reshaped(_ time: TimeAxis, from old: [Int], to new: [Int]) -> TimeAxis? {
        let extent = old[time.axis]
        let before = old[..<time.axis].reduce(1, *)
        guard extent > 1 else { return nil }
        for axis in new.indices where new[axis] == extent && new[..<axis].reduce(1, *) == before {
            return time.with(axis: axis)
        }
        return nil
    }

    private func sliced(_ node: Node, _ time: TimeAxis) -> TimeAxis? {
        let plain = View(Operand(buffer: 0, count: 0), shape: shape(node.inputs[0]))
        guard let view = try? compiler.sliced(node, plain) else { return nil }
        if view.shape[time.axis] == plain.shape[time.axis] { return time }
        // A part of the ticks, and of nothing else.
        var rest = view.shape
        rest[time.axis] = plain.shape[time.axis]
        let step = plain.strides[time.axis]
        guard rest == plain.shape, view.shape[time.axis] == 1 || view.strides[time.axis] == step else { return nil }
        return time.moved(by: view.start / step, extent: view.shape[time.axis])
    }

    private func padded(_ node: Node, _ time: TimeAxis) -> TimeAxis? {
        guard let amounts = try? compiler.padAmounts(node, rank: shape(node.inputs[0]).count) else { return nil }
        if amounts.before[time.axis] == 0, amounts.after[time.axis] == 0 { return time }
        // Ticks are added to those there are, and nothing else; what is added is not read.
        for axis in amounts.before.indices where axis != time.axis {
            guard amounts.before[axis] == 0, amounts.after[axis] == 0 else { return nil }
        }
        return time.moved(by: -amounts.before[time.axis], extent: shape(node.outputs[0])[time.axis])
    }

    private mutating func slid(_ node: Node, _ time: TimeAxis) -> TimeAxis? {
        if time.axis == 0 { return time }
        let extents = shape(node.inputs[0])
        guard time.axis >= 2 else { return nil }
        let kernel: [Int]
        if node.operatorName == "Conv" {
            kernel = Array(shape(node.inputs[1])[2...])
        } else {
            guard case .integers(let stated)? = node.attributes["kernel_shape"] else { return nil }
            kernel = stated.map { Int($0) }
        }
        guard let window = try? compiler.slidingWindow(node, extents: Array(extents[2...]), kernel: kernel) else {
            return nil
        }
        let axis = time.axis - 2
        guard window.strides[axis] == 1 else {
            reasons[node.key] = "it takes steps of \(window.strides[axis]) along the ticks"
            return nil
        }
        let reach = (window.kernel[axis] - 1) * window.dilations[axis]
        reaches[node.key] = reach
        windows[node.key] = window
        let padded = time.moved(by: -window.before[axis], extent: .max / 2)
        return TimeAxis(
            axis: time.axis, shift: padded.shift - reach, low: padded.low, high: padded.high - reach)
    }

    private func multiplied(_ node: Node) -> TimeAxis? {
        let (first, second) = (node.inputs[0], node.inputs[1])
        let isGemm = node.operatorName == "Gemm"
        let transposesFirst = isGemm && (try? compiler.integerAttribute(node, "transA", default: 0)) != 0
        if isGemm, node.inputs.count > 2, !node.inputs[2].isEmpty {
            guard isConstant(node.inputs[2]), extent(node.inputs[2], axis: 0, rank: 2) == 1 else { return nil }
        }
        let rank = shape(node.outputs[0]).count
        if let time = times[first], isConstant(second), shape(second).count <= 2 {
            let kept = transposesFirst ? 1 : time.axis
            guard transposesFirst ? time.axis == 1 : time.axis != shape(first).count - 1 else { return nil }
            return time.with(axis: transposesFirst ? kept - 1 : time.axis)
        }
        if !isGemm, let time = times[second], isConstant(first), shape(first).count <= 2 {
            let last = shape(second).count - 1
            guard time.axis == last || time.axis < last - 1 else { return nil }
            return time.with(axis: time.axis + rank - shape(second).count)
        }
        return nil
    }

    private func reduced(_ node: Node, _ time: TimeAxis) -> TimeAxis? {
        let rank = shape(node.inputs[0]).count
        let since = node.operatorName == "ReduceMean" ? 18 : 13
        guard let axes = try? compiler.axes(node, inputIndex: 1, since: since, rank: rank), !axes.isEmpty,
            !axes.contains(time.axis)
        else { return nil }
        let keeps = shape(node.outputs[0]).count == rank
        return time.with(axis: keeps ? time.axis : time.axis - axes.count { $0 < time.axis })
    }
}

extension Node {
    /// A name that no other node has: that of its first result.
    var key: String { outputs.first { !$0.isEmpty } ?? name }
}
