/// A checked ONNX graph: values only, nothing of protobuf.
///
/// What holds for every graph that `Graph.init(onnx:)` returns: nodes stand in an order in which each input is an
/// initializer, a graph input or an output of an earlier node; every value has one producer; names are not empty;
/// every tensor has as many elements as its shape says; the default operator set is imported if a node belongs to it.
/// Operators, their attributes and their versions are not judged here.
public struct Graph: Sendable {
    /// The graph's own name, possibly empty.
    public let name: String
    /// Version of the file format.
    public let irVersion: Int
    /// Version of the default operator set (`ai.onnx`), or `notImported`: then no node belongs to it.
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

    /// The value of `opset` for a model that uses only other operator sets, such as one of trees in `ai.onnx.ml`.
    public static let notImported = 0
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
