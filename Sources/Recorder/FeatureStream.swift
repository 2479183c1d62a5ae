internal import DBN
internal import Features
internal import Feeds
internal import MarketData
internal import Pipeline
internal import Wire

/// The feature vectors of a replay, tick by tick, with exactly the code that serves them live.
struct FeatureStream: ~Copyable {
    /// One tick.
    struct Row {
        /// Valid until the next tick.
        let features: UnsafeBufferPointer<Float>
        /// Index into `instruments`.
        let instrument: Int
        /// Whether it is the first tick of its instrument, or the first after a reset.
        let isFirst: Bool
        let best: BookLevel
        let midPrice: Int64
        let captured: UInt64
    }

    /// `dataset/symbol` in the order of their index.
    private(set) var instruments: [String] = []

    private var streams: HandleArray<InstrumentFeatures>
    private var indices: [[UInt8]: Int] = [:]
    private var tickSizes: [Int64] = []
    private let vector: UnsafeMutableBufferPointer<Float>

    init(instrumentsMax: Int) {
        vector = .allocate(capacity: FeatureExtractor.count)
        vector.initialize(repeating: 0)
        streams = HandleArray(capacity: instrumentsMax)
    }

    deinit { vector.deallocate() }

    /// Plays `replay` to its end and gives each tick to `take`, with `sink`, into which it goes.
    mutating func run<Sink: ~Copyable>(
        _ replay: inout FeedReplay, into sink: inout Sink,
        _ take: (inout Sink, Row) throws(FeatureExport.Failure) -> Void
    ) throws(FeatureExport.Failure) {
        while let message = unsafe replay.next() {
            try unsafe apply(message, into: &sink, take)
        }
        if let failure = replay.failure { throw .feed(failure) }
    }

    private mutating func apply<Sink: ~Copyable>(
        _ message: UnsafeRawBufferPointer, into sink: inout Sink,
        _ take: (inout Sink, Row) throws(FeatureExport.Failure) -> Void
    ) throws(FeatureExport.Failure) {
        guard case .packet(let view) = unsafe PacketView.parse(message) else { return }
        guard view.header.kind == PacketHeader.Kind.records else { return }
        let bytes = unsafe Array(view.topic(in: message))
        guard let topic = Topic.parse(bytes) else { return }
        var records = PacketRecords(unsafe view.payload(in: message).bytes)
        if topic.kind == Topic.Kind.definitions {
            try define(topic, &records)
            return
        }
        guard let index = indices[bytes] else {
            throw .undefined(
                "\(topic.dataset) \(topic.symbol): its tick size is not known; give "
                    + "--instrument \(topic.symbol):tick=…,lot=…, or it is not a feed of price levels")
        }
        while let record = records.next() {
            guard streams[index].apply(record) == .tick else { continue }
            try take(&sink, completed(index))
        }
    }

    private mutating func define(_ topic: Topic, _ records: inout PacketRecords) throws(FeatureExport.Failure) {
        var tickSize: Int64 = 0
        var schema = StreamSchema.mixed
        while let record = records.next() {
            if let definition = DefinitionView(copy record) { tickSize = definition.tickSize }
            if let announced = StreamSchema(record) { schema = announced }
        }
        if case .one(let only) = schema, !only.statesPriceLevels { return }
        let ticksTopic = Topic.ticks(dataset: topic.dataset, symbol: topic.symbol)
        guard tickSize > 0, tickSize <= FeatureExtractor.tickSizeMax else { return }
        if let index = indices[ticksTopic] {
            // As a worker does: another tick size or rule makes the instrument's state anew.
            if tickSizes[index] != tickSize || streams[index].rule != schema.tickRule {
                tickSizes[index] = tickSize
                streams[index] = InstrumentFeatures(tickSize: tickSize, rule: schema.tickRule)
            }
            return
        }
        guard streams.count < streams.capacity else {
            throw .undefined("more than \(streams.capacity) instruments: take them file by file")
        }
        indices[ticksTopic] = streams.count
        tickSizes.append(tickSize)
        instruments.append("\(topic.dataset)/\(topic.symbol)")
        streams.append(InstrumentFeatures(tickSize: tickSize, rule: schema.tickRule))
    }

    private mutating func completed(_ index: Int) -> Row {
        let isFirst = streams[index].ticksSinceReset == 0
        if let base = vector.baseAddress { unsafe streams[index].completeTick(into: base) }
        return Row(
            features: UnsafeBufferPointer(vector), instrument: index, isFirst: isFirst,
            best: streams[index].extractor.book.best, midPrice: streams[index].extractor.book.midPrice,
            captured: streams[index].captureTimestamp)
    }
}
