/// Midnight of a day in New York, by the United States' daylight-saving rules since 1987.
///
/// Since 2007 from the second Sunday of March to the first Sunday of November; before, from the first Sunday
/// of April to the last Sunday of October (Energy Policy Act of 2005; Public Law 99-359). The clock changes
/// at 02:00 on a Sunday, when no American exchange trades, so the offset of a day is that of its trading
/// hours.
enum EasternTime {
    /// Years that the rules above cover.
    static let years = 1987...2099

    /// Midnight, New York time, as nanoseconds since the epoch; nil if there is no such day or the year is
    /// not covered.
    static func midnight(year: Int, month: Int, day: Int) -> UInt64? {
        guard years.contains(year), (1...12).contains(month), day >= 1,
            day <= dayCount(year: year, month: month)
        else {
            return nil
        }
        let hours = isDaylightSaving(year: year, month: month, day: day) ? 4 : 5
        let seconds = dayNumber(year: year, month: month, day: day) * 86_400 + hours * 3_600
        return UInt64(seconds) * 1_000_000_000
    }

    /// Whether the trading hours of this day are in daylight-saving time.
    static func isDaylightSaving(year: Int, month: Int, day: Int) -> Bool {
        let start: (month: Int, day: Int)
        let end: (month: Int, day: Int)
        if year >= 2007 {
            start = (3, firstSunday(year: year, month: 3, from: 8))
            end = (11, firstSunday(year: year, month: 11, from: 1))
        } else {
            start = (4, firstSunday(year: year, month: 4, from: 1))
            end = (10, firstSunday(year: year, month: 10, from: 25))
        }
        return (month, day) >= start && (month, day) < end
    }

    /// Days from 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    static func dayNumber(year: Int, month: Int, day: Int) -> Int {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private static func dayCount(year: Int, month: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// The first Sunday of a month on or after its day `from`.
    private static func firstSunday(year: Int, month: Int, from day: Int) -> Int {
        // 1970-01-01 was a Thursday: (number + 4) modulo 7 is 0 on Sundays.
        let weekday = (dayNumber(year: year, month: month, day: day) + 4) % 7
        return weekday == 0 ? day : day + 7 - weekday
    }
}
