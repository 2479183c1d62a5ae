/// Exact conversion of sizes to lots.
struct LotScale {
    /// Units of the underlying in one lot, in 1e-9; positive.
    let lotSize: Int64

    /// A size in 1e-9 as lots; nil if it is not a whole number of lots.
    @inline(__always)
    func lots(_ size: Int64) -> Int64? {
        let (quotient, remainder) = size.quotientAndRemainder(dividingBy: lotSize)
        return remainder == 0 ? quotient : nil
    }

    /// A size in whole units as lots; nil if it is not a whole number of lots or more than 2^32 - 2 of them.
    ///
    /// 2^32 - 1 stands for an undefined size in DBN.
    func lots(wholeUnits: UInt64) -> UInt32? {
        let (units, overflow) = wholeUnits.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow, let size = Int64(exactly: units), let count = lots(size) else { return nil }
        return LotScale.recordSize(count)
    }

    /// Lots as a record's size field holds them; nil if it cannot.
    @inline(__always)
    static func recordSize(_ lots: Int64) -> UInt32? {
        lots >= 0 && lots < Int64(UInt32.max) ? UInt32(truncatingIfNeeded: lots) : nil
    }
}
