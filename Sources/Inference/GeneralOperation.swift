import Glibc
import ONNX

/// An operation without a kernel of its own: exact and plain, not fast. It allocates nothing when it runs.
struct GeneralOperation: Sendable {
    enum Kind: Sendable {
        /// Elements of 8 bytes by index; the bits of `fill` where the index is negative.
        case gather([Int32], fill: Int64)
        case negative(ElementType)
        /// Integers.
        case clip(Int64, Int64)
        /// Elements by index on both sides. The first type is that of the result, the second the exponent's.
        case arithmetic(Arithmetic, ElementType, ElementType, [Int32], [Int32])
        case convert(ElementType, ElementType)
        /// Integers and 64-bit floats.
        case contract(Contraction)
        /// Sums or largest elements of integers or 64-bit floats.
        case reduce(Reduction, ElementType, starts: [Int32], taps: [Int32])
        /// Numbers of the largest elements of windows.
        case maximumPlaces(PlaceWindows, Storage)
        /// One scale and zero point for all, or one for each element.
        case quantize([Float], [Int64], ElementType)
        case dequantize([Float], [Int64])
        /// Bytes to integers.
        case widen(isSigned: Bool)
        case requantize(Float, Int64, ElementType)
        /// Further results: scale and zero point.
        case dynamicQuantize
        /// Elements of the first source by the indices in the second.
        case pick(outer: Int, extent: Int, inner: Int, Storage)
    }

    var kind: Kind
    var sources: [Operand]
    var furtherDestinations: [Operand] = []

    init(_ kind: Kind, _ sources: [Operand]) {
        self.kind = kind
        self.sources = sources
    }
}

/// Where operands lie: the first byte of each buffer.
protocol OperandMemory {
    func address(_ operand: Operand, _ storage: Storage) -> UnsafeMutableRawPointer
}

extension OperandMemory {
    func floats(_ operand: Operand) -> UnsafeMutablePointer<Float> {
        address(operand, .float).assumingMemoryBound(to: Float.self)
    }

    func doubles(_ operand: Operand) -> UnsafeMutablePointer<Double> {
        address(operand, .double).assumingMemoryBound(to: Double.self)
    }

    func integers(_ operand: Operand) -> UnsafeMutablePointer<Int64> {
        address(operand, .integer).assumingMemoryBound(to: Int64.self)
    }

    func bytes(_ operand: Operand) -> UnsafeMutablePointer<UInt8> {
        address(operand, .byte).assumingMemoryBound(to: UInt8.self)
    }
}

extension GeneralOperation {
    /// Computes the results.
    func run(_ memory: some OperandMemory, destination: Operand) {
        switch kind {
        case .gather(let indices, let fill):
            // 64-bit floats are moved as the integers of the same bits.
            let source = memory.integers(sources[0])
            let result = memory.integers(destination)
            for (index, place) in indices.enumerated() { result[index] = place < 0 ? fill : source[Int(place)] }
        case .negative(let type):
            if type == .double {
                let (source, result) = (memory.doubles(sources[0]), memory.doubles(destination))
                for index in 0..<destination.count { result[index] = -source[index] }
            } else {
                let (source, result) = (memory.integers(sources[0]), memory.integers(destination))
                for index in 0..<destination.count { result[index] = type.wrapped(0 &- source[index]) }
            }
        case .clip(let low, let high):
            let (source, result) = (memory.integers(sources[0]), memory.integers(destination))
            for index in 0..<destination.count { result[index] = min(max(source[index], low), high) }
        case .arithmetic(let operation, let type, let exponentType, let first, let second):
            arithmetic(memory, destination, operation, type, exponentType, first, second)
        case .convert(let from, let to): convert(memory, destination, from, to)
        case .contract(let contraction): contract(memory, destination, contraction)
        case .reduce(let reduction, let type, let starts, let taps):
            reduce(memory, destination, isSum: reduction == .sum, type, starts, taps)
        case .maximumPlaces(let windows, let storage): maximumPlaces(memory, destination, windows, storage)
        case .quantize, .dequantize, .requantize, .dynamicQuantize: quantize(memory, destination)
        case .widen(let isSigned):
            let (source, result) = (memory.bytes(sources[0]), memory.integers(destination))
            for index in 0..<destination.count {
                result[index] = isSigned ? Int64(Int8(bitPattern: source[index])) : Int64(source[index])
            }
        case .pick(let outer, let extent, let inner, let storage):
            pick(memory, destination, outer: outer, extent: extent, inner: inner, storage)
        }
    }

    // MARK: Arithmetic

    private func arithmetic(
        _ memory: some OperandMemory, _ destination: Operand, _ operation: Arithmetic, _ type: ElementType,
        _ exponentType: ElementType, _ first: [Int32], _ second: [Int32]
    ) {
        if operation == .power { return power(memory, destination, type, exponentType, first, second) }
        if type == .double {
            let (a, b) = (memory.doubles(sources[0]), memory.doubles(sources[1]))
            let result = memory.doubles(destination)
            for index in first.indices {
                result[index] = operation.apply(a[Int(first[index])], b[Int(second[index])])
            }
            return
        }
        let (a, b) = (memory.integers(sources[0]), memory.integers(sources[1]))
        let result = memory.integers(destination)
        for index in first.indices {
            let (x, y) = (a[Int(first[index])], b[Int(second[index])])
            let value: Int64
            switch operation {
            case .add: value = x &+ y
            case .subtract: value = x &- y
            case .multiply: value = x &* y
            // Division by 0 has no result in the specification; here it is 0.
            case .divide where type == .uint64 && y != 0:
                value = Int64(bitPattern: UInt64(bitPattern: x) / UInt64(bitPattern: y))
            case .divide: value = y == 0 ? 0 : x.dividedReportingOverflow(by: y).partialValue
            case .minimum where type == .uint64, .maximum where type == .uint64:
                let isLess = UInt64(bitPattern: x) < UInt64(bitPattern: y)
                value = isLess == (operation == .minimum) ? x : y
            case .minimum: value = min(x, y)
            default: value = max(x, y)
            }
            result[index] = type.wrapped(value)
        }
    }

    private func power(
        _ memory: some OperandMemory, _ destination: Operand, _ type: ElementType, _ exponentType: ElementType,
        _ first: [Int32], _ second: [Int32]
    ) {
        for index in first.indices {
            let base = number(memory, sources[0], Int(first[index]), type)
            let exponent = number(memory, sources[1], Int(second[index]), exponentType)
            if type.isInteger, exponentType.isInteger {
                let x = memory.integers(sources[0])[Int(first[index])]
                let y = memory.integers(sources[1])[Int(second[index])]
                memory.integers(destination)[index] = type.wrapped(GeneralOperation.power(x, y))
            } else {
                store(memory, destination, index, type, pow(base, exponent))
            }
        }
    }

    /// A whole power by repeated squaring, modulo 2^64; 0 for a negative exponent of another base than ±1.
    private static func power(_ base: Int64, _ exponent: Int64) -> Int64 {
        guard exponent >= 0 else { return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0 }
        var (result, square, rest) = (Int64(1), base, exponent)
        while rest > 0 {
            if rest & 1 == 1 { result = result &* square }
            square = square &* square
            rest >>= 1
        }
        return result
    }

    private func number(
        _ memory: some OperandMemory, _ operand: Operand, _ index: Int, _ type: ElementType
    ) -> Double {
        switch Storage(type) {
        case .float, .byte: Double(memory.floats(operand)[index])
        case .double: memory.doubles(operand)[index]
        case .integer:
            type == .uint64
                ? Double(UInt64(bitPattern: memory.integers(operand)[index])) : Double(memory.integers(operand)[index])
        }
    }

    private func store(
        _ memory: some OperandMemory, _ operand: Operand, _ index: Int, _ type: ElementType, _ value: Double
    ) {
        switch Storage(type) {
        case .float, .byte: memory.floats(operand)[index] = type.rounded(Float(value))
        case .double: memory.doubles(operand)[index] = value
        case .integer:
            memory.integers(operand)[index] =
                switch type {
                case .bool: value != 0 ? 1 : 0
                case .uint64 where value >= 0x1p63: Int64(bitPattern: value >= 0x1p64 ? .max : UInt64(value))
                default: type.wrapped(Int64(clampedFrom: value))
                }
        }
    }

    private func convert(
        _ memory: some OperandMemory, _ destination: Operand, _ from: ElementType, _ to: ElementType
    ) {
        if from.isInteger, to.isInteger {
            let (source, result) = (memory.integers(sources[0]), memory.integers(destination))
            for index in 0..<destination.count {
                result[index] = to == .bool ? (source[index] != 0 ? 1 : 0) : to.wrapped(source[index])
            }
            return
        }
        if from.isInteger, Storage(to) == .float {
            // Rounded once, not by way of a 64-bit float.
            let (source, result) = (memory.integers(sources[0]), memory.floats(destination))
            for index in 0..<destination.count {
                let value = from == .uint64 ? Float(UInt64(bitPattern: source[index])) : Float(source[index])
                result[index] = to.rounded(value)
            }
            return
        }
        for index in 0..<destination.count {
            store(memory, destination, index, to, number(memory, sources[0], index, from))
        }
    }

    private func contract(_ memory: some OperandMemory, _ destination: Operand, _ contraction: Contraction) {
        // The sources are copies of the contraction's operands where these lie in the state.
        let (a, b) = (memory.integers(sources[0]), memory.integers(sources[1]))
        let result = memory.integers(destination)
        for index in 0..<destination.count {
            let (x, y) = (a + Int(contraction.firstStarts[index]), b + Int(contraction.secondStarts[index]))
            var sum: Int64 = 0
            for tap in contraction.firstTaps.indices {
                sum &+= x[Int(contraction.firstTaps[tap])] &* y[Int(contraction.secondTaps[tap])]
            }
            result[index] = sum
        }
    }

    private func pick(
        _ memory: some OperandMemory, _ destination: Operand, outer: Int, extent: Int, inner: Int, _ storage: Storage
    ) {
        let indices = memory.integers(sources[1])
        let count = sources[1].count
        let size = storage.byteCount * inner
        let source = memory.address(sources[0], storage)
        let result = memory.address(destination, storage)
        for part in 0..<outer {
            for index in 0..<count {
                let wanted = indices[index] < 0 ? indices[index] &+ Int64(extent) : indices[index]
                let target = result + (part * count + index) * size
                if wanted >= 0, wanted < Int64(extent) {
                    target.copyMemory(from: source + (part * extent + Int(wanted)) * size, byteCount: size)
                } else {
                    target.initializeMemory(as: UInt8.self, repeating: 0, count: size)
                }
            }
        }
    }

    // MARK: Quantisation

    private func quantize(_ memory: some OperandMemory, _ destination: Operand) {
        switch kind {
        case .quantize(let scales, let zeroPoints, let type):
            let (source, result) = (memory.floats(sources[0]), memory.integers(destination))
            for index in 0..<destination.count {
                let place = scales.count == 1 ? 0 : index
                result[index] = type.saturated(source[index] / scales[place], plus: zeroPoints[place])
            }
        case .dequantize(let scales, let zeroPoints):
            let (source, result) = (memory.integers(sources[0]), memory.floats(destination))
            for index in 0..<destination.count {
                let place = scales.count == 1 ? 0 : index
                result[index] = Float(source[index] &- zeroPoints[place]) * scales[place]
            }
        case .requantize(let factor, let zeroPoint, let type):
            let (source, result) = (memory.integers(sources[0]), memory.integers(destination))
            for index in 0..<destination.count {
                result[index] = type.saturated(Float(source[index]) * factor, plus: zeroPoint)
            }
        default:
            let (source, result) = (memory.floats(sources[0]), memory.integers(destination))
            var (low, high) = (Float(0), Float(0))
            for index in 0..<destination.count {
                low = min(low, source[index])
                high = max(high, source[index])
            }
            let width = (high - low) / 255
            // The specification leaves open what the scale of zeros is. In ONNX Runtime it is 1.
            let scale = width == 0 ? 1 : width
            let zero = ElementType.uint8.saturated(-low / scale, plus: 0)
            for index in 0..<destination.count {
                result[index] = ElementType.uint8.saturated(source[index] / scale, plus: zero)
            }
            memory.floats(furtherDestinations[0])[0] = scale
            memory.integers(furtherDestinations[1])[0] = zero
        }
    }
}

extension Arithmetic {
    func apply(_ x: Double, _ y: Double) -> Double {
        switch self {
        case .add: x + y
        case .subtract: x - y
        case .multiply: x * y
        case .divide: x / y
        case .power: pow(x, y)
        case .minimum: y < x ? y : x
        case .maximum: y > x ? y : x
        }
    }
}

extension Int64 {
    /// The number without its fraction, within the range of 64 bits; 0 for NaN.
    init(clampedFrom value: Double) {
        if value.isNaN {
            self = 0
        } else if abs(value) >= 0x1p63 {
            self = value > 0 ? .max : .min
        } else {
            self = Int64(value)
        }
    }
}

extension ElementType {
    /// The values of an integer type, as 64-bit integers; nil where these hold all.
    var bounds: ClosedRange<Int64>? {
        switch self {
        case .int8: -128...127
        case .uint8: 0...255
        case .int16: -32_768...32_767
        case .uint16: 0...65_535
        case .int32: Int64(Int32.min)...Int64(Int32.max)
        case .uint32: 0...Int64(UInt32.max)
        case .bool: 0...1
        default: nil
        }
    }

    /// A 64-bit integer brought into the type's range, modulo its size.
    func wrapped(_ value: Int64) -> Int64 {
        switch self {
        case .int8: Int64(Int8(truncatingIfNeeded: value))
        case .uint8: Int64(UInt8(truncatingIfNeeded: value))
        case .int16: Int64(Int16(truncatingIfNeeded: value))
        case .uint16: Int64(UInt16(truncatingIfNeeded: value))
        case .int32: Int64(Int32(truncatingIfNeeded: value))
        case .uint32: Int64(UInt32(truncatingIfNeeded: value))
        case .bool: value & 1
        default: value
        }
    }

    /// `value` rounded, halves to the even neighbour, plus a zero point, within the type's range; NaN gives the zero
    /// point.
    func saturated(_ value: Float, plus zeroPoint: Int64) -> Int64 {
        let rounded = value.rounded(.toNearestOrEven)
        let sum = (rounded.isNaN ? 0 : Int64(min(max(rounded, -1e15), 1e15))) &+ zeroPoint
        guard let bounds else { return sum }
        return min(max(sum, bounds.lowerBound), bounds.upperBound)
    }

    /// A float rounded to the type's precision.
    func rounded(_ value: Float) -> Float {
        switch self {
        case .float16: value.roundedToFloat16
        case .bfloat16: value.roundedToBFloat16
        default: value
        }
    }
}
