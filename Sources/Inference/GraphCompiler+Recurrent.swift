import ONNX

/// GRU, LSTM and RNN: the products of all inputs at once, then one step after the other.
extension GraphCompiler {
    /// A recurrent node's shapes, read and checked.
    struct Recurrence {
        var gates: Int
        var units: Int
        var inputs: Int
        var steps: Int
        var batch: Int
        var directions: Int
        var startsAtEnd: Bool
        var batchFirst: Bool
        /// Steps of each sequence of the batch.
        var lengths: [Int]
        var linearBeforeReset = true
        var activation = Activation.tanh

        var rows: Int { gates * units }
        var paddedUnits: Int { (units + 15) / 16 * 16 }
        /// Whether a step is one product of the hidden state, so that several steps can be taken side by side.
        var isBatched: Bool { gates != 3 || linearBeforeReset }
        var isRagged: Bool { lengths.contains { $0 < steps } }

        /// The steps of a sequence in the order in which a direction takes them.
        func order(_ direction: Int, sequence: Int) -> [Int] {
            let forward = Array(0..<lengths[sequence])
            return startsAtEnd || direction == 1 ? forward.reversed() : forward
        }
    }

    mutating func compileRecurrent(_ node: Node) throws(ModelError) {
        let shape = try recurrence(node)
        // Kept for this node alone: what lies behind the end of a sequence stays zero.
        let outputs = try allocate(
            shape.steps * shape.directions * shape.batch * shape.paddedUnits, place: shape.isRagged ? .pinned : .arena)
        var lastHidden: [Operand] = []
        var lastCell: [Operand] = []
        for direction in 0..<shape.directions {
            let products = try inputProducts(node, shape, direction)
            for sequence in 0..<shape.batch {
                let last = try compileSteps(
                    node, shape, direction: direction, sequence: sequence, products: products, outputs: outputs)
                lastHidden.append(last.hidden)
                if let cell = last.cell { lastCell.append(cell) }
            }
        }
        try defineRecurrent(node, shape, outputs: outputs, lastHidden: lastHidden, lastCell: lastCell)
    }

    // MARK: Reading the node

    func recurrence(_ node: Node) throws(ModelError) -> Recurrence {
        let gates = ["LSTM": 4, "GRU": 3, "RNN": 1][node.operatorName] ?? 1
        var known: Set<String> = ["direction", "hidden_size", "layout", "activations"]
        if gates == 3 { known.insert("linear_before_reset") }
        if gates == 4 { known.insert("input_forget") }
        try checkAttributes(node, known: known)
        let value = try input(node, 0)
        let hidden = try input(node, 2).shape
        let batchFirst = try integerAttribute(node, "layout", default: 0) != 0
        guard value.shape.count == 3, !value.shape.contains(0), hidden.count == 3, hidden[2] > 0,
            hidden[1] == gates * hidden[2], value.type == .float
        else {
            throw refused(node, "an input of shape \(value.shape) and a recurrent weight of shape \(hidden)")
        }
        let direction = try stringAttribute(node, "direction", default: "forward")
        guard ["forward", "reverse", "bidirectional"].contains(direction) else {
            throw refused(node, "attribute 'direction' is '\(direction)'")
        }
        var shape = Recurrence(
            gates: gates, units: hidden[2], inputs: value.shape[2], steps: value.shape[batchFirst ? 1 : 0],
            batch: value.shape[batchFirst ? 0 : 1], directions: direction == "bidirectional" ? 2 : 1,
            startsAtEnd: direction == "reverse", batchFirst: batchFirst, lengths: [])
        guard try input(node, 1).shape == [shape.directions, shape.rows, shape.inputs],
            hidden == [shape.directions, shape.rows, shape.units]
        else {
            throw refused(
                node,
                "an input weight of shape \(try input(node, 1).shape), expected "
                    + "[\(shape.directions), \(shape.rows), \(shape.inputs)]")
        }
        guard try integerAttribute(node, "hidden_size", default: Int64(shape.units)) == Int64(shape.units) else {
            throw refused(node, "attribute 'hidden_size' is not the \(shape.units) of the weights")
        }
        try checkActivations(node, &shape)
        shape.lengths = try lengths(node, shape)
        if gates == 3 { shape.linearBeforeReset = try integerAttribute(node, "linear_before_reset", default: 0) != 0 }
        if gates == 4 {
            guard try integerAttribute(node, "input_forget", default: 0) == 0 else {
                throw refused(node, "attribute 'input_forget' is not supported")
            }
        }
        return shape
    }

    private func checkActivations(_ node: Node, _ shape: inout Recurrence) throws(ModelError) {
        guard let attribute = node.attributes["activations"] else { return }
        guard case .strings(let names) = attribute, names.count % shape.directions == 0 else {
            throw refused(node, "attribute 'activations' is no list of names")
        }
        let expected = [4: ["Sigmoid", "Tanh", "Tanh"], 3: ["Sigmoid", "Tanh"]][shape.gates]
        let wanted = expected.map { Array(repeating: $0, count: shape.directions).flatMap { $0 } }
        if let wanted {
            guard names == wanted else { throw refused(node, "only the activations \(wanted) are supported") }
        } else {
            let functions: [String: Activation] = ["Tanh": .tanh, "Relu": .relu, "Sigmoid": .sigmoid]
            guard let name = names.first, names.allSatisfy({ $0 == name }), let function = functions[name] else {
                throw refused(node, "the activations \(listed(names)) are not supported")
            }
            shape.activation = function
        }
    }

    private func lengths(_ node: Node, _ shape: Recurrence) throws(ModelError) -> [Int] {
        guard let lengths = try integersInput(node, 4, "the sequence lengths") else {
            return Array(repeating: shape.steps, count: shape.batch)
        }
        guard lengths.count == shape.batch, lengths.allSatisfy({ $0 >= 0 && $0 <= Int64(shape.steps) }) else {
            throw refused(node, "the sequence lengths \(listed(lengths))")
        }
        return lengths.map { Int($0) }
    }

    /// One half of the bias: 0 is that of the input products, 1 that of the hidden ones.
    func bias(_ node: Node, _ shape: Recurrence, direction: Int, half: Int) throws(ModelError) -> [Float] {
        guard let tensor = try floatsInput(node, 3, "the bias"), let floats = tensor.floats else { return [] }
        guard tensor.shape == [shape.directions, 2 * shape.rows] else {
            throw refused(node, "a bias of shape \(tensor.shape), expected [\(shape.directions), \(2 * shape.rows)]")
        }
        let start = (2 * direction + half) * shape.rows
        return Array(floats[start..<start + shape.rows])
    }

    // MARK: Products

    /// The products of the inputs of every step and sequence, a row each.
    mutating func inputProducts(
        _ node: Node, _ shape: Recurrence, _ direction: Int
    ) throws(ModelError) -> ProductResult {
        let first = direction * shape.rows
        let map = WeightMap(
            rows: shape.rows, columns: shape.inputs, offset: first * shape.inputs, rowStride: shape.inputs,
            columnStride: 1)
        let (stepAxis, batchAxis) = shape.batchFirst ? (1, 0) : (0, 1)
        return try appendProduct(
            node, 0, weight: 1, map, bias: try bias(node, shape, direction: direction, half: 0), scale: 1,
            order: shape.gates == 1 ? .rows : .gates(shape.gates)
        ) { view in
            ProductTables(
                rows: View.indices(
                    shape: [shape.steps, shape.batch], strides: [view.strides[stepAxis], view.strides[batchAxis]],
                    start: view.start),
                columns: (0..<shape.inputs).map { $0 * view.strides[2] })
        }
    }

    /// The steps of one sequence in one direction; returns where the last state lies.
    private mutating func compileSteps(
        _ node: Node, _ shape: Recurrence, direction: Int, sequence: Int, products: ProductResult, outputs: Operand
    ) throws(ModelError) -> (hidden: Operand, cell: Operand?) {
        var hidden = try initialState(node, 5, shape, direction: direction, sequence: sequence)
        var cell =
            shape.gates == 4
            ? try initialState(node, 6, shape, direction: direction, sequence: sequence).operand : nil
        guard shape.lengths[sequence] > 0 else {
            // The specification leaves open where a sequence without steps ends. In ONNX Runtime it ends in zeros.
            let zeros = try allocateConstant(.float(Array(repeating: 0, count: shape.units)), .float)
            return (zeros, cell == nil ? nil : zeros)
        }
        for step in shape.order(direction, sequence: sequence) {
            let row = step * shape.batch + sequence
            let sums = products.operand.part(row * products.rowWidth, products.rowWidth)
            let place = (step * shape.directions + direction) * shape.batch + sequence
            let destination = outputs.part(place * shape.paddedUnits, shape.units)
            let nextCell = shape.gates == 4 ? try allocate(shape.units) : nil
            try compileStep(
                node, shape, direction: direction, inputSums: sums, hidden: hidden, cell: cell, nextCell: nextCell,
                destination: destination)
            hidden = (destination, nil)
            cell = nextCell
        }
        return (hidden.operand, cell)
    }

    /// A hidden state in memory, and the quantised value it is of where it is one.
    private typealias Hidden = (operand: Operand, quantized: (View, Quantization)?)

    /// The state before the first step; zeros where the graph names none.
    private mutating func initialState(
        _ node: Node, _ index: Int, _ shape: Recurrence, direction: Int, sequence: Int
    ) throws(ModelError) -> Hidden {
        guard let value = try optionalInput(node, index) else {
            let zeros = Array(repeating: Float(0), count: shape.units)
            return (try allocateConstant(.float(zeros), .float), nil)
        }
        let expected =
            shape.batchFirst
            ? [shape.batch, shape.directions, shape.units] : [shape.directions, shape.batch, shape.units]
        guard value.shape == expected, value.type == .float else {
            throw refused(node, "an initial state of shape \(value.shape), expected \(expected)")
        }
        func part(_ view: View) -> View {
            let (directionAxis, batchAxis) = shape.batchFirst ? (1, 0) : (0, 1)
            return View(
                view.operand,
                start: view.start + direction * view.strides[directionAxis] + sequence * view.strides[batchAxis],
                shape: [shape.units], strides: [view.strides[2]])
        }
        var quantized: (View, Quantization)?
        if case .dequantized(let view, let quantizer) = value.value { quantized = (part(view), quantizer) }
        let operand = try contiguous(part(try floatInput(node, index)), node)
        return (operand, quantized)
    }

    private mutating func hiddenProduct(
        _ node: Node, _ shape: Recurrence, direction: Int, hidden: Hidden, rows: Range<Int>, order: OutputOrder
    ) throws(ModelError) -> Operand {
        let first = direction * shape.rows + rows.lowerBound
        let map = WeightMap(
            rows: rows.count, columns: shape.units, offset: first * shape.units, rowStride: shape.units, columnStride: 1
        )
        let bias = try self.bias(node, shape, direction: direction, half: 1)
        // The step's hidden state stands in for the node's initial one.
        let name = "\u{0}hidden"
        let stepNode = Node(
            name: node.name, operatorName: node.operatorName, inputs: [name, node.inputs[2]], outputs: [])
        let view = View(hidden.operand, shape: [shape.units])
        let value: Value = hidden.quantized.map { .dequantized($0.0, $0.1) } ?? .view(view)
        values[name] = ShapedValue(value: value, type: .float, shape: [shape.units])
        let result = try appendProduct(
            stepNode, 0, weight: 1, map, bias: bias.isEmpty ? [] : Array(bias[rows]), scale: 1, order: order
        ) { view in
            ProductTables(rows: [view.start], columns: (0..<shape.units).map { $0 * view.strides[0] })
        }
        values[name] = nil
        return result.operand
    }

    private mutating func compileStep(
        _ node: Node, _ shape: Recurrence, direction: Int, inputSums: Operand, hidden: Hidden, cell: Operand?,
        nextCell: Operand?, destination: Operand
    ) throws(ModelError) {
        let isSplit = shape.gates == 3 && !shape.linearBeforeReset
        let rows = isSplit ? 0..<2 * shape.units : 0..<shape.rows
        let order: OutputOrder = shape.gates == 1 ? .rows : .gates(isSplit ? 2 : shape.gates)
        let hiddenSums = try hiddenProduct(
            node, shape, direction: direction, hidden: hidden, rows: rows, order: order)
        var gates = GateLayer(
            kind: .lstm, units: shape.units, inputSums: inputSums, hiddenSums: hiddenSums, hidden: hidden.operand,
            cell: cell, nextCell: nextCell)
        let result = [1, 1, shape.units]
        switch shape.gates {
        case 1: gates.kind = .rnn(shape.activation)
        case 3 where isSplit:
            gates.kind = .gruReset
            let resetHidden = try allocate(shape.units)
            try append(node, .gates(gates), to: resetHidden, shape: result)
            gates.kind = .gruCandidate
            gates.cell = try hiddenProduct(
                node, shape, direction: direction, hidden: (resetHidden, nil), rows: 2 * shape.units..<shape.rows,
                order: .rows)
        case 3: gates.kind = .gru
        default: gates.kind = try peepholes(node, shape, direction: direction).map { .peephole($0) } ?? .lstm
        }
        try append(node, .gates(gates), to: destination, shape: result)
    }

    private func peepholes(_ node: Node, _ shape: Recurrence, direction: Int) throws(ModelError) -> [Float]? {
        guard let tensor = try floatsInput(node, 7, "the peephole weight"), let floats = tensor.floats else {
            return nil
        }
        guard tensor.shape == [shape.directions, 3 * shape.units] else {
            throw refused(node, "a peephole weight of shape \(tensor.shape)")
        }
        return Array(floats[direction * 3 * shape.units..<(direction + 1) * 3 * shape.units])
    }

    // MARK: Results

    private mutating func defineRecurrent(
        _ node: Node, _ shape: Recurrence, outputs: Operand, lastHidden: [Operand], lastCell: [Operand]
    ) throws(ModelError) {
        let (padded, batch, directions) = (shape.paddedUnits, shape.batch, shape.directions)
        let all = View(
            outputs, start: 0, shape: [shape.steps, directions, batch, shape.units],
            strides: [directions * batch * padded, batch * padded, padded, 1])
        let sequence = shape.batchFirst ? all.permuted([2, 0, 1, 3]) : all
        try define(node, .view(sequence), .float, shape: sequence.shape)
        for (output, states) in [(1, lastHidden), (2, lastCell)] where !states.isEmpty {
            guard output < node.outputs.count, !node.outputs[output].isEmpty else { continue }
            let view: View
            if let only = states.first, states.count == 1 {
                view = View(only, shape: [1, 1, shape.units])
            } else {
                let joined = try allocate(states.count * padded)
                for (index, state) in states.enumerated() {
                    try append(
                        node, .copy(source: state.part(0, shape.units)),
                        to: joined.part(index * padded, shape.units), shape: [shape.units])
                }
                view = View(
                    joined, start: 0, shape: [directions, batch, shape.units], strides: [batch * padded, padded, 1])
            }
            let result = shape.batchFirst ? view.permuted([1, 0, 2]) : view
            try define(node, .view(result), .float, shape: result.shape, output: output)
        }
    }
}
