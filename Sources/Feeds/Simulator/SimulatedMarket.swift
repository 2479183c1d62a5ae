import MarketData

/// One instrument's book and order flow: times and kinds of events from a Hawkes process, bent by the state
/// of the queues.
///
/// The marriage follows Wu, Rambaldi, Muzy and Bacry, "Queue-reactive Hawkes models for the order flow"
/// (2019, arXiv 1901.08938). The reaction to queue sizes, and the book's edge that is drawn from its resting
/// distribution, are Huang, Lehalle and Rosenbaum's ("Simulating and analyzing order book data: the
/// queue-reactive model", 2015, arXiv 1312.0563). Unlike both, GOOG's book has wide gaps, so orders have
/// prices rather than queue numbers.
struct SimulatedMarket {
    /// When the next event comes, in nanoseconds of open market since the start.
    private(set) var nextElapsed: UInt64 = 0

    private var random: SimulatorRandom
    private var clock = HawkesClock()
    /// Bid side with negative prices, ask side with prices.
    private var sides = [SimulatedSide(), SimulatedSide()]
    private var nextScale = 0
    /// What the parent order being worked wants: 1 to buy, -1 to sell, 0 for none.
    private var pressure = 0.0
    /// The number of the tick under way.
    private var sequence: UInt32 = 1
    private var timestamp: UInt64 = 0
    private var factors = [Double](repeating: 1, count: SimulatorParameters.markCount)
    private var levels = [BookLevel](repeating: BookLevel(), count: OrderBook.depth)
    private let deepPlaces = SimulatorParameters.deepPlaces.runningSums
    private let hazards = SimulatorParameters.deepCancelHazards

    init(seed: UInt64) {
        random = SimulatorRandom(seed: seed)
        let half = SimulatorParameters.startSpreadTicks / 2
        for side in 0...1 {
            let sign = side == 0 ? -1 : 1
            sides[side].insert(
                SimulatedOrder(price: sign * SimulatorParameters.startMidTicks + half, size: 100))
            replenish(side)
        }
        schedule()
    }

    /// Makes the event that is due, at `timestamp`, and schedules the next one.
    mutating func step(at timestamp: UInt64, into event: inout SimulatedEvent) {
        self.timestamp = timestamp
        updatePressure()
        updateFactors()
        let mark = clock.mark(scale: nextScale, factors: factors, &random)
        let side = mark & 1
        switch MarkKind(rawValue: mark / 2) {
        case .addTouch: addTouch(side, &event)
        case .addDeep: addDeep(side, &event)
        case .cancelTouch: cancel(side, touch: true, &event)
        case .cancelDeep: cancel(side, touch: false, &event)
        case .trade: trade(side, &event)
        case .hiddenTrade, nil: hiddenTrade(side, &event)
        }
        let burst = SimulatorParameters.fertilityScale / random.uniform().squareRoot()
        let tide = pressure == 0 ? SimulatorParameters.idleFertility : SimulatorParameters.workedFertility
        clock.excite(mark: mark, burst: min(burst, SimulatorParameters.fertilityMax), tide: tide)
        schedule()
    }

    private mutating func schedule() {
        let (seconds, scale) = clock.advance(&random)
        nextScale = scale
        nextElapsed += UInt64(seconds * 1e9 + 0.5)
    }

    private var spread: Int { sides[1].best + sides[0].best }
}

/// The state of the queues bends the odds of what comes next.
extension SimulatedMarket {
    /// Institutions split their orders over hundreds of events (Lillo, Mike and Farmer, "Theory for long
    /// memory in supply and demand", 2005): the slow memory of order flow that no kernel of seconds has.
    private mutating func updatePressure() {
        guard random.chance(1 / SimulatorParameters.pressureDuration) else { return }
        pressure = Double(random.below(3) - 1)
    }

    private mutating func updateFactors() {
        let spread = self.spread
        let bidSize = Double(sides[0].bestSize)
        let askSize = Double(sides[1].bestSize)
        // 1 when all the displayed size is on the bid.
        let imbalance = (bidSize - askSize) / (bidSize + askSize)
        // Far from the start a light pull back keeps prices positive over any number of events.
        let mid = Double(sides[1].best - sides[0].best) / 2
        let strayed =
            (mid - Double(SimulatorParameters.startMidTicks)) / Double(SimulatorParameters.startMidTicks)
        for side in 0...1 {
            let own = side == 0 ? imbalance : -imbalance
            let pull = (side == 0 ? 1.0 : -1.0) * max(-0.4, min(0.4, strayed))
            let push = (side == 0 ? pressure : -pressure) * SimulatorParameters.pressureStrength
            set(
                .addTouch, side,
                (1 + 0.15 * own + push) * SimulatorParameters.touchAddFactors[spreadClass(spread)])
            set(.cancelTouch, side, touchCancelFactor(side) * (1 - 0.2 * own - push))
            set(.trade, side, max(0.05, 1 - 0.5 * own - push + pull))
            set(.hiddenTrade, side, spread > 1 ? 1 - 0.4 * own : 0)
            // A crowded side sheds orders, a thin one gains them.
            let span = Double(sides[side].key(ofRank: OrderBook.depth - 1) - sides[side].best)
            let thinness = max(0.6, min(1.6, span / SimulatorParameters.spanTarget))
            set(.addDeep, side, thinness)
            set(.cancelDeep, side, 1 / thinness)
        }
    }

    private mutating func set(_ kind: MarkKind, _ side: Int, _ factor: Double) {
        factors[kind.rawValue * 2 + side] = factor
    }

    /// More orders at the best price, more that may be withdrawn.
    private func touchCancelFactor(_ side: Int) -> Double {
        0.55 + 0.3 * Double(min(4, sides[side].range(at: sides[side].best).count))
    }

    private func spreadClass(_ spread: Int) -> Int {
        var index = SimulatorParameters.spreadClasses.count - 1
        while SimulatorParameters.spreadClasses[index] > spread { index -= 1 }
        return index
    }
}

/// What the events do.
extension SimulatedMarket {
    private mutating func addTouch(_ side: Int, _ event: inout SimulatedEvent) {
        let spread = self.spread
        let improves = random.chance(SimulatorParameters.improvingShares[spreadClass(spread)])
        let byOne = random.chance(SimulatorParameters.improvingByOne)
        let reach = random.below(max(1, spread * 6 / 10))
        var step = 0
        if improves { step = min(byOne ? 1 : 1 + reach, spread - 1) }
        let size = SimulatorParameters.touchSizes.draw(&random)
        add(SimulatedOrder(price: sides[side].best - step, size: size), side, &event)
    }

    private mutating func addDeep(_ side: Int, _ event: inout SimulatedEvent) {
        // Only what shows in ten levels is an event of this feed, so a place beyond them is drawn again.
        var behind = 1 + deepPlaces.drawIndex(&random)
        let limit = sides[side].key(ofRank: OrderBook.depth - 1)
        for _ in 0..<8 where sides[side].best + behind > limit { behind = 1 + deepPlaces.drawIndex(&random) }
        let table = behind <= 10 ? SimulatorParameters.nearSizes : SimulatorParameters.farSizes
        let size = table.draw(&random)
        add(SimulatedOrder(price: min(sides[side].best + behind, limit), size: size), side, &event)
    }

    private mutating func add(_ order: SimulatedOrder, _ side: Int, _ event: inout SimulatedEvent) {
        sides[side].insert(order)
        sides[side].prune(toLevels: SimulatorParameters.levelsMax)
        let depth = sides[side].rank(of: order.price)
        publishBook(order, side, Action.add, depth, &event)
    }

    /// Withdraws an order at the best price, or behind it; a replacement goes on to add one.
    private mutating func cancel(_ side: Int, touch: Bool, _ event: inout SimulatedEvent) {
        let rank = touch ? 0 : drawDeepRank(side)
        let range = sides[side].range(at: sides[side].key(ofRank: rank))
        let youngest = random.chance(SimulatorParameters.fleetingShare)
        let other = range.lowerBound + random.below(range.count)
        let index = youngest ? range.upperBound - 1 : other
        let order = sides[side].orders[index]
        sides[side].remove(at: index)
        replenish(side)
        publishBook(order, side, Action.cancel, rank, &event)
        guard random.chance(SimulatorParameters.replaceShare) else { return }
        if touch { addTouch(side, &event) } else { addDeep(side, &event) }
    }

    /// A level behind the best, by the hazard of its rank times its orders.
    private mutating func drawDeepRank(_ side: Int) -> Int {
        var sums = [Double]()
        sums.reserveCapacity(hazards.count)
        var total = 0.0
        var rank = -1
        var previous = Int.min
        for order in sides[side].orders {
            if order.price != previous {
                rank += 1
                if rank >= OrderBook.depth { break }
                if rank > 0 { sums.append(total) }
                previous = order.price
            }
            if rank > 0 {
                total += hazards[rank - 1]
                sums[rank - 1] = total
            }
        }
        return 1 + sums.drawIndex(&random)
    }

    /// A market order against the displayed queue: one tick per fill.
    private mutating func trade(_ side: Int, _ event: inout SimulatedEvent) {
        if spread > 1, random.chance(SimulatorParameters.hiddenFirstShare) {
            hiddenTrade(side, &event)
        }
        let large = SimulatorParameters.largeSweepFills
        let isLarge = random.chance(SimulatorParameters.largeSweepShare)
        let largeFills = large.lowerBound + random.below(large.count)
        for _ in 0..<(isLarge ? largeFills : SimulatorParameters.fillsMax) {
            let resting = sides[side].orders[0]
            let isWhole = random.chance(SimulatorParameters.wholeFillShare) || resting.size == 1 || isLarge
            let part = 1 + random.below(max(1, resting.size - 1))
            fill(SimulatedOrder(price: resting.price, size: isWhole ? resting.size : part), side, &event)
            let goesOn = random.chance(SimulatorParameters.sweepShare) || isLarge
            guard isWhole, goesOn else { break }
        }
    }

    /// One fill of the first displayed order: the trade, then the book after it.
    private mutating func fill(_ fill: SimulatedOrder, _ side: Int, _ event: inout SimulatedEvent) {
        sides[side].fillFirst(fill.size)
        replenish(side)
        event.append(message(fill, side, Action.trade, 0, isLast: false))
        publishBook(fill, side, Action.fill, 0, &event)
    }

    /// Market orders that meet hidden orders inside the spread: trades that leave the displayed book as it
    /// was.
    private mutating func hiddenTrade(_ side: Int, _ event: inout SimulatedEvent) {
        let fills =
            1 + random.geometric(SimulatorParameters.hiddenSweepShare, max: SimulatorParameters.fillsMax)
        for _ in 0..<fills {
            let step = random.chance(0.5) ? 1 : 1 + random.below(max(1, spread / 2))
            let size = SimulatorParameters.hiddenSizes.draw(&random)
            let fill = SimulatedOrder(price: sides[side].best - min(step, spread - 1), size: size)
            event.append(message(fill, side, Action.trade, 0, isLast: true))
            sequence &+= 1
        }
    }

    /// Keeps enough levels behind the published ones: the edge of the book is drawn from its resting
    /// distribution.
    private mutating func replenish(_ side: Int) {
        while sides[side].levelCount < SimulatorParameters.levelsMin {
            let gap = 1 + random.geometric(SimulatorParameters.reservoirGapMore, max: 40)
            let size = SimulatorParameters.reservoirSizes.draw(&random)
            sides[side].insert(SimulatedOrder(price: sides[side].worst + gap, size: size))
        }
    }
}

/// Messages out.
extension SimulatedMarket {
    private func message(
        _ order: SimulatedOrder, _ side: Int, _ action: UInt8, _ depth: Int, isLast: Bool
    ) -> SimulatedMessage {
        let ticks = side == 0 ? -order.price : order.price
        let restsOnBid = side == 0
        // A trade carries its aggressor's side, everything else the resting one.
        let isBid = action == Action.trade ? !restsOnBid : restsOnBid
        return SimulatedMessage(
            timestamp: timestamp, sequence: sequence, price: Int64(ticks) * SimulatorOptions.tickSize,
            size: UInt32(order.size), action: action, side: isBid ? Side.bid : Side.ask, depth: UInt8(depth),
            isLast: isLast)
    }

    private mutating func publishBook(
        _ order: SimulatedOrder, _ side: Int, _ action: UInt8, _ depth: Int, _ event: inout SimulatedEvent
    ) {
        for index in levels.indices { levels[index] = BookLevel() }
        fillLevels(0)
        fillLevels(1)
        event.append(message(order, side, action, depth, isLast: true), levels: levels.span)
        sequence &+= 1
    }

    private mutating func fillLevels(_ side: Int) {
        var rank = -1
        var previous = Int.min
        for order in sides[side].orders {
            if order.price != previous {
                rank += 1
                if rank == OrderBook.depth { return }
                previous = order.price
                let ticks = Int64(side == 0 ? -order.price : order.price)
                let price = ticks * SimulatorOptions.tickSize
                if side == 0 { levels[rank].bidPrice = price } else { levels[rank].askPrice = price }
            }
            if side == 0 {
                levels[rank].bidSize += UInt32(order.size)
                levels[rank].bidCount += 1
            } else {
                levels[rank].askSize += UInt32(order.size)
                levels[rank].askCount += 1
            }
        }
    }
}
