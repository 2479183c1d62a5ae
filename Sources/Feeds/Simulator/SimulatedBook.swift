/// One resting order. `price` in ticks, `size` in lots.
struct SimulatedOrder: Equatable {
    var price: Int
    var size: Int
}

/// One side of the simulated book: every resting order, best price first and in time order at one price.
///
/// Prices are stored as `distance`-like keys that grow away from the other side: the ask side keeps its
/// prices, the bid side their negatives. All code below is then the same for both sides. Some forty orders
/// are alive at a time, so a flat array beats any tree.
struct SimulatedSide {
    /// Sorted by `price` (the key), then by arrival.
    private(set) var orders: [SimulatedOrder] = []
    /// Distinct prices among `orders`.
    private(set) var levelCount = 0

    init() { orders.reserveCapacity(256) }

    var isEmpty: Bool { orders.isEmpty }
    var best: Int { orders[0].price }
    var worst: Int { orders[orders.count - 1].price }

    /// The range of `orders` that stands at `key`; empty at the place where it would stand.
    func range(at key: Int) -> Range<Int> {
        var low = 0
        while low < orders.count, orders[low].price < key { low += 1 }
        var high = low
        while high < orders.count, orders[high].price == key { high += 1 }
        return low..<high
    }

    /// Queues an order behind those at its price.
    mutating func insert(_ order: SimulatedOrder) {
        let place = range(at: order.price)
        if place.isEmpty { levelCount += 1 }
        orders.insert(order, at: place.upperBound)
    }

    /// Takes the order at `index` out of the book.
    mutating func remove(at index: Int) {
        let key = orders[index].price
        orders.remove(at: index)
        let keepsLevel =
            (index < orders.count && orders[index].price == key)
            || (index > 0 && orders[index - 1].price == key)
        if !keepsLevel { levelCount -= 1 }
    }

    /// Fills `size` of the first order; a whole fill removes it.
    mutating func fillFirst(_ size: Int) {
        precondition(size > 0 && size <= orders[0].size, "A fill takes from what rests.")
        if size == orders[0].size { remove(at: 0) } else { orders[0].size -= size }
    }

    /// How many distinct prices are better than `key`.
    func rank(of key: Int) -> Int {
        var rank = 0
        var previous = Int.min
        for order in orders {
            guard order.price < key else { break }
            if order.price != previous { rank += 1 }
            previous = order.price
        }
        return rank
    }

    /// The key of level `rank`, counted from 0, which exists.
    func key(ofRank rank: Int) -> Int {
        var seen = -1
        var previous = Int.min
        for order in orders where order.price != previous {
            seen += 1
            previous = order.price
            if seen == rank { return order.price }
        }
        preconditionFailure("The book holds the level that is asked for.")
    }

    /// Lots that rest at the best price.
    var bestSize: Int {
        var sum = 0
        let key = best
        for order in orders {
            guard order.price == key else { break }
            sum += order.size
        }
        return sum
    }

    /// Drops everything beyond the first `limit` levels.
    mutating func prune(toLevels limit: Int) {
        guard levelCount > limit else { return }
        let firstDropped = key(ofRank: limit)
        orders.removeSubrange(range(at: firstDropped).lowerBound...)
        levelCount = limit
    }
}
