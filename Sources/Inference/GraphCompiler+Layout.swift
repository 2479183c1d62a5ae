import ONNX

/// Operators that only say where elements are: no arithmetic.
extension GraphCompiler {
    private static let viewOperators: Set<String> = [
        "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Expand",
    ]

    /// Compiles a layout operator; false if the node is none.
    mutating func compileLayout(_ node: Node) throws(ModelError) -> Bool {
        switch node.operatorName {
        case let name where GraphCompiler.viewOperators.contains(name): try compileView(node)
        case "Split": try compileSplit(node)
        case "Gather": try compileGather(node)
        case "Concat": try compileConcat(node)
        case "Pad": try compilePad(node)
        default: return false
        }
        return true
    }

    private mutating func compileView(_ node: Node) throws(ModelError) {
        let value = try input(node, 0)
        let result = try rearranged(value, node) { compiler, view throws(ModelError) in
            try compiler.transformed(node, view)
        }
        let keepsOrder = ["Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"].contains(node.operatorName)
        let stays = keepsOrder && value.openLinear != nil && isReadOnce(node.inputs[0])
        try define(
            node, result.value, value.type, shape: result.shape, openLinear: stays ? value.openLinear : nil,
            range: value.range)
    }

    /// A value after a change of its layout: pending maps stay pending.
    mutating func rearranged(
        _ value: ShapedValue, _ node: Node,
        _ transform: (borrowing GraphCompiler, View) throws(ModelError) -> View?
    ) throws(ModelError) -> (value: Value, shape: [Int]) {
        let source: View
        switch value.value {
        case .constant: source = try view(of: value, node)
        case .view(let view), .affine(let view, _, _), .quantized(let view, _), .dequantized(let view, _): source = view
        }
        let result: View
        if let view = try transform(self, source) {
            result = view
        } else {
            let copy = View(try contiguous(source, node), shape: source.shape)
            guard let view = try transform(self, copy) else { throw refused(node, "its layout is not supported") }
            result = view
        }
        switch value.value {
        case .constant, .view: return (.view(result), result.shape)
        case .quantized(_, let quantizer): return (.quantized(result, quantizer), result.shape)
        case .dequantized(_, let quantizer): return (.dequantized(result, quantizer), result.shape)
        case .affine(_, let scale, let offset):
            // Where the elements of the arrays go: what the layout does to a value that is in row-major order.
            let plain = View(Operand(buffer: source.operand.buffer, count: scale.count), shape: value.shape)
            guard let order = try transform(self, plain)?.indices else { throw refused(node, "its layout") }
            return (.affine(result, scale: order.map { scale[$0] }, offset: order.map { offset[$0] }), result.shape)
        }
    }

    /// The view that an operator makes of one, or nil where the elements must be copied into row-major order first.
    private func transformed(_ node: Node, _ view: View) throws(ModelError) -> View? {
        switch node.operatorName {
        case "Identity":
            try checkAttributes(node, known: [])
            return view
        case "Reshape": return view.reshaped(try reshaped(node, view.shape))
        case "Squeeze": return view.reshaped(try squeezed(node, view.shape))
        case "Unsqueeze": return view.reshaped(try unsqueezed(node, view.shape))
        case "Flatten": return view.reshaped(try flattened(node, view.shape))
        case "Transpose": return try transposed(node, view)
        case "Expand":
            try checkAttributes(node, known: [])
            guard let extents = try integersInput(node, 1, "the shape") else { throw refused(node, "no shape") }
            let target = try shape(extents, node)
            guard let wide = broadcastShape(view.shape, target), let result = view.broadcast(to: wide) else {
                throw refused(node, "a value of shape \(view.shape) does not fit the shape \(extents)")
            }
            try elementCount(wide, node)
            return result
        default: return try sliced(node, view)
        }
    }

    private func reshaped(_ node: Node, _ shape: [Int]) throws(ModelError) -> [Int] {
        try checkAttributes(node, known: ["allowzero"])
        guard let target = try integersInput(node, 1, "the shape"), target.count <= ModelLimits.rank else {
            throw refused(node, "the shape is missing or has more than \(ModelLimits.rank) dimensions")
        }
        let misfit = refused(node, "a value of shape \(shape) does not fit the shape \(target)")
        let keepsZero = try integerAttribute(node, "allowzero", default: 0) == 0
        let total = shape.reduce(1, *)
        var known = 1
        var open: Int?
        var result: [Int] = []
        for (axis, extent) in target.enumerated() {
            switch extent {
            case -1:
                guard open == nil else { throw misfit }
                open = axis
                result.append(1)
                continue
            case 0 where keepsZero:
                guard axis < shape.count else { throw misfit }
                result.append(shape[axis])
            case 0...Int64(max(total, ModelLimits.elements)): result.append(Int(extent))
            default: throw misfit
            }
            known = min(known * result[axis], ModelLimits.elements + 1)
        }
        if let open {
            guard known > 0, total % known == 0 else { throw misfit }
            result[open] = total / known
            known = total
        }
        guard known == total else { throw misfit }
        return result
    }

    private func squeezed(_ node: Node, _ shape: [Int]) throws(ModelError) -> [Int] {
        try checkAttributes(node, known: ["axes"])
        guard let axes = try axes(node, inputIndex: 1, since: 13, rank: shape.count) else {
            return shape.filter { $0 != 1 }
        }
        for axis in axes where shape[axis] != 1 { throw refused(node, "axis \(axis) of shape \(shape) is not 1") }
        return shape.indices.filter { !axes.contains($0) }.map { shape[$0] }
    }

    private func unsqueezed(_ node: Node, _ shape: [Int]) throws(ModelError) -> [Int] {
        try checkAttributes(node, known: ["axes"])
        let count =
            graph.opset < 13
            ? try integersAttribute(node, "axes")?.count : try integersInput(node, 1, "the axes")?.count
        guard let count, count + shape.count <= ModelLimits.rank else {
            throw refused(node, "the axes are missing, or there are more than \(ModelLimits.rank) dimensions")
        }
        let rank = count + shape.count
        let axes = try axes(node, inputIndex: 1, since: 13, rank: rank) ?? []
        var rest = shape[...]
        return (0..<rank).map { axes.contains($0) ? 1 : rest.removeFirst() }
    }

    private func flattened(_ node: Node, _ shape: [Int]) throws(ModelError) -> [Int] {
        try checkAttributes(node, known: ["axis"])
        let value = try integerAttribute(node, "axis", default: 1)
        let axis = value == Int64(shape.count) ? shape.count : try axis(node, value, rank: shape.count)
        return [shape[..<axis].reduce(1, *), shape[axis...].reduce(1, *)]
    }

    private func transposed(_ node: Node, _ view: View) throws(ModelError) -> View {
        try checkAttributes(node, known: ["perm"])
        guard let order = try integersAttribute(node, "perm") else {
            return view.permuted(view.shape.indices.reversed())
        }
        guard order.sorted() == view.shape.indices.map({ Int64($0) }) else {
            throw refused(node, "attribute 'perm' is no order of the axes of shape \(view.shape)")
        }
        return view.permuted(order.map { Int($0) })
    }

    // MARK: Parts

    func sliced(_ node: Node, _ view: View) throws(ModelError) -> View {
        let starts: [Int64]?
        let ends: [Int64]?
        var axes: [Int64]?
        var steps: [Int64]?
        if graph.opset < 10 {
            try checkAttributes(node, known: ["starts", "ends", "axes"])
            starts = try integersAttribute(node, "starts")
            ends = try integersAttribute(node, "ends")
            axes = try integersAttribute(node, "axes")
        } else {
            try checkAttributes(node, known: [])
            starts = try integersInput(node, 1, "the starts")
            ends = try integersInput(node, 2, "the ends")
            axes = try integersInput(node, 3, "the axes")
            steps = try integersInput(node, 4, "the steps")
        }
        guard let starts, let ends, starts.count == ends.count else {
            throw refused(node, "starts and ends are missing or differ in number")
        }
        let places = axes ?? starts.indices.map { Int64($0) }
        let strides = steps ?? Array(repeating: 1, count: starts.count)
        guard places.count == starts.count, strides.count == starts.count, starts.count <= view.shape.count else {
            throw refused(node, "starts, axes and steps differ in number")
        }
        var result = view
        var seen: Set<Int> = []
        for index in starts.indices {
            let axis = try axis(node, places[index], rank: view.shape.count)
            guard seen.insert(axis).inserted else { throw refused(node, "axis \(axis) stands twice") }
            guard strides[index] != 0, strides[index] > Int64(Int32.min) else {
                throw refused(node, "a step of \(strides[index])")
            }
            result = result.sliced(axis, from: starts[index], to: ends[index], by: strides[index])
        }
        return result
    }

    private mutating func compileSplit(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["axis", "split", "num_outputs"])
        let value = try input(node, 0)
        let axis = try axis(node, try integerAttribute(node, "axis", default: 0), rank: value.shape.count)
        let extent = value.shape[axis]
        var sizes =
            graph.opset < 13
            ? try integersAttribute(node, "split") : try integersInput(node, 1, "the sizes")
        if sizes == nil {
            let count = Int(
                clamping: try integerAttribute(node, "num_outputs", default: Int64(node.outputs.count)))
            guard count > 0, count == node.outputs.count else {
                throw refused(node, "\(node.outputs.count) outputs, expected \(count)")
            }
            let part = (extent + count - 1) / count
            sizes = (0..<count).map { Int64(min(part, max(0, extent - $0 * part))) }
        }
        guard let sizes, sizes.count == node.outputs.count, sizes.allSatisfy({ $0 >= 0 && $0 <= Int64(extent) }),
            sizes.reduce(0, +) == Int64(extent)
        else { throw refused(node, "sizes \(sizes ?? []) of axis \(axis) of shape \(value.shape)") }
        var start: Int64 = 0
        for (output, size) in sizes.enumerated() {
            let (from, to) = (start, start + size)
            let part = try rearranged(value, node) { _, view in view.sliced(axis, from: from, to: to, by: 1) }
            try define(node, part.value, value.type, shape: part.shape, output: output, range: value.range)
            start += size
        }
    }

    private mutating func compileGather(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["axis"])
        let value = try input(node, 0)
        let axis = try axis(node, try integerAttribute(node, "axis", default: 0), rank: value.shape.count)
        guard case .constant(let tensor) = try input(node, 1).value else {
            return try compileRuntimeGather(node, value, axis: axis)
        }
        guard let wanted = tensor.integers else { throw refused(node, "the indices are no integers") }
        let shape = Array(value.shape[..<axis]) + tensor.shape + Array(value.shape[(axis + 1)...])
        try elementCount(shape, node)
        var places: [Int] = []
        for index in wanted { places.append(try self.axis(node, index, rank: value.shape[axis])) }
        // Equal steps are a slice; anything else is copied.
        if tensor.shape.count <= 1, let first = places.first {
            let step = places.count > 1 ? places[1] - first : 1
            if step != 0, places.enumerated().allSatisfy({ $1 == first + $0 * step }) {
                let result = try rearranged(value, node) { _, view in
                    var picked = view
                    picked.start += first * view.strides[axis]
                    if tensor.shape.isEmpty {
                        picked.shape.remove(at: axis)
                        picked.strides.remove(at: axis)
                    } else {
                        picked.shape[axis] = places.count
                        picked.strides[axis] *= step
                    }
                    return picked
                }
                return try define(node, result.value, value.type, shape: result.shape, range: value.range)
            }
        }
        let view = try viewInput(node, 0)
        let outer = View.indices(shape: Array(view.shape[..<axis]), strides: Array(view.strides[..<axis]))
        let inner = View.indices(shape: Array(view.shape[(axis + 1)...]), strides: Array(view.strides[(axis + 1)...]))
        let indices = outer.flatMap { base in
            places.flatMap { place in inner.map { Int32(view.start + base + place * view.strides[axis] + $0) } }
        }
        let operand = try gathered(view.operand, indices, shape: shape, node)
        try define(node, .view(View(operand, shape: shape)), value.type, shape: shape, range: value.range)
    }

    // MARK: Joining and padding

    private mutating func compileConcat(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["axis"])
        if let output = node.outputs.first, let ring = ringStates[output] { return try joinRing(node, ring) }
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
                    node, .general(GeneralOperation(.gather(from[begin..<end].map { Int32($0) }, fill: 0), [source.operand])),
                    to: target.operand.part(to[begin], end - begin), shape: target.shape)
                begin = end
            }
            return
        }
        var runs: [CopyRun] = []
        for (index, place) in zip(from, to) {
            if let last = runs.last, Int(last.source + last.count) == index, Int(last.destination + last.count) == place {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(CopyRun(source: Int32(index), destination: Int32(place), count: 1))
            }
        }
        try append(node, .place(source: source.operand, runs: runs), to: target.operand, shape: target.shape)
    }

    private mutating func compilePad(_ node: Node) throws(ModelError) {
        let value = try input(node, 0)
        let mode = try stringAttribute(node, "mode", default: "constant")
        var fill: Double = 0
        if graph.opset < 11 {
            try checkAttributes(node, known: ["mode", "pads", "value"])
            fill = Double(try floatAttribute(node, "value", default: 0))
        } else {
            try checkAttributes(node, known: ["mode"])
            if let tensor = try constantInput(node, 2, "the fill") {
                guard tensor.count == 1, let number = tensor.numbers?.first else {
                    throw refused(node, "a fill of \(tensor.count) elements")
                }
                fill = number
            }
        }
        let amounts = try padAmounts(node, rank: value.shape.count)
        if case .dequantized(let view, let quantizer) = value.value, quantizer.keepsZero, fill == 0, mode == "constant",
            storage(view.operand) == .float
        {
            let padded = try self.padded(view, before: amounts.before, after: amounts.after, fill: 0, node)
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
        guard amounts.count == 2 * axes.count, Set(axes).count == axes.count else {
            throw refused(node, "\(amounts.count) pads for \(axes.count) axes")
        }
        var before = Array(repeating: 0, count: rank)
        var after = before
        for (index, axis) in axes.enumerated() {
            let (low, high) = (amounts[index], amounts[axes.count + index])
            guard abs(low) <= Int64(ModelLimits.elements), abs(high) <= Int64(ModelLimits.elements) else {
                throw refused(node, "pads of \(low) and \(high)")
            }
            (before[axis], after[axis]) = (Int(low), Int(high))
        }
        return (before, after)
    }

    /// A copy with elements added before and after along each axis (negative counts take away).
    mutating func padded(
        _ view: View, before: [Int], after: [Int], mode: String = "constant", fill: Double, _ node: Node
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
                node, .gather(source: view.operand, indices: list, fill: Float(fill)), to: destination, shape: shape)
        } else {
            try append(
                node, .general(GeneralOperation(.gather(list, fill: fill), [view.operand])), to: destination,
                shape: shape)
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

extension View {
    /// Part of an axis by the rules of `Slice`: negative places count from the end, all are clamped.
    func sliced(_ axis: Int, from start: Int64, to end: Int64, by step: Int64) -> View {
        let extent = Int64(shape[axis])
        func place(_ value: Int64, _ low: Int64, _ high: Int64) -> Int64 {
            min(max(value < 0 ? value &+ extent : value, low), high)
        }
        let first = step > 0 ? place(start, 0, extent) : place(start, 0, extent - 1)
        let last = step > 0 ? place(end, 0, extent) : place(end, -1, extent - 1)
        let size = step > 0 ? last - first : first - last
        let count = size > 0 ? (size - 1) / abs(step) + 1 : 0
        var result = self
        result.shape[axis] = Int(count)
        if count > 0 { result.start += Int(first) * strides[axis] }
        result.strides[axis] = count > 1 ? strides[axis] * Int(step) : strides[axis]
        return result
    }
}
