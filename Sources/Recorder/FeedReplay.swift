public import DBN
public import MarketData
public import Pipeline
internal import Wire

/// Plays recorded feeds as packets, exactly as a live publisher would send them. Files given together are one session.
///
/// For each instrument there is first a packet on its definitions topic, then its records on its ticks topic, and at
/// the end one end-of-session packet a topic. A packet holds records of one instrument, in file order; consecutive
/// records of one instrument share a packet up to `recordsPerPacketMax`. Records that say nothing of an instrument
/// (system, error, mapping) are not sent; definitions go to the definitions topic.
public struct FeedReplay: ~Copyable, TickSource {
    public struct Options: Sendable {
        /// At least 1. 50 records of ten levels make an 18 KiB message; 177 fill the largest.
        public var recordsPerPacketMax = 50
        /// Session of the packets; a back-test uses 1 so that its packets are the same bytes each time.
        public var session: UInt64 = 1
        public var publisherID: UInt32 = 1
        public var clock = Clock.none
        /// Tick and lot sizes of instruments whose files do not carry them.
        public var instruments: [Instrument] = []
        /// Ends after so many ticks, as at the end of a file; nil plays everything.
        public var ticksMax: Int?

        public init() {}
    }

    /// Why a replay ended early; nil if it has not.
    public private(set) var failure: DBNError?
    /// Records that were sent, and those that were not because they are of no instrument or of none with a name.
    public private(set) var recordsSent = 0
    public private(set) var recordsSkipped = 0
    public private(set) var ticks = 0
    public private(set) var packets = 0
    /// Capture timestamp of the first record, from when it is at hand; 0 before.
    public private(set) var firstTimestamp: UInt64 = 0
    /// Capture timestamp of the last tick sent.
    public private(set) var lastTimestamp: UInt64 = 0
    public private(set) var isExhausted = false

    private let options: Options
    private var paths: [String]
    private var file: OpenFile?
    private var symbols = SymbolMap()
    private var version: UInt8 = 3
    private var schema: Schema?
    private var dataset = ""
    private var rule = TickRule.lastFlag
    var streams: [ReplayStream] = []
    private var streamIndex: [StreamKey: Int] = [:]
    /// The stream of an instrument id in this file, on this day.
    private var instrumentStream: [UInt32: Int] = [:]
    private var lastInstrument: UInt32?
    /// The last time known of a record.
    private var lastTime: UInt64 = 0
    private var lastStream = -1
    /// Stands for an instrument id whose name makes no topic.
    private static let noStream = -1
    private var lastDay: UInt64 = 0
    private var builder: PacketBuilder
    private let memory: MessageMemory
    /// The record that the reader stands at and that has not been sent; valid until the reader moves.
    private var current: UnsafeRawBufferPointer?
    private var endedStreams = 0

    /// Plays `paths` in this order. Nothing is read before the first `next`.
    public init(paths: [String], options: Options) {
        precondition(options.recordsPerPacketMax > 0, "A packet holds a record.")
        self.paths = paths.reversed()
        self.options = options
        memory = MessageMemory(byteCount: PacketHeader.messageByteCountMax)
        builder = unsafe PacketBuilder(memory: memory.bytes)
    }

    public mutating func next() -> UnsafeRawBufferPointer? { unsafe next(until: .max) }

    /// Refuses by name a file whose metadata say that it can never have a book.
    ///
    /// - Throws: `Score.Failure` with one line, also for a file that cannot be opened or is not DBN.
    public static func checkPriceLevels(_ paths: [String]) throws(Score.Failure) {
        for path in paths {
            let only: Schema?
            do throws(DBNError) { only = try DBNFileReader(path: path).metadata?.schema } catch {
                throw .feed("\(error)")
            }
            guard let only, !only.statesPriceLevels else { continue }
            throw .feed("\(path): a feed of \(only.name) alone has no price levels; give mbp-1, mbp-10 or tbbo data")
        }
    }

    /// The next packet whose records were captured at or before `due`, nanoseconds since the epoch.
    ///
    /// - Returns: nil if there is none yet, or none any more (`isExhausted`).
    public mutating func next(until due: UInt64) -> UnsafeRawBufferPointer? {
        while true {
            if unsafe current == nil, !advance() { return unsafe nextEnd() }
            guard let bytes = unsafe current, let record = Record(at: unsafe bytes.bytes) else { return nil }
            if record.type == .symbolMapping {
                learnSymbol(record)
                recordsSkipped += 1
                unsafe current = nil
                continue
            }
            if record.type == .definition {
                unsafe current = nil
                guard let stream = define(record) else { continue }
                return unsafe definitionPacket(stream)
            }
            let time = time(of: record)
            guard isSent(record), let stream = stream(of: record) else {
                recordsSkipped += 1
                unsafe current = nil
                continue
            }
            if firstTimestamp == 0 { firstTimestamp = time }
            guard time <= due else { return nil }
            if !streams[stream].isAnnounced { return unsafe definitionPacket(stream) }
            return unsafe recordsPacket(stream, due)
        }
    }

    /// All records are out; what is left are ends of sessions.
    public var isEnding: Bool { endedStreams > 0 || isExhausted }

    /// Reads no more: what follows are the ends of the sessions.
    public mutating func stop() {
        paths.removeAll()
        file = nil
        unsafe current = nil
    }

    /// Moves to the next record, over the ends of files. False at the end of the last file, or at a failure.
    private mutating func advance() -> Bool {
        if let ticksMax = options.ticksMax, ticks >= ticksMax { return false }
        while failure == nil {
            do throws(DBNError) {
                if file == nil {
                    guard let path = paths.popLast() else { return false }
                    try open(path)
                }
                if let bytes = try unsafe file?.next() {
                    unsafe current = bytes
                    return true
                }
                file = nil
            } catch {
                failure = error
            }
        }
        return false
    }

    private mutating func open(_ path: String) throws(DBNError) {
        let reader = try DBNFileReader(path: path)
        version = reader.version ?? 3
        schema = reader.metadata?.schema
        let name = reader.metadata?.dataset ?? ""
        dataset = name.isEmpty ? "UNKNOWN" : name
        rule = TickRule(schema: schema)
        symbols = SymbolMap()
        if let metadata = reader.metadata { try symbols.apply(metadata) }
        instrumentStream.removeAll(keepingCapacity: true)
        lastInstrument = nil
        file = OpenFile(reader)
    }

    /// Whether records of this type travel on a ticks topic. Statistics and imbalances of former versions have other
    /// layouts than the wire's, which is that of version 3.
    private func isSent(_ record: borrowing Record) -> Bool {
        switch record.type {
        case .trade, .mbp1, .mbp10, .mbo, .cmbp1, .cbbo1Second, .cbbo1Minute, .tcbbo, .bbo1Second, .bbo1Minute,
            .status, .ohlcvDeprecated, .ohlcv1Second, .ohlcv1Minute, .ohlcv1Hour, .ohlcv1Day, .ohlcvEndOfDay:
            return true
        case .statistics, .imbalance: return version >= 3
        default: return false
        }
    }

    private func timestamp(of record: borrowing Record) -> UInt64 {
        if record.isTradeOrBook { return record.captureTimestamp }
        return Record(at: record.bytes)?.indexTimestamp ?? record.venueTimestamp
    }

    /// When a record is due: its own time, or the last one known, since an undefined one would never come.
    private mutating func time(of record: borrowing Record) -> UInt64 {
        let time = timestamp(of: record)
        if time != 0, time != Timestamp.undefined { lastTime = time }
        return lastTime
    }

    /// Takes a symbol mapping record of a live capture: from here on an instrument id has this symbol.
    private mutating func learnSymbol(_ record: borrowing Record) {
        do throws(DBNError) { try symbols.apply(copy record) } catch {
            failure = error
            return
        }
        instrumentStream[record.instrumentID] = nil
        lastInstrument = nil
    }

    /// The stream of a record's instrument; nil if nothing names the instrument.
    private mutating func stream(of record: borrowing Record) -> Int? {
        let instrument = record.instrumentID
        // An undefined time is the day of the record before.
        let timestamp = time(of: record)
        if timestamp / Timestamp.nanosecondsPerDay != lastDay {
            // An instrument id stands for one instrument within one day only.
            lastDay = timestamp / Timestamp.nanosecondsPerDay
            instrumentStream.removeAll(keepingCapacity: true)
            lastInstrument = nil
        }
        if instrument == lastInstrument { return lastStream }
        var found = instrumentStream[instrument]
        if found == nil, let symbol = symbols.symbol(instrumentID: instrument, timestamp: timestamp) {
            found = stream(symbol: symbol, record) ?? FeedReplay.noStream
            instrumentStream[instrument] = found
        }
        guard let found, found != FeedReplay.noStream else { return nil }
        lastInstrument = instrument
        lastStream = found
        return found
    }

    /// The stream of a symbol, made at first sight; nil for a name of which no topic can be made.
    private mutating func stream(symbol: String, _ record: borrowing Record) -> Int? {
        let key = StreamKey(dataset: dataset, symbol: symbol)
        if let known = streamIndex[key] { return known }
        let preset = options.instruments.first {
            // Bytes, as in topics: `String` would take "é" in its two encodings for one.
            $0.symbol.utf8.elementsEqual(symbol.utf8) && ($0.dataset.isEmpty || $0.dataset == dataset)
        }
        do throws(WireError) {
            streams.append(
                try ReplayStream(
                    key, schema: schema, publisherID: record.publisherID, instrumentID: record.instrumentID,
                    venueTimestamp: record.venueTimestamp, preset: preset))
        } catch { return nil }
        streamIndex[key] = streams.count - 1
        return streams.count - 1
    }

    /// Takes a definition record into its stream. nil if it names no symbol.
    private mutating func define(_ record: borrowing Record) -> Int? {
        guard let view = DefinitionView(copy record), !view.rawSymbol.isEmpty else {
            recordsSkipped += 1
            return nil
        }
        do throws(DBNError) { try symbols.apply(copy record) } catch {
            failure = error
            return nil
        }
        lastInstrument = nil
        guard let stream = stream(symbol: view.rawSymbol, record) else {
            recordsSkipped += 1
            return nil
        }
        instrumentStream[record.instrumentID] = stream
        // The instrument's lot is the record's in our own datasets, one share or contract in Databento's.
        let lot =
            view.unitOfMeasureQuantity > 0 && view.unitOfMeasureQuantity != Price.undefined
            ? view.unitOfMeasureQuantity : Price.unitsPerWhole
        if let instrument = view.instrument(dataset: dataset, lotSize: lot) {
            streams[stream].instrument = instrument
        }
        return stream
    }

    private mutating func definitionPacket(_ stream: Int) -> UnsafeRawBufferPointer? {
        streams[stream].isAnnounced = true
        let records = streams[stream].definitionRecords()
        builder.begin(topic: streams[stream].definitionsTopic)
        for record in records {
            let fits = record.withUnsafeBytes { unsafe builder.append($0) }
            precondition(fits, "A definition fits into an empty message.")
        }
        let sequence = streams[stream].nextDefinition
        streams[stream].nextDefinition += UInt64(records.count)
        return unsafe close(sequence)
    }

    private mutating func recordsPacket(_ stream: Int, _ due: UInt64) -> UnsafeRawBufferPointer? {
        streams[stream].topic.withUnsafeBytes { unsafe builder.begin(topic: $0) }
        while let bytes = unsafe current, let record = Record(at: unsafe bytes.bytes),
            builder.count < options.recordsPerPacketMax, record.type != .definition, isSent(record),
            time(of: record) <= due, self.stream(of: record) == stream, unsafe builder.append(bytes)
        {
            count(record)
            unsafe current = nil
            guard advance() else { break }
        }
        let sequence = streams[stream].nextSequence
        streams[stream].nextSequence += UInt64(builder.count)
        recordsSent += builder.count
        return unsafe close(sequence)
    }

    private mutating func count(_ record: borrowing Record) {
        guard rule.completesTick(record) else { return }
        ticks += 1
        lastTimestamp = time(of: record)
    }

    private mutating func close(_ sequence: UInt64) -> UnsafeRawBufferPointer {
        packets += 1
        return unsafe builder.finish(
            sequence: sequence, session: options.session, sentTimestamp: options.clock.wallNanoseconds(),
            publisher: options.publisherID)
    }

    /// One end of session for each ticks topic, then nothing.
    private mutating func nextEnd() -> UnsafeRawBufferPointer? {
        guard endedStreams < streams.count else {
            isExhausted = true
            return nil
        }
        let stream = endedStreams
        endedStreams += 1
        packets += 1
        builder.begin(topic: streams[stream].topic)
        let message = unsafe builder.finishEndOfSession(
            sequence: streams[stream].nextSequence, session: options.session,
            sentTimestamp: options.clock.wallNanoseconds(), publisher: options.publisherID)
        isExhausted = endedStreams == streams.count
        return unsafe message
    }

    /// The heartbeats of all streams: definitions again, and where each ticks stream stands. Cold: about once a second.
    public mutating func withHeartbeats(_ body: (UnsafeRawBufferPointer) -> Void) {
        for stream in streams.indices where streams[stream].isAnnounced && stream >= endedStreams {
            if let definition = unsafe definitionPacket(stream) { unsafe body(definition) }
            builder.begin(topic: streams[stream].topic)
            let heartbeat = unsafe builder.finishHeartbeat(
                payload: [UInt8](repeating: 0, count: Heartbeat.payloadByteCount(address: 0)),
                sequence: streams[stream].nextSequence, session: options.session,
                sentTimestamp: options.clock.wallNanoseconds(), publisher: options.publisherID)
            if let heartbeat { unsafe body(heartbeat) }
        }
    }
}

/// The memory in which a builder writes, by itself so that the replay around it can be taken apart.
private struct MessageMemory: ~Copyable {
    let bytes: UnsafeMutableRawBufferPointer

    init(byteCount: Int) { unsafe bytes = .allocate(byteCount: byteCount, alignment: 64) }

    deinit { unsafe bytes.deallocate() }
}

/// The file being read. A class, because an optional noncopyable value cannot be changed in place without crashing the
/// compiler (Swift 6.3.1).
private final class OpenFile {
    private var reader: DBNFileReader

    init(_ reader: consuming DBNFileReader) { self.reader = reader }

    /// The bytes of the next record, valid until the next call; nil at the end.
    func next() throws(DBNError) -> UnsafeRawBufferPointer? {
        guard try reader.next() else { return nil }
        return unsafe OpenFile.bytes(reader)
    }

    private static func bytes(_ reader: borrowing DBNFileReader) -> UnsafeRawBufferPointer {
        reader.record.bytes.withUnsafeBytes { unsafe $0 }
    }
}
