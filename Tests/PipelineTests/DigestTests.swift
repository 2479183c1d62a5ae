import Foundation
import Inference
import MarketData
import Recorder
import Testing
import Wire

@testable import Pipeline

/// The same feed and model give the same signals, however they are run.
struct DigestTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    /// Every way to run without sockets, twice, with packets cut three ways; then over TCP.
    private func expectOneDigest(_ paths: [String], ticks: Int? = nil, model: Model = TestModel.standard) throws {
        let options = testOptions { $0.ringBytes = 1 << 20 }
        var found: [String: Set<String>] = [:]
        func note(_ name: String, _ run: () throws -> Digested) rethrows {
            for _ in 1...2 {
                let result = try run()
                found[result.digest, default: []].insert(name)
                #expect(result.lost == 0)
                if let ticks { #expect(result.ticks == UInt64(ticks), "\(name)") }
            }
        }
        for size in [1, 7, 50] {
            let cut = replayOptions { $0.recordsPerPacketMax = size }
            note("score, \(size)") { digest(FeedReplay(paths: paths, options: cut), model: model, options) }
            var replay = FeedReplay(paths: paths, options: cut)
            let feed = try #require(MemoryFeed(&replay, byteCountMax: 1 << 30))
            #expect(replay.failure == nil)
            note("memory, \(size)") { digest(MemorySource(feed), model: model, options) }
            for workers in 1...2 {
                var options = options
                options.workers = workers
                note("\(workers) workers on one thread, \(size)") { digest(MemorySource(feed), model: model, options) }
                note("\(workers) threads, \(size)") {
                    digest(MemorySource(feed), model: model, isThreaded: true, options)
                }
            }
        }
        try note("TCP, 50") { try Loopback.run(paths, cut: 50, model: model, isThreaded: false) }
        try note("TCP, threaded, 7") { try Loopback.run(paths, cut: 7, model: model, isThreaded: true) }
        #expect(found.count == 1, "\(found)")
    }

    @Test("The digest does not depend on source, threads, packets or sockets: the repository's feed")
    func repositoryFeed() throws {
        let ticks = Repository.isSlow ? 80_000 : 4_000
        try expectOneDigest([Repository.isSlow ? Repository.feed : FeedFile.head(ticks, in: folder)], ticks: ticks)
    }

    @Test("The digest does not depend on source, threads, packets or sockets: two instruments")
    func twoInstruments() throws {
        try expectOneDigest(FeedFile.pair(1_000, in: folder), ticks: 2_000, model: TestModel.allHeads)
    }

    @Test(
        "The digest does not depend on source, threads, packets or sockets: recorded days",
        .enabled(if: Repository.realFeeds != nil && Repository.isSlow, "MARTLET_FEEDS or MARTLET_SLOW is not set"))
    func recordedDays() throws {
        try expectOneDigest(
            [FeedFile.lobster("LOBSTER_SampleFile_GOOG_2012-06-21_10.zip", in: folder)], ticks: 147_916)
        try expectOneDigest([FeedFile.binance("usdm_btcusdt_20240808.gz", in: folder)], ticks: 93_950)
    }

    @Test(
        "The beginning of a recorded day gives the same digest over TCP as in a back-test",
        .enabled(if: Repository.realFeeds != nil, "MARTLET_FEEDS is not set"))
    func recordedMorning() throws {
        let day = try FeedFile.binance("usdm_btcusdt_20240808.gz", in: folder)
        let path = folder.path("morning.dbn.zst")
        try FeedFile.cut(day, to: [path]) { tick, _ in tick < 5_000 ? 0 : nil }
        let scored = digest(FeedReplay(paths: [path], options: replayOptions()), testOptions { $0.ringBytes = 1 << 20 })
        let live = try Loopback.run([path], cut: 7, model: TestModel.standard, isThreaded: true)
        #expect(scored == live && scored.ticks == 5_000)
    }

    @Test("Another model, another tick, another order of ticks: another digest")
    func sensitivity() throws {
        let records = Make.market(60, seed: 2)
        func digest(_ records: [[UInt8]], _ model: Model = TestModel.small) -> String {
            var publisher = TestPublisher()
            return run([publisher.definition()] + publisher.packets(records), model: model).digest
        }
        var swapped = records
        swapped.swapAt(20, 21)
        let digests = [
            digest(records), digest(records, TestModel.allHeads), digest(records.dropLast()), digest(swapped),
        ]
        #expect(Set(digests).count == 4)
    }

    @Test("Without clocks two runs publish the same bytes", arguments: [1, 2])
    func samePackets(workers: Int) throws {
        let paths = try FeedFile.pair(300, in: folder)
        let packets = (0..<2).map { _ in
            var replay = FeedReplay(paths: paths, options: replayOptions { $0.recordsPerPacketMax = 7 })
            return run(messages(&replay), testOptions { $0.workers = workers }).published
        }
        #expect(packets[0] == packets[1] && packets[0].count > 10)
    }

    @Test("The wall clock changes nothing but send times and session")
    func wallClock() throws {
        let path = try FeedFile.head(500, in: folder)
        let none = digest(FeedReplay(paths: [path], options: replayOptions()), testOptions())
        let system = digest(
            FeedReplay(paths: [path], options: replayOptions { $0.clock = .system }),
            testOptions {
                $0.clock = .system
                $0.heartbeatNanoseconds = 1_000
                $0.stageInterval = 1
            })
        #expect(none == system)
    }

    @Test(
        "Stage times count each tick that they are to take once, and latency each tick that was published",
        arguments: [(1, 500), (7, 71), (501, 0), (0, 0)] as [(Int, UInt64)])
    func stages(interval: Int, timed: UInt64) throws {
        let path = try FeedFile.head(500, in: folder)
        var pipeline = Pipeline(
            source: FeedReplay(paths: [path], options: replayOptions()), sink: NullSink(), model: TestModel.small,
            options: testOptions {
                $0.clock = .system
                $0.stageInterval = interval
            })
        pipeline.runInline()
        let stages = pipeline.stages
        #expect([stages.decode, stages.features, stages.model, stages.publish].allSatisfy { $0.count == timed })
        let latency = pipeline.publisher.latency.count
        #expect(latency == 500)
        let rate = pipeline.ingest.ticksPerSecond(ticks: 500)
        #expect(rate ?? 0 > 0)
    }
}
