/// What stands between the products of a recurrent step and its new state, 8 units at a time. `ScalarGates` has the
/// plain twins. The input sums contain the biases.
///
/// The gates are kept as fractions: with e^x = raised / lowered, a sigmoid is raised / (raised + lowered) and tanh, of
/// e^2x, (raised - lowered) / (raised + lowered). So the gates of a unit share one division, and a gate costs four
/// multiplications. A sigmoid is within 2e-7 of the exact value and a tanh within 3e-7; NaN gives NaN.
///
/// A unit's chain of operations is long against the core's window. Two short loops, one after the other, let more units
/// overlap than one long one: LSTM 1.29 ns for each unit against 1.60 (Zen 4, 100 units; each function by itself with
/// its own division: 2.37). Blocks of four units side by side were slower again, as the registers do not suffice.
enum GateKernels {
    typealias Vector = SIMD8<Float>
    typealias C = FunctionConstants

    /// e^(x scale ln 2), with x limited to ±`limit`, as raised / lowered; both are positive.
    @_transparent
    static func fraction(
        _ value: Vector, limit: Float, scale: Float
    ) -> (lowered: Vector, raised: Vector) {
        var x = value.replacing(with: limit, where: value .> limit)
        x = x.replacing(with: -limit, where: x .< -limit)
        // As in `VectorFunctions.tanh`: x scale = n + r.
        let magic = Vector(repeating: C.roundingMagic)
        let shifted = magic.addingFused(x, Vector(repeating: scale))
        let r = (magic - shifted).addingFused(x, Vector(repeating: scale))
        let a = Vector(repeating: C.gateA0).addingFused(r * r, Vector(repeating: C.gateA1))
        let exponent = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &<< 23
        let raised = unsafeBitCast(a + r, to: SIMD8<Int32>.self) &+ exponent
        return (a - r, unsafeBitCast(raised, to: Vector.self))
    }

    @_transparent
    static func sigmoid(_ x: Vector) -> (lowered: Vector, raised: Vector) {
        fraction(x, limit: C.gateSigmoidLimit, scale: C.log2e)
    }

    @_transparent
    static func tanh(_ x: Vector) -> (lowered: Vector, raised: Vector) {
        fraction(x, limit: C.gateTanhLimit, scale: C.twoLog2e)
    }

    /// A GRU with `linear_before_reset` = 1. Both sums hold z, r and the candidate, 8 units each, group after group.
    /// The candidate's argument replaces its part of `hiddenSums`. `destination` may be `hidden`.
    @inline(__always)
    static func gru(
        inputSums: UnsafePointer<Vector>, hiddenSums: UnsafeMutablePointer<Vector>, hidden: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, groups: Int
    ) {
        for group in 0..<groups {
            let at = group &* 3
            let reset = sigmoid(inputSums[at &+ 1] + hiddenSums[at &+ 1])
            let part = reset.raised * hiddenSums[at &+ 2] / (reset.lowered + reset.raised)
            hiddenSums[at &+ 2] = inputSums[at &+ 2] + part
        }
        for group in 0..<groups {
            let at = group &* 3
            let update = sigmoid(inputSums[at] + hiddenSums[at])
            destination[group] = mixed(update, tanh(hiddenSums[at &+ 2]), hidden[group])
        }
    }

    /// The first half of a GRU with `linear_before_reset` = 0: the hidden state times the reset gate. `hiddenSums`
    /// holds z and r, 8 units each.
    @inline(__always)
    static func gruReset(
        inputSums: UnsafePointer<Vector>, hiddenSums: UnsafePointer<Vector>, hidden: UnsafePointer<Vector>,
        resetHidden: UnsafeMutablePointer<Vector>, groups: Int
    ) {
        for group in 0..<groups {
            let reset = sigmoid(inputSums[group &* 3 &+ 1] + hiddenSums[group &* 2 &+ 1])
            resetHidden[group] = reset.raised * hidden[group] / (reset.lowered + reset.raised)
        }
    }

    /// The second half of a GRU with `linear_before_reset` = 0. `destination` may be `hidden`.
    @inline(__always)
    static func gruCandidate(
        inputSums: UnsafePointer<Vector>, hiddenSums: UnsafePointer<Vector>, resetSums: UnsafePointer<Vector>,
        hidden: UnsafePointer<Vector>, destination: UnsafeMutablePointer<Vector>, groups: Int
    ) {
        for group in 0..<groups {
            let update = sigmoid(inputSums[group &* 3] + hiddenSums[group &* 2])
            let candidate = tanh(inputSums[group &* 3 &+ 2] + resetSums[group])
            destination[group] = mixed(update, candidate, hidden[group])
        }
    }

    /// (1 - z) candidate + z hidden: with z = raised / (raised + lowered), 1 - z is lowered / (raised + lowered).
    @_transparent
    static func mixed(
        _ update: (lowered: Vector, raised: Vector), _ candidate: (lowered: Vector, raised: Vector), _ hidden: Vector
    ) -> Vector {
        let whole = candidate.lowered + candidate.raised
        let kept = update.raised * hidden
        let numerator = (update.lowered * (candidate.raised - candidate.lowered)).addingFused(kept, whole)
        return numerator / ((update.lowered + update.raised) * whole)
    }

    /// An LSTM. Both sums hold i, o, f and c, 8 units each, group after group. `nextCell` may be `cell`; `destination`
    /// must be neither.
    @inline(__always)
    static func lstm(
        inputSums: UnsafePointer<Vector>, hiddenSums: UnsafePointer<Vector>, cell: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, nextCell: UnsafeMutablePointer<Vector>, groups: Int
    ) {
        for group in 0..<groups {
            let at = group &* 4
            let input = sigmoid(inputSums[at] + hiddenSums[at])
            let forget = sigmoid(inputSums[at &+ 2] + hiddenSums[at &+ 2])
            let candidate = tanh(inputSums[at &+ 3] + hiddenSums[at &+ 3])
            let forgetWhole = forget.lowered + forget.raised
            let whole = (input.lowered + input.raised) * (candidate.lowered + candidate.raised)
            let new = input.raised * (candidate.raised - candidate.lowered) * forgetWhole
            nextCell[group] = new.addingFused(cell[group] * forget.raised, whole) / (forgetWhole * whole)
        }
        for group in 0..<groups {
            let output = sigmoid(inputSums[group &* 4 &+ 1] + hiddenSums[group &* 4 &+ 1])
            let state = tanh(nextCell[group])
            let numerator = output.raised * (state.raised - state.lowered)
            destination[group] = numerator / ((output.lowered + output.raised) * (state.lowered + state.raised))
        }
    }

    /// A plain recurrent layer with tanh.
    @inline(__always)
    static func rnn(
        inputSums: UnsafePointer<Vector>, hiddenSums: UnsafePointer<Vector>,
        destination: UnsafeMutablePointer<Vector>, groups: Int
    ) {
        for group in 0..<groups {
            destination[group] = VectorFunctions.tanh(inputSums[group] + hiddenSums[group])
        }
    }
}
