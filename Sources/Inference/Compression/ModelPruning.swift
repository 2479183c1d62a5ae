internal import ONNX

/// A model with whole blocks of its weights set to zero: those of the smallest magnitude, without training.
///
/// All weights of MatMul, Gemm, Conv, LSTM, GRU and RNN take part, but for biases and the last layers.
public struct ModelPruning: Sendable {
    /// What to prune.
    public struct Options: Sendable {
        /// Blocks of linear layers and convolutions.
        public var block: BlockShape
        /// Share of weights to keep, above 0 and at most 1.
        public var density: Double
        /// Whether all matrices are ranked together by the norm per weight; else each keeps the same share.
        public var isGlobal = false

        public init(block: BlockShape, density: Double, isGlobal: Bool = false) {
            self.block = block
            self.density = density
            self.isGlobal = isGlobal
        }
    }

    /// One matrix of the model.
    public struct Layer: Sendable, Equatable {
        /// Node, operator and, of a recurrent layer, which weight.
        public let name: String
        public let outputs: Int
        public let inputs: Int
        /// Such as `24x1`; empty for a last layer, which keeps all.
        public let block: String
        public let densityBefore: Double
        public let densityAfter: Double
    }

    /// The pruned file.
    public let bytes: [UInt8]
    public let layers: [Layer]
    /// Layers that were left as they are, and why.
    public let skipped: [String]
    /// Share of weights that are not zero, biases and last layers not counted.
    public let density: Double

    /// Prunes an ONNX file. Takes time in proportion to its weights.
    ///
    /// - Precondition: The density is above 0 and at most 1.
    public init(onnx bytes: [UInt8], options: Options) throws(CompressionError) {
        precondition(options.density > 0 && options.density <= 1, "A share of weights is above 0 and at most 1.")
        let graph = try CompressionError.reading { () throws(ONNXError) in try Graph(onnx: bytes) }
        let (matrices, skipped) = WeightFinder(graph).find()
        let pruned = matrices.filter { !$0.isLast }
        guard !pruned.isEmpty else {
            let reason =
                matrices.isEmpty
                ? "the model has no constant weight of MatMul, Gemm, Conv, LSTM, GRU or RNN"
                : "the model has no weights but those of its last layer, which stays as it is"
            throw .nothingToDo(reason: reason)
        }
        let zeroed = ModelPruning.emptied(pruned, options)
        var model = try CompressionError.reading { () throws(ONNXError) in try EditableModel(onnx: bytes) }
        var empty: [String: Set<Int>] = [:]
        for (matrix, places) in zip(pruned, zeroed) {
            empty[matrix.constant.tensor.name, default: []].formUnion(places)
        }
        ModelPruning.write(pruned, empty, graph, &model)

        var total = 0
        var kept = 0
        var layers: [Layer] = []
        for matrix in matrices {
            let places = matrix.isLast ? [] : empty[matrix.constant.tensor.name] ?? []
            let after = matrix.map.places.count {
                $0 >= 0 && matrix.constant.values[$0] != 0 && !places.contains($0)
            }
            let count = matrix.weightCount
            if !matrix.isLast { (total, kept) = (total + count, kept + after) }
            layers.append(
                Layer(
                    name: matrix.description, outputs: matrix.map.rows, inputs: matrix.map.columns,
                    block: matrix.isLast ? "" : options.block.description(of: matrix),
                    densityBefore: Double(matrix.nonZeroCount) / Double(count),
                    densityAfter: Double(after) / Double(count)))
        }
        density = Double(kept) / Double(total)
        if graph.followsContract {
            model.setMetadata("martlet.density", "\((density * 1e6).rounded() / 1e6)")
        }
        self.layers = layers
        self.skipped = skipped
        let edited = model
        self.bytes = try CompressionError.reading { () throws(ONNXError) in try edited.serialized() }
    }

    // MARK: Choosing

    private struct Block {
        let matrix: Int
        let places: [Int]
        /// The root of the mean square, so that smaller blocks at the ends compare with whole ones.
        let magnitude: Double
    }

    /// For each matrix the places of the weights that become zero.
    private static func emptied(_ matrices: [WeightedMatrix], _ options: Options) -> [[Int]] {
        var result: [[Int]] = Array(repeating: [], count: matrices.count)
        let blocks = matrices.enumerated().map { index, matrix in
            options.block.blocks(of: matrix).map { places in
                let squares = places.reduce(0.0) {
                    $0 + Double(matrix.constant.values[$1] * matrix.constant.values[$1])
                }
                return Block(matrix: index, places: places, magnitude: (squares / Double(places.count)).squareRoot())
            }
        }
        for group in options.isGlobal ? [blocks.flatMap { $0 }] : blocks {
            for block in removed(group, density: options.density) { result[block.matrix] += block.places }
        }
        return result
    }

    /// The blocks of the smallest magnitude, so many that the share of weights left is nearest to `density`; one block
    /// stays.
    private static func removed(_ blocks: [Block], density: Double) -> [Block] {
        // Among equals the first stays: the order is one of the file alone.
        let order = blocks.indices.sorted { (-blocks[$0].magnitude, $0) < (-blocks[$1].magnitude, $1) }
        let target = density * Double(blocks.reduce(0) { $0 + $1.places.count })
        var kept = 0.0
        var removed: [Block] = []
        for (rank, index) in order.enumerated() {
            let size = Double(blocks[index].places.count)
            if rank == 0 || removed.isEmpty && kept + size / 2 <= target {
                kept += size
            } else {
                removed.append(blocks[index])
            }
        }
        return removed
    }

    // MARK: Writing

    private static func write(
        _ matrices: [WeightedMatrix], _ empty: [String: Set<Int>], _ graph: Graph, _ model: inout EditableModel
    ) {
        var written: Set<String> = []
        for matrix in matrices {
            let constant = matrix.constant
            let name = constant.tensor.name
            guard let places = empty[name], !places.isEmpty, written.insert(name).inserted else { continue }
            let elements = constant.tensor.elements.replacing(places) { constant.zeroPoints?[$0] ?? 0 }
            let target = constant.isInitializer ? name : model.unusedName("\(name)_pruned")
            model.setInitializer(Tensor(name: target, shape: constant.tensor.shape, elements: elements))
            guard !constant.isInitializer else { continue }
            // The nodes that read the constant read the initializer from now on.
            for (index, node) in graph.nodes.enumerated() {
                for (input, value) in node.inputs.enumerated() where value == name {
                    model.setInput(input, ofNode: index, to: target)
                }
            }
        }
    }
}

extension Tensor.Elements {
    /// The elements with those at `places` replaced; of floats by 0.
    fileprivate func replacing(_ places: Set<Int>, by zero: (Int) -> Int64) -> Tensor.Elements {
        func replaced<Element: FixedWidthInteger>(_ values: [Element]) -> [Element] {
            var values = values
            for place in places { values[place] = Element(truncatingIfNeeded: zero(place)) }
            return values
        }
        switch self {
        case .float(var values):
            for place in places { values[place] = 0 }
            return .float(values)
        case .int8(let values): return .int8(replaced(values))
        case .uint8(let values): return .uint8(replaced(values))
        case .int16(let values): return .int16(replaced(values))
        case .uint16(let values): return .uint16(replaced(values))
        case .int32(let values): return .int32(replaced(values))
        default: return self
        }
    }
}
