import ONNX
import Testing

@Suite struct GraphTests {
    private func error(_ parts: FileParts) -> ONNXError? {
        error(parts.bytes)
    }

    private func error(_ bytes: [UInt8], _ limits: GraphLimits = GraphLimits()) -> ONNXError? {
        do {
            _ = try Graph(onnx: bytes, limits: limits)
            return nil
        } catch {
            return error
        }
    }

    @Test func `an empty file and text are refused`() {
        #expect(error([]) == .malformed(byteOffset: 0, reason: "the file is empty"))
        #expect(error(Array("hello".utf8)) != nil)
    }

    @Test func `a file over a limit is refused by what is too much`() {
        var limits = GraphLimits()
        limits.bytes = 10
        let bytes = FileParts().bytes
        #expect(error(bytes, limits) == .limit(what: "bytes", found: bytes.count, limit: 10))
        limits = GraphLimits()
        limits.fields = 5
        #expect(error(bytes, limits) == .limit(what: "protobuf fields", found: 6, limit: 5))
        limits = GraphLimits()
        limits.nodes = 0
        #expect(error(bytes, limits) == .limit(what: "nodes", found: 1, limit: 0))
    }

    @Test func `a million empty nodes are refused before they are decoded`() {
        var parts = FileParts()
        parts.graphExtra = { graph in
            for _ in 0..<400_000 { graph.data(1, []) }
        }
        #expect(error(parts) == .limit(what: "protobuf fields", found: 300_001, limit: 300_000))
    }

    @Test func `data in another file is refused by the tensor's name`() {
        var parts = FileParts()
        parts.initializers = [
            FileParts.tensor("w", [2]) { writer in
                writer.message(13) { entry in
                    entry.string(1, "location")
                    entry.string(2, "/etc/passwd")
                }
                writer.integer(14, 1)
            }
        ]
        #expect(
            error(parts) == .tensor(name: "w", reason: "its data is in another file, which is not supported"))
    }

    @Test(arguments: [
        ([3], "8 bytes of data, expected 12"),
        ([-1], "dimension -1"),
        ([1 << 40], "dimension 1099511627776"),
        ([0, 1 << 62], "dimension 4611686018427387904"),
    ])
    func `a tensor whose shape does not fit its data is refused`(_ shape: [Int64], _ reason: String) {
        var parts = FileParts()
        parts.initializers = [FileParts.tensor("w", shape) { $0.data(9, Array(repeating: 0, count: 8)) }]
        #expect(error(parts) == .tensor(name: "w", reason: reason))
    }

    @Test func `a tensor of an unknown type is refused by the type's name`() {
        var parts = FileParts()
        parts.initializers = [FileParts.tensor("w", [1], type: 22) { $0.data(9, [0]) }]
        #expect(error(parts) == .tensor(name: "w", reason: "element type int4 is not supported"))
        parts = FileParts()
        parts.outputs = [FileParts.value("y", [1], type: 17)]
        #expect(error(parts) == .value(name: "y", reason: "element type float8e4m3fn is not supported"))
    }

    @Test(arguments: [
        (4, "a sequence"), (5, "a map"), (8, "a sparse tensor"), (9, "an optional value"),
        (7, "of no known type"),
    ])
    func `a value that is no tensor is refused by its name and kind`(_ field: Int, _ kind: String) {
        var parts = FileParts()
        parts.inputs.append { value in
            value.string(1, "s")
            value.message(2) { $0.data(field, [8, 1]) }
        }
        #expect(error(parts) == .value(name: "s", reason: "it is \(kind), not a tensor"))
    }

    @Test func `a model of trees imports their operator set alone`() throws {
        var parts = FileParts()
        parts.opset = nil
        parts.modelExtra = { model in
            model.message(8) { set in
                set.string(1, "ai.onnx.ml")
                set.integer(2, 5)
            }
        }
        #expect(
            error(parts)
                == .node(
                    name: "n", operator: "Relu",
                    reason: "the default operator set, to which it belongs, is not imported"))
        parts.nodes = [FileParts.node("TreeEnsemble", ["x"], ["y"]) { $0.string(7, "ai.onnx.ml") }]
        let graph = try Graph(onnx: parts.bytes)
        #expect(graph.opset == Graph.notImported)
        #expect(graph.otherOpsets == ["ai.onnx.ml": 5])
        parts.modelExtra = { _ in }
        #expect(error(parts) == .model(reason: "it imports no operator set"))
    }

    @Test func `a name with a NUL, as only a compiler's own values have, is refused`() {
        var parts = FileParts()
        parts.nodes = [
            FileParts.node("Relu", ["x"], ["\u{0}hidden"]), FileParts.node("Relu", ["\u{0}hidden"], ["y"]),
        ]
        #expect(error(parts) == .model(reason: "the name of a value holds a NUL character"))
    }

    @Test(arguments: [1, 6, 12, 27] as [Int64]) func `every version of the operator set is read`(
        _ version: Int64
    ) throws {
        var parts = FileParts()
        parts.irVersion = 3
        parts.opset = version
        #expect(try Graph(onnx: parts.bytes).opset == Int(version))
    }

    @Test func `subgraphs, functions and sparse initializers are refused`() {
        var parts = FileParts()
        parts.nodes = [
            FileParts.node("If", ["x"], ["y"]) { node in
                node.message(5) { attribute in
                    attribute.string(1, "then_branch")
                    attribute.data(6, [])
                    attribute.integer(20, 5)
                }
            }
        ]
        #expect(
            error(parts)
                == .node(
                    name: "n", operator: "If",
                    reason: "attribute 'then_branch' is a subgraph, which is not supported"))
        parts = FileParts()
        parts.modelExtra = { $0.data(25, []) }
        #expect(error(parts) == .model(reason: "it defines functions of its own, which is not supported"))
        parts = FileParts()
        parts.graphExtra = { $0.data(15, []) }
        #expect(
            error(parts)
                == .model(reason: "it has sparse initializers, which are not supported: store zeros"))
    }

    @Test func `a node that reads a later value is refused`() {
        var parts = FileParts()
        parts.nodes = [
            FileParts.node("Relu", ["z"], ["y"], name: "first"), FileParts.node("Relu", ["x"], ["z"]),
        ]
        #expect(
            error(parts)
                == .node(name: "first", operator: "Relu", reason: "its input 'z' is made by no earlier node"))
    }

    @Test func `a value that is made twice is refused`() {
        var parts = FileParts()
        parts.nodes = [
            FileParts.node("Relu", ["x"], ["y"]), FileParts.node("Tanh", ["x"], ["y"], name: "again"),
        ]
        #expect(
            error(parts) == .node(name: "again", operator: "Tanh", reason: "its output 'y' is made twice"))
    }

    @Test func `an output that nothing makes is refused`() {
        var parts = FileParts()
        parts.outputs = [FileParts.value("nowhere", [1])]
        #expect(error(parts) == .value(name: "nowhere", reason: "the output is made by no node"))
    }

    @Test func `a graph keeps names, shapes, constants and metadata`() throws {
        var parts = FileParts()
        parts.nodes = [
            FileParts.node("Gemm", ["x", "w"], ["y"], name: "") { node in
                node.message(5) { attribute in
                    attribute.string(1, "alpha")
                    attribute.float(2, 0.5)
                    attribute.integer(20, 1)
                }
            }
        ]
        parts.initializers = [
            FileParts.tensor("w", [2, 1]) { writer in
                writer.float(4, 1.5)
                writer.float(4, -2)
            },
            FileParts.tensor("axes", [1], type: 7) { $0.integer(7, -1) },
        ]
        parts.modelExtra = { model in
            model.message(14) { entry in
                entry.string(1, "martlet.name")
                entry.string(2, "\"x\"")
            }
        }
        let graph = try Graph(onnx: parts.bytes)
        #expect(graph.name == "net")
        #expect(graph.opset == 17)
        #expect(graph.inputs == [GraphValue(name: "x", elementType: .float, shape: [.fixed(1), .fixed(4)])])
        #expect(graph.nodes[0].name == "#0")
        #expect(graph.nodes[0].inputs == ["x", "w"])
        guard case .float(0.5)? = graph.nodes[0].attributes["alpha"] else {
            Issue.record("alpha is missing")
            return
        }
        #expect(graph.initializers["w"] == Tensor(name: "w", shape: [2, 1], elements: .float([1.5, -2])))
        #expect(graph.initializers["axes"]?.integers == [-1])
        #expect(graph.metadata == ["martlet.name": "\"x\""])
    }

    @Test func `no truncation and no flipped bit of a file traps`() throws {
        var parts = FileParts()
        parts.initializers = [FileParts.tensor("w", [2]) { $0.data(9, Array(repeating: 1, count: 8)) }]
        let bytes = parts.bytes
        _ = try Graph(onnx: bytes)
        var refused = 0
        for count in bytes.indices where error(Array(bytes[..<count])) != nil { refused += 1 }
        for index in bytes.indices {
            for bit in 0..<8 {
                var broken = bytes
                broken[index] ^= 1 << bit
                if error(broken) != nil { refused += 1 }
            }
        }
        #expect(refused > bytes.count)
    }
}
