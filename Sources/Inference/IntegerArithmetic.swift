/// How the products of bytes and weights are computed. All give the same integers within their ranges.
enum IntegerArithmetic: UInt8, CaseIterable {
    /// Inputs 0...127 and weights -63...63: two products are added in 16 bits, and four before they are widened.
    case sevenBit
    /// Inputs 0...255, weights -255...255, both widened to 16 bits.
    case unsigned
    /// Inputs -128...127, weights -255...255, both widened to 16 bits.
    case signed

    /// What the model contract promises: 4 · 127 · 63 = 32,004 fits in 16 bits. 64 would too (32,512), 65 would not.
    static let sevenBitWeightMax: Int16 = 63

    /// The fastest that is exact.
    ///
    /// - Parameters:
    ///   - inputs: What the inputs can be at most, as a clip before their quantisation proves it.
    ///   - isSigned: Whether the bytes are `Int8`.
    init(inputs: ClosedRange<Int>, isSigned: Bool, matrix: IntegerMatrix) {
        let isSevenBit = inputs.lowerBound >= 0 && inputs.upperBound <= 127
        if isSevenBit && matrix.magnitudeMax <= IntegerArithmetic.sevenBitWeightMax {
            self = .sevenBit
        } else {
            self = isSigned ? .signed : .unsigned
        }
    }

    /// Bytes that one vector of 8 outputs by 4 inputs takes.
    var blockBytes: Int { self == .sevenBit ? 32 : 64 }
}
