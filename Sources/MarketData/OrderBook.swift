/// Ten price levels of one instrument, replaced whole by each MBP-10 record and to one level by each MBP-1 record.
///
/// The memory is allocated once. A book belongs to the agent that owns the instrument and is used on its thread only.
public struct OrderBook: ~Copyable {
    /// Levels kept, as in DBN's MBP-10.
    @inlinable public static var depth: Int { 10 }

    /// `depth` levels, best first, as they stood after the last applied record. Valid as long as the book.
    public let levels: UnsafeMutablePointer<BookLevel>

    public init() {
        levels = .allocate(capacity: OrderBook.depth)
        unsafe levels.initialize(repeating: BookLevel(), count: OrderBook.depth)
    }

    deinit { unsafe levels.deallocate() }

    /// Forgets all levels.
    public mutating func reset() {
        unsafe levels.update(repeating: BookLevel(), count: OrderBook.depth)
    }

    /// Takes over the levels that `record` carries. A record without levels changes nothing.
    ///
    /// An MBP-1 record states the top of the book alone, so the deeper levels are unknown after it.
    @inlinable
    public mutating func apply(_ record: borrowing Record) {
        let count = record.levelCount
        guard count > 0 else { return }
        for index in 0..<count {
            unsafe levels[index] = record.level(index)
        }
        for index in count..<OrderBook.depth {
            unsafe levels[index] = BookLevel()
        }
    }

    @inlinable public var best: BookLevel { unsafe levels[0] }

    /// Both sides have a best price.
    @inlinable public var isTwoSided: Bool {
        best.bidPrice != Price.undefined && best.askPrice != Price.undefined
    }

    /// The best bid is at or above the best ask.
    @inlinable public var isCrossed: Bool { isTwoSided && best.bidPrice >= best.askPrice }

    /// Half of best bid plus best ask, rounded down to 1e-9; `Price.undefined` while a side is empty.
    @inlinable public var midPrice: Int64 {
        guard isTwoSided else { return Price.undefined }
        let bid = best.bidPrice
        let ask = best.askPrice
        // The average without overflow (Warren, Hacker's Delight, 2-5).
        return (bid & ask) &+ ((bid ^ ask) >> 1)
    }
}
