import Inference
import ONNX

/// Names of the golden models' features.
private let names = (0..<64).map { "f\($0)" }
private let features = (0..<64).map { Float($0) * 0.1 - 3 }

/// libFuzzer's entry: whatever the bytes are, a tensor, a graph and a model of them are made or refused, without a
/// trap, a read outside of memory or more memory than the limits allow, and a model that is made can be run.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzONNX(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
    _ = try? Tensor(onnxTensor: bytes)
    guard (try? Graph(onnx: bytes)) != nil else { return 0 }
    // The length chooses the kernels, so that one file is tried with one of them.
    let policies: [KernelPolicy] = [.predicted, .dense, .sparse]
    let policy = policies[count % policies.count]
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
