/// The publishers of Martlet's own datasets. Databento numbers its publishers from 1 upwards and uses none of
/// these numbers or dataset names, so that a converted file can never be taken for one of Databento's.
///
/// | dataset | number | what |
/// |---|---|---|
/// | `XNAS.LOBSTER` | 60001 | NASDAQ, reconstructed by LOBSTER |
/// | `BINANCE.SPOT` | 60011 | Binance spot, as captured from its websocket |
/// | `BINANCE.USDM` | 60012 | Binance futures margined in a stablecoin (USD-M) |
/// | `BINANCE.COINM` | 60013 | Binance futures margined in the coin (COIN-M) |
/// | `MARTLET.SIM` | 60021 | Martlet's simulator |
public struct Publisher: Hashable, Sendable {
    /// DBN's `publisher_id`.
    public let id: UInt16
    /// DBN's dataset name, at most 15 characters.
    public let dataset: String

    public static let lobster = Publisher(id: 60001, dataset: "XNAS.LOBSTER")
    public static let binanceSpot = Publisher(id: 60011, dataset: "BINANCE.SPOT")
    public static let binanceUSDM = Publisher(id: 60012, dataset: "BINANCE.USDM")
    public static let binanceCoinM = Publisher(id: 60013, dataset: "BINANCE.COINM")
    public static let simulator = Publisher(id: 60021, dataset: "MARTLET.SIM")

    public static let all: [Publisher] = [lobster, binanceSpot, binanceUSDM, binanceCoinM, simulator]

    /// How the `sequence` field of this publisher's records counts, which decides what a gap in it is.
    public var sequenceRule: SequenceRule {
        switch self {
        case .lobster, .simulator: .consecutiveRecords
        case .binanceSpot, .binanceUSDM, .binanceCoinM: .consecutiveTrades
        default: .unknown
        }
    }

    /// The rule for a publisher's number; `.unknown` for numbers that are not Martlet's own.
    static func sequenceRule(id: UInt16) -> SequenceRule {
        all.first { $0.id == id }?.sequenceRule ?? .unknown
    }
}

/// How the numbers in `sequence` follow each other, per instrument.
public enum SequenceRule: String, Codable, Sendable {
    /// Each record has its predecessor's number or the next one (modulo 2^32).
    case consecutiveRecords
    /// Trades are numbered consecutively (modulo 2^32); book records carry another counter.
    case consecutiveTrades
    /// The numbers count something wider than the instrument, a channel for example, so that gaps cannot be
    /// told.
    case unknown
}
