import Inference
import ONNX

/// Names of the golden models' features.
private let names = (0..<64).map { "f\($0)" }
private let features = (0..<64).map { Float($0) * 0.1 - 3 }

/// libFuzzer's entry: whatever the bytes are, a tensor, a graph, a program and a model of them are made or refused,
/// without a trap, a read outside of memory or more memory than the limits allow, and what is made can be run.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzONNX(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
    _ = try? Tensor(onnxTensor: bytes)
    guard let graph = try? Graph(onnx: bytes) else { return 0 }
    // The length chooses the kernels, so that one file is tried with one of them.
    let policies: [KernelPolicy] = [.predicted, .dense, .sparse]
    let policy = policies[count % policies.count]
    run(graph, policy)
    guard let model = try? Model(onnx: bytes, availableFeatures: names, featureSetVersion: 1, kernels: policy)
    else { return 0 }
    var engine = InferenceEngine(model: model)
    var state = model.makeState()
    for _ in 0..<2 {
        unsafe features.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            unsafe engine.step(features: base, state: &state)
        }
    }
    return 0
}

/// Compiles a graph and runs it once on zeros, if its inputs are of known and small shapes.
private func run(_ graph: Graph, _ policy: KernelPolicy) {
    guard let program = try? Program(graph: graph, kernels: policy) else { return }
    var inputs: [String: Tensor] = [:]
    for input in graph.inputs {
        guard let tensor = zeros(input) else { return }
        inputs[input.name] = tensor
    }
    _ = try? program.run(inputs)
}

private func zeros(_ value: GraphValue) -> Tensor? {
    var (shape, count) = ([Int](), 1)
    for case .fixed(let extent) in value.shape {
        shape.append(extent)
        let (product, overflow) = count.multipliedReportingOverflow(by: extent)
        guard !overflow, product <= 65_536 else { return nil }
        count = product
    }
    guard shape.count == value.shape.count else { return nil }
    let elements: Tensor.Elements =
        switch value.elementType {
        case .float: .float(Array(repeating: 0, count: count))
        case .double: .double(Array(repeating: 0, count: count))
        case .float16: .float16(Array(repeating: 0, count: count))
        case .bfloat16: .bfloat16(Array(repeating: 0, count: count))
        case .int64: .int64(Array(repeating: 0, count: count))
        case .int32: .int32(Array(repeating: 0, count: count))
        case .int16: .int16(Array(repeating: 0, count: count))
        case .int8: .int8(Array(repeating: 0, count: count))
        case .uint64: .uint64(Array(repeating: 0, count: count))
        case .uint32: .uint32(Array(repeating: 0, count: count))
        case .uint16: .uint16(Array(repeating: 0, count: count))
        case .uint8: .uint8(Array(repeating: 0, count: count))
        case .bool: .bool(Array(repeating: false, count: count))
        }
    return Tensor(name: value.name, shape: shape, elements: elements)
}
