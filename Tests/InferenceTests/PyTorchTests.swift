import Foundation
import Inference
import Testing

/// Goal: what `torch.onnx.export` writes of common modules runs, streamed and as a graph, as ONNX Runtime runs it.
/// Method: modules that `python/examples/pytorch_models.py` trained and exported, shown some ticks.
@Suite struct PyTorchTests {
    private static let golden: [TorchModel] = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/pytorch")
        do { return try TorchModel.load(folder) } catch {
            preconditionFailure("The exported models cannot be read: \(error)")
        }
    }()

    @Test func `the exported models are there`() {
        #expect(PyTorchTests.golden.count == 14)
        #expect(PyTorchTests.golden.contains { $0.name == "deeplob" })
        #expect(PyTorchTests.golden.contains { $0.name == "binctabl" })
        #expect(PyTorchTests.golden.filter(\.isExact).count == 2)
    }

    @Test(arguments: PyTorchTests.golden)
    func `an exported model agrees with ONNX Runtime, tick by tick`(_ torch: TorchModel) throws {
        try verify(torch)
    }

    private static let folder = ProcessInfo.processInfo.environment["MARTLET_PYTORCH_MODELS"]

    @Test(.enabled(if: folder != nil, "MARTLET_PYTORCH_MODELS is not set"))
    func `every model that was exported just now agrees with ONNX Runtime`() throws {
        let models = try TorchModel.load(URL(filePath: try #require(PyTorchTests.folder)))
        #expect(!models.isEmpty)
        for torch in models {
            do { try verify(torch) } catch { Issue.record("\(torch.name): \(error)") }
        }
        print("pytorch: \(models.count) exported models")
    }

    /// The streamed outputs, those of the graph without memory and those of the scalar twin are those expected; those
    /// of other kernels and of the twin are the same bits.
    private func verify(_ torch: TorchModel) throws {
        let all = try torch.streamed()
        try torch.check(Array(all[torch.ticksAhead...]))
        let streamed = bits(all)
        #expect(bits(try torch.streamed(.dense)) == streamed, "\(torch.name): dense kernels")
        #expect(bits(try torch.streamed(.sparse)) == streamed, "\(torch.name): sparse kernels")
        var twin = ScalarReference(model: try torch.model())
        let scalar = torch.features.map { twin.step(features: $0) }
        #expect(bits(scalar) == streamed, "\(torch.name): scalar twin")
        let graph = try torch.asGraph()
        try torch.check(graph.dropLast(), states: graph.last)
    }
}

extension TorchModel: CustomTestStringConvertible {
    var testDescription: String { name }
}
