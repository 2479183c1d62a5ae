import MarketData

/// Dates as DBN's metadata write them: the decimal digits YYYYMMDD in a 32-bit integer. 20240229 is a leap
/// day.
public enum CalendarDate {
    /// Whether `date` is a day of the Gregorian calendar in the years 1 to 9999.
    public static func isValid(_ date: UInt32) -> Bool {
        let year = date / 10_000
        let month = date / 100 % 100
        let day = date % 100
        guard year >= 1, year <= 9_999, month >= 1, month <= 12, day >= 1 else { return false }
        return day <= dayCount(year: year, month: month)
    }

    /// The UTC day of `timestamp`, nanoseconds since the epoch.
    public static func utc(_ timestamp: UInt64) -> UInt32 {
        // Civil date of a day number: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", for days
        // after 1970.
        let days = timestamp / Timestamp.nanosecondsPerDay + 719_468
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return UInt32(year * 10_000 + month * 100 + day)
    }

    private static func dayCount(year: UInt32, month: UInt32) -> UInt32 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
