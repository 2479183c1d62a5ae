import Inference
import ONNX
import Testing

/// Goal: what cannot be run is refused by name, and no file traps.
@Suite struct RefusalTests {
    private func error(_ file: ModelFile) -> ModelError? {
        error(file.bytes)
    }

    private func error(_ bytes: [UInt8], names: [String] = ["a", "b"]) -> ModelError? {
        do {
            _ = try Model(onnx: bytes, availableFeatures: names, featureSetVersion: 1)
            return nil
        } catch {
            return error
        }
    }

    @Test func `the plain file of these tests is accepted`() {
        #expect(error(ModelFile()) == nil)
    }

    @Test func `a model for another feature set is refused`() {
        var file = ModelFile()
        file.metadata["martlet.feature_set_version"] = "2"
        #expect(error(file) == .featureSetVersion(found: 2, expected: 1))
        file = ModelFile()
        file.metadata["martlet.feature_names"] = #"["a", "z"]"#
        #expect(error(file) == .unknownFeature(name: "z"))
    }

    @Test(arguments: [
        ("contract_version", nil, "it is required and missing"),
        ("contract_version", "2", "expected an integer from 1 to 1"),
        ("feature_names", nil, "it is required and missing"),
        ("feature_names", #"["a", "a"]"#, "'a' stands twice"),
        ("feature_names", #"["a", 1]"#, "expected an array of strings"),
        ("feature_names", #"["a"#, "not JSON: a string that is not closed at byte 3"),
        ("warm_up_ticks", "-1", "expected an integer from 0 to 1000000000"),
        ("warm_up_ticks", "1.5", "expected an integer from 0 to 1000000000"),
        ("horizons", "[]", "expected an array of at least one object"),
        ("horizons", #"[{"length": 0}]"#, "element 0: 'length': expected an integer from 1 to 4294967295"),
        (
            "horizons", #"[{"length": 1, "unit": "years"}]"#,
            "element 0: 'unit': expected 'ticks' or 'milliseconds'"
        ),
        ("density", "2", "expected a number from 0.0 to 1.0"),
        ("precision", #""fp64""#, "'fp64', expected 'fp32' or 'int8'"),
        ("training_data_sha256", #"["12"]"#, "'12', expected 64 lower-case hexadecimal digits"),
        ("metrics", #"{"f1": "good"}"#, "'f1' is not a number"),
    ])
    func `metadata that break the contract are refused by key`(
        _ key: String, _ value: String?, _ reason: String
    ) {
        var file = ModelFile()
        file.metadata["martlet." + key] = value
        #expect(error(file) == .metadata(key: "martlet." + key, reason: reason))
    }

    @Test func `an operator that is not supported is refused by node and name`() {
        var file = ModelFile()
        file.nodes[0].op = "Einsum"
        #expect(
            error(file) == .node(name: "node0", operator: "Einsum", reason: "the operator is not supported"))
        file.nodes[0].op = "MatMul"
        file.nodes[0].domain = "com.example"
        #expect(
            error(file)
                == .node(
                    name: "node0", operator: "MatMul",
                    reason: "operators of domain 'com.example' are not supported"))
    }

    @Test func `an attribute that is not known is refused, not ignored`() {
        var file = ModelFile()
        file.nodes[1].integers = [("sharpness", 2)]
        #expect(
            error(file)
                == .node(name: "node1", operator: "Softmax", reason: "attribute 'sharpness' is not supported")
        )
    }

    @Test func `outputs for every tick of a window are refused by their shape`() {
        var file = ModelFile()
        file.inputs = [("features", [1, 10, 2])]
        #expect(error(file) == .value(name: "probabilities", reason: "shape [1, 10, 3], expected [1, 1, 3]"))
    }

    @Test func `inputs and outputs outside of the contract are refused by name`() {
        var file = ModelFile()
        file.inputs.append(("noise", [1]))
        #expect(
            error(file)
                == .value(name: "noise", reason: "an input is called 'features' or begins with 'state_'"))
        file = ModelFile()
        file.inputs.append(("state_h", [1]))
        #expect(
            error(file)
                == .value(name: "state_h", reason: "there is no output 'state_h_next' that carries it on"))
        file = ModelFile()
        file.outputs.append(("logits", [1, 1, 3]))
        #expect(
            error(file)
                == .value(
                    name: "logits",
                    reason: "it is not an output of the model contract, nor the next value of a state input"))
        file = ModelFile()
        file.floats = [("w", [2, 4], Array(repeating: 1, count: 8))]
        #expect(error(file) == .value(name: "probabilities", reason: "shape [1, 1, 4], expected [1, 1, 3]"))
    }

    @Test(arguments: [Float.nan, .infinity])
    func `weights that are not finite are refused`(_ value: Float) {
        var file = ModelFile()
        file.floats[0].2[3] = value
        #expect(
            error(file)
                == .node(
                    name: "node0", operator: "MatMul",
                    reason: "the weight 'w' holds a value that is not finite"))
    }

    @Test func `an operator set that is not known is refused by its version`() {
        var file = ModelFile()
        file.opset = 28
        #expect(
            error(file)
                == .node(name: "node0", operator: "MatMul", reason: "operator set 28, expected 1 to 27"))
    }

    @Test(arguments: [
        [1, 1, 1, 4], [-1, -1], [0, 0, 0, 0], [Int64.max], [Int64.min], [3, Int64.max], [1 << 32, 1 << 32],
        [],
    ])
    func `a hostile shape is refused`(_ shape: [Int64]) {
        var file = ModelFile()
        file.integers = [("shape", [Int64(shape.count)], shape)]
        file.nodes.insert(.init(op: "Reshape", inputs: ["logits", "shape"], outputs: ["shaped"]), at: 1)
        file.nodes[2].inputs = ["shaped"]
        #expect(error(file) != nil)
    }

    @Test(arguments: [Int64.min, -4, 3, .max])
    func `a hostile axis or index is refused`(_ value: Int64) {
        var file = ModelFile()
        file.nodes[1].integers = [("axis", value)]
        #expect(error(file) != nil)
        file = ModelFile()
        file.integers = [("index", [1], [value])]
        file.nodes.insert(
            .init(op: "Gather", inputs: ["features", "index"], outputs: ["g"], integers: [("axis", 2)]), at: 0
        )
        file.nodes[1].inputs[0] = "g"
        #expect(error(file) != nil)
    }

    @Test(arguments: ["gru_no_bias", "swapped", "lstm_odd", "layouts"])
    func `no truncation and no flipped bit of a model traps`(_ name: String) throws {
        let zoo = ZooModel.golden(name)
        let bytes = zoo.bytes
        let names = zoo.featureNames
        var outcomes = (accepted: 0, refused: 0)
        func attempt(_ bytes: [UInt8]) {
            if error(bytes, names: names) == nil { outcomes.accepted += 1 } else { outcomes.refused += 1 }
        }
        for count in stride(from: 0, to: bytes.count, by: 17) { attempt(Array(bytes[..<count])) }
        var generator = SplitMix(state: 7)
        for _ in 0..<400 {
            var broken = bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                broken[Int.random(in: 0..<bytes.count, using: &generator)] ^=
                    1 << UInt8.random(in: 0..<8, using: &generator)
            }
            attempt(broken)
        }
        #expect(outcomes.refused > 0)
        #expect(outcomes.accepted > 0, "A flipped bit of a weight is another weight.")
    }
}

/// Steele, Lea and Flood's generator (OOPSLA 2014), so that a failure can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
