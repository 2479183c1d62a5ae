public import DBN
import MarketData

extension FeedStatistics {
    /// Measures the first defined instrument of a DBN file.
    ///
    /// - Parameters:
    ///   - path: a DBN file, plain or zstd.
    ///   - tickSize: used where the file defines no instrument, in 1e-9; positive.
    /// - Throws: what reading the file throws.
    public static func measure(
        path: String, tickSize: Int64 = SimulatorOptions.tickSize
    ) throws(DBNError) -> FeedStatistics {
        var reader = try DBNFileReader(path: path)
        var statistics: FeedStatistics?
        while try reader.next() {
            let record = reader.record
            if statistics == nil {
                if let definition = DefinitionView(record) {
                    let isKnown = definition.tickSize > 0 && definition.tickSize != Price.undefined
                    statistics = FeedStatistics(
                        tickSize: isKnown ? definition.tickSize : tickSize, instrumentID: record.instrumentID)
                } else if record.isTradeOrBook {
                    statistics = FeedStatistics(tickSize: tickSize)
                }
            }
            statistics?.observe(record)
        }
        return statistics ?? FeedStatistics(tickSize: tickSize)
    }
}
