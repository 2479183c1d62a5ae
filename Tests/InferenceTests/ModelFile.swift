/// Writes small ONNX files for tests: text in, bytes out, nothing checked.
struct ModelFile {
    struct NodeText {
        var op: String
        var inputs: [String]
        var outputs: [String]
        var integers: [(String, Int64)] = []
        var lists: [(String, [Int64])] = []
        var strings: [(String, String)] = []
        var domain = ""
    }

    var opset: Int64 = 17
    var inputs: [(String, [Int64])] = [("features", [1, 1, 2])]
    var outputs: [(String, [Int64])] = [("probabilities", [1, 1, 3])]
    var nodes: [NodeText] = [
        NodeText(op: "MatMul", inputs: ["features", "w"], outputs: ["logits"]),
        NodeText(op: "Softmax", inputs: ["logits"], outputs: ["probabilities"]),
    ]
    var floats: [(String, [Int64], [Float])] = [("w", [2, 3], [1, 2, 3, 4, 5, 6])]
    var integers: [(String, [Int64], [Int64])] = []
    var metadata: [String: String] = [
        "martlet.contract_version": "1",
        "martlet.feature_set_version": "1",
        "martlet.feature_names": #"["a", "b"]"#,
        "martlet.horizons": #"[{"length": 10, "unit": "ticks", "label": "smoothed-mid", "alpha": 1e-5}]"#,
        "martlet.warm_up_ticks": "5",
    ]

    init() {}

    /// A free graph of nodes alone.
    init(graph nodes: [NodeText], inputs: [(String, [Int64])], outputs: [(String, [Int64])]) {
        (self.nodes, self.inputs, self.outputs) = (nodes, inputs, outputs)
        (floats, metadata) = ([], [:])
    }

    var bytes: [UInt8] {
        var graph: [UInt8] = []
        for (index, node) in nodes.enumerated() {
            var body: [UInt8] = []
            for input in node.inputs { body += Self.field(1, Array(input.utf8)) }
            for output in node.outputs { body += Self.field(2, Array(output.utf8)) }
            body += Self.field(3, Array("node\(index)".utf8)) + Self.field(4, Array(node.op.utf8))
            body += Self.field(7, Array(node.domain.utf8))
            for (name, value) in node.integers {
                body += Self.field(
                    5, Self.field(1, Array(name.utf8)) + Self.number(3, value) + Self.number(20, 2))
            }
            for (name, values) in node.lists {
                let list = values.flatMap { Self.number(8, $0) }
                body += Self.field(5, Self.field(1, Array(name.utf8)) + list + Self.number(20, 7))
            }
            for (name, value) in node.strings {
                body += Self.field(
                    5, Self.field(1, Array(name.utf8)) + Self.field(4, Array(value.utf8)) + Self.number(20, 3))
            }
            graph += Self.field(1, body)
        }
        for (name, shape, values) in floats {
            let raw = values.flatMap { value in
                (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) }
            }
            graph += Self.field(5, Self.tensor(name, shape, type: 1) + Self.field(9, raw))
        }
        for (name, shape, values) in integers {
            let raw = values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
            graph += Self.field(5, Self.tensor(name, shape, type: 7) + Self.field(9, raw))
        }
        for (name, shape) in inputs { graph += Self.field(11, Self.value(name, shape)) }
        for (name, shape) in outputs { graph += Self.field(12, Self.value(name, shape)) }
        var model = Self.number(1, 8) + Self.field(8, Self.number(2, opset)) + Self.field(7, graph)
        for (key, value) in metadata {
            model += Self.field(14, Self.field(1, Array(key.utf8)) + Self.field(2, Array(value.utf8)))
        }
        return model
    }

    private static func tensor(_ name: String, _ shape: [Int64], type: Int64) -> [UInt8] {
        shape.flatMap { number(1, $0) } + number(2, type) + field(8, Array(name.utf8))
    }

    private static func value(_ name: String, _ shape: [Int64]) -> [UInt8] {
        let extents = shape.flatMap { field(1, number(1, $0)) }
        return field(1, Array(name.utf8)) + field(2, field(1, number(1, 1) + field(2, extents)))
    }

    private static func varint(_ value: UInt64) -> [UInt8] {
        var (rest, bytes) = (value, [UInt8]())
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func number(_ field: UInt64, _ value: Int64) -> [UInt8] {
        varint(field << 3) + varint(UInt64(bitPattern: value))
    }

    private static func field(_ field: UInt64, _ content: [UInt8]) -> [UInt8] {
        varint(field << 3 | 2) + varint(UInt64(content.count)) + content
    }
}
