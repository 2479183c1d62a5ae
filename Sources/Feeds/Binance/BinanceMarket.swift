import MarketData

/// The three markets of Binance, whose messages differ a little.
enum BinanceMarket: String {
    case spot
    case usdM = "USD-M futures"
    case coinM = "COIN-M futures"

    var publisher: Publisher {
        switch self {
        case .spot: .binanceSpot
        case .usdM: .binanceUSDM
        case .coinM: .binanceCoinM
        }
    }

    /// The market that a message can only come from; nil if it could come from several.
    ///
    /// COIN-M messages name the pair (`ps`, `pair`); futures diffs have `pu`, futures tickers and snapshots
    /// have event times.
    init?(_ message: BinanceMessage) {
        switch message.kind {
        case .depth:
            if message.hasPair { self = .coinM } else { self = message.previousUpdate == nil ? .spot : .usdM }
        case .ticker, .snapshot:
            let hasTime = message.eventMilliseconds != nil || message.transactionMilliseconds != nil
            if message.hasPair { self = .coinM } else { self = hasTime ? .usdM : .spot }
        case .trade:
            guard message.hasBestMatch else { return nil }
            self = .spot
        case .other:
            return nil
        }
    }

    /// Tick and lot sizes of the instruments that come with the captures this was made for, in 1e-9. Binance
    /// changes tick sizes now and then; all prices and sizes of the captures of August 2024 are multiples of these.
    var defaults: [String: (tickSize: Int64, lotSize: Int64)] {
        switch self {
        case .spot: ["BTCUSDT": (10_000_000, 10_000)]
        case .usdM: ["BTCUSDT": (100_000_000, 1_000_000)]
        // One contract is 100 USD.
        case .coinM: ["BTCUSD_PERP": (100_000_000, 1_000_000_000)]
        }
    }

    /// The instrument of a symbol: what the options give, then the defaults.
    func instrument(_ symbol: String, options: ConversionOptions) throws(FeedError) -> Instrument {
        let given = options.instruments[symbol]
        let known = defaults[symbol]
        guard let tickSize = given?.tickSize ?? known?.tickSize,
            let lotSize = given?.lotSize ?? known?.lotSize
        else {
            throw .unknownInstrument(symbol: symbol, dataset: publisher.dataset)
        }
        return Instrument(dataset: publisher.dataset, symbol: symbol, tickSize: tickSize, lotSize: lotSize)
    }
}
