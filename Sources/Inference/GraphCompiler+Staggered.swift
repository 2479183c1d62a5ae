import ONNX

/// A value of which each window that is under way has its own row: the windows that began with this tick, with the one
/// before, and so on to the one that ends with this tick.
struct StaggeredValue {
    /// The row of the window that ends with this tick: what the outputs need.
    var last: GraphCompiler.ShapedValue
    /// The rows of the others, the youngest first.
    var rest: GraphCompiler.ShapedValue
    var axis: Int
}

/// Recurrent nodes that start from zeros at the first tick of a window.
///
/// Run one tick at a time, every window that is under way takes its own step: only the one that ends with this tick
/// keeps the outputs waiting, and its product of the hidden state is there already. The others take their steps when
/// the outputs are out, as many rows of one product. The bits are those of the window computed anew, because each row is
/// summed in the same order.
extension GraphCompiler {
    mutating func compileStaggered(_ node: Node, _ plan: StreamPlan) throws(ModelError) {
        guard plan.staggered[node.key] != nil else { return try compileLastRow(node) }
        guard ["LSTM", "GRU", "RNN"].contains(node.operatorName) else { return try compileRows(node, plan) }
        let name = node.inputs[0]
        let before = values[name]
        defer { values[name] = before }
        guard let rows = plan.windowTicks[node.key] else { throw refused(node, "a window of no ticks") }
        var sums: (last: Operand, rest: [Operand])
        var shape: Recurrence
        if let stagger = staggers[name] {
            values[name] = stagger.last
            shape = try recurrence(node)
            let last = try inputProducts(node, shape, 0)
            values[name] = stagger.rest
            var others = shape
            others.steps = rows - 1
            let rest = try inputProducts(node, others, 0)
            sums = (last.operand, (0..<rows - 1).map { rest.operand.part($0 * rest.rowWidth, rest.rowWidth) })
        } else {
            values[name] = try ticks(name, from: 0, to: 0, node)
            shape = try recurrence(node)
            // The same tick for all windows.
            let product = try inputProducts(node, shape, 0)
            sums = (product.operand, Array(repeating: product.operand, count: rows - 1))
        }
        shape.steps = rows
        try compileWindows(node, shape, sums)
    }

    /// One step of each window.
    private mutating func compileWindows(
        _ node: Node, _ shape: Recurrence, _ sums: (last: Operand, rest: [Operand])
    ) throws(ModelError) {
        let (rows, width) = (shape.steps, shape.paddedUnits)
        // Row r has the state after r steps; row 0 stays zero.
        let hidden = try allocate(rows * width, place: .state)
        let cell = shape.gates == 4 ? try allocate(rows * width, place: .state) : nil
        let order: OutputOrder = shape.gates == 1 ? .rows : .gates(shape.gates)
        let map = WeightMap(rows: shape.rows, columns: shape.units, rowStride: shape.units, columnStride: 1)
        let product = Node(
            name: node.name, operatorName: node.operatorName, inputs: ["\u{0}windows", node.inputs[2]], outputs: [])
        let all = View(hidden, start: 0, shape: [rows, shape.units], strides: [width, 1])
        values["\u{0}windows"] = ShapedValue(value: .view(all), type: .float, shape: all.shape)
        let hiddenSums = try appendProduct(
            product, 0, weight: 1, map, bias: try bias(node, shape, direction: 0, half: 1), scale: 1, order: order
        ) { view in
            ProductTables(
                rows: (0..<rows).map { view.start + $0 * view.strides[0] },
                columns: (0..<shape.units).map { $0 * view.strides[1] })
        }
        values["\u{0}windows"] = nil
        let last = try (allocate(shape.units), shape.gates == 4 ? allocate(shape.units) : nil)
        let rest = try (allocate((rows - 1) * width), shape.gates == 4 ? allocate((rows - 1) * width) : nil)
        for row in (0..<rows).reversed() {
            let isLast = row == rows - 1
            let kind: GateLayer.Kind = shape.gates == 4 ? .lstm : shape.gates == 3 ? .gru : .rnn(shape.activation)
            let gates = GateLayer(
                kind: kind, units: shape.units, inputSums: isLast ? sums.last : sums.rest[row],
                hiddenSums: hiddenSums.operand.part(row * hiddenSums.rowWidth, hiddenSums.rowWidth),
                hidden: hidden.part(row * width, shape.units), cell: cell?.part(row * width, shape.units),
                nextCell: isLast ? last.1 : rest.1?.part(row * width, shape.units))
            try append(
                node, .gates(gates), to: isLast ? last.0 : rest.0.part(row * width, shape.units),
                shape: [1, 1, shape.units])
        }
        list.stateUpdates.append((rest.0, hidden.part(width, (rows - 1) * width)))
        if let next = rest.1, let cell { list.stateUpdates.append((next, cell.part(width, (rows - 1) * width))) }
        try defineWindows(node, shape, last: last, rest: rest.0)
    }

    private mutating func defineWindows(
        _ node: Node, _ shape: Recurrence, last: (hidden: Operand, cell: Operand?), rest: Operand
    ) throws(ModelError) {
        func value(_ operand: Operand, _ extents: [Int], _ strides: [Int]) -> ShapedValue {
            ShapedValue(
                value: .view(View(operand, start: 0, shape: extents, strides: strides)), type: .float, shape: extents)
        }
        let (width, units, others) = (shape.paddedUnits, shape.units, shape.steps - 1)
        if let name = node.outputs.first, !name.isEmpty {
            staggers[name] = StaggeredValue(
                last: value(last.hidden, [1, 1, 1, units], [width, width, width, 1]),
                rest: value(rest, [others, 1, 1, units], [width, width, width, 1]), axis: 0)
            values[name] = staggers[name]?.last
        }
        try define(node, .view(View(last.hidden, shape: [1, 1, units])), .float, shape: [1, 1, units], output: 1)
        guard let cell = last.cell else { return }
        try define(node, .view(View(cell, shape: [1, 1, units])), .float, shape: [1, 1, units], output: 2)
    }

    /// A layout or function of each row.
    private mutating func compileRows(_ node: Node, _ plan: StreamPlan) throws(ModelError) {
        guard let source = staggers[node.inputs[0]], let axis = plan.staggered[node.key] else {
            throw refused(node, "input '\(node.inputs[0])' is not staggered")
        }
        let before = values
        func part(_ value: ShapedValue) throws(ModelError) -> ShapedValue {
            values[node.inputs[0]] = value
            let changed =
                node.operatorName == "Squeeze"
                ? try squeezing(node, keeping: source.axis)
                : try resized(node, to: value.shape[source.axis], axis: axis)
            try compile(changed)
            guard let result = values[node.key] else { throw refused(node, "it has no result") }
            return result
        }
        let last = try part(source.last)
        let rest = try part(source.rest)
        values[node.inputs[0]] = before[node.inputs[0]]
        staggers[node.key] = StaggeredValue(last: last, rest: rest, axis: axis)
        values[node.key] = last
    }

    /// A `Reshape` with another number of rows; other nodes as they are.
    private mutating func resized(_ node: Node, to rows: Int, axis: Int) throws(ModelError) -> Node {
        guard node.operatorName == "Reshape", let shape = try constantInput(node, 1, "the shape"),
            var target = shape.integers, axis < target.count, target[axis] > 0
        else { return node }
        target[axis] = Int64(rows)
        values["\u{0}shape"] = ShapedValue(
            value: .constant(Tensor(name: "shape", shape: shape.shape, elements: .int64(target))), type: .int64,
            shape: shape.shape)
        var inputs = node.inputs
        inputs[1] = "\u{0}shape"
        return Node(
            name: node.name, operatorName: node.operatorName, inputs: inputs, outputs: node.outputs,
            attributes: node.attributes)
    }

    /// A node that reads the last row only.
    private mutating func compileLastRow(_ node: Node) throws(ModelError) {
        guard let source = staggers[node.inputs[0]] else { throw refused(node, "an input is not staggered") }
        let before = values[node.inputs[0]]
        defer { values[node.inputs[0]] = before }
        values[node.inputs[0]] = source.last
        guard node.operatorName == "Gather" else {
            // A slice of the last row is that row.
            return try define(node, source.last.value, .float, shape: source.last.shape)
        }
        let shape = values[node.inputs[1]]?.shape ?? []
        let zero = Tensor(name: "first", shape: shape, elements: .int64([0]))
        values["\u{0}first"] = ShapedValue(value: .constant(zero), type: .int64, shape: shape)
        try compile(
            Node(
                name: node.name, operatorName: node.operatorName, inputs: [node.inputs[0], "\u{0}first"],
                outputs: node.outputs, attributes: node.attributes))
    }
}
