import DBN
import Feeds
import Foundation
import Inference
import MarketData
import Recorder
import Testing
import Wire

@testable import Pipeline

/// DBN files for tests.
enum FeedFile {
    /// Copies the first `ticks` ticks of a file, or what `parts` says of each record: the number of the output file, or nil
    /// to leave the record out.
    static func cut(_ path: String, to outputs: [String], _ part: (_ tick: Int, _ type: RecordType) -> Int?) throws {
        var reader = try DBNFileReader(path: path)
        let found = reader.metadata
        let metadata = try #require(found)
        var writers = HandleArray<DBNFileWriter>(capacity: outputs.count)
        for output in outputs {
            writers.append(try DBNFileWriter(path: output, metadata: metadata, compression: .zstd(level: 1)))
        }
        var tick = 0
        while try reader.next() {
            let type = reader.record.type
            if let index = part(tick, type) { try writers[index].encode(reader.record.bytes) }
            if TickRule.lastFlag.completesTick(reader.record) { tick += 1 }
        }
        while writers.count > 0 {
            var writer = writers.removeLast()
            try writer.finish()
        }
    }

    /// The first `ticks` ticks of the repository's feed.
    static func head(_ ticks: Int, in folder: TestFolder) throws -> String {
        let path = folder.path("head.dbn.zst")
        try cut(Repository.feed, to: [path]) { tick, _ in tick < ticks ? 0 : nil }
        return path
    }

    /// A file of these records; `metadata` name what its ids stand for.
    static func write(_ records: [[UInt8]], _ metadata: DBNMetadata, to path: String) throws {
        var writer = try writer(metadata, to: path)
        for record in records { try writer.encode(record.span.bytes) }
        try writer.finish()
    }

    private static func writer(_ metadata: DBNMetadata, to path: String) throws -> DBNFileWriter {
        let isCompressed = path.hasSuffix(".zst")
        return try DBNFileWriter(path: path, metadata: metadata, compression: isCompressed ? .zstd(level: 1) : .none)
    }

    /// Two instruments, one file each, with overlapping ids.
    static func pair(_ ticks: Int, in folder: TestFolder) throws -> [String] {
        try ["ONE", "TWO"].enumerated().map { index, symbol in
            let path = folder.path("\(symbol).dbn")
            let instrument = Instrument(
                dataset: "TEST", symbol: symbol, tickSize: Make.tickSize, lotSize: Price.unitsPerWhole)
            var writer = try writer(DBNMetadata(dataset: "TEST", start: Make.noon), to: path)
            try writer.encodeDefinition(
                instrument, publisherID: 1, instrumentID: 7, venueTimestamp: Make.noon, captureTimestamp: Make.noon)
            for record in Make.market(ticks, seed: UInt64(index)) { try writer.encode(record.span.bytes) }
            try writer.finish()
            return path
        }
    }

    /// A recorded day as DBN.
    static func lobster(_ name: String, in folder: TestFolder) throws -> String {
        let path = folder.path("day.dbn.zst")
        let converter = try LOBSTERConverter(zips: ["\(Repository.realFeeds ?? "")/lobster/\(name)"])
        var writer = try writer(converter.plan.metadata, to: path)
        _ = try converter.convert(to: &writer)
        try writer.finish()
        return path
    }

    static func binance(_ name: String, in folder: TestFolder) throws -> String {
        let path = folder.path("capture.dbn.zst")
        let converter = try BinanceConverter(captures: ["\(Repository.realFeeds ?? "")/binance/\(name)"])
        var writer = try writer(converter.plan.metadata, to: path)
        _ = try converter.convert(to: &writer)
        try writer.finish()
        return path
    }
}

func replayOptions(_ change: (inout FeedReplay.Options) -> Void = { _ in }) -> FeedReplay.Options {
    var options = FeedReplay.Options()
    change(&options)
    return options
}

/// All messages of a replay.
func messages(_ replay: inout FeedReplay) -> [[UInt8]] {
    var messages: [[UInt8]] = []
    while let message = replay.next() { messages.append(Array(message)) }
    return messages
}

/// A run's digest and counts.
struct Digested: Equatable {
    var digest: String
    var ticks: UInt64
    var lost: UInt64
}

/// Runs any source to its end and takes the digest of what was published.
func digest<Source: TickSource & ~Copyable>(
    _ source: consuming Source, model: Model = TestModel.standard, isThreaded: Bool = false, _ options: PipelineOptions
) -> Digested {
    let sink = ObservedSink(NullSink(), digest: SignalDigest(), evaluation: nil)
    var pipeline = Pipeline(source: source, sink: sink, model: model, options: options)
    if isThreaded {
        pipeline = pipeline.runThreaded { _ in }
    } else {
        pipeline.runInline()
    }
    return Digested(
        digest: pipeline.publisher.sink.takeDigest() ?? "", ticks: pipeline.counters[.ticks],
        lost: pipeline.counters[.recordsLost])
}
