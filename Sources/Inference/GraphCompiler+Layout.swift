import ONNX

/// Operators that only say where elements are: no arithmetic.
extension GraphCompiler {
    /// The result of a layout operator: its shape, and for each element its place in the input; nil if all stay.
    private typealias Layout = (shape: [Int], indices: [Int]?)

    mutating func compileLayout(_ node: Node) throws(ModelError) {
        let value = try input(node, 0)
        if value.shape.contains(0) { throw refused(node, "a value of shape \(value.shape)") }
        _ = try elementCount(value.shape, node)
        let layout = try layout(node, value)
        let count = try elementCount(layout.shape, node)
        guard let indices = layout.indices else {
            let stays = value.openLinear != nil && isReadOnce(node.inputs[0])
            return try define(
                node, value.value, shape: layout.shape, openLinear: stays ? value.openLinear : nil)
        }
        precondition(indices.count == count, "A layout names a place for each element.")
        switch value.value {
        case .constant(let tensor):
            try define(node, .constant(try picked(node, tensor, indices, layout.shape)), shape: layout.shape)
        case .selection(let source, let outer):
            try define(node, .selection(source, indices.map { outer[$0] }), shape: layout.shape)
        case .operand, .affine:
            let source = try operandInput(node, 0)
            let first = indices.first ?? 0
            let isRun = indices.enumerated().allSatisfy { $1 == first + $0 }
            if isRun, first % GraphCompiler.alignment == 0 {
                let view = Operand(space: source.space, offset: source.offset + first, count: count)
                try define(node, .operand(view), shape: layout.shape)
            } else {
                try define(node, .selection(source, indices.map { Int32($0) }), shape: layout.shape)
            }
        }
    }

    /// The places of a layout operator's elements.
    private func layout(_ node: Node, _ value: ShapedValue) throws(ModelError) -> Layout {
        switch node.operatorName {
        case "Identity": return (value.shape, nil)
        case "Reshape": return (try reshaped(node, value.shape), nil)
        case "Squeeze": return (try squeezed(node, value.shape), nil)
        case "Unsqueeze": return (try unsqueezed(node, value.shape), nil)
        case "Flatten": return (try flattened(node, value.shape), nil)
        case "Transpose": return try transposed(node, value.shape)
        case "Slice": return try sliced(node, value.shape)
        default: return try gathered(node, value.shape)
        }
    }

    private func picked(
        _ node: Node, _ tensor: Tensor, _ indices: [Int], _ shape: [Int]
    ) throws(ModelError) -> Tensor {
        switch tensor.elements {
        case .float(let values):
            return Tensor(name: tensor.name, shape: shape, elements: .float(indices.map { values[$0] }))
        case .int64(let values):
            return Tensor(name: tensor.name, shape: shape, elements: .int64(indices.map { values[$0] }))
        default:
            throw refused(
                node, "constant '\(tensor.name)' is \(tensor.elementType), expected float32 or int64")
        }
    }

    /// The integers of a constant input, or nil if it is absent.
    private func integersInput(_ node: Node, _ index: Int, _ what: String) throws(ModelError) -> [Int64]? {
        guard let tensor = try constantInput(node, index, what) else { return nil }
        guard let integers = tensor.integers, tensor.shape.count <= 1, integers.count <= ModelLimits.elements
        else {
            throw refused(node, "\(what) is no list of integers")
        }
        return integers
    }

    private func strides(_ shape: [Int]) -> [Int] {
        var strides = Array(repeating: 1, count: shape.count)
        for axis in shape.indices.dropLast().reversed() {
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        }
        return strides
    }

    private func reshaped(_ node: Node, _ shape: [Int]) throws(ModelError) -> [Int] {
        try checkAttributes(node, known: ["allowzero"])
        guard let target = try integersInput(node, 1, "the shape"), target.count <= ModelLimits.rank else {
            throw refused(node, "the shape is missing or has more than \(ModelLimits.rank) dimensions")
        }
        let total = shape.reduce(1, *)
        var known = 1
        var result: [Int] = []
        for (axis, extent) in target.enumerated() {
            var extent = extent
            if extent == 0 {
                guard try integerAttribute(node, "allowzero", default: 0) == 0, axis < shape.count else {
                    throw refused(node, "an extent of 0 in the shape \(target)")
                }
                extent = Int64(shape[axis])
            }
            guard extent == -1 || (1...Int64(total)).contains(extent), result.filter({ $0 == -1 }).count <= 1
            else {
                throw refused(node, "a value of shape \(shape) does not fit the shape \(target)")
            }
            if extent > 0 { known = min(known * Int(extent), ModelLimits.elements + 1) }
            result.append(Int(extent))
        }
        if let axis = result.firstIndex(of: -1) {
            guard total % known == 0, result.filter({ $0 == -1 }).count == 1 else {
                throw refused(node, "a value of shape \(shape) does not fit the shape \(target)")
            }
            result[axis] = total / known
            known = total
        }
        guard known == total else {
            throw refused(node, "a value of shape \(shape) does not fit the shape \(target)")
        }
        return result
    }

    private func squeezed(_ node: Node, _ shape: [Int]) throws(ModelError) -> [Int] {
        try checkAttributes(node, known: [])
        guard let axes = try integersInput(node, 1, "the axes") else { return shape.filter { $0 != 1 } }
        var removed: Set<Int> = []
        for value in axes {
            let axis = try axis(node, value, rank: shape.count)
            guard shape[axis] == 1 else { throw refused(node, "axis \(axis) of shape \(shape) is not 1") }
            removed.insert(axis)
        }
        return shape.indices.filter { !removed.contains($0) }.map { shape[$0] }
    }

    private func unsqueezed(_ node: Node, _ shape: [Int]) throws(ModelError) -> [Int] {
        try checkAttributes(node, known: [])
        guard let axes = try integersInput(node, 1, "the axes") else {
            throw refused(node, "the axes are missing")
        }
        guard axes.count + shape.count <= ModelLimits.rank else {
            throw refused(node, "more than \(ModelLimits.rank) dimensions")
        }
        let rank = axes.count + shape.count
        var added: Set<Int> = []
        for value in axes {
            guard added.insert(try axis(node, value, rank: rank)).inserted else {
                throw refused(node, "axis \(value) stands twice")
            }
        }
        var rest = shape[...]
        return (0..<rank).map { added.contains($0) ? 1 : rest.removeFirst() }
    }

    private func flattened(_ node: Node, _ shape: [Int]) throws(ModelError) -> [Int] {
        try checkAttributes(node, known: ["axis"])
        let value = try integerAttribute(node, "axis", default: 1)
        let axis = value == Int64(shape.count) ? shape.count : try axis(node, value, rank: shape.count)
        return [shape[..<axis].reduce(1, *), shape[axis...].reduce(1, *)]
    }

    private func transposed(_ node: Node, _ shape: [Int]) throws(ModelError) -> Layout {
        try checkAttributes(node, known: ["perm"])
        var order = Array(shape.indices.reversed())
        switch node.attributes["perm"] {
        case nil: break
        case .integers(let perm) where perm.sorted() == shape.indices.map({ Int64($0) }):
            order = perm.map { Int($0) }
        default: throw refused(node, "attribute 'perm' is no order of the axes of shape \(shape)")
        }
        let result = order.map { shape[$0] }
        // Moving axes of extent 1 moves nothing.
        let moved = order.filter { shape[$0] != 1 }
        if moved == moved.sorted() { return (result, nil) }
        let strides = strides(shape)
        return (result, GraphCompiler.indices(shape: result, strides: order.map { strides[$0] }))
    }

    private func sliced(_ node: Node, _ shape: [Int]) throws(ModelError) -> Layout {
        try checkAttributes(node, known: [])
        guard let starts = try integersInput(node, 1, "the starts"),
            let ends = try integersInput(node, 2, "the ends"),
            starts.count == ends.count
        else { throw refused(node, "starts and ends are missing or differ in number") }
        let axes = try integersInput(node, 3, "the axes") ?? (0..<Int64(starts.count)).map { $0 }
        let steps = try integersInput(node, 4, "the steps") ?? Array(repeating: 1, count: starts.count)
        guard axes.count == starts.count, steps.count == starts.count, starts.count <= shape.count else {
            throw refused(node, "starts, axes and steps differ in number")
        }
        var result = shape
        var strides = strides(shape)
        var first = 0
        var seen: Set<Int> = []
        for index in starts.indices {
            let axis = try axis(node, axes[index], rank: shape.count)
            guard steps[index] > 0 else { throw refused(node, "a step of \(steps[index]) is not supported") }
            guard seen.insert(axis).inserted else { throw refused(node, "axis \(axis) stands twice") }
            let extent = Int64(shape[axis])
            func place(_ value: Int64) -> Int64 { min(max(value < 0 ? value + extent : value, 0), extent) }
            let start = place(starts[index])
            let end = place(ends[index])
            guard start < end else { throw refused(node, "nothing is left of axis \(axis)") }
            let step = min(steps[index], extent)
            result[axis] = Int((end - start + step - 1) / step)
            first += Int(start) * strides[axis]
            strides[axis] *= Int(step)
        }
        return (result, GraphCompiler.indices(shape: result, strides: strides, start: first))
    }

    private func gathered(_ node: Node, _ shape: [Int]) throws(ModelError) -> Layout {
        try checkAttributes(node, known: ["axis"])
        let axis = try axis(node, try integerAttribute(node, "axis", default: 0), rank: shape.count)
        guard let tensor = try constantInput(node, 1, "the indices"), let wanted = tensor.integers else {
            throw refused(node, "the indices are no constant integers")
        }
        let result = shape[..<axis] + tensor.shape + shape[(axis + 1)...]
        _ = try elementCount(Array(result), node)
        let strides = strides(shape)
        var places: [Int] = []
        for value in wanted {
            places.append(try self.axis(node, value, rank: shape[axis]) * strides[axis])
        }
        let outer = GraphCompiler.indices(shape: Array(shape[..<axis]), strides: Array(strides[..<axis]))
        let inner = GraphCompiler.indices(
            shape: Array(shape[(axis + 1)...]), strides: Array(strides[(axis + 1)...]))
        let indices = outer.flatMap { base in places.flatMap { place in inner.map { base + place + $0 } } }
        return (Array(result), indices)
    }

    mutating func compileConcat(_ node: Node) throws(ModelError) {
        try checkAttributes(node, known: ["axis"])
        var parts: [ShapedValue] = []
        for index in node.inputs.indices { parts.append(try input(node, index)) }
        guard let first = parts.first, node.attributes["axis"] != nil else {
            throw refused(node, "inputs or attribute 'axis' are missing")
        }
        let axis = try axis(node, try integerAttribute(node, "axis", default: 0), rank: first.shape.count)
        var shape = first.shape
        shape[axis] = 0
        for part in parts {
            var other = part.shape
            guard other.count == shape.count else {
                throw refused(node, "inputs of different numbers of dimensions")
            }
            let extent = other[axis]
            other[axis] = shape[axis]
            guard other == shape, extent <= ModelLimits.elements else {
                throw refused(node, "an input of shape \(part.shape) does not fit \(first.shape)")
            }
            shape[axis] += extent
            guard shape[axis] <= ModelLimits.elements else {
                throw refused(node, "a result of shape \(shape)")
            }
        }
        let destination = try allocate(try elementCount(shape, node))
        let outerCount = shape[..<axis].reduce(1, *)
        let innerCount = shape[(axis + 1)...].reduce(1, *)
        var offset = 0
        for outer in 0..<outerCount {
            for index in parts.indices {
                let source = try operandInput(node, index)
                let count = parts[index].shape[axis] * innerCount
                let from = Operand(space: source.space, offset: source.offset + outer * count, count: count)
                let to = Operand(space: .arena, offset: destination.offset + offset, count: count)
                try append(
                    Layer(name: node.name, operation: .copy(source: from), destination: to, shape: shape))
                offset += count
            }
        }
        try define(node, .operand(destination), shape: shape)
    }
}
