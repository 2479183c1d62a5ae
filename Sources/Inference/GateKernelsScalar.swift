/// The plain twins of `GateKernels`, for one unit each.
enum ScalarGates {
    typealias C = FunctionConstants

    static func fraction(_ value: Float, limit: Float, scale: Float) -> (lowered: Float, raised: Float) {
        var x = value > limit ? limit : value
        x = x < -limit ? -limit : x
        let shifted = C.roundingMagic.addingProduct(x, scale)
        let r = (C.roundingMagic - shifted).addingProduct(x, scale)
        let a = C.gateA0.addingProduct(r * r, C.gateA1)
        return (a - r, Float(bitPattern: (a + r).bitPattern &+ shifted.bitPattern &<< 23))
    }

    static func sigmoid(_ x: Float) -> (lowered: Float, raised: Float) {
        fraction(x, limit: C.gateSigmoidLimit, scale: C.log2e)
    }

    static func tanh(_ x: Float) -> (lowered: Float, raised: Float) {
        fraction(x, limit: C.gateTanhLimit, scale: C.twoLog2e)
    }

    /// The new hidden state of a GRU with `linear_before_reset` = 1, from the three input sums and the three hidden
    /// sums.
    static func gru(
        input: (update: Float, reset: Float, candidate: Float),
        hiddenSums: (update: Float, reset: Float, candidate: Float), hidden: Float
    ) -> Float {
        let part = gruReset(input: input.reset, hiddenSum: hiddenSums.reset, hidden: hiddenSums.candidate)
        return mixed(sigmoid(input.update + hiddenSums.update), tanh(input.candidate + part), hidden)
    }

    /// The hidden state times the reset gate.
    static func gruReset(input: Float, hiddenSum: Float, hidden: Float) -> Float {
        let reset = sigmoid(input + hiddenSum)
        return reset.raised * hidden / (reset.lowered + reset.raised)
    }

    /// The new hidden state of a GRU with `linear_before_reset` = 0; `resetSum` is the product with the reset state.
    static func gruCandidate(
        input: (update: Float, candidate: Float), updateSum: Float, resetSum: Float, hidden: Float
    ) -> Float {
        mixed(sigmoid(input.update + updateSum), tanh(input.candidate + resetSum), hidden)
    }

    static func mixed(
        _ update: (lowered: Float, raised: Float), _ candidate: (lowered: Float, raised: Float), _ hidden: Float
    ) -> Float {
        let whole = candidate.lowered + candidate.raised
        let kept = update.raised * hidden
        let numerator = (update.lowered * (candidate.raised - candidate.lowered)).addingProduct(kept, whole)
        return numerator / ((update.lowered + update.raised) * whole)
    }

    /// The new hidden and cell state of an LSTM; each gate's sum is that of its input and its hidden sum.
    static func lstm(
        input: Float, output: Float, forget: Float, candidate: Float, cell: Float
    ) -> (hidden: Float, cell: Float) {
        let input = sigmoid(input)
        let forget = sigmoid(forget)
        let candidate = tanh(candidate)
        let forgetWhole = forget.lowered + forget.raised
        let whole = (input.lowered + input.raised) * (candidate.lowered + candidate.raised)
        let new = input.raised * (candidate.raised - candidate.lowered) * forgetWhole
        let next = new.addingProduct(cell * forget.raised, whole) / (forgetWhole * whole)
        let output = sigmoid(output)
        let state = tanh(next)
        let numerator = output.raised * (state.raised - state.lowered)
        return (numerator / ((output.lowered + output.raised) * (state.lowered + state.raised)), next)
    }

    static func rnn(inputSum: Float, hiddenSum: Float) -> Float {
        ScalarFunctions.tanh(inputSum + hiddenSum)
    }
}
