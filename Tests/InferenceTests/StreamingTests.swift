import Inference
import Testing

/// Goal: a window model gives the bits of its window, whether its ticks are computed once or all anew.
/// Method: small models of every kind of layer that moves with the ticks or stops them from moving, beside ONNX Runtime.
@Suite struct StreamingTests {
    @Test(arguments: ZooModel.windows)
    func `a window run one tick at a time gives the bits of the window computed anew`(_ zoo: ZooModel) throws {
        // Before the first full window the state holds ticks that never were.
        func full(_ model: Model) -> [[String: [UInt32]]] { Array(bits(run(zoo, model)).dropFirst(zoo.window - 1)) }
        let window = try zoo.model(streaming: .recompute)
        let expected = full(window)
        let model = try zoo.model(streaming: .automatic)
        #expect(full(model) == expected)
        #expect(full(try zoo.model(streaming: .automatic, .dense)) == expected)
        #expect(full(try zoo.model(streaming: .automatic, .sparse)) == expected)
        var reference = ScalarReference(model: model)
        let scalar = zoo.features.map { reference.step(features: $0) }
        #expect(Array(bits(scalar).dropFirst(zoo.window - 1)) == expected)
        // A code of the quantised model may differ by one where ONNX Runtime rounds a sum in another order.
        let bound: Float = zoo.name.hasPrefix("quantized") ? 0.02 : 1e-5
        #expect(greatestDifference(zoo, Array(run(zoo, window).dropFirst(zoo.window - 1))) <= bound)
    }

    @Test(
        arguments: [
            ("tcn", "run one tick at a time"), ("tcn_residual", "run one tick at a time"),
            ("tcn_chomped", "run one tick at a time"), ("picked", "run one tick at a time"),
            ("quantized", "run one tick at a time"),
            ("tcn_short", "part of its window that sees padding"),
            ("pooled", "up to node 'ReduceMean"), ("strided", "it takes steps of 2 along the ticks"),
            ("book", "up to node"), ("bilinear", "computed anew on every tick because of node"),
            ("recurrent", "starts from its initial state"), ("spoilt", "starts from its initial state"),
            ("stacked", "each of its windows under way by itself"),
            ("recurrent_batched", "each of its windows under way by itself"), ("attention", "up to node"),
            ("turned", "computed anew on every tick because of node 'Slice"),
            ("shifted", "run one tick at a time"), ("vector", "run one tick at a time"),
            ("squeezed", "each of its windows under way by itself"),
            ("last_state", "each of its windows under way by itself"), ("rounded_up", "run one tick at a time"),
            ("shape_of", "run one tick at a time"), ("quantized_padded", "up to node"),
        ])
    func `the plan says how far a window is run one tick at a time, and what stops it`(
        _ name: String, _ text: String
    ) throws {
        let zoo = try #require(ZooModel.windows.first { $0.name == name })
        let description = try zoo.model(streaming: .automatic).streamingDescription
        #expect(description.contains(text), "\(description)")
    }

    @Test func `streaming a convolution computes one tick of it`() throws {
        let zoo = try #require(ZooModel.windows.first { $0.name == "tcn" })
        func multiplyAdds(_ mode: StreamingMode) throws -> Int {
            try zoo.model(streaming: mode).plan.reduce(0) { $0 + $1.multiplyAdds }
        }
        // Two convolutions of 3 taps from 5 and 11 channels to 11, and a head of 3.
        #expect(try multiplyAdds(.automatic) == 3 * 5 * 11 + 3 * 11 * 11 + 33)
        #expect(try multiplyAdds(.recompute) == zoo.window * (3 * 5 * 11 + 3 * 11 * 11) + 33)
    }

    @Test(arguments: [StreamingMode.automatic, .recompute])
    func `padded bytes are multiplied as integers, whether they come from a ring or not`(_ mode: StreamingMode) throws {
        let zoo = try #require(ZooModel.windows.first { $0.name == "quantized_padded" })
        let layers = try zoo.model(streaming: mode).plan.filter { $0.multiplyAdds > 0 }
        // The first convolution and the head are floats.
        #expect(layers.filter { $0.precision != "int8" }.count == 2, "\(layers.map { "\($0.name) \($0.precision)" })")
    }

    @Test(arguments: ZooModel.golden + ZooModel.windows)
    func `outputs before the state has moved on are the same bits`(_ zoo: ZooModel) throws {
        let model = try zoo.model()
        #expect(bits(run(zoo, model, parted: true)) == bits(run(zoo, model, parted: false)))
    }
}
