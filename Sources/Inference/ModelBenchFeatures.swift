/// Rows of values for a tool to run a model on: the same in each run.
public struct FeatureRows: Sendable {
    /// Values of a row.
    public let width: Int
    /// Row after row.
    public let values: [Float]

    public var count: Int { values.count / width }

    /// - Precondition: `values` is a whole number of rows of `width` values each, and there is at least one.
    public init(width: Int, values: [Float]) {
        precondition(width > 0 && !values.isEmpty && values.count % width == 0, "Rows are whole, and there is one.")
        self.width = width
        self.values = values
    }

    /// Values of mean 0 and variance 1, within 3.5 of 0: sums of four that are evenly spread.
    public init(random seed: UInt64, count: Int, width: Int) {
        var random = SplitMix64(state: seed)
        let values = (0..<count * width).map { _ in
            let sum = (0..<4).reduce(Float(0)) { sum, _ in sum + Float(random.next() >> 40) / Float(1 << 24) }
            return (sum - 2) * Float(3).squareRoot()
        }
        self.init(width: width, values: values)
    }
}

/// A small generator whose every seed is good (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014).
private struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
