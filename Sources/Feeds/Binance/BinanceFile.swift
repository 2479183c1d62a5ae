#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What a first pass over one capture finds: where it comes from, when, and which snapshots are in it.
///
/// The snapshots must be known beforehand: only then can a diff that arrives before one be counted as
/// superseded or held.
struct BinanceFile {
    /// A snapshot's line and `lastUpdateId`.
    struct Snapshot: Equatable {
        var line: UInt64
        var update: UInt64
    }

    /// More snapshots than any capture has; each is remembered with 16 bytes.
    static let snapshotCountMax = 1_000_000

    let file: InputFile
    var market: BinanceMarket
    var symbol: String
    var firstTimestamp: UInt64
    var lastTimestamp: UInt64
    var snapshots: [Snapshot] = []

    /// Reads the whole capture once. `progress` is told compressed bytes done, now and then.
    init(path: String, progress: (UInt64) -> Void) throws(FeedError) {
        file = try InputFile(path: path)
        let stream = try ByteStream(file: file)
        let reader = LineReader(path: path, stream: stream)
        var message = BinanceMessage()
        var found: BinanceMarket?
        var name = ""
        var first: UInt64?
        var last: UInt64 = 0
        var firstProblem: String?
        while try reader.next() {
            if reader.lineNumber % 65_536 == 0 { progress(stream.consumedByteCount) }
            if reader.line.isEmpty { continue }
            guard let (timestamp, _) = BinanceMessage.timestamp(reader.line) else {
                firstProblem =
                    firstProblem ?? "line \(reader.lineNumber) does not begin with nanoseconds and a blank"
                continue
            }
            first = first ?? timestamp
            last = timestamp
            let mayBeSnapshot = BinanceFile.mentionsSnapshot(reader.line)
            guard mayBeSnapshot || found == nil || name.isEmpty else { continue }
            do throws(BinanceMessage.Problem) { try message.read(reader.line) } catch {
                firstProblem = firstProblem ?? "line \(reader.lineNumber): \(error)"
                continue
            }
            found = found ?? BinanceMarket(message)
            if name.isEmpty { name = message.symbol.text }
            if message.kind == .snapshot, let update = message.lastUpdate {
                guard snapshots.count < BinanceFile.snapshotCountMax else {
                    throw .inputs("\(path) holds more than \(BinanceFile.snapshotCountMax) snapshots")
                }
                snapshots.append(Snapshot(line: reader.lineNumber, update: update))
            }
        }
        guard let first, !name.isEmpty else {
            throw .inputs(
                "\(path) holds no line `<receive ns> <json>` of a known Binance message"
                    + (firstProblem.map { "; \($0)" } ?? ""))
        }
        // Trades alone are alike in both futures markets; only COIN-M symbols are quoted in plain USD.
        market = found ?? (name.contains("USD_") ? .coinM : .usdM)
        symbol = name
        firstTimestamp = first
        lastTimestamp = last
    }

    /// Whether `"lastUpdateId"` stands in the line. Its capital I is rare in these messages, so most lines
    /// cost one search.
    private static func mentionsSnapshot(_ line: Span<UInt8>) -> Bool {
        let needle: StaticString = "\"lastUpdateId\""
        let indexOfI = 11
        return unsafe line.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return false }
            var from = 0
            while from < bytes.count, let found = unsafe memchr(base + from, 0x49, bytes.count - from) {
                let at = unsafe UnsafePointer(found.assumingMemoryBound(to: UInt8.self)) - base
                from = at + 1
                let start = at - indexOfI
                guard start >= 0, start + needle.utf8CodeUnitCount <= bytes.count else { continue }
                if unsafe memcmp(base + start, needle.utf8Start, needle.utf8CodeUnitCount) == 0 {
                    return true
                }
            }
            return false
        }
    }
}
