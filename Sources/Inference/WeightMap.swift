import ONNX

/// Where the elements of a constant weight stand in a matrix of outputs by inputs.
///
/// Inputs are positions of a kernel and, in each, channels side by side. Outputs come in groups, each of which sees its own
/// channels only. A plain matrix has one position and one group.
struct WeightMap: Hashable {
    let rows: Int
    let columns: Int
    /// The first element's place in the tensor.
    private var offset = 0
    private let rowStride: Int
    private let channelStride: Int
    private var positionStride = 0
    private let channels: Int
    private let groupRows: Int
    private let groupChannels: Int

    /// A matrix whose element (r, c) stands at `offset + r · rowStride + c · columnStride`.
    init(rows: Int, columns: Int, offset: Int = 0, rowStride: Int, columnStride: Int) {
        self.rows = rows
        self.columns = columns
        self.offset = offset
        self.rowStride = rowStride
        channelStride = columnStride
        (channels, groupRows, groupChannels) = (max(columns, 1), max(rows, 1), max(columns, 1))
    }

    /// A convolution's weight [outputs, channels of a group, positions]. The weights of other groups' channels are 0.
    init(outputs: Int, groups: Int, channelsPerGroup: Int, positions: Int) {
        rows = outputs
        channels = groups * channelsPerGroup
        columns = positions * channels
        rowStride = channelsPerGroup * positions
        channelStride = positions
        positionStride = 1
        groupRows = max(outputs / groups, 1)
        groupChannels = channelsPerGroup
    }

    var count: Int { rows * columns }

    /// The place in the tensor of an element of the matrix, or -1 for a weight of 0.
    func place(_ row: Int, _ column: Int) -> Int {
        let (position, channel) = column.quotientAndRemainder(dividingBy: channels)
        let local = channel - row / groupRows * groupChannels
        guard local >= 0, local < groupChannels else { return -1 }
        return offset + row * rowStride + local * channelStride + position * positionStride
    }

    /// For each element of the matrix, row by row, its place in the tensor, or -1 for a weight of 0.
    var places: [Int] {
        var places: [Int] = []
        places.reserveCapacity(count)
        for row in 0..<rows {
            for column in 0..<columns { places.append(place(row, column)) }
        }
        return places
    }
}

/// Which array it is: its storage, not its elements. Holds as long as somebody keeps the array.
struct ArrayIdentity: Hashable {
    private let address: Int
    private let count: Int

    init<Element>(_ array: [Element]) {
        address = array.withUnsafeBufferPointer { Int(bitPattern: $0.baseAddress) }
        count = array.count
    }
}

/// The matrices that were made of constants, each once however many products use it: an LSTM multiplies its state by the
/// same weights at every step.
struct WeightCache {
    struct Key: Hashable {
        var tensor: ArrayIdentity
        var map: WeightMap
        var scale: Float
    }

    /// With the tensor's elements, which keep the key's array.
    var floats: [Key: (tensor: [Float], weights: [Float])] = [:]
    var densities: [MatrixPacking.Key: (weights: [Float], density: Double)] = [:]
    var integers: [Key: (tensor: [Int16], result: (matrix: IntegerMatrix, scales: [Float])?)] = [:]
}

extension GraphCompiler {
    /// The weights of a matrix, times a factor, checked. Never -0, see `SparseKernels`.
    mutating func weights(_ node: Node, _ index: Int, _ map: WeightMap, scale: Float) throws(ModelError) -> [Float] {
        guard let tensor = try constantInput(node, index, "the weight") else {
            throw refused(node, "the weight is missing")
        }
        let key = tensor.floats.map { WeightCache.Key(tensor: ArrayIdentity($0), map: map, scale: scale) }
        if let key, let made = made.floats[key] { return made.weights }
        try spendVisits(tensor.count + map.count)
        try spendBytes(map.count * PlanCosts.weightBytes)
        guard let floats = try floatsInput(node, index, "the weight")?.floats, let key else {
            throw refused(node, "the weight is missing")
        }
        var weights = Array(repeating: Float(0), count: map.count)
        for row in 0..<map.rows {
            for column in 0..<map.columns {
                let place = map.place(row, column)
                guard place >= 0, floats[place] != 0 else { continue }
                let weight = floats[place] * scale
                weights[row * map.columns + column] = weight == 0 ? 0 : weight
            }
        }
        guard weights.allSatisfy(\.isFinite) else { throw refused(node, "a weight beyond the range of float32") }
        made.floats[key] = (floats, weights)
        return weights
    }

    /// The integers that a weight was before `DequantizeLinear`, as a matrix with a scale for each output; nil where it
    /// was none, or where an output's weights have different scales.
    mutating func integerWeights(
        _ node: Node, _ index: Int, _ map: WeightMap
    ) throws(ModelError) -> (matrix: IntegerMatrix, scales: [Float])? {
        guard let constant = try input(node, index).integers else { return nil }
        guard map.columns <= ModelLimits.integerColumns else {
            throw .limit(
                what: "inputs of an integer product at node '\(node.name)'", found: map.columns,
                limit: ModelLimits.integerColumns)
        }
        let key = WeightCache.Key(tensor: ArrayIdentity(constant.values), map: map, scale: 1)
        if let made = made.integers[key] { return made.result }
        try spendVisits(map.count)
        try spendBytes(map.count * PlanCosts.weightBytes)
        let result = constant.matrix(map)
        made.integers[key] = (constant.values, result)
        return result
    }
}
