import DBN
import MarketData
import Testing

@testable import Feeds

/// The published books against a reading of the messages alone: what a message says is exactly what changed.
@Suite("Simulated books")
struct SimulatorBookTests {
    static let records = Result { try SimulatorRecorder.run(seed: 77, events: 30_000) }

    /// One side of a published book: price, size and order count, best first.
    struct Level: Equatable {
        var price: Int64
        var size: Int64
        var count: Int64
    }

    static func side(_ levels: [BookLevel], isBid: Bool) -> [Level] {
        levels.map {
            isBid
                ? Level(price: $0.bidPrice, size: Int64($0.bidSize), count: Int64($0.bidCount))
                : Level(price: $0.askPrice, size: Int64($0.askSize), count: Int64($0.askCount))
        }
    }

    @Test("Every book has ten full levels a side, sorted, on the tick grid, and is never crossed or locked")
    func booksAreSound() throws {
        for case .book(_, let levels) in try Self.records.get() {
            let bids = Self.side(levels, isBid: true)
            let asks = Self.side(levels, isBid: false)
            #expect(levels.count == 10)
            #expect(bids[0].price < asks[0].price)
            #expect(zip(bids, bids.dropFirst()).allSatisfy { $0.price > $1.price })
            #expect(zip(asks, asks.dropFirst()).allSatisfy { $0.price < $1.price })
            for level in bids + asks {
                #expect(level.price > 0 && level.price % SimulatorOptions.tickSize == 0)
                #expect(level.size > 0 && level.count > 0 && level.count <= level.size)
            }
        }
    }

    @Test("A book differs from the one before it by what its message says, and by levels coming into view")
    func booksFollowMessages() throws {
        var previous: [BookLevel]?
        for case .book(let fields, let levels) in try Self.records.get() {
            defer { previous = levels }
            guard let before = previous else { continue }
            let isBid = fields.side == Side.bid
            let untouched = Self.side(levels, isBid: !isBid)
            #expect(untouched == Self.side(before, isBid: !isBid))
            let problem = Self.difference(
                fields, from: Self.side(before, isBid: isBid), to: Self.side(levels, isBid: isBid),
                isBid: isBid)
            #expect(problem == nil)
        }
    }

    /// What does not fit, or nil.
    static func difference(_ fields: MarketFields, from old: [Level], to new: [Level], isBid: Bool) -> String? {
        let adds = fields.action == Action.add
        let oldPlace = old.firstIndex { $0.price == fields.price }
        let newPlace = new.firstIndex { $0.price == fields.price }
        guard let place = adds ? newPlace : oldPlace, place == Int(fields.depth) else { return "depth" }
        // The old book with the message applied.
        var expected = old
        let change = adds ? Int64(fields.size) : -Int64(fields.size)
        if let oldPlace {
            expected[oldPlace].size += change
            expected[oldPlace].count = newPlace.map { new[$0].count } ?? 0
            let step = expected[oldPlace].count - old[oldPlace].count
            let partial = fields.action == Action.fill && step == 0
            guard partial || step == (adds ? 1 : -1) else { return "count" }
            if expected[oldPlace].size == 0 { expected.remove(at: oldPlace) }
        } else {
            expected.insert(Level(price: fields.price, size: Int64(fields.size), count: 1), at: place)
        }
        // What both books can show must agree; a tenth level may come into view or leave it.
        let shared = min(expected.count, 10)
        guard Array(expected.prefix(shared)) == Array(new.prefix(shared)) else { return "levels" }
        guard shared == 10 || new.count == 10 else { return "missing" }
        return nil
    }

    @Test(
        "A visible execution is a trade and then its book; a hidden one a trade inside the spread that ends its tick"
    )
    func tradesFollowTheConvention() throws {
        var book: [BookLevel] = []
        var pending: MarketFields?
        var visible = 0
        var hidden = 0
        for record in try Self.records.get() {
            switch record {
            case .definition: break
            case .trade(let fields):
                #expect(pending == nil)
                #expect(fields.action == Action.trade && fields.size > 0)
                if fields.flags.contains(.last) {
                    hidden += 1
                    guard let best = book.first else { break }
                    #expect(fields.price > best.bidPrice && fields.price < best.askPrice)
                } else {
                    visible += 1
                    pending = fields
                    guard let best = book.first else { break }
                    #expect(fields.price == (fields.side == Side.bid ? best.askPrice : best.bidPrice))
                    #expect(fields.size <= (fields.side == Side.bid ? best.askSize : best.bidSize))
                }
            case .book(var fields, let levels):
                #expect(fields.flags == .last)
                #expect((fields.action == Action.fill) == (pending != nil))
                if let trade = pending {
                    // The book names the resting side, the trade the aggressor's.
                    fields.flags = []
                    fields.action = Action.trade
                    fields.side = fields.side == Side.bid ? Side.ask : Side.bid
                    #expect(fields == trade)
                }
                pending = nil
                book = levels
            }
        }
        #expect(visible > 500)
        #expect(hidden > 200)
    }

    @Test("A side keeps its orders by price and then by arrival, and counts its levels")
    func sideKeepsOrder() {
        var random = SimulatorRandom(seed: 3)
        var side = SimulatedSide()
        for step in 1...5_000 {
            if side.isEmpty || random.chance(0.55) {
                side.insert(SimulatedOrder(price: 100 + random.below(40), size: step))
            } else {
                side.remove(at: random.below(side.orders.count))
            }
            let orders = side.orders
            let levelCount = side.levelCount
            #expect(
                zip(orders, orders.dropFirst()).allSatisfy {
                    $0.price < $1.price || ($0.price == $1.price && $0.size < $1.size)
                })
            #expect(Set(orders.map(\.price)).count == levelCount)
            if step % 500 == 0 { side.prune(toLevels: 10) }
        }
        let pruned = side.levelCount
        #expect(pruned <= 40)
    }
}
