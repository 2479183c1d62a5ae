/// What can happen in the simulated market, per side of the book. A trade's side is the resting one.
enum MarkKind: Int, CaseIterable {
    /// A limit order at or inside the best price of its side.
    case addTouch = 0
    /// A limit order behind the best price.
    case addDeep
    /// An order at the best price is withdrawn.
    case cancelTouch
    /// An order behind the best price is withdrawn.
    case cancelDeep
    /// A market order meets the displayed queue.
    case trade
    /// A market order meets a hidden order inside the spread.
    case hiddenTrade
}

/// The constants of the simulated market, calibrated against GOOG, NASDAQ, 2012-06-21 (LOBSTER's free sample,
/// ten levels). They are aggregate figures of that day; no record of it is in here.
enum SimulatorParameters {
    static let markCount = 12
    static let scaleCount = 5

    // MARK: Event times

    /// Events that come by themselves, per second.
    static let baselineRate = 0.60
    /// Decay rates of the excitation kernels, per second: reactions of machines in tens of microseconds, then
    /// milliseconds, tens of milliseconds, tenths of seconds, and the tide of activity.
    static let decayRates: [Double] = [8_500, 780, 45, 1.6, 0.10]
    /// Mean number of events that one event causes at each scale. The sum, the branching ratio, is below 1:
    /// the process is stationary.
    static let offspring: [Double] = [0.28, 0.26, 0.15, 0.10, 0.11]
    /// An event's fertility is `fertilityScale` / sqrt(u), u uniform: Pareto with exponent 2, mean 1 before
    /// the cap.
    static let fertilityScale = 0.5
    static let fertilityMax = 110.0
    /// Scales whose excitation is so uneven; at the slower ones fertility is that of the tide, below.
    static let unevenScales = 1

    /// Shares of the kinds among events that come by themselves, in thousandths, `MarkKind` order, both sides
    /// together.
    static let baselineShares: [Double] = [162, 314, 96, 370, 38, 20]

    /// Which kind follows which, in thousandths. One row per kind of the parent and scale; in a row each kind
    /// has two entries, same side and opposite side.
    static let successors: [[[Double]]] = [
        [
            [193, 27, 117, 51, 130, 45, 320, 63, 40, 10, 1, 3],
            [49, 52, 240, 127, 53, 35, 231, 174, 15, 15, 4, 5],
            [387, 60, 85, 182, 95, 26, 80, 73, 3, 6, 2, 1],
            [87, 49, 247, 240, 31, 14, 238, 78, 7, 4, 3, 2],
            [35, 44, 63, 83, 45, 59, 133, 117, 350, 5, 65, 1],
            [62, 37, 42, 58, 34, 35, 137, 100, 100, 2, 391, 2],
        ],
        [
            [141, 27, 158, 63, 121, 44, 288, 113, 23, 13, 3, 6],
            [34, 34, 146, 93, 22, 25, 502, 110, 10, 12, 4, 8],
            [401, 71, 126, 170, 87, 22, 73, 35, 4, 5, 2, 4],
            [90, 43, 366, 113, 82, 23, 157, 83, 17, 11, 11, 4],
            [152, 67, 94, 187, 34, 17, 143, 42, 215, 5, 39, 5],
            [75, 60, 89, 141, 32, 23, 146, 63, 126, 8, 230, 7],
        ],
        [
            [198, 37, 100, 76, 149, 44, 167, 181, 15, 17, 6, 10],
            [50, 47, 164, 101, 33, 42, 295, 228, 11, 13, 7, 9],
            [435, 46, 67, 87, 58, 23, 147, 94, 6, 16, 5, 16],
            [117, 57, 220, 128, 42, 38, 199, 159, 14, 12, 7, 7],
            [88, 94, 82, 141, 54, 26, 172, 94, 195, 19, 24, 11],
            [65, 88, 114, 124, 51, 35, 163, 125, 73, 6, 135, 21],
        ],
        [
            [78, 63, 136, 114, 120, 45, 175, 179, 29, 24, 20, 17],
            [65, 62, 185, 138, 47, 48, 222, 178, 17, 16, 11, 11],
            [172, 66, 115, 131, 45, 49, 211, 136, 12, 27, 17, 19],
            [63, 67, 197, 127, 50, 51, 201, 189, 19, 15, 11, 10],
            [105, 66, 118, 96, 48, 40, 177, 141, 158, 15, 14, 22],
            [78, 67, 123, 123, 71, 60, 124, 142, 52, 17, 118, 25],
        ],
        [
            [150, 40, 161, 120, 40, 90, 166, 170, 10, 30, 8, 15],
            [83, 78, 191, 133, 62, 55, 192, 138, 20, 19, 14, 15],
            [50, 120, 141, 153, 100, 30, 150, 166, 35, 15, 25, 15],
            [84, 69, 202, 142, 57, 58, 157, 168, 17, 19, 14, 13],
            [40, 150, 143, 195, 90, 20, 94, 125, 100, 10, 23, 10],
            [40, 130, 131, 188, 70, 20, 161, 150, 30, 10, 60, 10],
        ],
    ]

    // MARK: Pressure

    /// Mean number of events for which a parent order is worked.
    static let pressureDuration = 300.0
    /// How far it bends the odds of what happens at the best prices.
    static let pressureStrength = 0.30

    /// Fertility at the even scales while a parent order is worked, and while none is: worked orders draw
    /// activity.
    static let workedFertility = 1.15
    static let idleFertility = 0.70

    // MARK: Places

    /// Lower ends of the spread classes, in ticks.
    static let spreadClasses: [Int] = [0, 10, 15, 20, 25, 30, 40, 60]
    /// Of the orders at or inside the best price, the share that improves it, per spread class.
    static let improvingShares: [Double] = [0.04, 0.06, 0.10, 0.17, 0.27, 0.43, 0.62, 0.85]
    /// How much likelier than on average an order at or inside the best price is, per spread class.
    static let touchAddFactors: [Double] = [0.55, 0.6, 0.7, 0.8, 0.9, 1.1, 1.3, 2.2]
    /// Of the improving orders, the share that does so by one tick; the others spread out over the gap.
    static let improvingByOne = 0.33
    /// Share of orders at ticks 1, 2, … behind the best price, in thousandths of those up to ten levels deep.
    static let deepPlaces: [Double] = [
        59, 53, 23, 23, 24, 28, 26, 26, 27, 27, 27, 27, 30, 27, 29, 24, 23, 23, 21, 20, 20, 18, 18, 17, 17,
        14, 14, 37,
        10, 7, 7, 7, 6, 5, 5, 4, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ]
    /// Hazard of a cancellation per order at level 2, 3, …, 10.
    static let deepCancelHazards: [Double] = [174, 124, 110, 95, 82, 70, 58, 46, 38]
    /// Share of cancellations that hit the youngest order of their level: fleeting orders.
    static let fleetingShare = 0.6
    /// Ticks from the best price to the tenth level that the density feedback aims at.
    static let spanTarget = 38.0

    // MARK: Sizes

    /// Sizes in lots and their weights: at or inside the best price, up to ten ticks behind it, further
    /// behind.
    static let touchSizes = SizeTable([
        (100, 600), (10, 60), (5, 50), (4, 40), (50, 30), (200, 35), (300, 10), (20, 25), (9, 30), (1, 20),
        (400, 5),
        (500, 4), (1_000, 1), (11, 20),
    ])
    static let nearSizes = SizeTable([
        (100, 320), (10, 180), (5, 110), (9, 100), (11, 90), (8, 50), (13, 40), (4, 40), (200, 16), (50, 15),
        (300, 3), (500, 2), (1_000, 1),
    ])
    static let farSizes = SizeTable([
        (100, 460), (10, 130), (9, 80), (11, 75), (12, 60), (8, 40), (13, 30), (14, 30), (30, 20), (200, 25),
        (300, 4), (500, 3), (1_000, 1.5),
    ])
    /// Standing orders far behind the best price are larger than those that come and go.
    static let reservoirSizes = SizeTable([
        (100, 600), (10, 80), (50, 50), (200, 100), (300, 40), (500, 20), (1_000, 15),
    ])
    static let hiddenSizes = SizeTable([
        (100, 330), (2, 80), (4, 80), (10, 60), (30, 70), (50, 70), (70, 40), (200, 30), (400, 8),
    ])

    // MARK: Trades

    /// Share of fills that take the first order whole, and of whole fills that go on to the next order.
    static let wholeFillShare = 0.62
    static let sweepShare = 0.46
    /// Share of hidden fills followed by another.
    static let hiddenSweepShare = 0.32
    /// Share of trades that meet a hidden order first.
    static let hiddenFirstShare = 0.06
    /// Share of trades that are sweeps, which take this many orders whole: the source of the densest bursts.
    /// On the recorded day the densest 100 µs hold 35 fills of one market order.
    static let largeSweepShare = 0.001
    static let largeSweepFills = 18...32
    /// Most fills of any other market order.
    static let fillsMax = 16
    /// Share of cancellations that are the first half of a replacement.
    static let replaceShare = 0.073

    // MARK: Reservoir

    /// Levels kept behind the ten published ones, and the most that are kept.
    static let levelsMin = 16
    static let levelsMax = 32
    /// Mean distance of levels in the reservoir, in ticks.
    static let reservoirGapMore = 0.77

    // MARK: Session

    static let startMidTicks = 40_000
    static let startSpreadTicks = 30
}

/// Sizes with cumulative weights.
struct SizeTable {
    private let sizes: [Int]
    private let cumulative: [Double]

    init(_ entries: [(size: Int, weight: Double)]) {
        var total = 0.0
        var sums: [Double] = []
        for entry in entries {
            total += entry.weight
            sums.append(total)
        }
        sizes = entries.map(\.size)
        cumulative = sums
    }

    func draw(_ random: inout SimulatorRandom) -> Int {
        sizes[cumulative.drawIndex(&random)]
    }
}

extension [Double] {
    /// Draws an index from cumulative weights.
    func drawIndex(_ random: inout SimulatorRandom) -> Int {
        let target = random.uniform() * self[count - 1]
        var index = 0
        while index < count - 1, self[index] <= target { index += 1 }
        return index
    }

    /// The running sums of these weights.
    var runningSums: [Double] {
        var total = 0.0
        return map { weight in
            total += weight
            return total
        }
    }
}
