import ONNX

/// Values that are put together, and what is put around them.
extension GraphCompiler {
    mutating func compileConcat(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["axis"])
        if let output = node.outputs.first, let ring = ringStates[output], try joinRing(node, ring) { return }
        let first = try input(node, 0)
        guard node.attributes["axis"] != nil else { throw refused(node, "attribute 'axis' is missing") }
        let axis = try axis(node, try integerAttribute(node, "axis", default: 0), rank: first.shape.count)
        var shape = first.shape
        shape[axis] = 0
        var parts: [View] = []
        for index in node.inputs.indices {
            let part = try viewInput(node, index)
            var other = part.shape
            guard other.count == shape.count, try input(node, index).type == first.type else {
                throw refused(node, "inputs of different numbers of dimensions or types")
            }
            let extent = other[axis]
            other[axis] = shape[axis]
            guard other == shape else {
                throw refused(node, "an input of shape \(part.shape) does not fit \(first.shape)")
            }
            shape[axis] += extent
            try elementCount(shape, node)
            parts.append(part)
        }
        let destination = try allocate(try elementCount(shape, node), Storage(first.type))
        // In the order in which the first part lies, so that its elements move in runs.
        let strides = parts[0].strides
        let order = shape.indices.sorted { (abs(strides[$1]), $0) < (abs(strides[$0]), $1) }
        let back = shape.indices.map { axis in order.firstIndex(of: axis) ?? axis }
        let whole = View(destination, shape: order.map { shape[$0] }).permuted(back)
        var start: Int64 = 0
        for part in parts where part.count > 0 {
            let end = start + Int64(part.shape[axis])
            let target = whole.sliced(axis, from: start, to: end, by: 1)
            try copy(part.permuted(order), into: target.permuted(order), node)
            start = end
        }
        try define(node, .view(whole), first.type, shape: shape)
    }

    /// Copies the elements of a view to the places of another one of the same shape.
    private mutating func copy(_ source: View, into target: View, _ node: Node) throws(ModelError) {
        let from = source.indices
        let to = target.indices
        guard storage(source.operand) == .float else {
            var begin = 0
            while begin < to.count {
                var end = begin + 1
                while end < to.count, to[end] == to[end - 1] + 1 { end += 1 }
                try append(
                    node,
                    .general(GeneralOperation(.gather(from[begin..<end].map { Int32($0) }, fill: 0), [source.operand])),
                    to: target.operand.part(to[begin], end - begin), shape: target.shape)
                begin = end
            }
            return
        }
        var runs: [CopyRun] = []
        for (index, place) in zip(from, to) {
            if let last = runs.last, Int(last.source + last.count) == index, Int(last.destination + last.count) == place
            {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(CopyRun(source: Int32(index), destination: Int32(place), count: 1))
            }
        }
        try append(node, .place(source: source.operand, runs: runs), to: target.operand, shape: target.shape)
    }

    mutating func compilePad(_ node: Node) throws(ModelError) {
        let value = try input(node, 0)
        let mode = try stringAttribute(node, "mode", default: "constant")
        var fill = Fill.number(0)
        if graph.opset < 11 {
            try checkAttributes(node, known: ["mode", "pads", "value"])
            fill = .number(Double(try floatAttribute(node, "value", default: 0)))
        } else {
            try checkAttributes(node, known: ["mode"])
            if let tensor = try constantInput(node, 2, "the fill") {
                guard tensor.count == 1, tensor.elementType == value.type else {
                    throw refused(
                        node,
                        "a fill of \(tensor.count) elements of \(tensor.elementType), expected one of \(value.type)")
                }
                fill = tensor.integerValues?.first.map { .integer($0) } ?? .number(tensor.doubles?.first ?? 0)
            }
        }
        let amounts = try padAmounts(node, rank: value.shape.count)
        if case .dequantized(let view, let quantizer) = value.value, quantizer.keepsZero, fill.number == 0,
            mode == "constant"
        {
            let floats = try requantizable(view, quantizer, node)
            let padded = try self.padded(
                floats, before: amounts.before, after: amounts.after, fill: .number(0), node)
            return try define(node, .dequantized(padded, quantizer), .float, shape: padded.shape)
        }
        let padded = try self.padded(
            try viewInput(node, 0), before: amounts.before, after: amounts.after, mode: mode, fill: fill, node)
        try define(node, .view(padded), value.type, shape: padded.shape)
    }

    /// What a `Pad` adds before and after each axis.
    func padAmounts(_ node: Node, rank: Int) throws(ModelError) -> (before: [Int], after: [Int]) {
        var axes = Array(0..<rank)
        let amounts: [Int64]
        if graph.opset < 11 {
            amounts = try integersAttribute(node, "pads") ?? []
        } else {
            amounts = try integersInput(node, 1, "the pads") ?? []
            if let named = try integersInput(node, 3, "the axes") {
                axes = try named.map { value throws(ModelError) in try axis(node, value, rank: rank) }
            }
        }
        guard amounts.count == 2 * axes.count else {
            throw refused(node, "\(amounts.count) pads for \(axes.count) axes")
        }
        guard Set(axes).count == axes.count else { throw refused(node, "an axis stands twice in \(listed(axes))") }
        var before = Array(repeating: 0, count: rank)
        var after = before
        for (index, axis) in axes.enumerated() {
            let (low, high) = (amounts[index], amounts[axes.count + index])
            guard low.magnitude <= ModelLimits.elements, high.magnitude <= ModelLimits.elements else {
                throw refused(node, "pads of \(low) and \(high)")
            }
            (before[axis], after[axis]) = (Int(low), Int(high))
        }
        return (before, after)
    }

    /// A copy with elements added before and after along each axis (negative counts take away).
    mutating func padded(
        _ view: View, before: [Int], after: [Int], mode: String = "constant", fill: Fill, _ node: Node
    ) throws(ModelError) -> View {
        guard ["constant", "reflect", "edge", "wrap"].contains(mode) else { throw refused(node, "mode '\(mode)'") }
        var shape: [Int] = []
        var indices: [Int] = [view.start]
        for axis in view.shape.indices {
            let extent = view.shape[axis]
            let size = before[axis] + extent + after[axis]
            guard size >= 0 else { throw refused(node, "axis \(axis) of shape \(view.shape) has nothing left") }
            shape.append(size)
            try elementCount(shape, node)
            let places = (0..<size).map { GraphCompiler.place($0 - before[axis], extent: extent, mode: mode) }
            indices = indices.flatMap { base in
                places.map { $0 < 0 || base == .min ? .min : base + $0 * view.strides[axis] }
            }
        }
        let list = indices.map { $0 == .min ? Int32(-1) : Int32($0) }
        let destination = try allocate(list.count, storage(view.operand))
        if storage(view.operand) == .float {
            try append(
                node, .gather(source: view.operand, indices: list, fill: Float(fill.number)), to: destination,
                shape: shape)
        } else {
            let kind = GeneralOperation.Kind.gather(list, fill: fill.bits(storage(view.operand)))
            try append(node, .general(GeneralOperation(kind, [view.operand])), to: destination, shape: shape)
        }
        return View(destination, shape: shape)
    }

    /// The place inside of an axis that stands for one outside of it, or -1 for the fill.
    private static func place(_ place: Int, extent: Int, mode: String) -> Int {
        if place >= 0, place < extent { return place }
        guard extent > 0 else { return -1 }
        switch mode {
        case "edge": return place < 0 ? 0 : extent - 1
        case "wrap": return (place % extent + extent) % extent
        case "reflect":
            guard extent > 1 else { return 0 }
            let period = 2 * (extent - 1)
            let folded = (place % period + period) % period
            return folded < extent ? folded : period - folded
        default: return -1
        }
    }
}

/// What stands where a value has no element.
enum Fill {
    case number(Double)
    /// Of a value of integers, each of which a 64-bit float need not hold.
    case integer(Int64)

    var number: Double {
        switch self {
        case .number(let number): number
        case .integer(let integer): Double(integer)
        }
    }

    /// The bits of an element of 8 bytes.
    func bits(_ storage: Storage) -> Int64 {
        if storage == .double { return Int64(bitPattern: number.bitPattern) }
        if case .integer(let integer) = self { return integer }
        return Int64(clampedFrom: number)
    }
}
