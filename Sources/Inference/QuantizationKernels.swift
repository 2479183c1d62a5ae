import CPlatform

/// What stands between integer products and floats, 8 at a time. Nothing is fused: each operation rounds by itself, so that
/// NumPy's float32 repeats all of it bit for bit.
enum QuantizationKernels {
    typealias Vector = SIMD8<Float>
    typealias Integers = SIMD8<Int32>

    /// Floats to bytes.
    ///
    /// - Parameters:
    ///   - source: `vectors` vectors.
    ///   - destination: Room for `8 · vectors` bytes.
    @inline(__always)
    static func quantize(
        _ source: UnsafePointer<Vector>, _ quantization: Quantization, destination: UnsafeMutableRawPointer,
        vectors: Int
    ) {
        let step = QuantizationStep(quantization)
        var index = 0
        while index < vectors {
            step.store(source[index], destination + 8 &* index)
            index &+= 1
        }
    }

    /// Bytes to floats: (byte - zero point) · scale.
    ///
    /// - Parameters:
    ///   - source: `8 · vectors` bytes.
    ///   - destination: Room for `vectors` vectors.
    @inline(__always)
    static func dequantize(
        _ source: UnsafeRawPointer, scale: Float, zeroPoint: Int32, isSigned: Bool,
        destination: UnsafeMutablePointer<Vector>, vectors: Int
    ) {
        let scale = Vector(repeating: scale)
        let zeroPoint = Integers(repeating: zeroPoint)
        var index = 0
        if isSigned {
            while index < vectors {
                let value = martlet_load_signed(source + 8 &* index) &- zeroPoint
                destination[index] = martlet_float_from_int32(value) * scale
                index &+= 1
            }
        } else {
            while index < vectors {
                let value = martlet_load_unsigned(source + 8 &* index) &- zeroPoint
                destination[index] = martlet_float_from_int32(value) * scale
                index &+= 1
            }
        }
    }

    /// The sums of a product to floats: float(sum + correction) · scale, then + bias.
    ///
    /// - Parameters:
    ///   - corrections: Minus the zero point of the inputs times the sum of the output's weights.
    ///   - scale: Of each output: that of the inputs times that of its weights.
    ///   - destination: Room for `vectors` vectors; may be the memory of the sums.
    @inline(__always)
    static func finish(
        _ sums: UnsafePointer<Integers>, corrections: UnsafePointer<Integers>, scale: UnsafePointer<Vector>,
        bias: UnsafePointer<Vector>, destination: UnsafeMutablePointer<Vector>, vectors: Int
    ) {
        var index = 0
        while index < vectors {
            destination[index] = finished(sums[index], corrections[index], scale[index], bias[index])
            index &+= 1
        }
    }

    /// `finish` and `quantize` in one, with the bits of one after the other: from one layer's sums to the next one's inputs.
    ///
    /// - Parameter destination: Room for `8 · vectors` bytes, apart from the sums.
    @inline(__always)
    static func finishQuantized(
        _ sums: UnsafePointer<Integers>, corrections: UnsafePointer<Integers>, scale: UnsafePointer<Vector>,
        bias: UnsafePointer<Vector>, _ quantization: Quantization, destination: UnsafeMutableRawPointer, vectors: Int
    ) {
        let step = QuantizationStep(quantization)
        var index = 0
        while index < vectors {
            let value = finished(sums[index], corrections[index], scale[index], bias[index])
            step.store(value, destination + 8 &* index)
            index &+= 1
        }
    }

    @_transparent
    private static func finished(
        _ sum: Integers, _ correction: Integers, _ scale: Vector, _ bias: Vector
    ) -> Vector {
        martlet_float_from_int32(sum &+ correction) * scale + bias
    }
}

/// A quantisation's numbers, each in all lanes of a register.
private struct QuantizationStep {
    typealias Vector = SIMD8<Float>

    let scale: Vector
    let low: Vector
    let high: Vector
    /// 1.5 · 2^23: added to a number within ±2^22 it leaves the nearest integer, halves to even, in the low bits.
    let magic: Vector
    /// What takes the magic number out of the bits and puts the zero point in.
    let offset: SIMD8<Int32>

    @_transparent
    init(_ quantization: Quantization) {
        scale = Vector(repeating: quantization.scale)
        low = Vector(repeating: quantization.low)
        high = Vector(repeating: quantization.high)
        magic = Vector(repeating: FunctionConstants.roundingMagic)
        let bits = Int32(bitPattern: FunctionConstants.roundingMagic.bitPattern)
        offset = SIMD8(repeating: quantization.zeroPoint &- bits)
    }

    /// Divides in earnest, because a product with the inverse rounds differently; that cost 2 to 4 % of a small network. Bounds
    /// before it rounds: the bounds are whole numbers, so that the order does not matter.
    @_transparent
    func store(_ value: Vector, _ destination: UnsafeMutableRawPointer) {
        let bounded = martlet_bound(value / scale, low, high)
        let integers = unsafeBitCast(bounded + magic, to: SIMD8<Int32>.self) &+ offset
        martlet_store_bytes(destination, integers)
    }
}
