import Features
import Foundation
import Inference
import MarketData
import Recorder
import TestSupport
import Testing
import Wire

@testable import Pipeline

/// Files of the repository, found from where this file was compiled, and what the environment adds.
enum Repository {
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    static let feed = root.appending(path: "feeds/simulated_sim1_20240102_mixed.dbn.zst").path

    private static let environment = ProcessInfo.processInfo.environment
    static let realFeeds = environment["MARTLET_FEEDS"]
    /// Whole feeds also in a debug build, which takes minutes.
    static let isSlow = environment["MARTLET_SLOW"] != nil

    static func bytes(_ path: String) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: root.appending(path: path).path) else {
            preconditionFailure("\(path) is a file of the repository")
        }
        return [UInt8](data)
    }
}

/// Models, read once.
enum TestModel {
    /// The model that is shipped: four horizons, a warm-up of 512 ticks.
    static let standard = load("models/default.onnx", FeatureExtractor.names)
    /// One horizon, a warm-up of 20 ticks; the fastest at hand.
    static let small = load("Tests/InferenceTests/Golden/mlp_sigmoid.onnx", numbered)
    /// Three horizons, a warm-up of 20 ticks, every output that a model can have.
    static let allHeads = load("Tests/InferenceTests/Golden/all_heads.onnx", numbered)

    /// The golden models name their features f0, f1 and so on: here they read the first columns of the real ones.
    private static let numbered = (0..<FeatureExtractor.count).map { "f\($0)" }

    private static func load(_ path: String, _ names: [String]) -> Model {
        do {
            return try Model(
                onnx: Repository.bytes(path), availableFeatures: names, featureSetVersion: FeatureExtractor.version)
        } catch { preconditionFailure("\(path) is a model: \(error)") }
    }
}

/// A folder that goes with its object.
final class TestFolder {
    private let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "PipelineTests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { _ = Result { try FileManager.default.removeItem(at: url) } }

    func path(_ name: String) -> String { url.appending(path: name).path }
}

/// Messages in memory whose addresses stay, as a source would hold them.
final class MessageList: Sendable {
    nonisolated(unsafe) private let buffers: [UnsafeMutableRawBufferPointer]  // Written in `init` alone.

    init(_ messages: [[UInt8]]) {
        buffers = messages.map { message in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(message.count, 1), alignment: 1)
            buffer.copyBytes(from: message)
            return UnsafeMutableRawBufferPointer(rebasing: buffer[..<message.count])
        }
    }

    deinit { for buffer in buffers { buffer.baseAddress?.deallocate() } }

    var count: Int { buffers.count }
    subscript(index: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(buffers[index]) }
}

/// Gives the messages of a list, as many as it is allowed to.
struct ListSource: TickSource {
    let list: MessageList
    /// Messages that have come so far: a test that steps lets them come by and by.
    var available: Int
    var ends = true
    private(set) var index = 0

    init(_ messages: [[UInt8]], available: Int? = nil, ends: Bool = true) {
        list = MessageList(messages)
        self.available = available ?? messages.count
        self.ends = ends
    }

    var isExhausted: Bool { ends && index == list.count }

    mutating func next() -> UnsafeRawBufferPointer? {
        guard index < min(available, list.count) else { return nil }
        index += 1
        return list[index - 1]
    }
}

/// Keeps what is published, and refuses when told to.
struct ListSink: SignalSink {
    var messages: [[UInt8]] = []
    var observed = 0
    var isFinished = false
    /// Takes nothing while set.
    var isFull = false
    /// Refuses every n-th offer; 0 for none.
    var refusalPeriod = 0
    private var offers = 0

    init(refusalPeriod: Int = 0) { self.refusalPeriod = refusalPeriod }

    mutating func send(_ message: UnsafeRawBufferPointer) -> Bool {
        offers += 1
        guard !isFull, refusalPeriod == 0 || offers % refusalPeriod != 0 else { return false }
        messages.append(Array(message))
        return true
    }

    mutating func observe(_ message: UnsafeRawBufferPointer) { observed += 1 }
    mutating func finish() { isFinished = true }
}

/// What a pipeline published and counted.
struct Outcome {
    var published: [[UInt8]]
    var counters: PipelineCounters
    var incidents: [String]

    var streams: [String: SignalStream] { SignalStream.all(in: published) }
    /// The only stream there is, or an empty one.
    var stream: SignalStream { streams.count == 1 ? streams.values.first! : SignalStream() }
    var digest: String { SignalStream.digest(of: published) }
    subscript(counter: Counter) -> Int { Int(counters[counter]) }
}

/// The records of one signal topic, in sequence order.
struct SignalStream {
    enum Entry {
        case signal(SignalRecord)
        case gap(GapRecord)
    }

    var entries: [Entry] = []
    var nextSequence: UInt64 = 1
    var hasEnded = false

    var signals: [SignalRecord] { entries.compactMap { if case .signal(let signal) = $0 { signal } else { nil } } }
    var gaps: [GapRecord] { entries.compactMap { if case .gap(let gap) = $0 { gap } else { nil } } }
    /// Input sequences of the signals, and gaps as "gap first+count reason session".
    var outline: [String] {
        entries.map {
            switch $0 {
            case .signal(let signal): "\(signal.inputSequence)"
            case .gap(let gap): gap.outline
            }
        }
    }

    /// Splits what was published by topic. Sequences must go on without a hole: a subscriber would count it as a loss.
    static func all(in messages: [[UInt8]]) -> [String: SignalStream] {
        var streams: [String: SignalStream] = [:]
        for message in messages {
            message.withUnsafeBytes { bytes in
                guard case .packet(let view) = PacketView.parse(bytes) else {
                    Issue.record("a malformed message was published")
                    return
                }
                let topic = String(decoding: view.topic(in: bytes), as: UTF8.self)
                var stream = streams[topic] ?? SignalStream()
                #expect(view.header.sequence == stream.nextSequence, "\(topic)")
                #expect(!stream.hasEnded)
                stream.nextSequence = view.header.nextSequence
                stream.hasEnded = view.header.kind == PacketHeader.Kind.endOfSession
                if view.header.kind == PacketHeader.Kind.records { stream.append(view.payload(in: bytes)) }
                streams[topic] = stream
            }
        }
        return streams
    }

    private mutating func append(_ payload: UnsafeRawBufferPointer) {
        var records = PacketRecords(payload.bytes)
        while let record = records.next() {
            if let signal = SignalRecord(record) {
                entries.append(.signal(signal))
            } else if let gap = GapRecord(record) {
                #expect(gap.venueTimestamp == 0, "the time in front of the gap is not kept")
                entries.append(.gap(gap))
            } else {
                Issue.record("neither a signal nor a gap was published")
            }
        }
    }

    static func digest(of messages: [[UInt8]]) -> String {
        var sink = ObservedSink(NullSink(), digest: SignalDigest(), evaluation: nil)
        for message in messages { message.withUnsafeBytes { sink.observe($0) } }
        return sink.takeDigest() ?? ""
    }
}

/// An outline of input sequences before and behind a gap.
func outline(_ before: ClosedRange<Int>, _ gap: String, _ behind: ClosedRange<Int>) -> [String] {
    before.map { "\($0)" } + [gap] + behind.map { "\($0)" }
}

extension GapRecord {
    var outline: String {
        let count = count == GapRecord.unknownCount ? "?" : "\(count)"
        return "gap \(firstMissing)+\(count) \(GapReason(rawValue: reason).map { "\($0)" } ?? "?") \(inputSession)"
    }
}

extension SignalRecord {
    func has(_ flag: SignalFlags) -> Bool { SignalFlags(rawValue: flags).contains(flag) }
}

/// Options under which runs are the same bytes each time, with room for a few instruments.
func testOptions(_ change: (inout PipelineOptions) -> Void = { _ in }) -> PipelineOptions {
    var options = PipelineOptions()
    // A step takes what a test makes available, so that it can fill a ring at once.
    options.messagesPerStepMin = .max
    options.clock = .none
    options.heartbeatNanoseconds = 0
    options.instrumentsMax = 8
    options.ringBytes = 1 << 18
    options.modelName = "m"
    options.idle = .yield
    change(&options)
    return options
}

func makePipeline(
    _ messages: [[UInt8]], sink: ListSink = ListSink(), model: Model = TestModel.small, available: Int? = nil,
    ends: Bool = true, _ options: PipelineOptions = testOptions()
) -> Pipeline<ListSource, ListSink> {
    Pipeline(
        source: ListSource(messages, available: available, ends: ends), sink: sink, model: model, options: options)
}

extension Pipeline where Source == ListSource, Sink == ListSink {
    var outcome: Outcome {
        Outcome(
            published: publisher.sink.messages, counters: counters, incidents: incidents.lines)
    }

    /// Which agents have finished.
    var finished: (ingest: Bool, workers: Bool, publisher: Bool) {
        (ingest.isFinished, (0..<workers.count).allSatisfy { workers[$0].isFinished }, publisher.isFinished)
    }

    /// Steps all agents until a round does nothing.
    mutating func settle() {
        while step() > 0 {}
    }

    /// Empties the rings, then lets the rest of the messages come one by one, so that each finds room, and runs to the end.
    mutating func finish() {
        settle()
        while ingest.source.available < ingest.source.list.count {
            ingest.source.available += 1
            settle()
        }
        runInline()
    }

    /// Lets ingest take everything that is there, while nobody empties its rings.
    mutating func takeAll() {
        while ingest.step(now: 0) > 0 {}
    }

    /// Steps ingest and the first worker, and not the publisher: the signal ring fills.
    mutating func stepWithoutPublisher(_ count: Int) {
        for _ in 0..<count {
            _ = ingest.step(now: 0)
            _ = workers[0].step(now: 0)
        }
    }
}

/// Runs the messages through all agents on this thread.
func run(
    _ messages: [[UInt8]], sink: ListSink = ListSink(), model: Model = TestModel.small,
    _ options: PipelineOptions = testOptions()
) -> Outcome {
    var pipeline = makePipeline(messages, sink: sink, model: model, options)
    pipeline.runInline()
    return pipeline.outcome
}

/// Runs the messages with a thread for each agent.
func runThreaded(
    _ messages: [[UInt8]], sink: ListSink = ListSink(), model: Model = TestModel.small, _ options: PipelineOptions
) -> Outcome {
    let pipeline = makePipeline(messages, sink: sink, model: model, options).runThreaded { _ in }
    return pipeline.outcome
}
