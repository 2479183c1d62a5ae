/// What the caller of a conversion decides.
public struct ConversionOptions: Sendable {
    /// Tick and lot sizes by symbol, before the documented defaults.
    public var instruments: [String: InstrumentOverride]

    public init(instruments: [String: InstrumentOverride] = [:]) {
        self.instruments = instruments
    }

    /// Options from the texts of `--instrument` flags; a symbol given twice is refused.
    public init(instrumentTexts: [String]) throws(FeedError) {
        instruments = [:]
        for text in instrumentTexts {
            let parsed = try InstrumentOverride(parsing: text)
            guard instruments.updateValue(parsed, forKey: parsed.symbol) == nil else {
                throw .option(text: text, problem: "\(parsed.symbol) is given twice")
            }
        }
    }
}

/// Tick and lot size that a user gives for a symbol: `SYMBOL:tick=0.1,lot=0.001`. Either may be left out.
public struct InstrumentOverride: Hashable, Sendable {
    public var symbol: String
    /// In 1e-9, positive; nil where the text says nothing.
    public var tickSize: Int64?
    /// In 1e-9, positive; nil where the text says nothing.
    public var lotSize: Int64?

    public init(symbol: String, tickSize: Int64? = nil, lotSize: Int64? = nil) {
        self.symbol = symbol
        self.tickSize = tickSize
        self.lotSize = lotSize
    }

    /// Parses a flag's text. The sizes are plain decimals of at most nine places, exact. The symbol ends at
    /// the last colon, so that it may hold colons itself.
    public init(parsing text: String) throws(FeedError) {
        let form = "the form is SYMBOL:tick=SIZE,lot=SIZE"
        guard let colon = text.lastIndex(of: ":") else {
            throw .option(text: text, problem: "no colon; \(form)")
        }
        symbol = String(text[..<colon])
        guard !symbol.isEmpty else {
            throw .option(text: text, problem: "no symbol before the colon; \(form)")
        }
        for part in text[text.index(after: colon)...].split(separator: ",", omittingEmptySubsequences: false) {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2 else {
                throw .option(text: text, problem: "\"\(part)\" is not KEY=SIZE; \(form)")
            }
            guard let size = FixedPoint.parse(String(pair[1])), size > 0 else {
                throw .option(
                    text: text,
                    problem:
                        "\"\(pair[1])\" is not a size: a positive decimal of at most nine places"
                )
            }
            switch pair[0] {
            case "tick" where tickSize == nil: tickSize = size
            case "lot" where lotSize == nil: lotSize = size
            case "tick", "lot": throw .option(text: text, problem: "\(pair[0]) is given twice")
            default: throw .option(text: text, problem: "\"\(pair[0])\" is neither tick nor lot; \(form)")
            }
        }
    }
}
