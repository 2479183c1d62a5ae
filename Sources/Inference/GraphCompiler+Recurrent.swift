import ONNX

/// GRU and LSTM as one step whose state goes round.
extension GraphCompiler {
    mutating func compileGRU(_ node: Node) throws(ModelError) {
        try checkRecurrent(node, activations: ["Sigmoid", "Tanh"], extra: ["linear_before_reset"])
        let linearBeforeReset = try integerAttribute(node, "linear_before_reset", default: 0) != 0
        var (gated, layout) = try gatedLayer(node, gates: 3)
        gated.hidden = try initialState(node, 5, units: gated.units)
        if !linearBeforeReset {
            gated.resetHidden = try allocate(padded(gated.units))
            gated.resetSums = try allocate(padded(gated.units))
        }
        let destination = try allocate(gated.units)
        try append(
            Layer(
                name: node.name, operation: .gru(gated, linearBeforeReset: linearBeforeReset),
                destination: destination, shape: [1, 1, gated.units]))
        try defineRecurrent(node, destination, units: gated.units, layout: layout)
    }

    mutating func compileLSTM(_ node: Node) throws(ModelError) {
        try checkRecurrent(node, activations: ["Sigmoid", "Tanh", "Tanh"], extra: ["input_forget"])
        guard try integerAttribute(node, "input_forget", default: 0) == 0 else {
            throw refused(node, "attribute 'input_forget' is not supported")
        }
        guard try optionalInput(node, 7) == nil else { throw refused(node, "peepholes are not supported") }
        var (gated, layout) = try gatedLayer(node, gates: 4)
        gated.hidden = try initialState(node, 5, units: gated.units)
        gated.cell = try initialState(node, 6, units: gated.units)
        let destination = try allocate(gated.units)
        gated.nextCell = try allocate(gated.units)
        try append(
            Layer(
                name: node.name, operation: .lstm(gated), destination: destination,
                shape: [1, 1, gated.units]))
        try defineRecurrent(node, destination, units: gated.units, layout: layout)
        try define(node, .operand(gated.nextCell), shape: [1, 1, gated.units], output: 2)
    }

    private func checkRecurrent(
        _ node: Node, activations: [String], extra: Set<String>
    ) throws(ModelError) {
        try checkAttributes(
            node, known: extra.union(["direction", "hidden_size", "layout", "activations"]))
        switch node.attributes["direction"] {
        case nil, .string("forward"): break
        default: throw refused(node, "only direction 'forward' is supported")
        }
        switch node.attributes["activations"] {
        case nil: break
        case .strings(let names) where names == activations: break
        default: throw refused(node, "only the activations \(activations) are supported")
        }
    }

    /// Weights, input and sums of a recurrent step with `gates` gates.
    private mutating func gatedLayer(
        _ node: Node, gates: Int
    ) throws(ModelError) -> (layer: GatedLayer, layout: Int64) {
        let layout = try integerAttribute(node, "layout", default: 0)
        guard layout == 0 || layout == 1 else { throw refused(node, "layout \(layout), expected 0 or 1") }
        let value = try input(node, 0)
        guard value.shape.count == 3, value.shape[0] == 1, value.shape[1] == 1 else {
            throw refused(
                node, "an input of shape \(value.shape), expected one step of one sequence: [1, 1, I]")
        }
        if let lengths = try constantInput(node, 4, "the sequence length") {
            guard lengths.integers == [1] else { throw refused(node, "the sequence length is not 1") }
        }
        let columns = value.shape[2]
        guard let input = try floatsInput(node, 1, "the weight"),
            let hidden = try floatsInput(node, 2, "the weight")
        else { throw refused(node, "a weight is missing") }
        guard hidden.shape.count == 3, hidden.shape[0] == 1, hidden.shape[2] > 0,
            hidden.shape[1] == gates * hidden.shape[2]
        else {
            throw refused(node, "a recurrent weight of shape \(hidden.shape), expected [1, \(gates)·H, H]")
        }
        let units = hidden.shape[2]
        guard input.shape == [1, gates * units, columns] else {
            throw refused(
                node, "an input weight of shape \(input.shape), expected [1, \(gates * units), \(columns)]")
        }
        guard try integerAttribute(node, "hidden_size", default: Int64(units)) == Int64(units) else {
            throw refused(node, "attribute 'hidden_size' is not the \(units) of the weights")
        }
        let rows = gates * units
        var bias = Array(repeating: Float(0), count: 2 * rows)
        if let tensor = try floatsInput(node, 3, "the bias"), let floats = tensor.floats {
            guard tensor.shape == [1, 2 * rows] else {
                throw refused(node, "a bias of shape \(tensor.shape), expected [1, \(2 * rows)]")
            }
            bias = floats.map { $0 == 0 ? 0 : $0 }
        }
        var inputMatrix = Matrix(
            rows: rows, columns: columns, weights: input.floats ?? [], bias: Array(bias[..<rows]))
        let source = try linearSource(node, &inputMatrix)
        let none = Operand(space: .arena, offset: 0, count: 0)
        let groups = (units + 7) / 8
        let layer = GatedLayer(
            units: units, input: source, hidden: none, inputSums: try allocate(groups * 8 * gates),
            hiddenSums: try allocate(groups * 8 * gates), inputMatrix: inputMatrix,
            hiddenMatrix: Matrix(
                rows: rows, columns: units, weights: hidden.floats ?? [], bias: Array(bias[rows...])),
            cell: none, nextCell: none, resetHidden: none, resetSums: none)
        return (layer, layout)
    }

    /// The state before the step; zeros where the graph names none.
    private mutating func initialState(_ node: Node, _ index: Int, units: Int) throws(ModelError) -> Operand {
        guard let value = try optionalInput(node, index) else {
            let zeros = try allocate(units)
            list.constants.append((zeros, Array(repeating: 0, count: units)))
            return zeros
        }
        guard value.shape == [1, 1, units] else {
            throw refused(node, "an initial state of shape \(value.shape), expected [1, 1, \(units)]")
        }
        return try operandInput(node, index)
    }

    private mutating func defineRecurrent(
        _ node: Node, _ destination: Operand, units: Int, layout: Int64
    ) throws(ModelError) {
        // Y is [steps, directions, batch, units], or [batch, steps, directions, units] in layout 1: all ones here.
        try define(node, .operand(destination), shape: [1, 1, 1, units])
        try define(node, .operand(destination), shape: [1, 1, units], output: 1)
    }
}
