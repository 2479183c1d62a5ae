/// Names, places and bounds of the features. `docs/FEATURES.md` says what each is.
enum FeatureSet {
    /// Bound of everything measured in ticks.
    static var tickCap: Float { 512 }
    /// Bound of logarithms of sizes and volumes relative to the usual depth.
    static var logCap: Float { 8 }
    /// Bound of one level's order flow in one tick, in usual depths.
    static var flowCap: Float { 16 }
    /// Longest elapsed time that is told from longer ones: 2^42 ns, 73 minutes.
    static var elapsedMax: UInt64 { 1 << 42 }

    // Index of the first feature of each group. A group written in whole vectors may spill into the groups
    // after it, which are written later: distances (24 for 20) and log sizes (24 for 20).
    static var distances: Int { 0 }
    static var logSizes: Int { 20 }
    static var spread: Int { 40 }
    static var microprice: Int { 41 }
    static var centres: Int { 42 }
    static var imbalances: Int { 44 }
    static var flows: Int { 50 }
    static var flowMeans1: Int { 60 }
    static var flowMeans10: Int { 68 }
    static var tradeSign: Int { 76 }
    static var tradeVolume: Int { 77 }
    static var volumeFlows: Int { 78 }
    static var signFlows: Int { 86 }
    static var events: Int { 90 }
    static var eventLevel: Int { 101 }
    static var times: Int { 102 }
    static var intensities: Int { 107 }
    static var midChange: Int { 115 }
    static var momenta: Int { 116 }
    static var volatilities: Int { 124 }
    static var count: Int { 128 }

    static func makeNames() -> [String] {
        let levels = (1...10).map(String.init)
        let tickDecays = ["4t", "16t", "64t", "256t"]
        let timeDecays = ["100ms", "1s", "10s", "60s"]
        let decays = tickDecays + timeDecays
        var names = levels.map { "bid_distance_" + $0 } + levels.map { "ask_distance_" + $0 }
        names += levels.map { "bid_log_size_" + $0 } + levels.map { "ask_log_size_" + $0 }
        names += ["spread", "microprice_deviation", "size_centre_5", "size_centre_10"]
        names += ["1", "2", "3", "1_to_5", "1_to_10", "weighted"].map { "queue_imbalance_" + $0 }
        names += levels.map { "order_flow_" + $0 }
        names += decays.map { "order_flow_1_mean_" + $0 } + decays.map { "order_flow_1_to_10_mean_" + $0 }
        names += ["trade_sign", "trade_log_volume"]
        names += decays.map { "volume_flow_" + $0 } + tickDecays.map { "trade_sign_flow_" + $0 }
        names += [
            "event_add_bid", "event_add_ask", "event_cancel_bid", "event_cancel_ask", "event_modify_bid",
            "event_modify_ask", "event_unsided_update", "event_trade_buy", "event_trade_sell",
            "event_hidden_trade", "event_book_reset", "event_level",
        ]
        names += [
            "log_gap", "log_gap_mean_16t", "log_gap_mean_256t", "log_since_trade", "log_since_mid_change",
        ]
        names += timeDecays.map { "tick_intensity_" + $0 } + timeDecays.map { "trade_intensity_" + $0 }
        names += ["mid_change"] + decays.map { "momentum_" + $0 } + tickDecays.map { "volatility_" + $0 }
        return names
    }
}

extension FeatureExtractor {
    /// The version of the feature set. Any change of a value, of the order or of the names raises it.
    public static var version: Int { 1 }

    /// How many floats a tick has.
    public static var count: Int { FeatureSet.count }

    /// Names of the features in order, `count` of them. Made once; for cold code.
    public static let names: [String] = FeatureSet.makeNames()

    /// Ticks after a reset during which a model's signals carry the warming-up flag: twice the memory of the
    /// slowest decay that counts ticks. The features are finite and unbiased from the first tick, only
    /// noisier.
    public static var warmUpTicks: Int { 512 }
}
