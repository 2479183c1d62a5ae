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
            if case .dequantized(_, let quantizer) = value.value, storage(source.operand) == .byte {
                // The bytes of a ring stay where they are; as floats they can be copied.
                var floats = value
                floats.value = .dequantized(try requantizable(source, quantizer, node), quantizer)
                return try rearranged(floats, node, transform)
            }
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
                throw refused(node, "a value of shape \(view.shape) does not fit the shape \(listed(extents))")
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
            guard graph.opset >= 18 || extent % count == 0 else {
                throw refused(node, "\(count) equal parts of axis \(axis) of shape \(value.shape)")
            }
            let part = (extent + count - 1) / count
            sizes = (0..<count).map { Int64(min(part, max(0, extent - $0 * part))) }
        }
        guard let sizes, sizes.count == node.outputs.count, sizes.allSatisfy({ $0 >= 0 && $0 <= Int64(extent) }),
            sizes.reduce(0, +) == Int64(extent)
        else { throw refused(node, "sizes \(listed(sizes ?? [])) of axis \(axis) of shape \(value.shape)") }
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
        try spendVisits(try elementCount(shape, node) + 2 * tensor.count)
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
