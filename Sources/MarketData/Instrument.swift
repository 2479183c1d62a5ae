/// What turns the integers of an instrument's records into units: its name, tick size and lot size.
public struct Instrument: Hashable, Sendable {
    /// The publisher's dataset, `XNAS.ITCH` for example.
    public var dataset: String
    /// The symbol as the dataset writes it.
    public var symbol: String
    /// The smallest price increment, in 1e-9; positive.
    public var tickSize: Int64
    /// Units of the underlying in one lot, in 1e-9; positive.
    public var lotSize: Int64

    public init(dataset: String, symbol: String, tickSize: Int64, lotSize: Int64) {
        self.dataset = dataset
        self.symbol = symbol
        self.tickSize = tickSize
        self.lotSize = lotSize
    }
}
