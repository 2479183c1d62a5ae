/// What stands between the products of a recurrent step and its new state, 8 units at a time.
enum GateKernels {
    typealias Vector = SIMD8<Float>

    /// A GRU with `linear_before_reset` = 1. Both sums hold z, r and the candidate, 8 units each, group after group.
    @inline(__always)
    static func gru(
        inputSums: UnsafePointer<Vector>, hiddenSums: UnsafePointer<Vector>, hidden: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, groups: Int
    ) {
        for group in 0..<groups {
            let at = group &* 3
            let update = VectorFunctions.sigmoid(inputSums[at] + hiddenSums[at])
            let reset = VectorFunctions.sigmoid(inputSums[at &+ 1] + hiddenSums[at &+ 1])
            let candidate = VectorFunctions.tanh(inputSums[at &+ 2].addingProduct(reset, hiddenSums[at &+ 2]))
            destination[group] = candidate.addingProduct(update, hidden[group] - candidate)
        }
    }

    /// The first half of a GRU with `linear_before_reset` = 0: the hidden state times the reset gate. `hiddenSums`
    /// holds z and r, 8 units each; the update gate replaces z there.
    @inline(__always)
    static func gruReset(
        inputSums: UnsafePointer<Vector>, hiddenSums: UnsafeMutablePointer<Vector>,
        hidden: UnsafePointer<Vector>,
        resetHidden: UnsafeMutablePointer<Vector>, groups: Int
    ) {
        for group in 0..<groups {
            let update = VectorFunctions.sigmoid(inputSums[group &* 3] + hiddenSums[group &* 2])
            let reset = VectorFunctions.sigmoid(inputSums[group &* 3 &+ 1] + hiddenSums[group &* 2 &+ 1])
            hiddenSums[group &* 2] = update
            resetHidden[group] = reset * hidden[group]
        }
    }

    /// The second half of a GRU with `linear_before_reset` = 0.
    @inline(__always)
    static func gruCandidate(
        inputSums: UnsafePointer<Vector>, hiddenSums: UnsafePointer<Vector>, resetSums: UnsafePointer<Vector>,
        hidden: UnsafePointer<Vector>, destination: UnsafeMutablePointer<Vector>, groups: Int
    ) {
        for group in 0..<groups {
            let candidate = VectorFunctions.tanh(inputSums[group &* 3 &+ 2] + resetSums[group])
            destination[group] = candidate.addingProduct(hiddenSums[group &* 2], hidden[group] - candidate)
        }
    }

    /// An LSTM. Both sums hold i, o, f and c, 8 units each, group after group.
    @inline(__always)
    static func lstm(
        inputSums: UnsafePointer<Vector>, hiddenSums: UnsafePointer<Vector>, cell: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, nextCell: UnsafeMutablePointer<Vector>, groups: Int
    ) {
        for group in 0..<groups {
            let at = group &* 4
            let input = VectorFunctions.sigmoid(inputSums[at] + hiddenSums[at])
            let output = VectorFunctions.sigmoid(inputSums[at &+ 1] + hiddenSums[at &+ 1])
            let forget = VectorFunctions.sigmoid(inputSums[at &+ 2] + hiddenSums[at &+ 2])
            let candidate = VectorFunctions.tanh(inputSums[at &+ 3] + hiddenSums[at &+ 3])
            let next = (forget * cell[group]).addingProduct(input, candidate)
            nextCell[group] = next
            destination[group] = output * VectorFunctions.tanh(next)
        }
    }
}
