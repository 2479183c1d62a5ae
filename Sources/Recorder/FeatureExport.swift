public import DBN
internal import Features
public import Feeds
internal import MarketData
internal import Pipeline
internal import Wire

/// Writes the feature vectors of recorded feeds as NumPy arrays, with exactly the code that serves them live.
///
/// Into a folder: `features.npy` float32 [N, F]; one value a tick in `mid.npy`, `bid.npy`, `ask.npy` int64 in 1e-9 (an
/// empty side is 2^63 − 1), `ts_recv.npy` uint64 in ns, `reset.npy` uint8 (1 on the first tick after a reset),
/// `instrument.npy` uint32 (index into the names that the caller writes beside them).
public struct FeatureExport: ~Copyable {
    /// Why an export ended.
    public enum Failure: Error, CustomStringConvertible {
        case feed(DBNError)
        case array(NPYError)
        case undefined(String)

        public var description: String {
            switch self {
            case .feed(let error): "\(error)"
            case .array(let error): "\(error)"
            case .undefined(let text): text
            }
        }
    }

    /// Ticks written.
    public private(set) var ticks = 0
    /// `dataset/symbol` in the order of their index.
    public private(set) var instruments: [String] = []

    private var streams: HandleArray<InstrumentFeatures>
    private var indices: [[UInt8]: Int] = [:]
    private var tickSizes: [Int64] = []
    private var vector: [Float]
    private var arrays: FeatureArrays

    /// - Parameter directory: an existing folder; files of an earlier export in it are replaced.
    public init(directory: String, instrumentsMax: Int = 256) throws(Failure) {
        arrays = try FeatureExport.arrays(directory)
        vector = Array(repeating: 0, count: FeatureExtractor.count)
        streams = HandleArray(capacity: instrumentsMax)
    }

    /// Plays `replay` to its end. `progress` is told the ticks so far, every few thousand of them.
    public mutating func run(_ replay: inout FeedReplay, progress: (Int) -> Void) throws(Failure) {
        while let message = unsafe replay.next() {
            try unsafe take(message)
            if ticks & 0xFFF == 0 { progress(ticks) }
        }
        if let failure = replay.failure { throw .feed(failure) }
        do throws(NPYError) { try arrays.finish() } catch { throw .array(error) }
    }

    private static func arrays(_ directory: String) throws(Failure) -> FeatureArrays {
        do throws(NPYError) { return try FeatureArrays(directory) } catch { throw .array(error) }
    }

    private mutating func take(_ message: UnsafeRawBufferPointer) throws(Failure) {
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
            do throws(NPYError) { try write(index) } catch { throw .array(error) }
        }
    }

    private mutating func define(_ topic: Topic, _ records: inout PacketRecords) throws(Failure) {
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
            throw .undefined("more than \(streams.capacity) instruments: export them file by file")
        }
        indices[ticksTopic] = streams.count
        tickSizes.append(tickSize)
        instruments.append("\(topic.dataset)/\(topic.symbol)")
        streams.append(InstrumentFeatures(tickSize: tickSize, rule: schema.tickRule))
    }

    private mutating func write(_ index: Int) throws(NPYError) {
        let isFirst = streams[index].ticksSinceReset == 0
        vector.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            unsafe streams[index].completeTick(into: base)
        }
        let best = streams[index].extractor.book.best
        let midPrice = streams[index].extractor.book.midPrice
        let captured = streams[index].captureTimestamp
        try arrays.append(
            vector, best: best, midPrice: midPrice, timestamp: captured, isFirst: isFirst, instrument: index)
        ticks += 1
    }
}

/// The files of one export.
private struct FeatureArrays: ~Copyable {
    var features: NPYWriter
    var mid: NPYWriter
    var bid: NPYWriter
    var ask: NPYWriter
    var timestamp: NPYWriter
    var reset: NPYWriter
    var instrument: NPYWriter

    init(_ directory: String) throws(NPYError) {
        // Opened before the first is stored: a value that is partly initialised cannot be given up (Swift 6.3).
        let features = try NPYWriter(
            path: directory + "/features.npy", elementType: .float32, columnCount: FeatureExtractor.count)
        let mid = try NPYWriter(path: directory + "/mid.npy", elementType: .int64)
        let bid = try NPYWriter(path: directory + "/bid.npy", elementType: .int64)
        let ask = try NPYWriter(path: directory + "/ask.npy", elementType: .int64)
        let timestamp = try NPYWriter(path: directory + "/ts_recv.npy", elementType: .uint64)
        let reset = try NPYWriter(path: directory + "/reset.npy", elementType: .uint8)
        let instrument = try NPYWriter(path: directory + "/instrument.npy", elementType: .uint32)
        self.features = features
        self.mid = mid
        self.bid = bid
        self.ask = ask
        self.timestamp = timestamp
        self.reset = reset
        self.instrument = instrument
    }

    mutating func append(
        _ vector: [Float], best: BookLevel, midPrice: Int64, timestamp captured: UInt64, isFirst: Bool,
        instrument index: Int
    ) throws(NPYError) {
        let written = vector.withUnsafeBytes { bytes -> Result<Void, NPYError> in
            do throws(NPYError) {
                try unsafe features.append(bytes)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try written.get()
        try mid.append(midPrice)
        try bid.append(best.bidPrice)
        try ask.append(best.askPrice)
        try timestamp.append(captured)
        try reset.append(isFirst ? UInt8(1) : UInt8(0))
        try instrument.append(UInt32(index))
    }

    mutating func finish() throws(NPYError) {
        try features.finish()
        try mid.finish()
        try bid.finish()
        try ask.finish()
        try timestamp.finish()
        try reset.finish()
        try instrument.finish()
    }
}
