import Foundation
import SwiftProtobuf

/// An ONNX file that is changed in places and kept in all others: what this project does not read of it (documentation,
/// intermediate shapes, training information) is written back as it was.
///
///     var model = try EditableModel(onnx: bytes)
///     model.setInitializer(pruned)                    // same name: the values are replaced
///     model.setMetadata("martlet.density", "0.25")
///     let edited = try model.serialized()
public struct EditableModel: Sendable {
    private var proto: Martlet_Onnx_ModelProto
    private let limits: GraphLimits

    /// Reads and checks the bytes of an ONNX file, as `Graph.init(onnx:)` does and within the same limits. Never traps,
    /// whatever the bytes.
    public init(onnx bytes: [UInt8], limits: GraphLimits = GraphLimits()) throws(ONNXError) {
        _ = try Graph(onnx: bytes, limits: limits)
        self.limits = limits
        do {
            var options = BinaryDecodingOptions()
            options.messageDepthLimit = EditableModel.depthMax
            proto = try Martlet_Onnx_ModelProto(serializedBytes: bytes, options: options)
        } catch {
            throw .malformed(byteOffset: 0, reason: "\(error)")
        }
    }

    /// As deep as the schema's messages nest, with room to spare.
    static let depthMax = 16

    /// The bytes of the file as it is now.
    ///
    /// - Throws: What is wrong with the graph that the changes have made, if anything is.
    public func serialized() throws(ONNXError) -> [UInt8] {
        let bytes: [UInt8]
        do { bytes = try proto.serializedBytes() } catch { throw .malformed(byteOffset: 0, reason: "\(error)") }
        _ = try Graph(onnx: bytes, limits: limits)
        return bytes
    }

    /// The graph as it is now.
    public func graph() throws(ONNXError) -> Graph {
        try Graph(onnx: try serialized(), limits: limits)
    }

    // MARK: Names

    /// A name that no value and no node has: `stem`, or `stem` with a number behind it.
    public func unusedName(_ stem: String) -> String {
        var names = Set(proto.graph.initializer.map(\.name))
        names.formUnion(proto.graph.input.map(\.name))
        for node in proto.graph.node {
            names.insert(node.name)
            names.formUnion(node.output)
        }
        guard names.contains(stem) else { return stem }
        var number = 2
        while names.contains("\(stem)_\(number)") { number += 1 }
        return "\(stem)_\(number)"
    }

    // MARK: Constants

    /// Gives the initializer of the tensor's name these elements, or adds it.
    public mutating func setInitializer(_ tensor: Tensor) {
        var written = Martlet_Onnx_TensorProto(tensor)
        guard let index = proto.graph.initializer.firstIndex(where: { $0.name == tensor.name }) else {
            proto.graph.initializer.append(written)
            return
        }
        // The documentation of a tensor outlives its values.
        written.unknownFields = proto.graph.initializer[index].unknownFields
        proto.graph.initializer[index] = written
    }

    /// Takes away the initializers of these names that nothing reads any more.
    public mutating func removeUnusedInitializers(among names: Set<String>) {
        var read = Set(proto.graph.node.flatMap(\.input))
        read.formUnion(proto.graph.output.map(\.name))
        proto.graph.initializer.removeAll { names.contains($0.name) && !read.contains($0.name) }
        // Old files list their initializers as inputs too.
        proto.graph.input.removeAll { names.contains($0.name) && !read.contains($0.name) }
    }

    // MARK: Nodes

    /// Adds a node directly behind those that make its inputs, so that the order stays one in which a graph is computed
    /// and the nodes that read those inputs already can read the new node's outputs.
    ///
    /// - Returns: The place of the node; the nodes from there on have moved by one.
    @discardableResult
    public mutating func insert(_ node: Node) -> Int {
        let inputs = Set(node.inputs)
        let last = proto.graph.node.lastIndex { !inputs.isDisjoint(with: $0.output) }
        let place = last.map { $0 + 1 } ?? 0
        proto.graph.node.insert(Martlet_Onnx_NodeProto(node), at: place)
        return place
    }

    /// Makes a node read another value at one of its inputs.
    ///
    /// - Precondition: There is such a node, and it has such an input.
    public mutating func setInput(_ input: Int, ofNode node: Int, to value: String) {
        precondition(proto.graph.node.indices.contains(node), "There is such a node.")
        precondition(proto.graph.node[node].input.indices.contains(input), "The node has such an input.")
        proto.graph.node[node].input[input] = value
    }

    /// Makes a value an output of the graph, unless it is one.
    public mutating func addOutput(_ output: GraphValue) {
        guard !proto.graph.output.contains(where: { $0.name == output.name }) else { return }
        proto.graph.output.append(Martlet_Onnx_ValueInfoProto(output))
    }

    // MARK: Metadata

    /// Gives a metadata key this text, or adds it.
    public mutating func setMetadata(_ key: String, _ text: String) {
        if let index = proto.metadataProps.firstIndex(where: { $0.key == key }) {
            proto.metadataProps[index].value = text
            return
        }
        var entry = Martlet_Onnx_StringStringEntryProto()
        entry.key = key
        entry.value = text
        proto.metadataProps.append(entry)
    }
}
