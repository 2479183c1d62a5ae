/// How large a model may be. A file over a limit is refused before memory is spent on it.
///
/// The defaults hold models of some hundred times the size of those that run inline on every tick.
public struct GraphLimits: Sendable {
    /// Bytes of the file. Packed integers take up to eight times as much memory, so that this bounds a file's memory at
    /// about 600 MB.
    public var bytes = 64 << 20
    /// Fields in the file, packed arrays and raw data counting as one. A decoded field takes up to some 300 bytes of
    /// memory where the file spends two, so that this bounds memory at about 100 MB beside the tensors.
    public var fields = 300_000
    /// Nodes of the graph.
    public var nodes = 10_000
    /// Initializers of the graph.
    public var initializers = 10_000
    /// Inputs and outputs of the graph, together.
    public var graphValues = 1_000
    /// Extents of one shape.
    public var rank = 8
    /// Elements of one tensor.
    public var elements = 16 << 20
    /// Bytes of one name, key or string.
    public var nameBytes = 4_096
    /// Bytes of one metadata value.
    public var metadataBytes = 1 << 20

    public init() {}
}
