import MarketData

/// What one message of the simulated market says beside the book.
struct SimulatedMessage: Equatable {
    /// Nanoseconds since the Unix epoch.
    var timestamp: UInt64
    /// Counts the ticks of the instrument, from 1; a trade and the book after it share it.
    var sequence: UInt32
    /// In 1e-9.
    var price: Int64
    /// In lots.
    var size: UInt32
    /// An ASCII letter of `Action`.
    var action: UInt8
    /// An ASCII letter of `Side`: the resting side of an order, the aggressor's of a trade.
    var side: UInt8
    /// The level that changed, 0 for the best.
    var depth: UInt8
    /// Completes the tick.
    var isLast: Bool
    /// Ten levels belong to it, the state after it; otherwise it is a trade.
    var hasBook = false
}

/// The messages of one market event, in order. Reused from event to event, so that its memory settles.
struct SimulatedEvent {
    private(set) var messages: [SimulatedMessage] = []
    /// `OrderBook.depth` levels for each message that has a book, in the same order.
    private(set) var levels: [BookLevel] = []

    mutating func removeAll() {
        messages.removeAll(keepingCapacity: true)
        levels.removeAll(keepingCapacity: true)
    }

    /// Appends a trade.
    mutating func append(_ message: SimulatedMessage) {
        messages.append(message)
    }

    /// Appends a change of the book and the book after it.
    mutating func append(_ message: SimulatedMessage, levels book: Span<BookLevel>) {
        var message = message
        message.hasBook = true
        messages.append(message)
        for index in book.indices { levels.append(book[index]) }
    }
}
