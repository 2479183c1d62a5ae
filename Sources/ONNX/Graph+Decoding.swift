import SwiftProtobuf

extension Graph {
    /// Reads and checks the bytes of an ONNX file.
    ///
    /// Costs time and memory proportional to the file, within `limits`. Never traps, whatever the bytes.
    public init(onnx bytes: [UInt8], limits: GraphLimits = GraphLimits()) throws(ONNXError) {
        try WireScan.check(bytes, root: .model, limits: limits)
        self = try GraphReader(limits: limits).read(try decoded(bytes))
    }
}

extension Tensor {
    /// Reads and checks the bytes of a file that holds one tensor, as ONNX's test data do (`.pb`).
    ///
    /// Costs time and memory proportional to the file, within `limits`. Never traps, whatever the bytes. The name is
    /// the file's, possibly empty.
    public init(onnxTensor bytes: [UInt8], limits: GraphLimits = GraphLimits()) throws(ONNXError) {
        try WireScan.check(bytes, root: .tensor, limits: limits)
        let proto: Martlet_Onnx_TensorProto = try decoded(bytes)
        guard proto.name.utf8.count <= limits.nameBytes else {
            throw .limit(
                what: "bytes in the name of a tensor", found: proto.name.utf8.count, limit: limits.nameBytes)
        }
        self = try TensorReader(limits: limits).read(proto, name: proto.name)
    }
}

/// Decodes bytes that `WireScan` has passed.
private func decoded<Proto: SwiftProtobuf.Message>(_ bytes: [UInt8]) throws(ONNXError) -> Proto {
    do {
        var options = BinaryDecodingOptions()
        options.messageDepthLimit = 16
        options.discardUnknownFields = true
        return try Proto(serializedBytes: bytes, options: options)
    } catch {
        throw .malformed(byteOffset: 0, reason: "\(error)")
    }
}

/// Turns decoded messages into a checked graph.
private struct GraphReader {
    let limits: GraphLimits
    var tensors: TensorReader { TensorReader(limits: limits) }

    func read(_ model: Martlet_Onnx_ModelProto) throws(ONNXError) -> Graph {
        guard model.hasGraph else { throw .model(reason: "it has no graph") }
        guard model.functions.isEmpty else {
            throw .model(reason: "it defines functions of its own, which is not supported")
        }
        guard let irVersion = Int(exactly: model.irVersion), (3...1000).contains(irVersion) else {
            throw .model(reason: "format version \(model.irVersion), expected 3 or later")
        }
        let (opset, otherOpsets) = try opsets(model.opsetImport)
        let graph = model.graph
        try check(graph.node.count, "nodes", limits.nodes)
        try check(graph.initializer.count, "initializers", limits.initializers)
        try check(graph.input.count + graph.output.count, "graph inputs and outputs", limits.graphValues)
        guard graph.sparseInitializer.isEmpty else {
            throw .model(reason: "it has sparse initializers, which are not supported: store zeros")
        }
        let initializers = try self.initializers(graph.initializer)
        var inputs: [GraphValue] = []
        for proto in graph.input where initializers[proto.name] == nil {
            inputs.append(try value(proto, what: "input"))
        }
        var outputs: [GraphValue] = []
        for proto in graph.output {
            outputs.append(try value(proto, what: "output"))
        }
        var nodes: [Node] = []
        nodes.reserveCapacity(graph.node.count)
        for (index, proto) in graph.node.enumerated() {
            let node = try node(proto, index: index)
            guard !node.domain.isEmpty || opset != Graph.notImported else {
                throw .node(
                    name: node.name, operator: node.operatorName,
                    reason: "the default operator set, to which it belongs, is not imported")
            }
            nodes.append(node)
        }
        try checkOrder(nodes: nodes, inputs: inputs, outputs: outputs, initializers: initializers)
        return Graph(
            name: graph.name, irVersion: irVersion, opset: opset, otherOpsets: otherOpsets, inputs: inputs,
            outputs: outputs, nodes: nodes, initializers: initializers,
            metadata: try metadata(model.metadataProps))
    }

    private func check(_ found: Int, _ what: String, _ limit: Int) throws(ONNXError) {
        guard found <= limit else { throw .limit(what: what, found: found, limit: limit) }
    }

    private func checkName(_ name: String, _ what: String) throws(ONNXError) {
        try check(name.utf8.count, "bytes in the name of \(what)", limits.nameBytes)
        // Names that begin so are those of a compiler's own values.
        guard !name.utf8.contains(0) else { throw .model(reason: "the name of \(what) holds a NUL character") }
    }

    private func opsets(_ protos: [Martlet_Onnx_OperatorSetIdProto]) throws(ONNXError) -> (Int, [String: Int]) {
        var opset: Int?
        var others: [String: Int] = [:]
        for proto in protos {
            try checkName(proto.domain, "an operator set")
            guard let version = Int(exactly: proto.version), (1...100_000).contains(version) else {
                throw .model(reason: "operator set '\(proto.domain)' of version \(proto.version)")
            }
            if proto.domain.isEmpty || proto.domain == "ai.onnx" {
                guard opset == nil else { throw .model(reason: "the default operator set is imported twice") }
                opset = version
            } else {
                guard others.updateValue(version, forKey: proto.domain) == nil else {
                    throw .model(reason: "operator set '\(proto.domain)' is imported twice")
                }
            }
        }
        guard opset != nil || !others.isEmpty else { throw .model(reason: "it imports no operator set") }
        return (opset ?? Graph.notImported, others)
    }

    private func initializers(_ protos: [Martlet_Onnx_TensorProto]) throws(ONNXError) -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        for proto in protos {
            try checkName(proto.name, "an initializer")
            guard !proto.name.isEmpty else { throw .model(reason: "an initializer has no name") }
            let tensor = try tensors.read(proto, name: proto.name)
            guard result.updateValue(tensor, forKey: proto.name) == nil else {
                throw .tensor(name: proto.name, reason: "there are two initializers of this name")
            }
        }
        return result
    }

    private func value(_ proto: Martlet_Onnx_ValueInfoProto, what: String) throws(ONNXError) -> GraphValue {
        try checkName(proto.name, "a graph \(what)")
        guard !proto.name.isEmpty else { throw .model(reason: "a graph \(what) has no name") }
        guard proto.type.hasTensorType else {
            throw .value(name: proto.name, reason: "it is \(kind(proto.type)), not a tensor")
        }
        let tensor = proto.type.tensorType
        guard let type = ElementType(rawValue: Int(tensor.elemType)) else {
            throw .value(name: proto.name, reason: "\(UnreadType(number: tensor.elemType))")
        }
        guard tensor.hasShape else { throw .value(name: proto.name, reason: "it has no shape") }
        try check(tensor.shape.dim.count, "dimensions of '\(proto.name)'", limits.rank)
        var shape: [Dimension] = []
        for dimension in tensor.shape.dim {
            switch dimension.value {
            case .dimValue(let extent):
                guard extent >= 0, extent <= Int64(limits.elements) else {
                    throw .value(name: proto.name, reason: "dimension \(extent)")
                }
                shape.append(.fixed(Int(extent)))
            case .dimParam(let name):
                try checkName(name, "a dimension")
                shape.append(.symbolic(name))
            case nil:
                shape.append(.symbolic(""))
            }
        }
        return GraphValue(name: proto.name, elementType: type, shape: shape)
    }

    private func kind(_ type: Martlet_Onnx_TypeProto) -> String {
        if type.hasSequenceType { return "a sequence" }
        if type.hasMapType { return "a map" }
        if type.hasSparseTensorType { return "a sparse tensor" }
        if type.hasOptionalType { return "an optional value" }
        return "of no known type"
    }

    private func node(_ proto: Martlet_Onnx_NodeProto, index: Int) throws(ONNXError) -> Node {
        try checkName(proto.name, "a node")
        try checkName(proto.opType, "an operator")
        try checkName(proto.domain, "a domain")
        let name = proto.name.isEmpty ? "#\(index)" : proto.name
        guard !proto.opType.isEmpty else {
            throw .node(name: name, operator: "", reason: "it names no operator")
        }
        for value in proto.input + proto.output {
            try checkName(value, "a value")
        }
        var attributes: [String: Attribute] = [:]
        for attribute in proto.attribute {
            try checkName(attribute.name, "an attribute")
            let value = try self.attribute(attribute, node: name, op: proto.opType)
            guard attributes.updateValue(value, forKey: attribute.name) == nil else {
                throw .node(
                    name: name, operator: proto.opType, reason: "attribute '\(attribute.name)' stands twice")
            }
        }
        return Node(
            name: name, operatorName: proto.opType, domain: proto.domain == "ai.onnx" ? "" : proto.domain,
            inputs: proto.input, outputs: proto.output, attributes: attributes)
    }

    private func attribute(
        _ proto: Martlet_Onnx_AttributeProto, node: String, op: String
    ) throws(ONNXError) -> Attribute {
        func refused(_ reason: String) -> ONNXError {
            .node(name: node, operator: op, reason: "attribute '\(proto.name)' \(reason)")
        }
        guard proto.refAttrName.isEmpty else { throw refused("refers to a function's attribute") }
        switch proto.type {
        case 1: return .float(proto.f)
        case 2: return .integer(proto.i)
        case 3:
            guard let text = String(validating: proto.s, as: UTF8.self) else { throw refused("is not UTF-8") }
            return .string(text)
        case 4: return .tensor(try tensors.read(proto.t, name: "\(node).\(proto.name)"))
        case 5, 10: throw refused("is a subgraph, which is not supported")
        case 6: return .floats(proto.floats)
        case 7: return .integers(proto.ints)
        case 8:
            var strings: [String] = []
            for bytes in proto.strings {
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw refused("is not UTF-8")
                }
                strings.append(text)
            }
            return .strings(strings)
        default: throw refused("is of type number \(proto.type), which is not supported")
        }
    }

    /// Every value is made once, before it is used.
    private func checkOrder(
        nodes: [Node], inputs: [GraphValue], outputs: [GraphValue], initializers: [String: Tensor]
    ) throws(ONNXError) {
        var known = Set(initializers.keys)
        for input in inputs {
            guard known.insert(input.name).inserted else {
                throw .value(name: input.name, reason: "there are two inputs of this name")
            }
        }
        for node in nodes {
            for input in node.inputs where !input.isEmpty {
                guard known.contains(input) else {
                    throw .node(
                        name: node.name, operator: node.operatorName,
                        reason: "its input '\(input)' is made by no earlier node")
                }
            }
            for output in node.outputs where !output.isEmpty {
                guard known.insert(output).inserted else {
                    throw .node(
                        name: node.name, operator: node.operatorName,
                        reason: "its output '\(output)' is made twice")
                }
            }
        }
        var seen: Set<String> = []
        for output in outputs {
            guard known.contains(output.name) else {
                throw .value(name: output.name, reason: "the output is made by no node")
            }
            guard seen.insert(output.name).inserted else {
                throw .value(name: output.name, reason: "there are two outputs of this name")
            }
        }
    }

    private func metadata(_ entries: [Martlet_Onnx_StringStringEntryProto]) throws(ONNXError) -> [String:
        String]
    {
        var result: [String: String] = [:]
        for entry in entries {
            try checkName(entry.key, "a metadata key")
            try check(entry.value.utf8.count, "bytes in metadata '\(entry.key)'", limits.metadataBytes)
            guard result.updateValue(entry.value, forKey: entry.key) == nil else {
                throw .model(reason: "metadata key '\(entry.key)' stands twice")
            }
        }
        return result
    }
}
