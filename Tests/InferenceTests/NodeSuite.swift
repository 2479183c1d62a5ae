import Foundation
import Inference
import ONNX

/// ONNX's own test cases, in the folder of the wheel that holds them: for each a model, its inputs and its outputs.
struct NodeSuite {
    /// Where the cases are, or nil where `MARTLET_ONNX_SUITE` does not say.
    static let folder = ProcessInfo.processInfo.environment["MARTLET_ONNX_SUITE"].map { URL(filePath: $0) }

    /// The operators that the engine imports.
    static let operators = Set(
        """
        Gemm MatMul Conv LSTM GRU RNN Relu LeakyRelu Elu Gelu Sigmoid HardSigmoid Tanh Softplus Erf Exp Sqrt Pow Neg
        Min Max Clip Pad AveragePool GlobalAveragePool Softmax LayerNormalization BatchNormalization Add Sub Mul Div
        ReduceMean ReduceSum MaxPool Reshape Transpose Slice Concat Split Squeeze Unsqueeze Flatten Gather Expand
        Identity Cast Constant Shape ConstantOfShape QuantizeLinear DequantizeLinear DynamicQuantizeLinear
        MatMulInteger QLinearMatMul TreeEnsemble TreeEnsembleRegressor TreeEnsembleClassifier
        """.split(whereSeparator: \.isWhitespace).map(String.init))

    /// Inputs that the cases give at run time and that a model has as constants: shapes, axes, bounds, scales and
    /// weights. They are bound before the model is compiled.
    static let parameters: [String: Set<Int>] = [
        "Reshape": [1], "Expand": [1], "Slice": [1, 2, 3, 4], "Split": [1], "Squeeze": [1], "Unsqueeze": [1],
        "Pad": [1, 2, 3], "ReduceSum": [1], "ReduceMean": [1], "Clip": [1, 2], "ConstantOfShape": [0],
        "QuantizeLinear": [1, 2], "DequantizeLinear": [1, 2], "MatMulInteger": [2, 3],
        "QLinearMatMul": [1, 2, 4, 5, 6, 7], "Conv": [1, 2], "BatchNormalization": [1, 2, 3, 4],
        "LayerNormalization": [1, 2], "GRU": [1, 2, 3, 4], "RNN": [1, 2, 3, 4], "LSTM": [1, 2, 3, 4, 7],
    ]

    /// Inputs that a model may have as constants or not. A case that has one is run in both forms.
    static let weights: [String: Set<Int>] = [
        "MatMul": [1], "Gemm": [1, 2], "MatMulInteger": [1], "QLinearMatMul": [3], "Add": [1], "Sub": [1],
        "Mul": [1], "Div": [1], "Pow": [1], "Min": [1], "Max": [1], "Gather": [1],
    ]

    /// The cases of `node` with a single node of a known operator, and those of `pytorch-converted` with known
    /// operators only. Chosen by the operators' names alone, without the reader that is tested.
    static func cases(_ folder: URL) throws -> [SuiteCase] {
        var cases: [SuiteCase] = []
        for family in ["node", "pytorch-converted"] {
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: family).path)
            for name in names.sorted() {
                let one = SuiteCase(name: name, folder: folder.appending(path: "\(family)/\(name)"))
                let found = operatorNames(in: try one.bytes("model.onnx"))
                if found.allSatisfy(operators.contains), family != "node" || found.count == 1 { cases.append(one) }
            }
        }
        return cases
    }

    /// `op_type` (field 4) of each node (field 1) of the graph (field 7) of a model.
    private static func operatorNames(in model: [UInt8]) -> [String] {
        contents(7, of: model[...]).flatMap { contents(1, of: $0) }.flatMap { contents(4, of: $0) }
            .map { String(decoding: $0, as: UTF8.self) }
    }

    /// The length-delimited fields of a number in a message. The files are the wheel's own, and well-formed.
    private static func contents(_ field: UInt64, of message: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var rest = message
        func varint() -> UInt64 {
            var (value, shift): (UInt64, UInt64) = (0, 0)
            while let byte = rest.popFirst() {
                value |= UInt64(byte & 0x7F) << shift
                shift += 7
                if byte & 0x80 == 0 { break }
            }
            return value
        }
        var result: [ArraySlice<UInt8>] = []
        while !rest.isEmpty {
            let tag = varint()
            switch tag & 7 {
            case 0: _ = varint()
            case 1: rest = rest.dropFirst(8)
            case 5: rest = rest.dropFirst(4)
            default:
                let count = Int(varint())
                if tag >> 3 == field { result.append(rest.prefix(count)) }
                rest = rest.dropFirst(count)
            }
        }
        return result
    }
}

/// One case of the suite.
struct SuiteCase {
    let name: String
    let folder: URL

    /// What is wrong with a case, in words.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    func bytes(_ file: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: folder.appending(path: file)))
    }

    /// Runs the case in each form and compares what comes out with what the suite says. Throws the first difference.
    func check() throws {
        let graph = try Graph(onnx: try bytes("model.onnx"))
        let sets = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0.hasPrefix("test_data_set_") }
        guard !sets.isEmpty else { throw Failure(description: "it has no test data") }
        let parameters = names(NodeSuite.parameters, in: graph)
        let weights = names(NodeSuite.weights, in: graph).subtracting(parameters)
        for set in sets.sorted() {
            let inputs = try tensors(set, "input", graph.inputs.map(\.name))
            let outputs = try tensors(set, "output", graph.outputs.map(\.name))
            try check(graph, inputs, bound: parameters, outputs)
            if !weights.isEmpty { try check(graph, inputs, bound: parameters.union(weights), outputs) }
        }
    }

    private func check(
        _ graph: Graph, _ inputs: [String: Tensor], bound: Set<String>, _ outputs: [String: Tensor]
    ) throws {
        let program = try Program(graph: graph, constants: inputs.filter { bound.contains($0.key) })
        let results = try program.run(inputs.filter { !bound.contains($0.key) })
        guard Set(results.keys) == Set(outputs.keys) else {
            throw Failure(description: "outputs \(results.keys.sorted()), expected \(outputs.keys.sorted())")
        }
        for (name, expected) in outputs.sorted(by: { $0.key < $1.key }) {
            let isCoarse = Agreement.coarseCases.contains(self.name)
            guard let found = results[name],
                let difference = Agreement.difference(
                    found, expected, relative: isCoarse ? Agreement.coarse : Agreement.relative)
            else { continue }
            throw Failure(
                description:
                    "output '\(name)'\(bound.isEmpty ? "" : " with constants \(bound.sorted())"): \(difference)")
        }
    }

    /// The graph's inputs that stand at the places which `table` names for their operator.
    private func names(_ table: [String: Set<Int>], in graph: Graph) -> Set<String> {
        let inputs = Set(graph.inputs.map(\.name))
        var result: Set<String> = []
        for node in graph.nodes {
            for place in table[node.operatorName] ?? [] where place < node.inputs.count {
                if inputs.contains(node.inputs[place]) { result.insert(node.inputs[place]) }
            }
        }
        return result
    }

    private func tensors(_ set: String, _ kind: String, _ names: [String]) throws -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        for (index, name) in names.enumerated() {
            result[name] = try Tensor(onnxTensor: try bytes("\(set)/\(kind)_\(index).pb"))
        }
        return result
    }
}

/// Whether a tensor is the one that was expected.
enum Agreement {
    /// Of 32-bit and 64-bit floats. Integers, Booleans and 16-bit floats, which only casts make here, must be equal.
    static let relative = 1e-5
    static let absolute = 1e-6
    /// ONNX's own bound, for cases whose expected values are written with four digits.
    static let coarse = 1e-3
    static let coarseCases: Set<String> = ["test_averagepool_2d_ceil_last_window_starts_on_pad"]

    /// What differs, in words, or nil if nothing does.
    static func difference(_ found: Tensor, _ expected: Tensor, relative: Double = relative) -> String? {
        guard found.elementType == expected.elementType else {
            return "it is of \(found.elementType), expected \(expected.elementType)"
        }
        guard found.shape == expected.shape else { return "its shape is \(found.shape), expected \(expected.shape)" }
        if let values = found.doubles, let wanted = expected.doubles {
            let isExact = found.elementType != .float && found.elementType != .double
            return difference(values, wanted) { value, wanted in
                if value == wanted || (value.isNaN && wanted.isNaN) { return true }
                // An infinite value is near no other, though the bound would be infinite as well.
                guard value.isFinite, wanted.isFinite, !isExact else { return false }
                return (value - wanted).magnitude <= absolute + relative * wanted.magnitude
            }
        }
        if let values = found.integers, let wanted = expected.integers { return difference(values, wanted, by: ==) }
        return found.elements == expected.elements ? nil : "other elements than expected"
    }

    private static func difference<Value>(
        _ values: [Value], _ wanted: [Value], by agree: (Value, Value) -> Bool
    ) -> String? {
        let wrong = values.indices.filter { !agree(values[$0], wanted[$0]) }
        guard let first = wrong.first else { return nil }
        return "\(wrong.count) of \(values.count) elements differ, the first at \(first): \(values[first]), "
            + "expected \(wanted[first])"
    }
}
