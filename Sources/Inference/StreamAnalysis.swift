import ONNX

/// Proves from the graph which values of a window model can be computed one tick at a time.
///
/// A value moves in time if each position of one axis is the same function of the ticks around it. Convolutions and
/// pools without strides along that axis and all that works on each position alone keep this; padding spoils the
/// positions that see it; sums over the axis, recurrent nodes that start from zero and whatever else mixes positions
/// need the whole window. A value is streamed if it moves and no other than moving positions of it are read.
struct StreamAnalysis {
    /// A compiler that has compiled the whole graph: shapes and constants are known.
    let compiler: GraphCompiler
    var times: [String: TimeAxis] = [:]
    var reasons: [String: String] = [:]
    var reaches: [String: Int] = [:]
    var windows: [String: SlidingWindow] = [:]
    var staggered: [String: Int] = [:]
    /// Nodes that are computed for their whole window, by their first output, though their values move.
    private var whole: Set<String> = []
    /// Times that a plan is made, each with more such nodes.
    private static let passes = 8

    init(_ compiler: GraphCompiler) {
        self.compiler = compiler
    }

    func shape(_ name: String) -> [Int] { compiler.values[name]?.shape ?? [] }

    func constant(_ name: String) -> Tensor? {
        if case .constant(let tensor)? = compiler.values[name]?.value { return tensor }
        return nil
    }

    func isConstant(_ name: String) -> Bool { constant(name) != nil }

    mutating func plan(features: String, window: Int) throws(ModelError) -> StreamPlan {
        times[features] = TimeAxis(axis: 1, shift: window - 1, low: 0, high: window - 1)
        let nodes = compiler.graph.nodes
        for node in nodes where node.inputs.contains(where: { times[$0] != nil || staggered[$0] != nil }) {
            // A node of constants alone was computed at load.
            guard node.outputs.contains(where: { !$0.isEmpty && !isConstant($0) }) else { continue }
            if let axis = try staggeredAxis(node) {
                staggered[node.key] = axis
                // Should more than its last step be read.
                reasons[node.key] = StreamAnalysis.startsAnew
            } else if let time = try time(node) {
                for output in node.outputs where !output.isEmpty { times[output] = time }
            }
        }
        var plan = try demands(nodes)
        for _ in 0..<StreamAnalysis.passes {
            let stuck = lacking(plan, features: features)
            if stuck.isEmpty { return plan }
            whole.formUnion(stuck)
            plan = try demands(nodes)
        }
        // Enough of it: nothing is streamed.
        whole = Set(nodes.map(\.key))
        return try demands(nodes)
    }

    /// Streamed nodes that read, beside a streamed value, one computed anew for its window that does not hold the ticks
    /// that they need: those are cut off, or padding.
    private func lacking(_ plan: StreamPlan, features: String) -> [String] {
        var inRings: Set<String> = [features]
        var stuck: [String] = []
        for node in compiler.graph.nodes where plan.streamed[node.key] != nil {
            guard node.inputs.contains(where: { inRings.contains($0) }) else { continue }
            inRings.formUnion(node.outputs)
            let reach = plan.reach[node.key] ?? 0
            let holds = node.inputs.allSatisfy { name in
                guard let time = times[name], !inRings.contains(name) else { return true }
                return time.shift <= time.high && time.shift - reach >= time.low
            }
            if !holds { stuck.append(node.key) }
        }
        return stuck
    }

    // MARK: Backwards: what is read of each value

    private func demands(_ nodes: [Node]) throws(ModelError) -> StreamPlan {
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
            if outputs.allSatisfy(isConstant) {
                // A shape reads no elements.
                for name in outputs { plan.constants[name] = constant(name) }
                continue
            }
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
            if let source = node.inputs.first, staggered[source] != nil, try isLast(node) { continue }
            for name in node.inputs where staggered[name] != nil { spoilt.insert(name) }
            let isStreamed = outputs.allSatisfy { name in
                guard let time = times[name], !whole.contains(node.key) else { return false }
                if let high = moving[name], time.low > 0 || time.high < high { return false }
                guard let range = wanted[name] else { return true }
                return range.low >= time.low && range.high <= time.high
            }
            guard isStreamed, let name = outputs.first, let time = times[name] else {
                try demandWindow(node, demand)
                continue
            }
            let lag = outputs.map { output in wanted[output].map { time.shift - $0.low } ?? 0 }.max() ?? 0
            for output in outputs {
                plan.streamed[output] = times[output]
                plan.lags[output] = max(plan.lags[output] ?? 0, lag)
            }
            if try isAlias(node), let source = node.inputs.first {
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
        try finish(&plan, nodes, wanted)
        plan.times = times
        plan.windows = windows
        for (name, time) in times { plan.extents[name] = shape(name)[time.axis] }
        return plan
    }

    /// A node that needs its window reads all of it, or the one position that it picks.
    private func demandWindow(_ node: Node, _ demand: (String, Int, Int) -> Void) throws(ModelError) {
        for input in node.inputs {
            guard let time = times[input] else { continue }
            let extent = shape(input)[time.axis]
            if node.operatorName == "Gather", input == node.inputs[0], let position = try pickedPosition(node, time) {
                demand(input, position, position)
            } else {
                demand(input, 0, extent - 1)
            }
        }
    }

    /// Values that are wanted whole and move, but are made by a node that is not streamed, stay as they are; the first
    /// nodes that stop the stream are named.
    private func finish(
        _ plan: inout StreamPlan, _ nodes: [Node], _ wanted: [String: (low: Int, high: Int)]
    ) throws(ModelError) {
        let features = GraphCompiler.featuresName
        if let range = wanted[features], let time = times[features] {
            plan.lags[features] = max(plan.lags[features] ?? 0, time.shift - range.low)
        }
        plan.streamed[features] = times[features]
        for node in nodes where node.inputs.contains(where: { plan.streamed[$0] != nil }) {
            let output = node.key
            guard plan.streamed[output] == nil, plan.staggered[output] == nil, !isConstant(output) else { continue }
            if node.operatorName == "Gather", let time = times[node.inputs[0]],
                let position = try pickedPosition(node, time)
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
}
