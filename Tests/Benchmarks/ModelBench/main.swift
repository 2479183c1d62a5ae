import Features
import Foundation
import Inference

// Times `InferenceEngine.step` on models of the feature set, and of `python/oracles/make_models.py bench`.
//
//     ModelBench [--kernels predicted|dense|sparse] [--plan] MODEL.onnx …
//
// A sample is the mean of a batch of steps that lasts some 20 µs, so that the timer costs nothing; features and state
// change from step to step. Printed are the 10th, 50th and 99th percentile of the samples, and as a checksum the first output
// after 20,000 steps.

struct Options {
    var kernels = KernelPolicy.predicted
    var printsPlan = false
    var paths: [String] = []
}

func readOptions() -> Options {
    var options = Options()
    var arguments = CommandLine.arguments.dropFirst()
    while let argument = arguments.popFirst() {
        switch argument {
        case "--plan": options.printsPlan = true
        case "--kernels":
            switch arguments.popFirst() {
            case "dense": options.kernels = .dense
            case "sparse": options.kernels = .sparse
            default: options.kernels = .predicted
            }
        default: options.paths.append(argument)
        }
    }
    return options
}

func nanoseconds() -> UInt64 {
    DispatchTime.now().uptimeNanoseconds
}

func measure(_ path: String, _ options: Options) throws {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    var names = FeatureExtractor.names
    let model: Model
    do {
        model = try Model(
            onnx: bytes, availableFeatures: names, featureSetVersion: FeatureExtractor.version, kernels: options.kernels
        )
    } catch {
        // The oracle's models name their features f0, f1, … and want a first part of them.
        names = (0..<1_024).map { "f\($0)" }
        model = try Model(onnx: bytes, availableFeatures: names, featureSetVersion: 1, kernels: options.kernels)
    }
    if options.printsPlan { print(model.planDescription) }
    var engine = InferenceEngine(model: model)
    var state = model.makeState()
    var random: UInt64 = 1
    let rows = 64
    let features = UnsafeMutablePointer<Float>.allocate(capacity: rows * names.count)
    defer { features.deallocate() }
    for index in 0..<rows * names.count {
        // The same features in each run: a linear congruential generator (Knuth, MMIX).
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        features[index] = Float(random >> 40) / Float(1 << 23) - 1
    }
    var row = 0
    func steps(_ count: Int) {
        for _ in 0..<count {
            engine.step(features: features + row * names.count, state: &state)
            row = (row + 1) % rows
        }
    }
    steps(20_000)
    let checksum = engine.outputs.probabilities[0]
    let start = nanoseconds()
    steps(1_000)
    let batch = max(1, Int(20_000_000 / max(nanoseconds() - start, 1)))
    var samples: [Double] = []
    for _ in 0..<20_000 {
        let begin = nanoseconds()
        steps(batch)
        samples.append(Double(nanoseconds() - begin) / Double(batch))
    }
    samples.sort()
    let percentile = { (share: Double) in samples[Int(Double(samples.count - 1) * share)].rounded() }
    let name = URL(filePath: path).deletingPathExtension().lastPathComponent
    print(
        "\(name): p10 \(percentile(0.1)) ns, p50 \(percentile(0.5)) ns, p99 \(percentile(0.99)) ns, "
            + "\(model.packedByteCount) bytes packed, checksum \(checksum)")
}

let options = readOptions()
if options.paths.isEmpty {
    print("usage: ModelBench [--kernels predicted|dense|sparse] [--plan] MODEL.onnx …")
}
for path in options.paths {
    do {
        try measure(path, options)
    } catch {
        print("\(path): \(error)")
        exit(1)
    }
}
