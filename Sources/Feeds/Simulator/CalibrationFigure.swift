/// A figure by which the simulated feed is held against a recorded day.
public enum CalibrationFigure: Int, CaseIterable, Sendable {
    case spreadMean
    case spreadMedian
    case depth1
    case depth2
    case depth3
    case depth4
    case depth5
    case addShare
    case cancelShare
    case tradeShare
    case gapMean
    case gapVariation
    case gapQuantile25
    case gapMedian
    case gapQuantile75
    case gapQuantile90
    case gapQuantile99
    case burst100Microseconds
    case burst1Millisecond
    case burst1Second
    case flowLag1
    case flowLag2
    case flowLag5
    case flowLag10
    case bucketFlowLag1
    case bucketFlowLag2
    case bucketFlowLag3
    case secondFlowLag1
    case secondFlowLag2
    case secondFlowLag5
    case queueForesight
    case flowForesight

    /// How near the simulated figure must come.
    public enum Bar: Equatable, Sendable {
        /// Neither is more than this many times the other.
        case factor(Double)
        /// The difference is at most this.
        case difference(Double)
        /// Shown for information.
        case none
    }

    /// What the figure is, with its unit.
    public var title: String {
        switch self {
        case .spreadMean: "spread, mean (ticks)"
        case .spreadMedian: "spread, median (ticks)"
        case .depth1: "size at level 1, mean (lots)"
        case .depth2: "size at level 2, mean (lots)"
        case .depth3: "size at level 3, mean (lots)"
        case .depth4: "size at level 4, mean (lots)"
        case .depth5: "size at level 5, mean (lots)"
        case .addShare: "ticks that add, share"
        case .cancelShare: "ticks that cancel, share"
        case .tradeShare: "ticks that trade, share"
        case .gapMean: "time between ticks, mean (ms)"
        case .gapVariation: "time between ticks, coefficient of variation"
        case .gapQuantile25: "time between ticks, 25 % (ms)"
        case .gapMedian: "time between ticks, 50 % (ms)"
        case .gapQuantile75: "time between ticks, 75 % (ms)"
        case .gapQuantile90: "time between ticks, 90 % (ms)"
        case .gapQuantile99: "time between ticks, 99 % (ms)"
        case .burst100Microseconds: "most ticks in 100 us"
        case .burst1Millisecond: "most ticks in 1 ms"
        case .burst1Second: "most ticks in 1 s"
        case .flowLag1: "order-flow imbalance per tick, autocorrelation at 1"
        case .flowLag2: "order-flow imbalance per tick, autocorrelation at 2"
        case .flowLag5: "order-flow imbalance per tick, autocorrelation at 5"
        case .flowLag10: "order-flow imbalance per tick, autocorrelation at 10"
        case .bucketFlowLag1: "order-flow imbalance per 50 ticks, autocorrelation at 1"
        case .bucketFlowLag2: "order-flow imbalance per 50 ticks, autocorrelation at 2"
        case .bucketFlowLag3: "order-flow imbalance per 50 ticks, autocorrelation at 3"
        case .secondFlowLag1: "order-flow imbalance per second, autocorrelation at 1"
        case .secondFlowLag2: "order-flow imbalance per second, autocorrelation at 2"
        case .secondFlowLag5: "order-flow imbalance per second, autocorrelation at 5"
        case .queueForesight: "queue imbalance and mid 50 ticks on, correlation"
        case .flowForesight: "flow of 50 ticks and mid 50 ticks on, correlation"
        }
    }

    /// The bar that the calibration sets itself: a factor of 1.5, autocorrelations within 0.1.
    public var bar: Bar {
        switch self {
        case .flowLag1, .flowLag2, .flowLag5, .flowLag10, .bucketFlowLag1, .bucketFlowLag2, .bucketFlowLag3,
            .secondFlowLag1, .secondFlowLag2, .secondFlowLag5:
            .difference(0.1)
        case .queueForesight, .flowForesight: .none
        default: .factor(1.5)
        }
    }

    /// Whether `simulated` comes near enough to `recorded`.
    public func isMet(simulated: Double, recorded: Double) -> Bool {
        switch bar {
        case .factor(let factor): simulated <= recorded * factor && recorded <= simulated * factor
        case .difference(let difference): abs(simulated - recorded) <= difference
        case .none: true
        }
    }
}
