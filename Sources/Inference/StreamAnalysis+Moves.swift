import ONNX

/// How each operator moves with the ticks.
extension StreamAnalysis {
    // MARK: Windows that are under way

    static let recurrent: Set<String> = ["LSTM", "GRU", "RNN"]
    static let startsAnew = "it starts from its initial state at the first tick of the window"

    /// The axis of a value that has a row for each window under way: what a recurrent node makes that starts from zeros
    /// at the first tick of the window, and what is a layout or function of each row of that.
    func staggeredAxis(_ node: Node) throws(ModelError) -> Int? {
        guard let source = node.inputs.first, !source.isEmpty else { return nil }
        if StreamAnalysis.recurrent.contains(node.operatorName) {
            let place = times[source]?.axis ?? staggered[source]
            guard place == 0 else { return nil }
            let shape = try compiler.recurrence(node)
            guard shape.steps > 1, shape.batch == 1, shape.directions == 1, !shape.startsAtEnd, !shape.isRagged,
                shape.isBatched,
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
    func isLast(_ node: Node) throws(ModelError) -> Bool {
        guard let source = node.inputs.first, let axis = staggered[source],
            node.inputs.dropFirst().allSatisfy(isConstant)
        else { return false }
        let rows = shape(source)[axis]
        let time = TimeAxis(axis: axis, shift: 0, low: 0, high: 0)
        if node.operatorName == "Gather" { return try pickedPosition(node, time) == rows - 1 }
        guard node.operatorName == "Slice", let output = node.outputs.first, shape(output)[axis] == 1 else {
            return false
        }
        return try sliced(node, TimeAxis(axis: axis, shift: rows - 1, low: 0, high: rows - 1))?.shift == 0
    }

    func pickedPosition(_ node: Node, _ time: TimeAxis) throws(ModelError) -> Int? {
        guard try axis(node, default: 0, rank: shape(node.inputs[0]).count) == time.axis, node.inputs.count > 1,
            case .constant(let tensor)? = compiler.values[node.inputs[1]]?.value,
            let index = tensor.integers?.first, tensor.count == 1
        else { return nil }
        let position = Int(index) < 0 ? Int(index) + shape(node.inputs[0])[time.axis] : Int(index)
        return position
    }

    // MARK: Forwards: how values move

    func axis(_ node: Node, default value: Int64, rank: Int) throws(ModelError) -> Int {
        try compiler.axis(node, try compiler.integerAttribute(node, "axis", default: value), rank: rank)
    }

    /// Whether the node only says which positions of the axis it means.
    func isAlias(_ node: Node) throws(ModelError) -> Bool {
        guard let source = node.inputs.first, let time = times[source], let output = node.outputs.first,
            times[output] != nil
        else { return false }
        switch node.operatorName {
        case "Slice": return shape(output)[time.axis] != shape(source)[time.axis]
        case "Pad":
            // As many before as are taken away behind shift the ticks: the extent stays.
            let amounts = try compiler.padAmounts(node, rank: shape(source).count)
            return amounts.before[time.axis] != 0 || amounts.after[time.axis] != 0
        default: return false
        }
    }

    mutating func time(_ node: Node) throws(ModelError) -> TimeAxis? {
        let found = try timeAxis(node)
        if found == nil, reasons[node.key] == nil { reasons[node.key] = "it mixes the ticks of its window" }
        return found
    }

    static let layout: Set<String> = [
        "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Gather", "Concat",
    ]
    static let pointwise: Set<String> = [
        "Relu", "Tanh", "Sigmoid", "LeakyRelu", "Elu", "HardSigmoid", "Gelu", "Softplus", "Erf", "Exp", "Sqrt", "Neg",
        "Clip", "Identity", "QuantizeLinear", "DequantizeLinear", "Cast",
    ]

    mutating func timeAxis(_ node: Node) throws(ModelError) -> TimeAxis? {
        guard let first = node.inputs.first else { return nil }
        switch node.operatorName {
        case "Add", "Sub", "Mul", "Div", "Pow", "Min", "Max": return combined(node)
        case "Concat": return try concatenated(node)
        case "MatMul", "Gemm": return try multiplied(node)
        default: break
        }
        guard let time = times[first] else { return nil }
        let rank = shape(first).count
        switch node.operatorName {
        case let name where StreamAnalysis.pointwise.contains(name):
            return node.inputs.dropFirst().allSatisfy { $0.isEmpty || isSingle($0) } ? time : nil
        case "Transpose": return transposed(node, time)
        case "Reshape", "Squeeze", "Unsqueeze", "Flatten":
            return reshaped(time, from: shape(first), to: shape(node.outputs[0]))
        case "Slice": return try sliced(node, time)
        case "Split": return try axis(node, default: 0, rank: rank) == time.axis ? nil : time
        case "Gather":
            let axis = try axis(node, default: 0, rank: rank)
            guard axis != time.axis, isConstant(node.inputs[1]) else { return nil }
            let change = shape(node.outputs[0]).count - rank
            return time.with(axis: time.axis + (axis < time.axis ? change : 0))
        case "Pad": return try padded(node, time)
        case "Conv", "MaxPool", "AveragePool": return try slid(node, time)
        case "Softmax" where compiler.graph.opset >= 13:
            return try axis(node, default: -1, rank: rank) == time.axis ? nil : time
        case "Softmax", "LayerNormalization":
            let isOld = node.operatorName == "Softmax"
            return try axis(node, default: isOld ? 1 : -1, rank: rank) <= time.axis ? nil : time
        case "BatchNormalization": return time.axis == 1 ? nil : time
        case "ReduceMean", "ReduceSum": return try reduced(node, time)
        case "GRU", "LSTM", "RNN":
            reasons[node.key] = StreamAnalysis.startsAnew
            return nil
        default: return nil
        }
    }

    func isSingle(_ name: String) -> Bool { isConstant(name) && shape(name).reduce(1, *) <= 1 }

    /// The axes of a value counted from the end of a wider shape.
    func extent(_ name: String, axis: Int, rank: Int) -> Int {
        let place = axis - (rank - shape(name).count)
        return place < 0 ? 1 : shape(name)[place]
    }

    func combined(_ node: Node) -> TimeAxis? {
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
        let moves = node.inputs.allSatisfy {
            times[$0] == nil || self.extent($0, axis: result.axis, rank: rank) == extent
        }
        return moves ? result : nil
    }

    func concatenated(_ node: Node) throws(ModelError) -> TimeAxis? {
        let axis = try axis(node, default: 0, rank: shape(node.outputs[0]).count)
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

    func transposed(_ node: Node, _ time: TimeAxis) -> TimeAxis? {
        let rank = shape(node.inputs[0]).count
        guard case .integers(let order)? = node.attributes["perm"] else { return time.with(axis: rank - 1 - time.axis) }
        return order.firstIndex(of: Int64(time.axis)).map { time.with(axis: $0) }
    }

    func reshaped(_ time: TimeAxis, from old: [Int], to new: [Int]) -> TimeAxis? {
        let extent = old[time.axis]
        let before = old[..<time.axis].reduce(1, *)
        guard extent > 1 else { return nil }
        for axis in new.indices where new[axis] == extent && new[..<axis].reduce(1, *) == before {
            return time.with(axis: axis)
        }
        return nil
    }

    func sliced(_ node: Node, _ time: TimeAxis) throws(ModelError) -> TimeAxis? {
        let plain = View(Operand(buffer: 0, count: 0), shape: shape(node.inputs[0]))
        let view = try compiler.sliced(node, plain)
        let step = plain.strides[time.axis]
        // Turned round, a tick would move the other way.
        guard view.shape[time.axis] == 1 || view.strides[time.axis] == step else { return nil }
        if view.shape[time.axis] == plain.shape[time.axis] { return time }
        // A part of the ticks, and of nothing else.
        var rest = view.shape
        rest[time.axis] = plain.shape[time.axis]
        guard rest == plain.shape else { return nil }
        return time.moved(by: view.start / step, extent: view.shape[time.axis])
    }

    func padded(_ node: Node, _ time: TimeAxis) throws(ModelError) -> TimeAxis? {
        let amounts = try compiler.padAmounts(node, rank: shape(node.inputs[0]).count)
        if amounts.before[time.axis] == 0, amounts.after[time.axis] == 0 { return time }
        // Ticks are added to those there are, and nothing else; what is added is not read.
        for axis in amounts.before.indices where axis != time.axis {
            guard amounts.before[axis] == 0, amounts.after[axis] == 0 else { return nil }
        }
        return time.moved(by: -amounts.before[time.axis], extent: shape(node.outputs[0])[time.axis])
    }

    mutating func slid(_ node: Node, _ time: TimeAxis) throws(ModelError) -> TimeAxis? {
        // The places of maxima are places in the window.
        if node.outputs.count > 1 { return nil }
        if time.axis == 0 { return time }
        let extents = shape(node.inputs[0])
        guard time.axis >= 2 else { return nil }
        let kernel: [Int]
        var roundsUp = false
        if node.operatorName == "Conv" {
            kernel = Array(shape(node.inputs[1])[2...])
        } else {
            guard case .integers(let stated)? = node.attributes["kernel_shape"] else { return nil }
            kernel = stated.map { Int($0) }
            roundsUp = try compiler.integerAttribute(node, "ceil_mode", default: 0) != 0
        }
        let window = try compiler.slidingWindow(
            node, extents: Array(extents[2...]), kernel: kernel, roundsUp: roundsUp)
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

    func multiplied(_ node: Node) throws(ModelError) -> TimeAxis? {
        let (first, second) = (node.inputs[0], node.inputs[1])
        let isGemm = node.operatorName == "Gemm"
        let transposesFirst = try compiler.integerAttribute(node, "transA", default: 0) != 0
        if isGemm, node.inputs.count > 2, !node.inputs[2].isEmpty {
            guard isConstant(node.inputs[2]), extent(node.inputs[2], axis: 0, rank: 2) == 1 else { return nil }
        }
        let rank = shape(node.outputs[0]).count
        if let time = times[first], isConstant(second), shape(second).count <= 2 {
            let kept = transposesFirst ? 1 : time.axis
            guard transposesFirst ? time.axis == 1 : time.axis != shape(first).count - 1 else { return nil }
            return time.with(axis: transposesFirst ? kept - 1 : time.axis)
        }
        if !isGemm, let time = times[second], isConstant(first), shape(first).count <= 2, shape(second).count >= 2 {
            let last = shape(second).count - 1
            // Of a constant vector the result has no rows: the axes before those stay where they are.
            if time.axis == last { return time.with(axis: rank - 1) }
            return time.axis < last - 1 ? time : nil
        }
        return nil
    }

    func reduced(_ node: Node, _ time: TimeAxis) throws(ModelError) -> TimeAxis? {
        let rank = shape(node.inputs[0]).count
        let since = node.operatorName == "ReduceMean" ? 18 : 13
        guard let axes = try compiler.axes(node, inputIndex: 1, since: since, rank: rank), !axes.isEmpty,
            !axes.contains(time.axis)
        else { return nil }
        let keeps = shape(node.outputs[0]).count == rank
        return time.with(axis: keeps ? time.axis : time.axis - axes.count { $0 < time.axis })
    }
}
