import Features
import Feeds
import Glibc
import MarketData
import TestSupport

// Nanoseconds per tick of the feature step, over records in memory: the best and the median of alternated
// passes. Arguments: [FILE TICKSIZE [OUT]], a file of bare DBN records; without them an orderly generated
// stream. OUT is a .npy file for the features, which `python/oracles/features_check.py` compares with its
// own: the optimised build has the same bits.

let arguments = CommandLine.arguments
var bytes: [UInt8]
var tickSize: Int64 = 10_000_000
if arguments.count >= 3, let size = Int64(arguments[2]) {
    tickSize = size
    bytes = readFile(arguments[1])
} else {
    var generator = MarketRecordGenerator(seed: 1, tickSize: tickSize, isDisorderly: false)
    bytes = generator.makeRecords(tickCount: 20_000)
}

let passCount = 100
var results: [Double] = []
var checksum: UInt64 = 0
var ticks = 0
// Short passes, many of them: on a shared machine the best of them is the one that nobody disturbed.
for _ in 0..<passCount {
    let began = nanoseconds()
    (ticks, checksum) = run(bytes, tickSize: tickSize)
    results.append(Double(nanoseconds() - began) / Double(ticks))
}
results.sort()
let best = tenths(results[0])
let median = tenths(results[passCount / 2])
print(
    "features: \(ticks) ticks, best \(best) ns, median \(median) ns per tick,",
    "checksum \(String(checksum, radix: 16))")

if arguments.count >= 4 {
    var writer = try NPYWriter(path: arguments[3], elementType: .float32, columnCount: FeatureExtractor.count)
    var failure: NPYError?
    _ = run(bytes, tickSize: tickSize) { row in
        do throws(NPYError) {
            try writer.append(UnsafeRawBufferPointer(row))
        } catch {
            failure = error
        }
    }
    try writer.finish()
    if let failure { throw failure }
}

/// Ticks, and a checksum over one feature of each.
func run(
    _ bytes: [UInt8], tickSize: Int64, each: ((UnsafeBufferPointer<Float>) -> Void)? = nil
) -> (Int, UInt64) {
    var extractor = FeatureExtractor(tickSize: tickSize)
    let out = UnsafeMutablePointer<Float>.allocate(capacity: FeatureExtractor.count)
    defer { out.deallocate() }
    out.initialize(repeating: 0, count: FeatureExtractor.count)
    var checksum: UInt64 = 0
    var ticks = 0
    var clock: UInt64 = 0
    let span = bytes.span.bytes
    var offset = 0
    while offset < span.byteCount, let record = Record(at: span.extracting(droppingFirst: offset)) {
        extractor.apply(record)
        if TickRule.lastFlag.completesTick(record) {
            let time = record.captureTimestamp
            if time != 0, time != Timestamp.undefined { clock = time }
            extractor.completeTick(captureTimestamp: clock, into: out)
            // One feature of each tick: reading all would be measured as well.
            checksum = (checksum &* 31) &+ UInt64(out[ticks & 127].bitPattern)
            ticks += 1
            each?(UnsafeBufferPointer(start: out, count: FeatureExtractor.count))
        }
        offset += record.bytes.byteCount
    }
    return (ticks, checksum)
}

func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func tenths(_ value: Double) -> Double { (value * 10).rounded() / 10 }

func readFile(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "rb") else {
        print("cannot open \(path)")
        exit(66)
    }
    defer { fclose(file) }
    fseek(file, 0, SEEK_END)
    let byteCount = ftell(file)
    rewind(file)
    return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
        count = fread(buffer.baseAddress, 1, byteCount, file)
    }
}
