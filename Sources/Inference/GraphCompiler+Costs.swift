import ONNX

/// What a plan has cost so far, to be held against `ModelLimits`: a small file can ask for much.
struct PlanCosts {
    /// Bytes of weights, constants, tables and buffers.
    var bytes = 0
    /// Bytes of one instrument's state.
    var stateBytes = 0
    /// Elements that planning has gone through one by one.
    var visits = 0
    /// Operations of all layers, and of those that were run at load.
    var operations = 0
    var foldedOperations = 0

    /// Bytes of a weight on the way: as it is in a matrix, packed, and in the memory of the plan.
    static let weightBytes = 12
    /// The same of an entry of a layer's table.
    static let entryBytes = 12
}

extension GraphCompiler {
    private func limit(_ what: String, _ found: Int, _ limit: Int) throws(ModelError) {
        guard found <= limit else { throw .limit(what: "\(what) up to '\(current)'", found: found, limit: limit) }
    }

    /// Counts memory that the plan keeps.
    mutating func spendBytes(_ count: Int) throws(ModelError) {
        costs.bytes += count
        try limit("bytes of weights, constants and intermediate values", costs.bytes, ModelLimits.planBytes)
    }

    /// Counts elements that planning goes through.
    mutating func spendVisits(_ count: Int) throws(ModelError) {
        costs.visits += count
        try limit("elements to go through when planning", costs.visits, ModelLimits.planVisits)
    }

    /// Counts what a layer does, so that no file can keep the process busy for long.
    mutating func spend(_ operations: Int, _ node: Node) throws(ModelError) {
        guard operations <= ModelLimits.operations else {
            throw .limit(what: "operations at node '\(node.name)'", found: operations, limit: ModelLimits.operations)
        }
        costs.operations += operations
        try limit("operations", costs.operations, ModelLimits.operations)
    }

    /// Counts the memory and tables of a layer.
    mutating func spend(_ layer: Layer) throws(ModelError) {
        let entries = layer.operation.tableEntries
        try spendVisits(entries)
        try spendBytes(entries * PlanCosts.entryBytes)
    }

    /// A new buffer for `count` elements.
    mutating func allocate(
        _ count: Int, _ storage: Storage = .float, place: Buffer.Place = .arena
    ) throws(ModelError) -> Operand {
        guard count <= ModelLimits.bufferElements else {
            throw .limit(
                what: "elements of an intermediate value at '\(current)'", found: count,
                limit: ModelLimits.bufferElements)
        }
        let bytes = count * storage.byteCount
        switch place {
        case .arena, .pinned, .features: try spendBytes(bytes)
        // The values themselves, and where the engine has them.
        case .constant: try spendBytes(2 * bytes)
        case .state: try spendState(bytes)
        // Every row stands twice.
        case .ring: try spendState(2 * bytes)
        }
        list.buffers.append(Buffer(place: place, storage: storage, count: count))
        return Operand(buffer: list.buffers.count - 1, count: count)
    }

    private mutating func spendState(_ bytes: Int) throws(ModelError) {
        costs.stateBytes += bytes
        try limit("bytes of state", costs.stateBytes, ModelLimits.stateBytes)
        try spendBytes(bytes)
    }

    // MARK: Constants

    /// Names a constant that is not in the file but was made at load.
    mutating func keepConstant(
        _ name: String, _ tensor: Tensor, integers: IntegerConstant? = nil
    ) throws(ModelError) {
        try spendVisits(tensor.count)
        try spendBytes(tensor.count * tensor.elementType.heldByteCount)
        defineConstant(name, tensor, integers: integers)
    }

    /// A compiler of one node whose inputs are constants: it begins with what has been spent here.
    mutating func folding(_ node: Node) throws(ModelError) -> GraphCompiler {
        var part = GraphCompiler(
            graph: Graph(opset: graph.opset, otherOpsets: graph.otherOpsets, nodes: [node]), isFolding: true)
        part.current = current
        for name in node.inputs where !name.isEmpty {
            guard let value = values[name] else { continue }
            try spendVisits(value.shape.reduce(1, *))
            part.values[name] = value
        }
        part.costs = costs
        part.costs.operations = 0
        return part
    }

    /// Counts what such a compiler has spent and is not given back.
    mutating func take(_ part: GraphCompiler) throws(ModelError) {
        costs.visits = part.costs.visits
        costs.foldedOperations += part.costs.operations
        try limit("operations on constants", costs.foldedOperations, ModelLimits.foldedOperations)
    }
}

extension Layer.Operation {
    /// Entries of the layer's tables, of some 4 bytes each; weights not counted.
    var tableEntries: Int {
        switch self {
        case .gather(_, let indices, _): indices.count
        case .place(_, let runs): 3 * runs.count
        case .affine(_, let scale, let offset): scale.count + offset.count
        case .linear(let linear): linear.rowStarts.count + linear.columnOffsets.count + linear.matrix.rows
        case .integerLinear(let linear): linear.rowStarts.count + linear.groupOffsets.count + 3 * linear.matrix.rows
        case .reduce(_, _, let starts, let taps): starts.count + taps.count
        case .contract(let contraction): contraction.entries
        case .general(let general): general.tableEntries
        case .copy, .activation, .combine, .softmax, .gates, .trees, .quantize, .dequantize, .push: 0
        }
    }
}

extension Contraction {
    var entries: Int { firstStarts.count + secondStarts.count + firstTaps.count + secondTaps.count }
}

extension GeneralOperation {
    /// As of a layer.
    fileprivate var tableEntries: Int {
        switch kind {
        case .gather(let indices, _): indices.count
        case .arithmetic(_, _, _, let first, let second): first.count + second.count
        case .contract(let contraction): contraction.entries
        case .reduce(_, _, let starts, let taps): starts.count + taps.count
        case .quantize(let scales, let zeroPoints, _), .dequantize(let scales, let zeroPoints):
            scales.count + 2 * zeroPoints.count
        case .negative, .clip, .convert, .maximumPlaces, .widen, .requantize, .dynamicQuantize, .pick: 0
        }
    }
}

extension ElementType {
    /// Bytes of an element of a `Tensor`, which holds floats of 16 bits as those of 32.
    fileprivate var heldByteCount: Int {
        switch self {
        case .double, .int64, .uint64: 8
        case .float, .float16, .bfloat16, .int32, .uint32: 4
        case .int16, .uint16: 2
        case .int8, .uint8, .bool: 1
        }
    }
}
