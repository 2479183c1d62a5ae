internal import MarketData

/// What the records of the tick under way said: events seen, trades and their volumes.
struct TickEvents: BitwiseCopyable {
    /// Bits of `flags`, in the order of the features `event_…`.
    struct Flags: OptionSet, BitwiseCopyable {
        var rawValue: UInt32

        static var addBid: Flags { Flags(rawValue: 1 << 0) }
        static var addAsk: Flags { Flags(rawValue: 1 << 1) }
        static var cancelBid: Flags { Flags(rawValue: 1 << 2) }
        static var cancelAsk: Flags { Flags(rawValue: 1 << 3) }
        static var modifyBid: Flags { Flags(rawValue: 1 << 4) }
        static var modifyAsk: Flags { Flags(rawValue: 1 << 5) }
        static var unsidedUpdate: Flags { Flags(rawValue: 1 << 6) }
        static var tradeBuy: Flags { Flags(rawValue: 1 << 7) }
        static var tradeSell: Flags { Flags(rawValue: 1 << 8) }
        static var hiddenTrade: Flags { Flags(rawValue: 1 << 9) }
        static var bookReset: Flags { Flags(rawValue: 1 << 10) }
        static var count: Int { 11 }
    }

    private(set) var flags = Flags()
    /// A trade record was among the records, so a book record's trade action only repeats it.
    private var hasTradeRecord = false
    private(set) var hasBookRecord = false
    /// The level that the last book record changed, 0 for the best, at most 10.
    private(set) var level: UInt8 = 0
    /// Lots bought and sold by aggressors, and of trades without a side.
    private(set) var boughtVolume: Int64 = 0
    private(set) var soldVolume: Int64 = 0
    private(set) var unsidedVolume: Int64 = 0
    /// Trades, and buys minus sells among them.
    private(set) var tradeCount: Int64 = 0
    private(set) var tradeSigns: Int64 = 0

    /// Takes in a trade or book record, before its levels are applied to `book`. Other records must not be
    /// passed.
    mutating func take(_ record: borrowing Record, before book: borrowing OrderBook) {
        if record.type == .trade {
            hasTradeRecord = true
            takeTrade(record, before: book)
            return
        }
        hasBookRecord = true
        level = min(record.depth, 10)
        if record.flags.contains(.snapshot) { flags.insert(.bookReset) }
        let side = record.side
        let isSided = side == Side.bid || side == Side.ask
        switch record.action {
        case Action.add: flags.insert(!isSided ? .unsidedUpdate : side == Side.bid ? .addBid : .addAsk)
        case Action.cancel:
            flags.insert(!isSided ? .unsidedUpdate : side == Side.bid ? .cancelBid : .cancelAsk)
        case Action.modify:
            flags.insert(!isSided ? .unsidedUpdate : side == Side.bid ? .modifyBid : .modifyAsk)
        case Action.clear: flags.insert(.bookReset)
        case Action.trade: if !hasTradeRecord { takeTrade(record, before: book) }
        default: break
        }
    }

    /// The tick is complete: a trade that left no book record executed against hidden liquidity.
    mutating func complete() {
        if tradeCount > 0, !hasBookRecord { flags.insert(.hiddenTrade) }
    }

    private mutating func takeTrade(_ record: borrowing Record, before book: borrowing OrderBook) {
        let sign = TickEvents.tradeSign(record, before: book)
        let volume = Int64(record.size)
        tradeCount &+= 1
        tradeSigns &+= sign
        // 2^31 trades of the largest size in one tick would be needed for an overflow, which then wraps.
        if sign > 0 {
            flags.insert(.tradeBuy)
            boughtVolume &+= volume
        } else if sign < 0 {
            flags.insert(.tradeSell)
            soldVolume &+= volume
        } else {
            unsidedVolume &+= volume
        }
    }

    /// +1 for a buyer's trade, -1 for a seller's. A trade without a side is signed by the quote rule (Lee and
    /// Ready 1991): above the mid a buy, below a sell; 0 at the mid or without one.
    private static func tradeSign(_ record: borrowing Record, before book: borrowing OrderBook) -> Int64 {
        let side = record.side
        if side == Side.bid { return 1 }
        if side == Side.ask { return -1 }
        let price = record.price
        let best = book.best
        guard BookLanes.isPresent(price), BookLanes.isPresent(best.bidPrice),
            BookLanes.isPresent(best.askPrice)
        else { return 0 }
        let doubledMid = best.bidPrice &+ best.askPrice
        return (price &<< 1) > doubledMid ? 1 : (price &<< 1) < doubledMid ? -1 : 0
    }
}
