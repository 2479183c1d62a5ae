import Testing

@testable import Inference

/// Goal: quantising and its inverses give the bits of ONNX's definitions. Method: those definitions written out, on random floats,
/// halves, bounds and what is not a number.
@Suite struct QuantizationTests {
    @Test func `of two clips that do not meet the one before the codes decides`() throws {
        func codes(_ first: ClosedRange<Float>, _ second: ClosedRange<Float>) throws -> ClosedRange<Int> {
            let quantization = try #require(
                Quantization(
                    scale: 0.5, zeroPoint: 0, isSigned: true, clipLow: second.lowerBound, clipHigh: second.upperBound))
            return try #require(quantization.after(.clip(first.lowerBound, first.upperBound))).range
        }
        #expect(try codes(-1...1, 2...5) == 4...4)
        #expect(try codes(2...5, -1...1) == 2...2)
        #expect(try codes(-1...1, 0...5) == 0...2)
    }

    private static let scales: [Float] = [
        1, 0.5, 0.0078125, 0x1p-126, 0x1p127, 0.1, 1.0 / 3, 0.007874016, 3e38, 0x3p-140, .leastNonzeroMagnitude,
    ]

    /// Clip, then QuantizeLinear, step by step. Of a NaN: nil.
    private func defined(_ value: Float, _ low: Float, _ high: Float, _ step: Quantization) -> Int32? {
        guard !value.isNaN else { return nil }
        let clipped = min(max(value, low), high)
        let rounded = (clipped / step.scale).rounded(.toNearestOrEven)
        let bytes: ClosedRange<Float> = step.isSigned ? -128...127 : 0...255
        return Int32(min(max(rounded + Float(step.zeroPoint), bytes.lowerBound), bytes.upperBound))
    }

    /// Halves and their neighbours, bounds, subnormals, infinities and random bits.
    private func values(_ scale: Float, _ draw: inout BoundaryDraw) -> [Float] {
        var result: [Float] = [
            0, -0.0, .infinity, -.infinity, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
            .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
        ]
        for half in stride(from: Float(-4.5), through: 4.5, by: 0.5) {
            result += [half * scale, (half * scale).nextUp, (half * scale).nextDown]
        }
        for bound in [-128.5, -128, 127, 127.5, 254.5, 255, 255.5] as [Float] { result.append(bound * scale) }
        for _ in 0..<40 {
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: draw.bits()))
            result.append(value.isNaN ? 0 : value)
            result.append(Float(draw.integer(-3000...3000)) / 10 * scale)
        }
        return result
    }

    private func vectors(_ values: [Float]) -> [SIMD8<Float>] {
        stride(from: 0, to: values.count, by: 8).map { start in
            var vector = SIMD8<Float>.zero
            for lane in 0..<8 where start + lane < values.count { vector[lane] = values[start + lane] }
            return vector
        }
    }

    private func quantized(_ source: [SIMD8<Float>], _ step: Quantization) -> [Int32] {
        var bytes = [UInt8](repeating: 0x5A, count: source.count * 8 + 8)
        source.withUnsafeBufferPointer { source in
            bytes.withUnsafeMutableBytes {
                QuantizationKernels.quantize(
                    source.baseAddress!, step, destination: $0.baseAddress!, vectors: source.count)
            }
        }
        #expect(bytes.suffix(8).allSatisfy { $0 == 0x5A })
        return bytes.dropLast(8).map { step.isSigned ? Int32(Int8(bitPattern: $0)) : Int32($0) }
    }

    @Test("Bytes are those of Clip and QuantizeLinear, with any clip and zero point", arguments: scales)
    func quantize(scale: Float) throws {
        var draw = BoundaryDraw(seed: 7)
        let values = values(scale, &draw)
        let vectors = vectors(values)
        for isSigned in [false, true] {
            for zeroPoint in isSigned ? [-128, -1, 0, 127] : [0, 1, 64, 128, 255] as [Int32] {
                for (low, high) in [
                    (-.infinity, .infinity), (0, .infinity), (0, 127 * scale), (-0.75 * scale, 2.5 * scale),
                    (3 * scale, -3 * scale), (-.infinity, -1000 * scale), (1000 * scale, .infinity),
                ] as [(Float, Float)] {
                    let step = try #require(
                        Quantization(
                            scale: scale, zeroPoint: zeroPoint, isSigned: isSigned, clipLow: low, clipHigh: high))
                    let bytes = quantized(vectors, step)
                    var isRight = true
                    for (index, value) in values.enumerated() {
                        isRight =
                            isRight && bytes[index] == defined(value, low, high, step)
                            && bytes[index] == IntegerReference.quantize(value, step)
                            && step.range.contains(Int(bytes[index]))
                    }
                    #expect(isRight, "zero point \(zeroPoint), clip \(low) to \(high)")
                }
            }
        }
    }

    @Test("A NaN gives the least byte that the bounds allow")
    func notANumber() throws {
        let step = try #require(Quantization(scale: 0.1, zeroPoint: 3, isSigned: false, clipLow: -0.2))
        let bytes = quantized([SIMD8(.nan, -.nan, .signalingNaN, 1, .nan, -1, 0, .infinity)], step)
        #expect(bytes == [1, 1, 1, 13, 1, 1, 3, 255])
        #expect(IntegerReference.quantize(.nan, step) == 1)
    }

    @Test("What ONNX leaves open is refused")
    func refused() {
        for scale in [0, -1, .nan, .infinity] as [Float] {
            #expect(Quantization(scale: scale, zeroPoint: 0, isSigned: false) == nil)
        }
        #expect(Quantization(scale: 1, zeroPoint: -1, isSigned: false) == nil)
        #expect(Quantization(scale: 1, zeroPoint: 256, isSigned: false) == nil)
        #expect(Quantization(scale: 1, zeroPoint: 128, isSigned: true) == nil)
        #expect(Quantization(scale: 1, zeroPoint: 0, isSigned: true, clipLow: .nan) == nil)
        #expect(Quantization(scale: 1, zeroPoint: 0, isSigned: true, clipHigh: .nan) == nil)
    }

    @Test("A clip to 0...127 steps proves 7-bit inputs")
    func provenRange() throws {
        let scale: Float = 0.037
        let step = try #require(
            Quantization(scale: scale, zeroPoint: 0, isSigned: false, clipLow: 0, clipHigh: 127 * scale))
        #expect(step.range == 0...127)
        let tanh = try #require(
            Quantization(scale: 0x1p-6, zeroPoint: 64, isSigned: false, clipLow: -1, clipHigh: 63.0 / 64))
        #expect(tanh.range == 0...127)
    }

    @Test("All bytes dequantise to the plain twin's floats", arguments: scales)
    func dequantize(scale: Float) {
        let bytes = (0...255).map { UInt8($0) }
        for (isSigned, zeroPoint) in [(false, 0), (false, 128), (false, 255), (true, -128), (true, 5)]
            as [(Bool, Int32)]
        {
            var floats = [SIMD8<Float>](repeating: .zero, count: 32)
            bytes.withUnsafeBytes { source in
                floats.withUnsafeMutableBufferPointer {
                    QuantizationKernels.dequantize(
                        source.baseAddress!, scale: scale, zeroPoint: zeroPoint, isSigned: isSigned,
                        destination: $0.baseAddress!, vectors: 32)
                }
            }
            let isRight = bytes.allSatisfy { byte in
                let value = isSigned ? Int32(Int8(bitPattern: byte)) : Int32(byte)
                let expected = IntegerReference.dequantize(value, scale: scale, zeroPoint: zeroPoint)
                return floats[Int(byte) / 8][Int(byte) % 8].bitPattern == expected.bitPattern
            }
            #expect(isRight)
        }
    }

    @Test("Finished sums have the bits of the plain twin, alone and quantised, for 0 to 5 vectors", arguments: scales)
    func finish(scale: Float) throws {
        var draw = BoundaryDraw(seed: 8)
        let step = try #require(Quantization(scale: scale, zeroPoint: 64, isSigned: false, clipLow: 0))
        for vectors in 0...5 {
            let count = vectors * 8
            let sums = (0..<count).map { _ in Int32(draw.integer(-2_000_000_000...2_000_000_000)) }
            let corrections = (0..<count).map { _ in Int32(draw.integer(-100_000_000...100_000_000)) }
            let scales = (0..<count).map { _ in Float(draw.integer(1...1000)) * 1e-5 * min(scale, 1e30) }
            let biases = (0..<count).map { _ in Float(draw.integer(-1000...1000)) * 1e-3 }
            let memory = (
                sums: allocated(integers(sums)), corrections: allocated(integers(corrections)),
                scales: allocated(self.vectors(scales)), biases: allocated(self.vectors(biases)),
                bytes: allocated([UInt8](repeating: 0x5A, count: count + 8))
            )
            defer {
                memory.sums.deallocate()
                memory.corrections.deallocate()
                memory.scales.deallocate()
                memory.biases.deallocate()
                memory.bytes.deallocate()
            }
            QuantizationKernels.finishQuantized(
                memory.sums, corrections: memory.corrections, scale: memory.scales, bias: memory.biases, step,
                destination: memory.bytes, vectors: vectors)
            var isRight = (count..<count + 8).allSatisfy { memory.bytes[$0] == 0x5A }
            // In place, as the engine may.
            let floats = UnsafeMutableRawPointer(memory.sums).assumingMemoryBound(to: SIMD8<Float>.self)
            QuantizationKernels.finish(
                memory.sums, corrections: memory.corrections, scale: memory.scales, bias: memory.biases,
                destination: floats, vectors: vectors)
            for index in 0..<count {
                let expected = IntegerReference.finish(
                    sums[index], correction: corrections[index], scale: scales[index], bias: biases[index])
                isRight =
                    isRight && floats[index / 8][index % 8].bitPattern == expected.bitPattern
                    && Int32(memory.bytes[index]) == IntegerReference.quantize(expected, step)
            }
            #expect(isRight)
        }
    }

    private func allocated<Value>(_ values: [Value]) -> UnsafeMutablePointer<Value> {
        let memory = UnsafeMutablePointer<Value>.allocate(capacity: values.count + 1)
        memory.initialize(from: values, count: values.count)
        return memory
    }

    private func integers(_ values: [Int32]) -> [SIMD8<Int32>] {
        stride(from: 0, to: values.count, by: 8).map { start in
            var vector = SIMD8<Int32>.zero
            for lane in 0..<8 { vector[lane] = values[start + lane] }
            return vector
        }
    }
}
