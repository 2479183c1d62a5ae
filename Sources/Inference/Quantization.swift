/// How floats become bytes: ONNX QuantizeLinear, with a clip before it at no cost.
///
/// A byte is round(x / scale) + zero point, saturated, halves to the even neighbour. Quantising does not decrease, so that a
/// clip before it is the same as a bound on the result: quantise(clip(x, a, b)) = clip(quantise(x), quantise(a),
/// quantise(b)). A rectifier is a clip at 0.
///
/// A NaN gives the least byte that the bounds allow, as a maximum instruction with the bound as second operand does. ONNX
/// does not define it, and ONNX Runtime 1.32 does the same on x86-64; this keeps inputs within
/// `range` whatever comes, which the fast products rely on.
struct Quantization: BitwiseCopyable, Hashable, Sendable {
    let scale: Float
    let zeroPoint: Int32
    let isSigned: Bool
    /// The bounds of round(x / scale), whole numbers within ±510.
    let low: Float
    let high: Float

    /// Nil if ONNX leaves the result open: unless scale is finite and above 0, the zero point is such a byte, and no bound is
    /// NaN.
    ///
    /// - Parameters:
    ///   - isSigned: Whether the bytes are `Int8`, else `UInt8`.
    ///   - clipLow: The least value before quantising; all are `clipHigh` if it is above that, as in ONNX.
    init?(
        scale: Float, zeroPoint: Int32, isSigned: Bool, clipLow: Float = -.infinity, clipHigh: Float = .infinity
    ) {
        let bytes: ClosedRange<Int32> = isSigned ? -128...127 : 0...255
        guard scale > 0, scale.isFinite, bytes.contains(zeroPoint), !clipLow.isNaN, !clipHigh.isNaN else { return nil }
        self.scale = scale
        self.zeroPoint = zeroPoint
        self.isSigned = isSigned
        let least = Float(bytes.lowerBound - zeroPoint)
        let greatest = Float(bytes.upperBound - zeroPoint)
        func bounded(_ clip: Float) -> Float {
            min(max((clip / scale).rounded(.toNearestOrEven), least), greatest)
        }
        high = bounded(clipHigh)
        low = min(bounded(clipLow), high)
    }

    /// Another with bounds of its own, low at most high.
    init(_ other: Quantization, low: Float, high: Float) {
        scale = other.scale
        zeroPoint = other.zeroPoint
        isSigned = other.isSigned
        self.low = min(low, high)
        self.high = high
    }

    /// The bytes that can come out.
    var range: ClosedRange<Int> { Int(low) + Int(zeroPoint)...Int(high) + Int(zeroPoint) }
}
