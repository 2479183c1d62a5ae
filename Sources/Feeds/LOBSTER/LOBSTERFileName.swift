/// What the name of a LOBSTER file says: `GOOG_2012-06-21_34200000_57600000_message_10.csv`.
public struct LOBSTERFileName: Hashable, Sendable {
    public enum Kind: String, Sendable {
        case message
        case orderbook
    }

    public var symbol: String
    public var year: Int
    public var month: Int
    public var day: Int
    /// Requested start and end, milliseconds after midnight in New York.
    public var startMilliseconds: Int
    public var endMilliseconds: Int
    public var kind: Kind
    /// Price levels in the order-book file.
    public var levelCount: Int
    /// Midnight of the day in New York, nanoseconds since the epoch.
    public var midnightTimestamp: UInt64

    /// Most levels that are read; LOBSTER itself offers up to 200.
    public static let levelCountMax = 1_000

    /// The day as YYYYMMDD.
    public var date: UInt32 { UInt32(year * 10_000 + month * 100 + day) }

    /// Parses a name, whose folders are ignored. Nil if it is not a LOBSTER file's name or its day is not in
    /// the calendar.
    public init?(_ path: String) {
        guard let name = path.split(separator: "/").last, name.hasSuffix(".csv") else { return nil }
        // From the right, because a symbol may hold an underscore.
        let parts = name.dropLast(4).split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count >= 6 else { return nil }
        let tail = Array(parts.suffix(5))
        let dateParts = tail[0].split(separator: "-", omittingEmptySubsequences: false)
        guard dateParts.count == 3, dateParts[0].utf8.count == 4,
            let year = LOBSTERFileName.number(dateParts[0]),
            let month = LOBSTERFileName.number(dateParts[1]), let day = LOBSTERFileName.number(dateParts[2]),
            let start = LOBSTERFileName.number(tail[1]), let end = LOBSTERFileName.number(tail[2]),
            let kind = Kind(rawValue: String(tail[3])), let levelCount = LOBSTERFileName.number(tail[4]),
            levelCount >= 1, levelCount <= LOBSTERFileName.levelCountMax,
            let midnight = EasternTime.midnight(year: year, month: month, day: day)
        else { return nil }
        symbol = parts.dropLast(5).joined(separator: "_")
        guard !symbol.isEmpty else { return nil }
        self.year = year
        self.month = month
        self.day = day
        startMilliseconds = start
        endMilliseconds = end
        self.kind = kind
        self.levelCount = levelCount
        midnightTimestamp = midnight
    }

    /// Whether the other file is the order book of this message file, or the reverse.
    func isPartner(of other: LOBSTERFileName) -> Bool {
        var twin = other
        twin.kind = kind
        return kind != other.kind && twin == self
    }

    private static func number(_ text: Substring) -> Int? {
        guard text.utf8.count <= 9, !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
            return nil
        }
        return Int(text)
    }
}
