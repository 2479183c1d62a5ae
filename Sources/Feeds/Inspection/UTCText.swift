import DBN
import MarketData

/// Timestamps as people read them.
enum UTCText {
    /// `2012-06-21 13:30:00.015105074 UTC`, or `undefined`.
    static func text(_ timestamp: UInt64) -> String {
        guard timestamp != Timestamp.undefined else { return "undefined" }
        let date = CalendarDate.utc(timestamp)
        let seconds = timestamp / Timestamp.nanosecondsPerSecond % 86_400
        let fraction = padded(timestamp % Timestamp.nanosecondsPerSecond, 9)
        let year = padded(UInt64(date / 10_000), 4)
        let day = "\(year)-\(padded(UInt64(date / 100 % 100), 2))-\(padded(UInt64(date % 100), 2))"
        let time = "\(padded(seconds / 3_600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
        return "\(day) \(time).\(fraction) UTC"
    }

    private static func padded(_ value: UInt64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
