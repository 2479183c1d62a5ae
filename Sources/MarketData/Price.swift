/// Fixed-point prices as DBN writes them: signed 64-bit integers in units of 1e-9.
///
/// A price stays an integer until the feature step subtracts two of them and turns the difference into a float.
public enum Price {
    /// Units in one whole currency unit.
    public static let unitsPerWhole: Int64 = 1_000_000_000

    /// The price of a level that is not there (DBN's `UNDEF_PRICE`).
    public static let undefined: Int64 = .max
}

/// Timestamps in nanoseconds since the Unix epoch, as DBN writes them.
public enum Timestamp {
    /// A timestamp that is not there (DBN's `UNDEF_TIMESTAMP`).
    public static let undefined: UInt64 = .max

    public static let nanosecondsPerSecond: UInt64 = 1_000_000_000
    public static let nanosecondsPerDay: UInt64 = 86_400 * nanosecondsPerSecond
}
