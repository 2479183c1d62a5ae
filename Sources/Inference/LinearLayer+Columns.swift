/// Products by columns, see `ColumnKernels`.
extension LinearLayer {
    /// Whether the kernels can run it: few outputs, and many rows that begin side by side.
    var canRunByColumns: Bool {
        guard order == .rows, matrix.chains > 2, rowStarts.count >= 16, let first = rowStarts.first else {
            return false
        }
        return rowStarts.enumerated().allSatisfy { $1 == first + Int32($0) }
    }

    /// Floats of all results of one output, padding included.
    var columnWidth: Int { (rowStarts.count + 7) / 8 * 8 }

    /// This product with what is done to all of its results: a constant is added to each, or a function taken of it.
    /// Nil where it cannot take that in, or where the sums would be rounded otherwise.
    func followed(by operation: Layer.Operation) -> LinearLayer? {
        // The padding behind the last output need not be there.
        let count = columnWidth * (matrix.rows - 1) + rowStarts.count
        guard activation == .identity else { return nil }
        var result = self
        switch operation {
        case .activation(let source, let function) where source.count >= count: result.activation = function
        case .affine(_, let scale, let offset) where scale.count >= count:
            let places = (0..<count).filter { $0 % columnWidth < rowStarts.count }
            guard offsets.isEmpty, matrix.bias.allSatisfy({ $0 == 0 }), places.allSatisfy({ scale[$0] == 1 }) else {
                return nil
            }
            result.offsets = Array(repeating: 0, count: columnWidth * matrix.rows)
            // Never -0, see `SparseKernels`.
            for place in places where offset[place] != 0 { result.offsets[place] = offset[place] }
        default: return nil
        }
        return result
    }
}

extension LayerList {
    /// Takes a constant for each result, and a function of that, into the product by columns that makes them, where
    /// nobody reads them without.
    mutating func fuseOffsets() {
        let readers = readerCounts
        var products: [Int: Int] = [:]
        var fused: Set<Int> = []
        for (index, layer) in layers.enumerated() {
            let source: Operand
            switch layer.operation {
            case .linear(let linear) where linear.isByColumns:
                products[layer.destination.buffer] = index
                continue
            case .affine(let operand, _, _), .activation(let operand, _): source = operand
            default: continue
            }
            guard readers[source.buffer] == 1, source.offset == 0, layer.destination.offset == 0,
                buffers[layer.destination.buffer].place == .arena, let maker = products[source.buffer],
                case .linear(let linear) = layers[maker].operation,
                let joined = linear.followed(by: layer.operation)
            else { continue }
            layers[maker].operation = .linear(joined)
            layers[maker].destination.buffer = layer.destination.buffer
            buffers[layer.destination.buffer].count = layers[maker].destination.count
            products[layer.destination.buffer] = maker
            fused.insert(index)
        }
        remove(fused)
    }
}
