/// One side of a full-depth book: price levels in order, the best one last, because changes come near the
/// touch.
///
/// A key is the price for bids and its negative for asks, so that both sides grow towards better prices.
struct PriceLadder {
    struct Level: Equatable {
        var key: Int64
        /// In 1e-9, positive.
        var size: Int64
    }

    private(set) var levels: [Level] = []

    var count: Int { levels.count }
    var best: Level? { levels.last }

    /// Size at `key`, 0 if there is no such level.
    func size(at key: Int64) -> Int64 {
        let index = insertionIndex(key)
        return index < levels.count && levels[index].key == key ? levels[index].size : 0
    }

    /// Sets the size at `key`; 0 removes the level.
    mutating func set(_ key: Int64, size: Int64) {
        let index = insertionIndex(key)
        let exists = index < levels.count && levels[index].key == key
        if size == 0 {
            if exists { levels.remove(at: index) }
        } else if exists {
            levels[index].size = size
        } else {
            levels.insert(Level(key: key, size: size), at: index)
        }
    }

    mutating func removeBest() { levels.removeLast() }

    mutating func removeAll() { levels.removeAll(keepingCapacity: true) }

    /// Forgets the worst levels until `limit` are left. Returns how many went.
    mutating func cut(to limit: Int) -> Int {
        let surplus = levels.count - limit
        guard surplus > 0 else { return 0 }
        levels.removeFirst(surplus)
        return surplus
    }

    /// Replaces all levels by some in any order; of equal keys the last stays.
    mutating func replace(with unsorted: [Level]) {
        levels.removeAll(keepingCapacity: true)
        let sorted = unsorted.enumerated().sorted {
            ($0.element.key, $0.offset) < ($1.element.key, $1.offset)
        }
        for (_, level) in sorted where level.size > 0 {
            if levels.last?.key == level.key { levels.removeLast() }
            levels.append(level)
        }
    }

    /// Index of the first level whose key is not below `key`.
    private func insertionIndex(_ key: Int64) -> Int {
        var low = 0
        var high = levels.count
        while low < high {
            let middle = (low + high) / 2
            if levels[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
