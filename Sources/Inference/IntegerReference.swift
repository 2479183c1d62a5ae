/// The plain twins of `IntegerKernels` and `QuantizationKernels`: one number at a time, as ONNX writes them.
enum IntegerReference {
    /// Sums of raw bytes times weights, one per row.
    static func product(_ matrix: IntegerMatrix, _ inputs: [Int32]) -> [Int32] {
        (0..<matrix.rows).map { row in
            var sum: Int32 = 0
            for column in 0..<matrix.columns {
                sum += Int32(matrix.weights[row * matrix.columns + column]) * inputs[column]
            }
            return sum
        }
    }

    /// QuantizeLinear of a number that is not NaN after Clip; the least possible byte for a NaN.
    static func quantize(_ value: Float, _ quantization: Quantization) -> Int32 {
        let rounded = (value / quantization.scale).rounded(.toNearestOrEven)
        guard rounded > quantization.low else { return Int32(quantization.low) + quantization.zeroPoint }
        guard rounded < quantization.high else { return Int32(quantization.high) + quantization.zeroPoint }
        return Int32(rounded) + quantization.zeroPoint
    }

    /// DequantizeLinear.
    static func dequantize(_ byte: Int32, scale: Float, zeroPoint: Int32) -> Float {
        Float(byte - zeroPoint) * scale
    }

    /// A sum of a product as a float. Two roundings, not one.
    static func finish(_ sum: Int32, correction: Int32, scale: Float, bias: Float) -> Float {
        let product = Float(sum + correction) * scale
        return product + bias
    }
}
