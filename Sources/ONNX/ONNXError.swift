/// Why a file is not a graph that can be used. Says where the fault is, what was found and what was expected.
public enum ONNXError: Error, Equatable, Sendable {
    /// The bytes are not the protobuf message of an ONNX model.
    case malformed(byteOffset: Int, reason: String)
    /// More of something than a stated limit of `GraphLimits` allows.
    case limit(what: String, found: Int, limit: Int)
    /// A tensor that is broken or of a kind that is not read.
    case tensor(name: String, reason: String)
    /// A node that is broken or of a kind that is not read.
    case node(name: String, operator: String, reason: String)
    /// An input or output of the graph that is broken or of a kind that is not read.
    case value(name: String, reason: String)
    /// The model as a whole: missing graph, versions, functions.
    case model(reason: String)
}

extension ONNXError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let byteOffset, let reason):
            "not an ONNX file: \(reason) (at byte \(byteOffset))"
        case .limit(let what, let found, let limit):
            "\(found) \(what), more than the limit of \(limit)"
        case .tensor(let name, let reason):
            "tensor '\(name)': \(reason)"
        case .node(let name, let op, let reason):
            "node '\(name)' (\(op)): \(reason)"
        case .value(let name, let reason):
            "graph value '\(name)': \(reason)"
        case .model(let reason):
            "model: \(reason)"
        }
    }
}
