import ONNX

/// Whether a window model may be run one tick at a time.
public enum StreamingMode: Sendable {
    /// Where that is exact; the rest of the window is computed anew on every tick.
    case automatic
    /// All of the window on every tick. For tests and measurements.
    case recompute
}

/// A value of which only the newest tick is computed.
struct StreamedValue {
    /// The newest tick: the value with one position along its axis of time.
    var newest: GraphCompiler.ShapedValue
    /// The newest ticks, as many as anybody reads, oldest first; nil where nobody reads older ones.
    var rows: GraphCompiler.ShapedValue?
    var time: TimeAxis
    /// Positions along the axis of time in the graph.
    var extent: Int
}

/// A state that keeps the newest rows of a value.
struct RingState {
    var state: String
    /// The value that joins it with a new row.
    var output: String
    var axis: Int
    var shape: [Int]
}

/// Compiles the nodes of a window so that each tick computes what is new and finds the rest in rings.
extension GraphCompiler {
    /// Begins a stream at a value that is defined for the newest tick.
    mutating func beginStream(_ name: String, _ plan: StreamPlan, _ node: Node) throws(ModelError) {
        guard let newest = values[name], let time = plan.streamed[name] else {
            throw refused(node, "a value that is not streamed")
        }
        var stream = StreamedValue(newest: newest, rows: nil, time: time, extent: plan.extents[name] ?? 1)
        let age = plan.lags[name] ?? 0
        if age > 0 { stream.rows = try keptRows(newest, axis: time.axis, depth: age + 1, node) }
        streams[name] = stream
    }

    /// Keeps the newest rows of a value in a ring of the state.
    private mutating func keptRows(
        _ newest: ShapedValue, axis: Int, depth: Int, _ node: Node
    ) throws(ModelError) -> ShapedValue {
        var rows = newest
        var flat: View
        switch newest.value {
        case .dequantized(let view, let quantizer):
            // Bytes are kept, not floats, so that a tick is quantised once.
            flat = try self.flat(view, node)
            flat.operand = try quantizedBytes(flat.operand, quantizer, shape: view.shape, node)
        case .affine(let view, _, _): flat = try self.flat(view, node)
        case .view, .constant, .quantized: flat = try self.flat(try view(of: newest, node), node)
        }
        let ring = try pushed(flat.operand, width: flat.operand.count, depth: depth, node)
        var kept = View(ring, start: flat.start, shape: flat.shape, strides: flat.strides)
        kept.shape[axis] = depth
        kept.strides[axis] = ring.count / depth
        rows.shape = kept.shape
        switch newest.value {
        case .dequantized(_, let quantizer): rows.value = .dequantized(kept, quantizer)
        case .affine(let view, let scale, let offset):
            // The same map for every tick, in row-major order.
            let inner = view.shape[axis...].reduce(1, *)
            func repeated(_ values: [Double]) -> [Double] {
                stride(from: 0, to: values.count, by: inner).flatMap { start in
                    (0..<depth).flatMap { _ in values[start..<start + inner] }
                }
            }
            rows.value = .affine(kept, scale: repeated(scale), offset: repeated(offset))
        case .view, .constant, .quantized: rows.value = .view(kept)
        }
        rows.openLinear = nil
        return rows
    }

    /// The ticks of a streamed value from one age to another.
    mutating func ticks(
        _ name: String, from oldest: Int, to newest: Int, _ node: Node
    ) throws(ModelError) -> ShapedValue {
        guard let stream = streams[name] else { throw refused(node, "input '\(name)' is not streamed") }
        if oldest == 0 { return stream.newest }
        guard let rows = stream.rows, newest >= 0 else { throw refused(node, "input '\(name)' is not kept") }
        let axis = stream.time.axis
        let depth = rows.shape[axis]
        let (from, to) = (Int64(depth - 1 - oldest), Int64(depth - newest))
        var result = rows
        let part = try rearranged(rows, node) { _, view in view.sliced(axis, from: from, to: to, by: 1) }
        result.value = part.value
        result.shape = part.shape
        return result
    }

    /// All positions of a streamed value, as the graph has them.
    mutating func wholeWindow(_ name: String) throws(ModelError) -> ShapedValue {
        let node = Node(name: name, operatorName: "window", inputs: [], outputs: [])
        guard let stream = streams[name] else { throw refused(node, "the value is not streamed") }
        return try ticks(name, from: stream.time.shift, to: stream.time.shift - (stream.extent - 1), node)
    }

    /// A value whose padding nobody reads. What is pending of it ends here, as it does for the whole window, so that
    /// both give the same bits.
    private mutating func padded(_ value: ShapedValue, _ node: Node) throws(ModelError) -> ShapedValue {
        var result = value
        result.openLinear = nil
        if case .dequantized(_, let quantizer) = value.value, quantizer.keepsZero { return result }
        result.value = .view(try view(of: value, node))
        return result
    }

    /// Defines what the whole window has shown to be constant, such as a shape; false where there is more to compute.
    mutating func definedByPlan(_ node: Node, _ plan: StreamPlan) -> Bool {
        let outputs = node.outputs.filter { !$0.isEmpty }
        let constants = outputs.compactMap { name in plan.constants[name].map { (name, $0) } }
        guard constants.count == outputs.count else { return false }
        for (name, tensor) in constants { defineConstant(name, tensor) }
        return true
    }

    /// Compiles a node that reads streamed values.
    mutating func compileStreamed(_ node: Node, _ plan: StreamPlan) throws(ModelError) {
        let outputs = node.outputs.filter { !$0.isEmpty }
        guard let first = outputs.first else { return }
        if plan.aliases.contains(first), let source = streams[node.inputs[0]], let time = plan.streamed[first] {
            if node.operatorName == "Pad" {
                values[first] = try padded(source.newest, node)
                return try beginStream(first, plan, node)
            }
            var alias = source
            alias.time = time
            alias.extent = plan.extents[first] ?? 1
            streams[first] = alias
            values[first] = alias.newest
            return
        }
        var changed = node
        let before = values
        if plan.streamed[first] != nil {
            let reach = plan.reach[node.key] ?? 0
            for name in node.inputs where plan.times[name] != nil {
                if streams[name] != nil {
                    values[name] = try ticks(name, from: reach, to: 0, node)
                } else if let time = plan.times[name], let value = values[name] {
                    // Computed anew for the whole window: the ticks that are needed are a part of it.
                    let (from, to) = (Int64(time.shift - reach), Int64(time.shift + 1))
                    let part = try rearranged(value, node) { _, view in
                        view.sliced(time.axis, from: from, to: to, by: 1)
                    }
                    values[name]?.value = part.value
                    values[name]?.shape = part.shape
                    values[name]?.openLinear = nil
                }
            }
            if plan.windows[node.key]?.isPadded == true, let value = values[node.inputs[0]] {
                values[node.inputs[0]] = try padded(value, node)
            }
            changed = try forOneTick(node, plan)
        } else {
            changed = try forWindow(node, plan)
        }
        try compile(changed)
        // What was put in the place of inputs is put back; views of them that were made in memory are not lost on others.
        for name in node.inputs where plan.times[name] != nil || changed.inputs != node.inputs {
            values[name] = before[name]
        }
        guard plan.streamed[first] != nil else { return }
        for name in outputs { try beginStream(name, plan, node) }
    }

    /// A node whose inputs are whole windows; a node that picks one tick finds just that.
    private mutating func forWindow(_ node: Node, _ plan: StreamPlan) throws(ModelError) -> Node {
        for name in Set(node.inputs) where streams[name] != nil {
            guard let stream = streams[name] else { continue }
            if node.operatorName == "Gather", name == node.inputs[0], let position = plan.picked[node.key] {
                let age = stream.time.shift - position
                values[name] = try ticks(name, from: age, to: age, node)
                let shape = values[node.inputs[1]]?.shape ?? []
                let zero = Tensor(name: "first", shape: shape, elements: .int64([0]))
                values["\u{0}first"] = ShapedValue(value: .constant(zero), type: .int64, shape: shape)
                return Node(
                    name: node.name, operatorName: node.operatorName, inputs: [name, "\u{0}first"],
                    outputs: node.outputs, attributes: node.attributes)
            }
            values[name] = try wholeWindow(name)
        }
        return node
    }

    /// A node as it is for one tick: nothing is padded along the time, and shapes have one tick there.
    private mutating func forOneTick(_ node: Node, _ plan: StreamPlan) throws(ModelError) -> Node {
        guard let time = plan.streamed[node.key] else { return node }
        var attributes = node.attributes
        var inputs = node.inputs
        switch node.operatorName {
        case "Conv", "MaxPool", "AveragePool":
            guard time.axis >= 2, let window = plan.windows[node.key] else { break }
            // What rounding up adds is added again.
            var (low, high) = (window.before, zip(window.after, window.overhang).map(-))
            low[time.axis - 2] = 0
            high[time.axis - 2] = 0
            attributes["pads"] = .integers((low + high).map { Int64($0) })
            attributes["auto_pad"] = nil
        case "Reshape":
            guard let shape = try constantInput(node, 1, "the shape"), var target = shape.integers,
                time.axis < target.count
            else { break }
            if target[time.axis] > 0 { target[time.axis] = 1 }
            values["\u{0}shape"] = ShapedValue(
                value: .constant(Tensor(name: "shape", shape: shape.shape, elements: .int64(target))), type: .int64,
                shape: shape.shape)
            inputs[1] = "\u{0}shape"
        case "Squeeze": return try squeezing(node, keeping: plan.times[inputs[0]]?.axis)
        default: break
        }
        return Node(
            name: node.name, operatorName: node.operatorName, domain: node.domain, inputs: inputs,
            outputs: node.outputs, attributes: attributes)
    }

    /// A `Squeeze` that names its axes: that of the ticks stays, though it has one position now.
    mutating func squeezing(_ node: Node, keeping axis: Int?) throws(ModelError) -> Node {
        let shape = try input(node, 0).shape
        guard try axes(node, inputIndex: 1, since: 13, rank: shape.count) == nil else { return node }
        let named = shape.indices.filter { shape[$0] == 1 && $0 != axis }.map { Int64($0) }
        var (inputs, attributes) = (node.inputs, node.attributes)
        if graph.opset < 13 {
            attributes["axes"] = .integers(named)
        } else {
            let list = Tensor(name: "axes", shape: [named.count], elements: .int64(named))
            values["\u{0}axes"] = ShapedValue(value: .constant(list), type: .int64, shape: list.shape)
            inputs = [inputs[0], "\u{0}axes"]
        }
        return Node(
            name: node.name, operatorName: node.operatorName, domain: node.domain, inputs: inputs,
            outputs: node.outputs, attributes: attributes)
    }

    // MARK: States that are rings

    /// Whether a state does nothing but keep the newest rows of a value: it is joined with one new row, and what goes
    /// round is all but the oldest one. Then it is a ring, and no row is ever moved.
    func ringState(_ name: String, shape: [Int]) throws(ModelError) -> RingState? {
        let readers = graph.nodes.filter { $0.inputs.contains(name) }
        guard readers.count == 1, uses[name] == 1, readers[0].operatorName == "Concat", readers[0].inputs.count == 2,
            readers[0].inputs[0] == name, let joined = readers[0].outputs.first
        else { return nil }
        let axis = try axis(
            readers[0], try integerAttribute(readers[0], "axis", default: 0), rank: shape.count)
        var next = name + "_next"
        var maker = graph.nodes.first { $0.outputs.first == next }
        while let node = maker, node.operatorName == "Identity" {
            next = node.inputs[0]
            maker = graph.nodes.first { $0.outputs.first == next }
        }
        guard let slice = maker, slice.operatorName == "Slice", slice.inputs.first == joined else { return nil }
        // The nodes are not compiled yet: the slice's numbers are initializers or those of `Constant` nodes.
        var compiler = self
        for name in slice.inputs.dropFirst() where !name.isEmpty && values[name] == nil {
            guard let constant = graph.nodes.first(where: { $0.outputs.first == name }),
                constant.operatorName == "Constant"
            else { return nil }
            try compiler.compile(constant)
        }
        // What the slice keeps of the joined value, which is one row longer than the state.
        var longer = shape
        longer[axis] += 1
        let plain = View(Operand(buffer: 0, count: 0), shape: longer)
        let view = try compiler.sliced(slice, plain)
        var kept = plain
        kept.start = plain.strides[axis]
        kept.shape[axis] = shape[axis]
        return view == kept ? RingState(state: name, output: joined, axis: axis, shape: shape) : nil
    }

    /// The state and the new row, side by side. False where it is no single row that is new: then the state is one like
    /// others.
    mutating func joinRing(_ node: Node, _ ring: RingState) throws(ModelError) -> Bool {
        let value = try input(node, 1)
        var row = ring.shape
        row[ring.axis] = 1
        guard value.shape == row, value.type == .float else {
            ringStates[ring.output] = nil
            try defineKeptState(ring.state, shape: ring.shape)
            return false
        }
        // In memory as floats: the rows that never were are zeros.
        let newest = ShapedValue(value: .view(try floatInput(node, 1)), type: .float, shape: row)
        let rows = try keptRows(newest, axis: ring.axis, depth: ring.shape[ring.axis] + 1, node)
        try define(node, rows.value, .float, shape: rows.shape, range: nil)
        return true
    }

    // MARK: In words

    static func describe(_ plan: StreamPlan?, windowTicks: Int, mode: StreamingMode) -> String {
        guard let plan else { return "one tick at a time: the state carries all that the model remembers" }
        let barriers = plan.barriers.map { "'\($0.name)' (\($0.operator)): \($0.reason)" }.joined(separator: "; ")
        if mode == .recompute { return "a window of \(windowTicks) ticks, computed anew on every tick as asked for" }
        if plan.isEmpty {
            return "a window of \(windowTicks) ticks, computed anew on every tick because of node \(barriers)"
        }
        let windows = plan.windowTicks.isEmpty ? "" : ", each of its windows under way by itself"
        guard plan.barriers.isEmpty else {
            return "a window of \(windowTicks) ticks, one tick at a time up to node \(barriers)"
        }
        return "a window of \(windowTicks) ticks, run one tick at a time" + windows
    }
}
