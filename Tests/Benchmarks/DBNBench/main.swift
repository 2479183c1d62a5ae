import DBN
import Foundation
import MarketData
import TestSupport

// How fast `DBNDecoder` turns bytes in memory into records, plain and from zstd.
//
//     DBNBench [--passes N] [FILE.dbn.zst]
//
// Only the ten-level books of the file are decoded, written anew as Databento writes them; without a file, those of an
// orderly generated stream. A pass is one decoder over all bytes, fed in pieces as the file reader feeds them. Printed is
// one JSON object: gigabytes of records per second of the process's CPU time, the median over the passes, and a checksum
// over a price of each record, which has to be the same in every pass.

struct Report: Encodable {
    let feed: String
    let records: Int
    let plainBytes: Int
    let zstdBytes: Int
    let passes: Int
    let plainGigabytesPerSecond: Double
    let zstdGigabytesPerSecond: Double
    let checksum: String
}

/// What `DBNFileReader` asks of the system at a time.
let pieceByteCount = 128 << 10

/// The feed's ten-level books as a DBN file in memory.
func books(_ path: String?, _ compression: DBNEncoder.Compression) throws -> (bytes: [UInt8], records: Int) {
    let metadata = DBNMetadata(dataset: "BENCH", schema: .mbp10, start: 0)
    var encoder = try DBNEncoder(metadata: metadata, compression: compression)
    if let path {
        var reader = try DBNFileReader(path: path)
        while try reader.next() {
            if reader.record.type == .mbp10 { try encoder.encode(reader.record.bytes) }
        }
    } else {
        var generator = MarketRecordGenerator(seed: 1, tickSize: 10_000_000, isDisorderly: false)
        let bytes = generator.makeRecords(tickCount: 80_000)
        var offset = 0
        while offset < bytes.count, let record = Record(at: bytes.span.bytes.extracting(droppingFirst: offset)) {
            if record.type == .mbp10 { try encoder.encode(record.bytes) }
            offset += record.bytes.byteCount
        }
    }
    try encoder.finish()
    return (encoder.takeOutput(), Int(encoder.recordCount))
}

struct Decoded: Equatable {
    var records = 0
    /// Over the best bid of each record.
    var checksum: UInt64 = 0
}

func decode(_ bytes: [UInt8]) throws -> Decoded {
    var decoder = DBNDecoder()
    var decoded = Decoded()
    var offset = 0
    let span = bytes.span.bytes
    while true {
        switch try decoder.next() {
        case .needsInput:
            let end = min(offset + pieceByteCount, span.byteCount)
            if offset == end {
                decoder.finish()
            } else {
                try decoder.feed(span.extracting(offset..<end))
                offset = end
            }
        case .metadata: break
        case .record:
            decoded.records += 1
            decoded.checksum = (decoded.checksum &* 31) &+ UInt64(bitPattern: decoder.record.load(48, as: Int64.self))
        case .end: return decoded
        }
    }
}

func cpuNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func fail(_ text: String) -> Never {
    FileHandle.standardError.write(Data("DBNBench: \(text)\n".utf8))
    exit(1)
}

/// Gigabytes of records a second, the median over the passes.
func rate(_ bytes: [UInt8], passes: Int, _ expected: Decoded) throws -> Double {
    var rates: [Double] = []
    for _ in 0..<passes {
        let start = cpuNanoseconds()
        let found = try decode(bytes)
        rates.append(Double(expected.records * Record.mbp10ByteCount) / Double(cpuNanoseconds() - start))
        guard found == expected else { fail("a pass gave other records: \(found), expected \(expected)") }
    }
    return (rates.sorted()[passes / 2] * 100).rounded() / 100
}

var path: String?
var passes = 21
var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    if argument == "--passes" {
        guard let text = arguments.popFirst(), let count = Int(text), count > 0 else { fail("--passes takes a number") }
        passes = count
    } else {
        path = argument
    }
}
do {
    let plain = try books(path, .none)
    let zstd = try books(path, .zstd())
    let expected = try decode(plain.bytes)
    guard expected.records == plain.records, plain.records > 0 else {
        fail("\(expected.records) of \(plain.records) records came out; a feed has at least one ten-level book")
    }
    let report = Report(
        feed: path.map { URL(filePath: $0).lastPathComponent } ?? "generated", records: plain.records,
        plainBytes: plain.bytes.count, zstdBytes: zstd.bytes.count, passes: passes,
        plainGigabytesPerSecond: try rate(plain.bytes, passes: passes, expected),
        zstdGigabytesPerSecond: try rate(zstd.bytes, passes: passes, expected),
        checksum: String(expected.checksum, radix: 16))
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
} catch {
    fail("\(error)")
}
