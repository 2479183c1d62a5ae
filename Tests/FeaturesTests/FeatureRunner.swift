import Features
import Feeds
import MarketData

/// Runs an extractor over bare records as the worker does, and keeps every row.
struct FeatureRunner {
    /// `FeatureExtractor.count` floats per tick, back to back.
    var values: [Float] = []
    /// The capture time that each tick was completed with.
    var times: [UInt64] = []

    var tickCount: Int { times.count }

    init(_ bytes: [UInt8], tickSize: Int64) {
        var extractor = FeatureExtractor(tickSize: tickSize)
        run(bytes, with: &extractor)
    }

    init(_ bytes: [UInt8], with extractor: inout FeatureExtractor) { run(bytes, with: &extractor) }

    /// Feature `name` of tick `index`; NaN where there is no such name, so that a comparison fails.
    func value(_ name: String, at index: Int) -> Float {
        guard let column = FeatureExtractor.names.firstIndex(of: name) else { return .nan }
        return values[index * FeatureExtractor.count + column]
    }

    private mutating func run(_ bytes: [UInt8], with extractor: inout FeatureExtractor) {
        var row = [Float](repeating: .nan, count: FeatureExtractor.count)
        var clock: UInt64 = 0
        let span = bytes.span.bytes
        var offset = 0
        while offset < span.byteCount, let record = Record(at: span.extracting(droppingFirst: offset)) {
            extractor.apply(record)
            if TickRule.lastFlag.completesTick(record) {
                let time = record.captureTimestamp
                if time != 0, time != Timestamp.undefined { clock = time }
                row.withUnsafeMutableBufferPointer { buffer in
                    if let base = buffer.baseAddress {
                        extractor.completeTick(captureTimestamp: clock, into: base)
                    }
                }
                values += row
                times.append(clock)
            }
            offset += record.bytes.byteCount
        }
    }
}
