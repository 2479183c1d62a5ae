import ONNX

/// A constant matrix of a graph, as compression sees it: outputs by inputs, in the order in which the engine packs it.
struct WeightedMatrix {
    /// Which of a node's weights it is.
    enum Role: String {
        case linear = "weight"
        case recurrentInput = "input weight"
        case recurrentHidden = "recurrent weight"
    }

    /// The nodes whose weight it is, by their place in the graph; several where a graph repeats a layer.
    var nodes: [Int]
    let name: String
    let operatorName: String
    let role: Role
    /// The node's input that the weight stands at, and that of what it is multiplied with.
    let weightInput: Int
    let activationInput: Int
    let constant: WeightConstant
    /// Places are those of the constant's elements.
    let map: WeightMap
    /// The rows are so many gates, one after the other, which the engine puts side by side by 8 units; 1 for no gates.
    let gates: Int
    /// Whether no other weighted layer comes after it within a tick. Such a layer is small and matters most.
    var isLast: Bool
}

/// The constant behind a weight.
struct WeightConstant {
    /// As it is stored: 32-bit floats, or the integers in front of a `DequantizeLinear`.
    let tensor: Tensor
    /// As the layer sees them.
    let values: [Float]
    /// For each element the stored number that stands for 0; nil for floats, where it is 0.
    let zeroPoints: [Int64]?
    /// Whether an initializer holds it; else a node `Constant` does.
    let isInitializer: Bool
}

/// Finds the weights of a graph.
struct WeightFinder {
    private let graph: Graph
    private var producers: [String: Int] = [:]

    init(_ graph: Graph) {
        self.graph = graph
        for (index, node) in graph.nodes.enumerated() {
            for output in node.outputs where !output.isEmpty { producers[output] = index }
        }
    }

    /// The weights of all layers in the order of the graph, and of those that cannot be changed the reason.
    func find() -> (matrices: [WeightedMatrix], skipped: [String]) {
        var matrices: [WeightedMatrix] = []
        var skipped: [String] = []
        for (index, node) in graph.nodes.enumerated() where node.domain.isEmpty {
            do {
                for matrix in try self.matrices(of: node, index) {
                    if let same = matrices.firstIndex(where: { $0.isSame(as: matrix) }) {
                        matrices[same].nodes.append(index)
                    } else {
                        matrices.append(matrix)
                    }
                }
            } catch {
                skipped.append("\(node.name) (\(node.operatorName)): \(error.reason)")
            }
        }
        let last = lastLayers(Set(matrices.flatMap(\.nodes)))
        for index in matrices.indices { matrices[index].isLast = matrices[index].nodes.contains { last.contains($0) } }
        return (matrices, skipped)
    }

    /// Why a node's weights stay as they are.
    private struct Skipped: Error {
        let reason: String
    }

    private func matrices(of node: Node, _ index: Int) throws(Skipped) -> [WeightedMatrix] {
        switch node.operatorName {
        case "MatMul", "Gemm": return try linear(node, index).map { [$0] } ?? []
        case "Conv": return [try convolution(node, index)]
        case "LSTM", "GRU", "RNN": return try recurrent(node, index)
        default: return []
        }
    }

    // MARK: Layers

    private func linear(_ node: Node, _ index: Int) throws(Skipped) -> WeightedMatrix? {
        guard node.inputs.count >= 2 else { return nil }
        let isGemm = node.operatorName == "Gemm"
        let right = try constant(node, 1)
        let left = right == nil ? try constant(node, 0) : nil
        // A product of two values is no weighted layer.
        guard let (constant, isTransposed) = right ?? left else { return nil }
        let shape = constant.tensor.shape
        guard shape.count == 2, constant.tensor.count > 0 else {
            throw Skipped(reason: "its weight has shape \(shape), not two dimensions")
        }
        let isRight = right != nil
        // Whether the tensor's rows are outputs.
        var outputsFirst = !isRight
        if isGemm {
            guard isRight else { throw Skipped(reason: "its weight stands on the left") }
            outputsFirst = node.integer("transB") != 0
        }
        if isTransposed { outputsFirst.toggle() }
        let (outputs, inputs) = outputsFirst ? (shape[0], shape[1]) : (shape[1], shape[0])
        let map = WeightMap(
            rows: outputs, columns: inputs, rowStride: outputsFirst ? inputs : 1,
            columnStride: outputsFirst ? 1 : outputs)
        return WeightedMatrix(
            nodes: [index], name: node.name, operatorName: node.operatorName, role: .linear,
            weightInput: isRight ? 1 : 0, activationInput: isRight ? 0 : 1, constant: constant, map: map, gates: 1,
            isLast: false)
    }

    private func convolution(_ node: Node, _ index: Int) throws(Skipped) -> WeightedMatrix {
        guard let (constant, isTransposed) = try constant(node, 1), !isTransposed else {
            throw Skipped(reason: "its weight is not a constant")
        }
        let shape = constant.tensor.shape
        let groups = max(Int(clamping: node.integer("group", default: 1)), 1)
        guard shape.count >= 3, constant.tensor.count > 0, shape[0] % groups == 0 else {
            throw Skipped(reason: "its weight has shape \(shape)")
        }
        let (outputs, perGroup) = (shape[0], shape[1])
        let positions = shape[2...].reduce(1, *)
        let channels = perGroup * groups
        guard outputs * channels * positions <= ModelLimits.weights else {
            throw Skipped(reason: "it has too many weights")
        }
        // As the engine has it: positions, then the channels of all groups.
        let map = WeightMap(outputs: outputs, groups: groups, channelsPerGroup: perGroup, positions: positions)
        return WeightedMatrix(
            nodes: [index], name: node.name, operatorName: node.operatorName, role: .linear, weightInput: 1,
            activationInput: 0, constant: constant, map: map, gates: 1, isLast: false)
    }

    private func recurrent(_ node: Node, _ index: Int) throws(Skipped) -> [WeightedMatrix] {
        let gates = ["LSTM": 4, "GRU": 3][node.operatorName] ?? 1
        guard node.inputs.count >= 3, let (input, isTransposed) = try constant(node, 1),
            let (hidden, isHiddenTransposed) = try constant(node, 2), !isTransposed, !isHiddenTransposed
        else { throw Skipped(reason: "its weights are not constants") }
        let (shape, hiddenShape) = (input.tensor.shape, hidden.tensor.shape)
        guard shape.count == 3, hiddenShape.count == 3, shape[0] == hiddenShape[0], shape[1] == hiddenShape[1],
            hiddenShape[1] == gates * hiddenShape[2], input.tensor.count > 0, hidden.tensor.count > 0
        else { throw Skipped(reason: "its weights have shapes \(shape) and \(hiddenShape)") }
        let rows = shape[1]
        let isSplit = gates == 3 && node.integer("linear_before_reset") == 0
        // The second half of such a GRU multiplies another vector.
        let hiddenParts = isSplit ? [(0..<rows / 3 * 2, 2), (rows / 3 * 2..<rows, 1)] : [(0..<rows, gates)]
        var result: [WeightedMatrix] = []
        for direction in 0..<shape[0] {
            func add(
                _ constant: WeightConstant, _ rows: Range<Int>, gates: Int, columns: Int, _ role: WeightedMatrix.Role
            ) {
                let first = direction * shape[1] + rows.lowerBound
                let map = WeightMap(
                    rows: rows.count, columns: columns, offset: first * columns, rowStride: columns, columnStride: 1)
                result.append(
                    WeightedMatrix(
                        nodes: [index], name: node.name, operatorName: node.operatorName, role: role,
                        weightInput: role == .recurrentInput ? 1 : 2, activationInput: role == .recurrentInput ? 0 : 5,
                        constant: constant, map: map, gates: gates, isLast: false))
            }
            add(input, 0..<rows, gates: gates, columns: shape[2], .recurrentInput)
            for (part, gates) in hiddenParts {
                add(hidden, part, gates: gates, columns: hiddenShape[2], .recurrentHidden)
            }
        }
        return result
    }

    // MARK: Constants

    /// The constant at an input, and whether a `Transpose` of its two dimensions stands between; nil for a value.
    private func constant(_ node: Node, _ index: Int) throws(Skipped) -> (WeightConstant, Bool)? {
        guard index < node.inputs.count else { return nil }
        var name = node.inputs[index]
        var isTransposed = false
        while let producer = producers[name].map({ graph.nodes[$0] }), let input = producer.inputs.first {
            switch producer.operatorName {
            case "Identity": name = input
            case "Transpose" where stored(input)?.tensor.shape.count == 2:
                if case .integers(let order)? = producer.attributes["perm"], order == [0, 1] {
                } else {
                    isTransposed.toggle()
                }
                name = input
            case "DequantizeLinear":
                return try dequantized(producer).map { ($0, isTransposed) }
            default: return nil
            }
        }
        guard let (tensor, isInitializer) = stored(name) else { return nil }
        guard let floats = tensor.floats else { throw Skipped(reason: "its weight is \(tensor.elementType)") }
        guard floats.allSatisfy(\.isFinite) else { throw Skipped(reason: "a weight is not finite") }
        return (
            WeightConstant(tensor: tensor, values: floats, zeroPoints: nil, isInitializer: isInitializer), isTransposed
        )
    }

    /// A tensor that stands in the file under this name.
    private func stored(_ name: String) -> (tensor: Tensor, isInitializer: Bool)? {
        if let tensor = graph.initializers[name] { return (tensor, true) }
        guard let index = producers[name], graph.nodes[index].operatorName == "Constant",
            case .tensor(let tensor)? = graph.nodes[index].attributes["value"]
        else { return nil }
        return (Tensor(name: name, shape: tensor.shape, elements: tensor.elements), false)
    }

    /// What a `DequantizeLinear` makes of a constant of bytes; nil if it makes something of a value.
    private func dequantized(_ node: Node) throws(Skipped) -> WeightConstant? {
        guard node.inputs.count >= 2, let (tensor, isInitializer) = stored(node.inputs[0]) else { return nil }
        guard let scales = stored(node.inputs[1])?.tensor.floats, let integers = tensor.integers,
            node.integer("block_size") == 0
        else { throw Skipped(reason: "its quantised weight is of a kind that is not read") }
        var zeros = Array(repeating: Int64(0), count: scales.count)
        if node.inputs.count > 2, !node.inputs[2].isEmpty {
            guard let values = stored(node.inputs[2])?.tensor.integers, values.count == scales.count else {
                throw Skipped(reason: "the zero points of its quantised weight are not constants")
            }
            zeros = values
        }
        var places = Array(repeating: 0, count: integers.count)
        if scales.count > 1 {
            let rank = max(tensor.shape.count, 1)
            let axis = (Int(clamping: node.integer("axis", default: 1)) % rank + rank) % rank
            guard !tensor.shape.isEmpty, tensor.shape[axis] == scales.count else {
                throw Skipped(reason: "its quantised weight has \(scales.count) scales")
            }
            let inner = tensor.shape[(axis + 1)...].reduce(1, *)
            places = integers.indices.map { $0 / inner % scales.count }
        }
        let values = zip(integers, places).map { Float($0 &- zeros[$1]) * scales[$1] }
        return WeightConstant(
            tensor: tensor, values: values, zeroPoints: places.map { zeros[$0] }, isInitializer: isInitializer)
    }

    // MARK: Order

    /// The weighted nodes after which no other one comes within a tick, and from which an output that is no state is
    /// reached.
    private func lastLayers(_ weighted: Set<Int>) -> Set<Int> {
        let heads = Set(graph.outputs.map(\.name).filter { !($0.hasPrefix("state_") && $0.hasSuffix("_next")) })
        var reachesWeighted: Set<String> = []
        var reachesHead = heads
        var last: Set<Int> = []
        for (index, node) in graph.nodes.enumerated().reversed() {
            let leadsToWeighted = node.outputs.contains { reachesWeighted.contains($0) }
            let leadsToHead = node.outputs.contains { reachesHead.contains($0) }
            if weighted.contains(index), !leadsToWeighted, leadsToHead { last.insert(index) }
            if leadsToWeighted || weighted.contains(index) { reachesWeighted.formUnion(node.inputs) }
            if leadsToHead { reachesHead.formUnion(node.inputs) }
        }
        return last
    }
}

extension WeightedMatrix {
    /// Whether it is the same part of the same constant in the same role.
    fileprivate func isSame(as other: WeightedMatrix) -> Bool {
        constant.tensor.name == other.constant.tensor.name && gates == other.gates && role == other.role
            && map == other.map
    }

    /// Weights that the matrix has in the file: those of absent connections of a grouped convolution do not count.
    var weightCount: Int { map.places.count { $0 >= 0 } }

    /// Weights that are not zero.
    var nonZeroCount: Int { map.places.count { $0 >= 0 && constant.values[$0] != 0 } }

    /// For people: `gru (GRU), recurrent weight`.
    var description: String {
        "\(name) (\(operatorName))" + (role == .linear ? "" : ", \(role.rawValue)")
    }
}

extension Node {
    /// An integer attribute; `value` where the node has none.
    func integer(_ name: String, default value: Int64 = 0) -> Int64 {
        if case .integer(let number)? = attributes[name] { number } else { value }
    }
}
