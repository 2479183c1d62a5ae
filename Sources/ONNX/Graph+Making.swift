extension Graph {
    /// A graph of nodes alone, for those who compute single nodes. Nothing is checked.
    public init(opset: Int, otherOpsets: [String: Int], nodes: [Node]) {
        self.init(
            name: "", irVersion: 0, opset: opset, otherOpsets: otherOpsets, inputs: [], outputs: [], nodes: nodes,
            initializers: [:], metadata: [:])
    }

    /// The same graph with other nodes. Nothing is checked.
    public func with(nodes: [Node]) -> Graph {
        Graph(
            name: name, irVersion: irVersion, opset: opset, otherOpsets: otherOpsets, inputs: inputs, outputs: outputs,
            nodes: nodes, initializers: initializers, metadata: metadata)
    }
}
