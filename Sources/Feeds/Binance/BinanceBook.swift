import MarketData

/// A full-depth book made of diffs, in which a newer book ticker stays in force until a diff as new as it has
/// come.
///
/// A ticker tells the touch earlier than the diffs do (0 to 100 ms), but nothing of the levels that come and
/// go between two diffs: a level that a ticker showed and that was gone again at the next diff is in no diff.
/// So a ticker's changes are kept in a log and taken back before the next diff is applied; a diff older than
/// the newest ticker has that ticker put on top again.
struct BinanceBook {
    /// A level as a message gives it. Sizes stay in 1e-9 until a record is written: deep in Binance's books
    /// stand old orders whose sizes are not multiples of today's lot.
    typealias Change = BinanceMessage.Level

    /// The touch that a ticker tells; a price of 0 stands for an empty side.
    struct Ticker: Equatable {
        var update: UInt64
        var bid: Change
        var ask: Change
    }

    /// Most levels of a side; Binance's books have some ten thousand.
    static let levelCountMax = 200_000
    /// Most ticker changes taken back; beyond it the log is dropped and the changes stay.
    static let logCountMax = 100_000

    /// Update identifier of the newest diff or snapshot; nil while there is none.
    private(set) var update: UInt64?
    /// The newest ticker, if it was newer than the book when it came.
    private(set) var ticker: Ticker?
    private(set) var droppedLevels: UInt64 = 0

    private var bids = PriceLadder()
    private var asks = PriceLadder()
    /// Levels as they were before the tickers changed them, in order of the changes.
    private var log: [(isBid: Bool, level: PriceLadder.Level)] = []

    /// Identifier of the newest message in the book.
    var newestUpdate: UInt64? {
        guard let ticker else { return update }
        return max(ticker.update, update ?? 0)
    }

    /// Forgets everything.
    mutating func reset() {
        bids.removeAll()
        asks.removeAll()
        log.removeAll(keepingCapacity: true)
        update = nil
        ticker = nil
    }

    /// Takes over a snapshot. The newest ticker is remembered but not put on top: the state is the snapshot's
    /// own.
    mutating func replace(update: UInt64, bids newBids: [Change], asks newAsks: [Change]) {
        log.removeAll(keepingCapacity: true)
        bids.replace(with: newBids.map { PriceLadder.Level(key: $0.price, size: $0.size) })
        asks.replace(with: newAsks.map { PriceLadder.Level(key: -$0.price, size: $0.size) })
        self.update = update
        cut()
    }

    /// Applies a diff. Returns whether the newest ticker is newer and stays in force.
    mutating func apply(update: UInt64, bids newBids: [Change], asks newAsks: [Change]) -> Bool {
        for entry in log.reversed() {
            if entry.isBid {
                bids.set(entry.level.key, size: entry.level.size)
            } else {
                asks.set(entry.level.key, size: entry.level.size)
            }
        }
        log.removeAll(keepingCapacity: true)
        for change in newBids { bids.set(change.price, size: change.size) }
        for change in newAsks { asks.set(-change.price, size: change.size) }
        self.update = update
        cut()
        guard let ticker, ticker.update > update else { return false }
        put(ticker)
        return true
    }

    /// Applies a ticker that is newer than the book. Returns false, and changes nothing, for one that is not.
    mutating func apply(_ ticker: Ticker) -> Bool {
        if let newest = newestUpdate, ticker.update <= newest { return false }
        self.ticker = ticker
        put(ticker)
        return true
    }

    /// Writes the best levels of both sides into all of `levels`, sizes in lots. Returns whether a size was
    /// not a whole number of lots: it is rounded down, but not to 0. Throws a size of more lots than a record
    /// can hold.
    func fill(_ levels: inout [BookLevel], lots: LotScale) throws(Unencodable) -> Bool {
        var isRounded = false
        let bidLevels = bids.levels
        let askLevels = asks.levels
        for index in levels.indices {
            var level = BookLevel()
            if index < bidLevels.count {
                let bid = bidLevels[bidLevels.count - 1 - index]
                level.bidPrice = bid.key
                level.bidSize = try BinanceBook.recordSize(bid.size, lots, &isRounded)
            }
            if index < askLevels.count {
                let ask = askLevels[askLevels.count - 1 - index]
                level.askPrice = -ask.key
                level.askSize = try BinanceBook.recordSize(ask.size, lots, &isRounded)
            }
            levels[index] = level
        }
        return isRounded
    }

    /// A size of more lots than a record holds, in 1e-9.
    struct Unencodable: Error {
        var size: Int64
    }

    private static func recordSize(
        _ size: Int64, _ lots: LotScale, _ isRounded: inout Bool
    ) throws(Unencodable) -> UInt32 {
        let (quotient, remainder) = size.quotientAndRemainder(dividingBy: lots.lotSize)
        if remainder != 0 { isRounded = true }
        guard let count = LotScale.recordSize(max(1, quotient)) else { throw Unencodable(size: size) }
        return count
    }

    /// Removes the levels better than the ticker's and sets its own.
    private mutating func put(_ ticker: Ticker) {
        if log.count > BinanceBook.logCountMax { log.removeAll(keepingCapacity: true) }
        let bidKey = ticker.bid.price
        while let best = bids.best, best.key > bidKey {
            log.append((true, best))
            bids.removeBest()
        }
        if bidKey > 0 {
            log.append((true, PriceLadder.Level(key: bidKey, size: bids.size(at: bidKey))))
            bids.set(bidKey, size: ticker.bid.size)
        }
        // No ask price is 0: there the side is empty, and every level is better.
        let askKey = ticker.ask.price > 0 ? -ticker.ask.price : Int64.min
        while let best = asks.best, best.key > askKey {
            log.append((false, best))
            asks.removeBest()
        }
        if ticker.ask.price > 0 {
            log.append((false, PriceLadder.Level(key: askKey, size: asks.size(at: askKey))))
            asks.set(askKey, size: ticker.ask.size)
        }
    }

    private mutating func cut() {
        droppedLevels += UInt64(
            bids.cut(to: BinanceBook.levelCountMax) + asks.cut(to: BinanceBook.levelCountMax))
    }
}
