// swift-tools-version: 6.3
import PackageDescription

/// Settings of every Swift target.
let settings: [SwiftSetting] = [
    // Existentials are written `any P`, so that each one is visible (SE-0335).
    .enableUpcomingFeature("ExistentialAny"),
    // An import is an implementation detail unless it says `public import` (SE-0409).
    .enableUpcomingFeature("InternalImportsByDefault"),
    // A member is found only through a module that this file imports (SE-0444).
    .enableUpcomingFeature("MemberImportVisibility"),
    // `@_lifetime` on functions that return views of borrowed bytes, as swift-nio enables it.
    .enableExperimentalFeature("Lifetimes"),
]

/// One instruction-set level for the targets of the hot path. Given to clang, it changes Swift's own code
/// generation as well, so that a plain `swift build -c release` is the fast build. The targets that a
/// subscriber imports do not carry it: a package with unsafe flags cannot be depended on by version.
#if arch(x86_64)
    let hotFlags = ["-Xcc", "-march=x86-64-v3"]
    let hotCFlags = ["-march=x86-64-v3"]
#else
    let hotFlags: [String] = []
    let hotCFlags: [String] = []
#endif
let hotSettings = settings + [.unsafeFlags(hotFlags)]

func hot(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: hotSettings)
}

func cold(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["TestSupport"], exclude: exclude, swiftSettings: hotSettings)
}

let package = Package(
    name: "martlet",
    products: [
        .library(name: "MartletClient", targets: ["MarketData", "Wire", "ZeroMQ"]),
        .executable(name: "martlet", targets: ["martlet"]),
    ],
    dependencies: [
        // Commands, flags and their help.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        // The same options from the environment and from a YAML file.
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        // The YAML file's names, to be checked before swift-configuration, which brings it, reads the values.
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        // The path type that swift-configuration takes.
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
        // Reads and writes protobuf, the format of ONNX files.
        .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
    ],
    targets: [
        // Debian's libraries. No `pkgConfig`: libzmq's file makes SwiftPM warn on every build.
        .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
        .systemLibrary(name: "CZstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CCrypto", providers: [.apt(["libssl-dev"])]),
        .target(name: "CPlatform", cSettings: [.unsafeFlags(hotCFlags)]),

        cold("MarketData"),
        cold("DBN", ["MarketData", "CZstd"]),
        hot("RingBuffer", ["CPlatform"]),
        cold("ZeroMQ", ["CZeroMQ"]),
        cold("Wire", ["MarketData", "CCrypto"]),
        hot("Features", ["MarketData"]),
        .target(
            name: "ONNX",
            dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["Protobuf/onnx_subset.proto"],
            swiftSettings: settings),
        hot("Inference", ["ONNX", "CPlatform"]),
        hot("Pipeline", ["MarketData", "RingBuffer", "Wire", "Features", "Inference", "CPlatform"]),
        cold("Feeds", ["MarketData", "DBN", "CZlib"]),
        hot("Recorder", ["DBN", "Feeds", "Features", "Wire", "Pipeline", "MarketData", "Inference", "CPlatform"]),
        hot("Transport", ["ZeroMQ", "Pipeline"]),
        .executableTarget(
            name: "martlet",
            dependencies: [
                "MarketData", "DBN", "Feeds", "Recorder", "Transport", "Pipeline", "Wire", "ZeroMQ", "Features",
                "Inference", "CPlatform",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: hotSettings),

        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
        // Replaces malloc in the program that links it: tests and benchmarks only.
        .target(name: "CMallocCounter", path: "Tests/CMallocCounter"),
        .executableTarget(
            name: "ring-bench", dependencies: ["RingBuffer", "CPlatform", "TestSupport"],
            path: "Tests/Benchmarks/RingBench", swiftSettings: hotSettings),
        tests("MarketDataTests", ["MarketData"]),
        tests("DBNTests", ["DBN", "MarketData"]),
        tests("RingBufferTests", ["RingBuffer", "CPlatform", "CMallocCounter"]),
        tests("ZeroMQTests", ["ZeroMQ", "CZeroMQ", "CMallocCounter"]),
        tests("WireTests", ["Wire", "MarketData"], exclude: ["Golden"]),
        .executableTarget(
            name: "FeatureBench", dependencies: ["Features", "Feeds", "MarketData", "TestSupport"],
            path: "Tests/Benchmarks/FeatureBench", swiftSettings: hotSettings),
        .executableTarget(
            name: "DBNBench", dependencies: ["DBN", "MarketData", "TestSupport"], path: "Tests/Benchmarks/DBNBench",
            swiftSettings: hotSettings),
        tests("FeaturesTests", ["Features", "MarketData", "Feeds"]),
        tests("ONNXTests", ["ONNX"]),
        tests("InferenceTests", ["Inference", "ONNX", "CMallocCounter"], exclude: ["Golden"]),
        tests("FeedsTests", ["Feeds", "DBN", "MarketData", "CCrypto", "CZlib"]),
        tests(
            "PipelineTests",
            [
                "Pipeline", "Recorder", "Transport", "Wire", "MarketData", "RingBuffer", "ZeroMQ", "DBN", "Feeds",
                "Inference",
                "Features", "CMallocCounter",
            ]),
    ]
)
