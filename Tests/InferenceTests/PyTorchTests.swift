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

    /// The streamed outputs and those of the graph without memory are those expected; other kernels and the scalar twin
    /// give the bits of the streamed ones.
    @Test(arguments: PyTorchTests.golden)
    func `an exported model agrees with ONNX Runtime, tick by tick`(_ torch: TorchModel) throws {
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
