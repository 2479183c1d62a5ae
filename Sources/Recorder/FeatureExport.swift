public import DBN
internal import Features
public import Feeds
internal import MarketData

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
    public var instruments: [String] { stream.instruments }

    private var stream: FeatureStream
    private var arrays: FeatureArrays

    /// - Parameter directory: an existing folder; files of an earlier export in it are replaced.
    public init(directory: String, instrumentsMax: Int = 256) throws(Failure) {
        arrays = try FeatureExport.arrays(directory)
        stream = FeatureStream(instrumentsMax: instrumentsMax)
    }

    /// Plays `replay` to its end. `progress` is told the ticks so far, every few thousand of them.
    public mutating func run(_ replay: inout FeedReplay, progress: (Int) -> Void) throws(Failure) {
        var ticks = 0
        defer { self.ticks += ticks }
        try stream.run(&replay, into: &arrays) { arrays, row throws(Failure) in
            do throws(NPYError) { try arrays.append(row) } catch { throw .array(error) }
            ticks += 1
            if ticks & 0xFFF == 0 { progress(ticks) }
        }
        do throws(NPYError) { try arrays.finish() } catch { throw .array(error) }
    }

    private static func arrays(_ directory: String) throws(Failure) -> FeatureArrays {
        do throws(NPYError) { return try FeatureArrays(directory) } catch { throw .array(error) }
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

    mutating func append(_ row: FeatureStream.Row) throws(NPYError) {
        try unsafe features.append(UnsafeRawBufferPointer(row.features))
        try mid.append(row.midPrice)
        try bid.append(row.best.bidPrice)
        try ask.append(row.best.askPrice)
        try timestamp.append(row.captured)
        try reset.append(row.isFirst ? UInt8(1) : UInt8(0))
        try instrument.append(UInt32(row.instrument))
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
