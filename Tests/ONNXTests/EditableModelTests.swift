import Foundation
import ONNX
import TestSupport
import Testing

struct EditableModelTests {
    /// A model with fields that this project does not read: of the model, the graph, a node, a tensor and a value.
    private static var parts: FileParts {
        var parts = FileParts()
        parts.nodes = [
            FileParts.node("MatMul", ["x", "w"], ["a"], name: "first") { $0.string(6, "a node's text") },
            FileParts.node("Relu", ["a"], ["y"], name: "second"),
        ]
        parts.initializers = [
            FileParts.tensor("w", [4, 1]) { tensor in
                for value: Float in [1, 2, 3, 4] { tensor.float(4, value) }
                tensor.string(12, "a tensor's text")
            }
        ]
        parts.graphExtra = { graph in
            graph.string(10, "a graph's text")
            graph.message(13) { $0.string(1, "a") }
        }
        parts.modelExtra = { model in
            model.string(6, "a model's text")
            model.message(14) { entry in
                entry.string(1, "key")
                entry.string(2, "old")
            }
        }
        return parts
    }

    private func contains(_ bytes: [UInt8], _ text: String) -> Bool {
        let wanted = Array(text.utf8)
        return bytes.indices.dropLast(wanted.count - 1).contains { Array(bytes[$0..<$0 + wanted.count]) == wanted }
    }

    @Test func whatIsNotReadIsWrittenBack() throws {
        var model = try EditableModel(onnx: Self.parts.bytes)
        model.setInitializer(Tensor(name: "w", shape: [4, 1], elements: .float([0, 0, 7, 8])))
        let bytes = try model.serialized()
        for text in ["a node's text", "a tensor's text", "a graph's text", "a model's text"] {
            #expect(contains(bytes, text), "\(text)")
        }
        #expect(try model.graph().initializers["w"]?.floats == [0, 0, 7, 8])
    }

    @Test func aChainOfNewNodesStandsBehindItsInputAndBeforeItsReader() throws {
        var model = try EditableModel(onnx: Self.parts.bytes)
        model.setInitializer(Tensor(name: "bound", shape: [], elements: .float([2])))
        let first = model.insert(Node(name: "clip", operatorName: "Clip", inputs: ["a", "", "bound"], outputs: ["b"]))
        let second = model.insert(
            Node(
                name: "leaky", operatorName: "LeakyRelu", inputs: ["b"], outputs: ["c"],
                attributes: ["alpha": .float(0), "twice": .integers([1, 2]), "text": .string("é")]))
        model.setInput(0, ofNode: 3, to: "c")
        let graph = try model.graph()
        #expect(first == 1 && second == 2)
        #expect(graph.nodes.map(\.name) == ["first", "clip", "leaky", "second"])
        #expect(graph.nodes[3].inputs == ["c"])
        guard case .float(0)? = graph.nodes[2].attributes["alpha"],
            case .integers([1, 2])? = graph.nodes[2].attributes["twice"],
            case .string("é")? = graph.nodes[2].attributes["text"]
        else { return #expect(Bool(false), "\(graph.nodes[2].attributes)") }
    }

    @Test func aNodeOfConstantsAloneStandsFirst() throws {
        var model = try EditableModel(onnx: Self.parts.bytes)
        let place = model.insert(Node(name: "same", operatorName: "Identity", inputs: ["w"], outputs: ["w2"]))
        model.setInput(1, ofNode: 1, to: "w2")
        #expect(place == 0)
        #expect(try model.graph().nodes.map(\.name) == ["same", "first", "second"])
    }

    @Test func aChangeThatBreaksTheGraphIsAnErrorWhenItIsWritten() throws {
        var model = try EditableModel(onnx: Self.parts.bytes)
        model.setInput(0, ofNode: 0, to: "y")
        #expect(throws: ONNXError.self) { try model.serialized() }
    }

    @Test func outputsMetadataAndNamesAreAdded() throws {
        var model = try EditableModel(onnx: Self.parts.bytes)
        model.setMetadata("key", "new")
        model.setMetadata("other", "text")
        let output = GraphValue(name: "a", elementType: .float, shape: [.fixed(1), .symbolic("n"), .symbolic("")])
        model.addOutput(output)
        model.addOutput(output)
        let graph = try model.graph()
        #expect(graph.metadata == ["key": "new", "other": "text"])
        #expect(graph.outputs.map(\.name) == ["y", "a"])
        #expect(graph.outputs[1] == output)
        #expect(model.unusedName("w") == "w_2")
        #expect(model.unusedName("free") == "free")
        #expect(model.unusedName("first") == "first_2")
    }

    @Test func initializersThatNothingReadsCanGo() throws {
        var model = try EditableModel(onnx: Self.parts.bytes)
        model.removeUnusedInitializers(among: ["w"])
        #expect(try model.graph().initializers["w"] != nil)
        model.setInitializer(Tensor(name: "v", shape: [4, 1], elements: .float([0, 0, 0, 0])))
        model.setInput(1, ofNode: 0, to: "v")
        model.removeUnusedInitializers(among: ["w"])
        #expect(try model.graph().initializers.keys.sorted() == ["v"])
    }

    @Test(arguments: [
        Tensor.Elements.float([1.5, -0, .infinity]), .double([1, 2, 3]), .int64([-1, 2, .max]), .int32([-1, 2, .max]),
        .int16([-1, 2, .max]), .int8([-128, 0, 127]), .uint64([0, 1, .max]), .uint32([0, 1, .max]),
        .uint16([0, 1, .max]), .uint8([0, 128, 255]), .bool([true, false, true]),
        .float16([-65_504, 0x1p-24, 1.5]), .float16([-0.0, 0x1p-14, 0.333251953125]), .bfloat16([-2.5, 0x1p-130, 256]),
    ])
    func anInitializerOfAnyTypeReadsBackAsItWas(elements: Tensor.Elements) throws {
        var model = try EditableModel(onnx: Self.parts.bytes)
        let tensor = Tensor(name: "t", shape: [3], elements: elements)
        model.setInitializer(tensor)
        #expect(try model.graph().initializers["t"] == tensor)
    }

    @Test func hostileBytesAndFilesOverALimitAreRefused() throws {
        #expect(throws: ONNXError.self) { try EditableModel(onnx: [0xFF, 0xFF]) }
        #expect(throws: ONNXError.self) { try EditableModel(onnx: []) }
        var limits = GraphLimits()
        limits.nodes = 1
        #expect(throws: ONNXError.self) { try EditableModel(onnx: Self.parts.bytes, limits: limits) }
        limits.nodes = 2
        var model = try EditableModel(onnx: Self.parts.bytes, limits: limits)
        model.insert(Node(name: "same", operatorName: "Identity", inputs: ["w"], outputs: ["w2"]))
        #expect(throws: ONNXError.self) { try model.serialized() }
    }

    @Test(.enabled(if: PythonProcess.isAvailable, "MARTLET_PYTHON is not set"))
    func editedModelsAreTakenByOtherToolsAndComputeTheSame() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-edited-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: folder) } }
        let golden = PythonProcess.repository.appending(path: "Tests/InferenceTests/Golden")
        var files = try FileManager.default.contentsOfDirectory(at: golden, includingPropertiesForKeys: nil)
        files.append(PythonProcess.repository.appending(path: "models/default.onnx"))
        files.removeAll { $0.pathExtension != "onnx" }
        #expect(files.count >= 9)
        for file in files {
            let bytes = [UInt8](try Data(contentsOf: file))
            var model = try EditableModel(onnx: bytes)
            // Every initializer is written anew, and a node is put behind an input and read in its place.
            let graph = try model.graph()
            for tensor in graph.initializers.values { model.setInitializer(tensor) }
            let name = model.unusedName("same")
            model.insert(Node(name: name, operatorName: "Identity", inputs: ["features"], outputs: [name]))
            for (index, node) in graph.nodes.enumerated() {
                for (input, value) in node.inputs.enumerated() where value == "features" {
                    model.setInput(input, ofNode: index + 1, to: name)
                }
            }
            model.setMetadata("martlet.name", "\"edited\"")
            let stem = file.deletingPathExtension().lastPathComponent
            try Data(bytes).write(to: folder.appending(path: "\(stem).onnx"))
            try Data(try model.serialized()).write(to: folder.appending(path: "\(stem).edited.onnx"))
        }
        let process = try PythonProcess("same_models.py", [folder.path])
        for _ in files {
            let line = try process.readLine()
            #expect(line.hasSuffix(" same"), "\(line)")
        }
        #expect(try process.readLine() == "done")
    }
}
