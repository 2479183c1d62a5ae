public import ONNX

/// Why a file is not a model that can be run. Says where the fault is, what was found and what was expected.
public enum ModelError: Error, Equatable, Sendable {
    /// The file is not a readable ONNX graph.
    case onnx(ONNXError)
    /// A `martlet.*` metadata key is missing or broken.
    case metadata(key: String, reason: String)
    /// The model was made for another version of the feature set.
    case featureSetVersion(found: Int, expected: Int)
    /// A feature that the model wants is not in the feature set.
    case unknownFeature(name: String)
    /// An input or output of the graph that breaks the model contract.
    case value(name: String, reason: String)
    /// A node that cannot be run.
    case node(name: String, operator: String, reason: String)
    /// More of something than a stated limit of `ModelLimits` allows.
    case limit(what: String, found: Int, limit: Int)
}

extension ModelError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .onnx(let error):
            error.description
        case .metadata(let key, let reason):
            "metadata '\(key)': \(reason)"
        case .featureSetVersion(let found, let expected):
            "the model wants version \(found) of the feature set, this program has version \(expected)"
        case .unknownFeature(let name):
            "the model wants feature '\(name)', which the feature set does not have"
        case .value(let name, let reason):
            "graph value '\(name)': \(reason)"
        case .node(let name, let op, let reason):
            "node '\(name)' (\(op)) cannot be run: \(reason)"
        case .limit(let what, let found, let limit):
            "\(found) \(what), more than the limit of \(limit)"
        }
    }
}

/// A list as errors show it: all of a short one, the beginning of a long one.
func listed<Element>(_ list: [Element]) -> String {
    guard list.count > 16 else { return "\(list)" }
    return "[" + list.prefix(16).map { "\($0)" }.joined(separator: ", ") + ", … \(list.count) in all]"
}

/// Limits of what a model may ask for.
public enum ModelLimits {
    /// Features of a model. The feature set has some hundred.
    public static let features = 4_096
    /// Horizons of a model.
    public static let horizons = 64
    /// Elements of one intermediate value.
    public static let elements = 1 << 21
    /// Elements of one buffer, padding included.
    public static let bufferElements = 1 << 22
    /// Bytes of all weights, constants, tables and intermediate values together, counted as they are at load, when some
    /// are there more than once: far beyond what runs within a tick.
    public static let planBytes = 1 << 29
    /// Bytes of one instrument's state.
    public static let stateBytes = 1 << 26
    /// Elements that planning goes through one by one: a second or so.
    public static let planVisits = 1 << 26
    /// Multiply-adds and copied elements of one run, and those at load: a second or so.
    public static let operations = 1 << 31
    /// The same of all that is computed at load, which is done before it is packed for speed.
    public static let foldedOperations = 1 << 28
    /// Weights of one matrix, those of absent connections of a grouped convolution counted.
    public static let weights = 1 << 24
    /// Inputs of an integer product: more could overflow its 32-bit sums.
    public static let integerColumns = IntegerMatrix.columnsMax
    /// Layers of a plan.
    public static let layers = 10_000
    /// Dimensions of one intermediate value.
    public static let rank = 8
    /// Oldest and newest version of the default operator set whose forms of the operators are known.
    public static let opsets = 1...27
}
