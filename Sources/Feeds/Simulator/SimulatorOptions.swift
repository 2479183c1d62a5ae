/// What a simulation run makes. Equal options give equal records, on every machine.
public struct SimulatorOptions: Equatable, Sendable {
    /// Chooses the run; every value is as good as any other.
    public var seed: UInt64
    /// Ticks to make, all instruments together: `1...SimulatorOptions.eventsMax`.
    public var events: Int
    /// Independent instruments `SIM1`, `SIM2`, …, interleaved by time: `1...SimulatorOptions.instrumentsMax`.
    public var instruments: Int

    public init(seed: UInt64, events: Int, instruments: Int = 1) {
        self.seed = seed
        self.events = events
        self.instruments = instruments
    }

    /// Some 135 sessions of one instrument, 7 GB before compression: within the year that the symbol mapping
    /// covers.
    public static let eventsMax = 20_000_000
    /// More than any test of sharding needs; a run scans them all for the earliest event.
    public static let instrumentsMax = 64

    /// The dataset, a name that Databento does not use.
    public static let dataset = "MARTLET.SIM"
    /// The publisher's number, one that Databento does not use.
    public static let publisherID: UInt16 = 60_021
    /// The price increment, 0.01, in 1e-9.
    public static let tickSize: Int64 = 10_000_000
    /// One share, in 1e-9.
    public static let lotSize: Int64 = 1_000_000_000
    /// The first session's opening: 2024-01-02 14:30:00 UTC, in nanoseconds since the epoch.
    public static let sessionStart: UInt64 = 1_704_205_800_000_000_000
    /// A session's length, 6.5 hours, in nanoseconds. The simulated market opens every day of the week, and
    /// goes on where it stopped.
    public static let sessionNanoseconds: UInt64 = 23_400_000_000_000

    /// Refuses numbers out of range.
    public func check() throws(SimulatorError) {
        guard (1...SimulatorOptions.eventsMax).contains(events) else { throw .events(events) }
        guard (1...SimulatorOptions.instrumentsMax).contains(instruments) else {
            throw .instruments(instruments)
        }
    }

    /// The symbol of instrument `index`, counted from 0; its instrument id is one more.
    public static func symbol(_ index: Int) -> String { "SIM\(index + 1)" }
}

/// What is wrong with the options of a simulation.
public enum SimulatorError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The number of events asked for is out of range.
    case events(Int)
    /// The number of instruments asked for is out of range.
    case instruments(Int)

    /// One line: what was found, and what would be right.
    public var description: String {
        switch self {
        case .events(let found): "\(found) events; a simulation makes 1 to \(SimulatorOptions.eventsMax)"
        case .instruments(let found):
            "\(found) instruments; a simulation has 1 to \(SimulatorOptions.instrumentsMax)"
        }
    }
}
