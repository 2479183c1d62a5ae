import DBN
import Features
import Feeds
import Foundation
import Inference
import MarketData
import Recorder
import Testing
import Wire

@testable import Pipeline

/// Recorded feeds as packets, and what is computed from them without sockets.
struct ReplayTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func replay(_ paths: [String], _ change: (inout FeedReplay.Options) -> Void = { _ in }) -> FeedReplay {
        FeedReplay(paths: paths, options: replayOptions(change))
    }

    /// Says what instruments are whose files do not.
    private func define(_ symbols: String...) -> (inout FeedReplay.Options) -> Void {
        { options in
            options.instruments = symbols.map {
                Instrument(dataset: "", symbol: $0, tickSize: Make.tickSize, lotSize: Price.unitsPerWhole)
            }
        }
    }

    private func digest(_ paths: [String]) -> Digested {
        PipelineTests.digest(replay(paths), model: TestModel.small, testOptions())
    }

    // MARK: Refusals

    @Test("A file that is not there, or is no DBN, ends the replay with its error")
    func noFile() throws {
        let text = folder.path("text.dbn")
        try Data("no DBN, but long enough to look at".utf8).write(to: URL(filePath: text))
        for path in [folder.path("missing.dbn"), text] {
            var replay = replay([path])
            let isEmpty = replay.next() == nil
            let failure = replay.failure.map { "\($0)" } ?? ""
            #expect(isEmpty && failure.contains(path))
            let isExhausted = replay.isExhausted
            #expect(isExhausted)
        }
    }

    @Test("A truncated file reports its error, after what came before it")
    func truncated() throws {
        let whole = try FeedFile.pair(200, in: folder)[0]
        let bytes = Repository.read(whole)
        let path = folder.path("cut.dbn")
        try Data(bytes[..<(bytes.count - 100)]).write(to: URL(filePath: path))
        var replay = replay([path, whole])
        var pipeline = makePipeline(messages(&replay))
        let failure = replay.failure.map { "\($0)" } ?? ""
        pipeline.runInline()
        #expect(failure.contains(path))
        #expect(pipeline.outcome[.ticks] >= 198 && pipeline.outcome[.ticks] < 200)
        #expect(pipeline.outcome[.sessionsEnded] == 1)
    }

    @Test("A scored file that is truncated, missing or without a tick is an error in words")
    func scoreFailures() throws {
        let whole = try FeedFile.pair(50, in: folder)[0]
        let bytes = Repository.read(whole)
        let cut = folder.path("cut.dbn")
        try Data(bytes[..<(bytes.count - 100)]).write(to: URL(filePath: cut))
        let empty = folder.path("empty.dbn")
        try FeedFile.write([], DBNMetadata(dataset: "TEST", start: Make.noon), to: empty)
        for path in [cut, folder.path("missing"), empty] {
            var options = Score.Options()
            options.paths = [path]
            let score = Score(model: TestModel.small, options: options)
            #expect(throws: Score.Failure.self) { try score.run { _ in } }
        }
    }

    @Test("An instrument whose file has no definition needs a tick size from the options")
    func noDefinition() throws {
        let whole = try FeedFile.pair(100, in: folder)[0]
        let path = folder.path("bare.dbn")
        let mapping = SymbolMapping(
            rawSymbol: "ONE", intervals: [.init(startDate: 20_230_101, endDate: 20_250_101, symbol: "7")])
        let metadata = DBNMetadata(dataset: "TEST", start: Make.noon, symbols: ["ONE"], mappings: [mapping])
        try FeedFile.write(Make.market(100, seed: 0), metadata, to: path)
        #expect(digest([path]).ticks == 0)
        let preset = PipelineTests.digest(replay([path], define("ONE")), model: TestModel.small, testOptions())
        #expect(preset == digest([whole]) && preset.ticks == 100)
    }

    @Test("Records of an instrument that nothing names are skipped and counted")
    func unnamed() throws {
        let path = folder.path("unnamed.dbn")
        try FeedFile.write(Make.books(5), DBNMetadata(dataset: "TEST", start: Make.noon), to: path)
        var replay = replay([path])
        let sent = messages(&replay)
        let skipped = replay.recordsSkipped
        #expect(sent.isEmpty && skipped == 5)
    }

    // MARK: Names

    @Test("A symbol mapping record names an instrument from there on")
    func symbolMapping() throws {
        func mapping(_ symbol: String) -> [UInt8] {
            var bytes: [UInt8] = [176 / 4, RecordType.symbolMapping.rawValue] + littleEndian(UInt16(1))
            bytes += littleEndian(UInt32(7)) + littleEndian(Make.noon) + [UInt8](repeating: 0, count: 160)
            bytes.replaceSubrange(89..<89 + symbol.utf8.count, with: symbol.utf8)
            return bytes
        }
        let path = folder.path("live.dbn")
        let books = Make.books(6)
        try FeedFile.write(
            [mapping("X")] + books[..<2] + [mapping("Y")] + books[2...], DBNMetadata(dataset: "TEST", start: Make.noon),
            to: path)
        var replay = replay([path], define("X", "Y"))
        let streams = run(messages(&replay)).streams
        #expect(streams.mapValues(\.signals.count) == ["sig/m/TEST/X/": 2, "sig/m/TEST/Y/": 4])
    }

    @Test("An instrument id stands for another symbol on another day")
    func symbolsByDay() throws {
        let mappings = [("X", UInt32(20_240_102)), ("Y", 20_240_103)].map { symbol, day in
            SymbolMapping(rawSymbol: symbol, intervals: [.init(startDate: day, endDate: day + 1, symbol: "7")])
        }
        let path = folder.path("days.dbn")
        let records = Make.books(3) + Make.books(4, from: Make.noon + Make.dayNanoseconds)
        try FeedFile.write(
            records, DBNMetadata(dataset: "TEST", start: Make.noon, symbols: ["X", "Y"], mappings: mappings), to: path)
        var replay = replay([path], define("X", "Y"))
        let streams = run(messages(&replay)).streams
        #expect(streams.mapValues(\.signals.count) == ["sig/m/TEST/X/": 3, "sig/m/TEST/Y/": 4])
    }

    // MARK: Packets

    @Test("Several files are one session: the same digest as one, and one end")
    func severalFiles() throws {
        let whole = try FeedFile.head(600, in: folder)
        let parts = [folder.path("a.dbn.zst"), folder.path("b.dbn.zst"), folder.path("c.dbn.zst")]
        try FeedFile.cut(whole, to: parts) { tick, _ in min(tick / 200, 2) }
        var replay = replay(parts)
        let outcome = run(messages(&replay))
        #expect(outcome.digest == digest([whole]).digest && outcome[.ticks] == 600)
        #expect(outcome[.sessionsEnded] == 1 && outcome[.sessionChanges] == 0 && outcome[.recordsLost] == 0)
        #expect(outcome.stream.signals.count { $0.has(.firstAfterReset) } == 1)
    }

    @Test("A replay counts what it sent")
    func counts() throws {
        var replay = replay([try FeedFile.head(300, in: folder)]) { $0.recordsPerPacketMax = 7 }
        let sent = messages(&replay)
        let (ticks, packets, records, skipped) = (
            replay.ticks, replay.packets, replay.recordsSent, replay.recordsSkipped
        )
        #expect(ticks == 300 && packets == sent.count && records >= 300 && skipped == 0)
        let largest = try sent.map { try $0.withUnsafeBytes { try PacketView.parse($0).get().header.count } }.max()
        #expect(largest == 7)
        let outcome = run(sent)
        #expect(outcome[.recordsReceived] == records && outcome[.ticks] == 300)
    }

    @Test("A paced replay gives only what is due, all of it in the end, and the same digest")
    func paced() throws {
        let path = try FeedFile.head(400, in: folder)
        var replay = replay([path])
        var sent: [[UInt8]] = []
        // The definition is due at once.
        while let message = replay.next(until: 1) { sent.append(Array(message)) }
        let start = replay.firstTimestamp
        #expect(sent.count == 1)
        try #require(start > 1_700_000_000_000_000_000)
        var due = start
        while !replay.isExhausted {
            while let message = replay.next(until: due) { sent.append(Array(message)) }
            let last = replay.lastTimestamp
            #expect(last <= due)
            due += 500_000_000
        }
        #expect(run(sent).digest == digest([path]).digest)
    }

    @Test("A record without a capture time does not hold up a paced replay")
    func pacedWithoutTime() throws {
        let path = folder.path("gaps.dbn")
        var records = Make.books(6)
        for index in [0, 3] {
            records[index].replaceSubrange(32..<40, with: littleEndian(Timestamp.undefined))
        }
        let mapping = SymbolMapping(
            rawSymbol: "X", intervals: [.init(startDate: 19_700_101, endDate: 20_250_101, symbol: "7")])
        try FeedFile.write(records, DBNMetadata(dataset: "TEST", start: Make.noon, mappings: [mapping]), to: path)
        var replay = replay([path], define("X"))
        var sent: [[UInt8]] = []
        while let message = replay.next(until: Make.noon + 1_000_000_000) { sent.append(Array(message)) }
        #expect(run(sent)[.ticks] == 6)
        let last = replay.lastTimestamp
        #expect(last == Make.noon + 5_000_000)
    }

    @Test("Heartbeats between packets change nothing but their own count")
    func heartbeats() throws {
        let paths = try FeedFile.pair(100, in: folder)
        var replay = replay(paths) { $0.recordsPerPacketMax = 10 }
        var sent: [[UInt8]] = []
        while let message = replay.next() {
            sent.append(Array(message))
            replay.withHeartbeats { sent.append(Array($0)) }
        }
        let outcome = run(sent, testOptions { $0.stopsAtEndOfSessions = true })
        #expect(outcome.digest == digest(paths).digest && outcome[.recordsLost] == 0)
        #expect(outcome[.heartbeatsReceived] > 20 && outcome[.resets] == 0)
    }

    @Test(
        "Files of DBN version 1, 2 and 3 give the same signals",
        .enabled(if: Repository.realFeeds != nil, "MARTLET_FEEDS is not set"), arguments: ["mbp-10", "mbp-1"])
    func versions(schema: String) throws {
        let files = (1...3).map {
            "\(Repository.realFeeds ?? "")/databento/conformance/test_data.\(schema).v\($0).dbn.zst"
        }
        let instrument = Instrument(dataset: "", symbol: "ESH1", tickSize: 250_000_000, lotSize: Price.unitsPerWhole)
        let runs = files.map { file in
            PipelineTests.digest(
                replay([file]) { $0.instruments = [instrument] }, model: TestModel.small, testOptions())
        }
        #expect(runs[0].ticks > 0 && runs[0] == runs[1] && runs[1] == runs[2])
    }

    // MARK: Memory, score, export

    @Test("A feed in memory is the replay's messages, unless they do not fit")
    func memory() throws {
        let path = try FeedFile.head(4_000, in: folder)
        var first = replay([path])
        var second = replay([path])
        var third = replay([path])
        let all = messages(&first)
        let feed = try #require(MemoryFeed(&second, byteCountMax: 1 << 30))
        var source = MemorySource(feed)
        var kept: [[UInt8]] = []
        while let message = source.next() { kept.append(Array(message)) }
        #expect(kept == all && feed.messageCount == all.count && feed.byteCount >= 1 << 20)
        let isTooLarge = MemoryFeed(&third, byteCountMax: 1 << 20) == nil
        #expect(isTooLarge)
    }

    @Test("A score has the digest of any other run, its metrics, and no loss")
    func score() throws {
        let path = try FeedFile.head(600, in: folder)
        var options = Score.Options()
        options.paths = [path]
        options.pipeline = testOptions()
        options.ratePasses = 1
        options.part = .fraction(0.5)
        let result = try Score(model: TestModel.small, options: options).run { _ in }
        #expect(result.digest == digest([path]).digest)
        #expect(result.ticks == 600 && result.signals == 600 && result.lost == 0)
        #expect(result.latency.count == 600 && result.stages.model.count == 600)
        #expect(result.horizons.map(\.ticks) == [10])
        #expect(result.horizons.first?.model.total == 290, "the last ten ticks have no label")
        #expect(result.boundary.contains("from tick 300 of 600"))
        #expect((result.ticksPerSecond ?? 0) > 0 && result.fileTicksPerSecond > 0)
    }

    @Test("Rings that a packet does not fit are refused by name")
    func scoreInSmallRings() throws {
        var options = Score.Options()
        options.paths = [try FeedFile.head(600, in: folder)]
        // The last packet, of the records that are left, fits: some ticks are seen.
        options.pipeline = testOptions { $0.ringBytes = 1 << 15 }
        let score = Score(model: TestModel.small, options: options)
        let failure = #expect(throws: Score.Failure.self) { try score.run { _ in } }
        #expect(failure?.description.contains("give a larger --ring-bytes") == true)
    }

    @Test("The default part begins behind the training of the model, on the file that it was trained on alone")
    func trainingEnd() throws {
        func score(_ path: String) throws -> Score.Result {
            var options = Score.Options()
            options.paths = [path]
            options.pipeline = testOptions()
            // No pass over memory: in a debug build each over the whole feed takes seconds.
            options.memoryByteCountMax = 0
            return try Score(model: TestModel.standard, options: options).run { _ in }
        }
        let other = try score(FeedFile.head(700, in: folder))
        #expect(other.boundary == "all ticks: the model was not trained on this feed")
        // Ticks of the warm-up do not count, and the last ones have no label.
        #expect(other.horizons.map(\.model.total) == other.horizons.map { 700 - 512 - $0.ticks })
        let end = try #require(TestModel.standard.metadata.trainingEndTimestamp)
        let trained = try score(Repository.feed)
        #expect(trained.boundary == "from the end of the model's training (\(end) ns) on")
        #expect(trained.ticks == 80_000)
        let behind = try ticks(of: Repository.feed, after: end)
        #expect(behind > 0 && behind < 40_000)
        #expect(trained.horizons.map(\.model.total) == trained.horizons.map { behind - $0.ticks })
    }

    /// Ticks of a file of one instrument that were captured after `time`.
    private func ticks(of path: String, after time: UInt64) throws -> Int {
        var reader = try DBNFileReader(path: path)
        var count = 0
        while try reader.next() {
            guard TickRule.lastFlag.completesTick(reader.record) else { continue }
            if reader.record.captureTimestamp > time { count += 1 }
        }
        return count
    }

    @Test("A file's digest is that of its bytes, and a missing file is an error")
    func fileDigest() throws {
        let path = folder.path("abc")
        try Data("abc".utf8).write(to: URL(filePath: path))
        // FIPS 180-4, example 1.
        let sum = try FileDigest.sha256(path)
        #expect(sum == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let prefix = try FileDigest.prefix(path)
        #expect(littleEndian(prefix) == [0xBA, 0x78, 0x16, 0xBF, 0x8F, 0x01, 0xCF, 0xEA])
        #expect(throws: Score.Failure.self) { try FileDigest.sha256(folder.path("missing")) }
    }

    @Test("Exported arrays have a row for each tick, with the mids and resets that signals have")
    func export() throws {
        let paths = try FeedFile.pair(150, in: folder)
        var replay = replay(paths)
        var export = try FeatureExport(directory: folder.path(""))
        try export.run(&replay) { _ in }
        let (ticks, names) = (export.ticks, export.instruments)
        #expect(ticks == 300 && names == ["TEST/ONE", "TEST/TWO"])
        // Behind the magic and the version, 8 bytes, NumPy's header says in 2 bytes how long the rest of it is.
        func payload(_ name: String) -> [UInt8] {
            let bytes = Repository.read(folder.path(name))
            return Array(bytes.dropFirst(10 + Int(bytes[8]) + 256 * Int(bytes[9])))
        }
        let rows = payload("features.npy")
        let expected = (0..<2).flatMap { features(of: Make.market(150, seed: $0)) }
        let rowByteCount = FeatureExtractor.count * 4
        try #require(rows.count == 300 * rowByteCount && expected.count == rows.count)
        let firstWrong = (0..<300).first { row in
            let range = row * rowByteCount..<(row + 1) * rowByteCount
            return rows[range] != expected[range]
        }
        #expect(firstWrong == nil)
        var again = self.replay(paths)
        let streams = run(messages(&again)).streams
        let signals = ["ONE", "TWO"].flatMap { streams["sig/m/TEST/\($0)/"]?.signals ?? [] }
        #expect(payload("mid.npy") == signals.flatMap { littleEndian($0.midPrice) })
        #expect(payload("ts_recv.npy") == signals.flatMap { littleEndian($0.captureTimestamp) })
        #expect(payload("reset.npy") == signals.map { $0.has(.firstAfterReset) ? 1 : 0 })
        #expect(payload("instrument.npy") == (0..<300).flatMap { littleEndian(UInt32($0 / 150)) })
    }

    /// The bytes of the feature vectors of these records, without packets, replay or files.
    private func features(of records: [[UInt8]]) -> [UInt8] {
        var state = InstrumentFeatures(tickSize: Make.tickSize, rule: .lastFlag)
        var vector = [Float](repeating: 0, count: FeatureExtractor.count)
        var rows: [UInt8] = []
        for bytes in records {
            guard let record = Record(at: bytes.span.bytes) else {
                Issue.record("the generator makes whole records")
                break
            }
            guard state.apply(record) == .tick else { continue }
            vector.withUnsafeMutableBufferPointer { buffer in
                if let base = buffer.baseAddress { state.completeTick(into: base) }
            }
            vector.withUnsafeBytes { rows += $0 }
        }
        return rows
    }
}

extension Repository {
    static func read(_ path: String) -> [UInt8] { FileManager.default.contents(atPath: path).map { [UInt8]($0) } ?? [] }
}
