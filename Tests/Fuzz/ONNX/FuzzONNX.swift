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

/// Compiles a graph and runs it once on values of both signs, some of them beyond what an index or a code may be, if its
/// inputs are small. A symbolic extent is 1, as it is for the program.
private func run(_ graph: Graph, _ policy: KernelPolicy) {
    guard let program = try? Program(graph: graph, kernels: policy) else { return }
    var inputs: [String: Tensor] = [:]
    for (index, input) in graph.inputs.enumerated() {
        guard let tensor = tensor(input, seed: index) else { return }
        inputs[input.name] = tensor
    }
    _ = try? program.run(inputs)
}

private func tensor(_ value: GraphValue, seed: Int) -> Tensor? {
    var (shape, count) = ([Int](), 1)
    for dimension in value.shape {
        let extent = if case .fixed(let extent) = dimension { extent } else { 1 }
        shape.append(extent)
        let (product, overflow) = count.multipliedReportingOverflow(by: extent)
        guard extent >= 0, !overflow, product <= 65_536 else { return nil }
        count = product
    }
    // -8 to 8, in an order without a short period.
    let codes = (0..<count).map { ($0 &+ seed) &* 7919 % 17 - 8 }
    let floats = codes.map { Float($0) * 0.5 }
    let elements: Tensor.Elements =
        switch value.elementType {
        case .float: .float(floats)
        case .double: .double(floats.map { Double($0) })
        case .float16: .float16(floats)
        case .bfloat16: .bfloat16(floats)
        case .int64: .int64(codes.map { Int64($0) })
        case .int32: .int32(codes.map { Int32($0) })
        case .int16: .int16(codes.map { Int16($0) })
        case .int8: .int8(codes.map { Int8($0) })
        case .uint64: .uint64(codes.map { UInt64(truncatingIfNeeded: $0) })
        case .uint32: .uint32(codes.map { UInt32(truncatingIfNeeded: $0) })
        case .uint16: .uint16(codes.map { UInt16(truncatingIfNeeded: $0) })
        case .uint8: .uint8(codes.map { UInt8(truncatingIfNeeded: $0) })
        case .bool: .bool(codes.map { $0 > 0 })
        }
    return Tensor(name: value.name, shape: shape, elements: elements)
}
