/// A checked ONNX graph: values only, nothing of protobuf.
///
/// What holds for every graph that `Graph.init(onnx:)` returns: nodes stand in an order in which each input is an
/// initializer, a graph input or an output of an earlier node; every value has one producer; names are not empty;
/// every tensor has as many elements as its shape says. Operators and their attributes are not judged here.
public struct Graph: Sendable {
    /// The graph's own name, possibly empty.
    public let name: String
    /// Version of the file format.
    public let irVersion: Int
    /// Version of the default operator set (`ai.onnx`).
    public let opset: Int
    /// Versions of the other operator sets by domain.
    public let otherOpsets: [String: Int]
    /// Inputs that are not initializers, in file order.
    public let inputs: [GraphValue]
    /// Outputs in file order.
    public let outputs: [GraphValue]
    /// Nodes in topological order, as in the file.
    public let nodes: [Node]
    /// Constant tensors by name.
    public let initializers: [String: Tensor]
    /// Free text by key, as the file's `metadata_props` say.
    public let metadata: [String: String]
}

/// An input or output of a graph.
public struct GraphValue: Equatable, Sendable {
    public let name: String
    public let elementType: ElementType
    public let shape: [Dimension]

    public init(name: String, elementType: ElementType, shape: [Dimension]) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
    }
}

/// One extent of a value's shape.
public enum Dimension: Equatable, Sendable, CustomStringConvertible {
    case fixed(Int)
    /// Known only at run time, by a name that may be empty.
    case symbolic(String)

    public var description: String {
        switch self {
        case .fixed(let count): "\(count)"
        case .symbolic(let name): name.isEmpty ? "?" : name
        }
    }
}

/// One operation of a graph.
public struct Node: Sendable {
    /// Never empty: a node without a name is called `#` and its position in the file.
    public let name: String
    /// The operator's name, such as `Gemm`.
    public let operatorName: String
    /// Empty for the default operator set.
    public let domain: String
    /// Names of values; an empty name stands for an optional input that is absent.
    public let inputs: [String]
    /// Names of values; an empty name stands for an optional output that is not wanted.
    public let outputs: [String]
    public let attributes: [String: Attribute]

    public init(
        name: String, operatorName: String, domain: String = "", inputs: [String], outputs: [String],
        attributes: [String: Attribute] = [:]
    ) {
        self.name = name
        self.operatorName = operatorName
        self.domain = domain
        self.inputs = inputs
        self.outputs = outputs
        self.attributes = attributes
    }
}

/// A named constant of a node.
public enum Attribute: Sendable {
    case float(Float)
    case integer(Int64)
    case string(String)
    case tensor(Tensor)
    case floats([Float])
    case integers([Int64])
    case strings([String])
}

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
        case int64([Int64])
        case int32([Int32])
        case int8([Int8])
        case uint8([UInt8])
        case bool([Bool])
    }

    /// Makes a tensor.
    ///
    /// - Precondition: `elements` has as many elements as `shape` says.
    public init(name: String, shape: [Int], elements: Elements) {
        self.name = name
        self.shape = shape
        self.elements = elements
        precondition(shape.reduce(1, *) == count, "A tensor has as many elements as its shape says.")
    }

    /// Number of elements.
    public var count: Int {
        switch elements {
        case .float(let values): values.count
        case .double(let values): values.count
        case .int64(let values): values.count
        case .int32(let values): values.count
        case .int8(let values): values.count
        case .uint8(let values): values.count
        case .bool(let values): values.count
        }
    }

    /// The type of the elements.
    public var elementType: ElementType {
        switch elements {
        case .float: .float
        case .double: .double
        case .int64: .int64
        case .int32: .int32
        case .int8: .int8
        case .uint8: .uint8
        case .bool: .bool
        }
    }

    /// The elements as integers, or nil for a tensor of another kind.
    public var integers: [Int64]? {
        switch elements {
        case .int64(let values): values
        case .int32(let values): values.map(Int64.init)
        case .int8(let values): values.map(Int64.init)
        case .uint8(let values): values.map(Int64.init)
        case .float, .double, .bool: nil
        }
    }

    /// The elements as 32-bit floats, or nil for a tensor of another kind.
    public var floats: [Float]? {
        if case .float(let values) = elements { values } else { nil }
    }
}

/// Element types of the specification that are read; the raw value is the file's number.
public enum ElementType: Int, Sendable, CustomStringConvertible {
    case float = 1
    case uint8 = 2
    case int8 = 3
    case int32 = 6
    case int64 = 7
    case bool = 9
    case double = 11

    public var description: String {
        switch self {
        case .float: "float32"
        case .uint8: "uint8"
        case .int8: "int8"
        case .int32: "int32"
        case .int64: "int64"
        case .bool: "bool"
        case .double: "float64"
        }
    }

    /// Bytes of one element in `raw_data`.
    var byteCount: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .float, .int32: 4
        case .int64, .double: 8
        }
    }
}
