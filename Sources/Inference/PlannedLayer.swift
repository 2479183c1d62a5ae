/// One layer of a model's plan, as people read it.
public struct PlannedLayer: Sendable, CustomStringConvertible {
    /// Name of the node that it was made of.
    public let name: String
    /// What is computed, such as `GRU` or `linear + relu`.
    public let operation: String
    /// Shape of the result, as the graph has it.
    public let shape: [Int]
    /// Multiply-adds of the layer's matrices as if they were full.
    public let multiplyAdds: Int
    /// Share of weights that are not zero; 1 without weights.
    public let density: Double
    /// Share of blocks that are not empty, in the blocks of the layer's kernels; 1 without weights.
    public let blockDensity: Double
    /// Kernels of the layer's matrices, such as `dense 16×1, block-sparse 24×1`; empty without any.
    public let kernel: String
    /// Bytes of packed weights, indices and biases.
    public let packedByteCount: Int
    /// Predicted time of the layer's products.
    public let predictedNanoseconds: Double

    init(
        _ layer: Layer, products: [(matrix: Matrix, packing: MatrixPacking)], packedByteCount: Int,
        exceedsL1: Bool
    ) {
        name = layer.name
        operation = PlannedLayer.operation(layer.operation)
        shape = layer.shape
        let weights = products.reduce(0) { $0 + $1.matrix.weights.count }
        let nonZero = products.reduce(0) { $0 + $1.matrix.weights.count { $0 != 0 } }
        let blocks = products.reduce(0) { $0 + $1.packing.panels * $1.packing.columns }
        let blocksKept = products.reduce(0) { $0 + $1.packing.blockCount }
        multiplyAdds = weights
        density = weights == 0 ? 1 : Double(nonZero) / Double(weights)
        blockDensity = blocks == 0 ? 1 : Double(blocksKept) / Double(blocks)
        kernel = products.map { product in
            "\(product.packing.isSparse ? "block-sparse" : "dense") \(product.packing.vectors * 8)×1"
        }.joined(separator: ", ")
        self.packedByteCount = packedByteCount
        predictedNanoseconds = products.reduce(0) { $0 + $1.packing.predictedCycles } / PlannerCosts.gigahertz
    }

    private static func operation(_ operation: Layer.Operation) -> String {
        switch operation {
        case .gather: "gather"
        case .copy: "copy"
        case .affine: "scale and offset"
        case .linear(_, _, .identity): "linear"
        case .linear(_, _, let activation): "linear + \(activation.name)"
        case .activation(_, let function): function.name
        case .add: "add"
        case .subtract: "subtract"
        case .multiply: "multiply"
        case .softmax(_, let width): "softmax over \(width)"
        case .gru: "GRU"
        case .lstm: "LSTM"
        }
    }

    public var description: String {
        let head = "\(name): \(operation), shape \(shape)"
        guard multiplyAdds > 0 else { return head }
        let percent = { (share: Double) in "\((share * 1000).rounded() / 10) %" }
        return head
            + ", \(multiplyAdds) multiply-adds, density \(percent(density)), blocks \(percent(blockDensity)), "
            + "\(kernel), \(packedByteCount) bytes, \(Int(predictedNanoseconds.rounded())) ns predicted"
    }
}
