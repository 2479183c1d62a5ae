/// A constant, row-major.
public struct Tensor: Equatable, Sendable {
    public let name: String
    /// Extents; empty for a scalar.
    public let shape: [Int]
    public let elements: Elements

    /// The elements in the type of the file.
    public enum Elements: Equatable, Sendable {
        case float([Float])
        case double([Double])
        /// Each is a value of IEEE's binary16, held without loss: see `Float.roundedToFloat16`.
        case float16([Float])
        /// Each is a value of bfloat16, held without loss: see `Float.roundedToBFloat16`.
        case bfloat16([Float])
        case int64([Int64])
        case int32([Int32])
        case int16([Int16])
        case int8([Int8])
        case uint64([UInt64])
        case uint32([UInt32])
        case uint16([UInt16])
        case uint8([UInt8])
        case bool([Bool])

        /// Number of elements.
        public var count: Int {
            switch self {
            case .float(let values), .float16(let values), .bfloat16(let values): values.count
            case .double(let values): values.count
            case .int64(let values): values.count
            case .int32(let values): values.count
            case .int16(let values): values.count
            case .int8(let values): values.count
            case .uint64(let values): values.count
            case .uint32(let values): values.count
            case .uint16(let values): values.count
            case .uint8(let values): values.count
            case .bool(let values): values.count
            }
        }
    }

    /// Makes a tensor.
    ///
    /// - Precondition: `elements` has as many elements as `shape` says, and those of 16-bit floats are values of
    ///   their type.
    public init(name: String, shape: [Int], elements: Elements) {
        self.name = name
        self.shape = shape
        self.elements = elements
        precondition(shape.reduce(1, *) == count, "A tensor has as many elements as its shape says.")
        assert(isRepresentable, "The elements of a tensor of 16-bit floats are values of that type.")
    }

    /// Number of elements.
    public var count: Int { elements.count }

    /// The type of the elements.
    public var elementType: ElementType {
        switch elements {
        case .float: .float
        case .double: .double
        case .float16: .float16
        case .bfloat16: .bfloat16
        case .int64: .int64
        case .int32: .int32
        case .int16: .int16
        case .int8: .int8
        case .uint64: .uint64
        case .uint32: .uint32
        case .uint16: .uint16
        case .uint8: .uint8
        case .bool: .bool
        }
    }

    /// The elements as integers, or nil for floats and Booleans. An element of uint64 keeps its bits, so that one
    /// of 2^63 or more is negative.
    public var integers: [Int64]? {
        switch elements {
        case .int64(let values): values
        case .int32(let values): values.map(Int64.init)
        case .int16(let values): values.map(Int64.init)
        case .int8(let values): values.map(Int64.init)
        case .uint64(let values): values.map(Int64.init(bitPattern:))
        case .uint32(let values): values.map(Int64.init)
        case .uint16(let values): values.map(Int64.init)
        case .uint8(let values): values.map(Int64.init)
        case .float, .double, .float16, .bfloat16, .bool: nil
        }
    }

    /// The elements as 32-bit floats, or nil for a tensor of another kind.
    public var floats: [Float]? {
        if case .float(let values) = elements { values } else { nil }
    }

    /// The elements of any type of floats, which a `Double` holds without loss, or nil for integers and Booleans.
    public var doubles: [Double]? {
        switch elements {
        case .float(let values), .float16(let values), .bfloat16(let values): values.map(Double.init)
        case .double(let values): values
        default: nil
        }
    }

    private var isRepresentable: Bool {
        switch elements {
        case .float16(let values): values.allSatisfy { $0.isNaN || $0.roundedToFloat16 == $0 }
        case .bfloat16(let values): values.allSatisfy { $0.isNaN || $0.roundedToBFloat16 == $0 }
        default: true
        }
    }
}
