import MarketData

/// The recorded day that the simulator is held against, and the table of both.
public enum SimulatorCalibration {
    /// Which day, and where it is from.
    public static let source =
        "GOOG on NASDAQ, 2012-06-21, 09:30-16:00, LOBSTER sample of ten levels, 147,916 ticks"

    /// The recorded day's `figure`, as `FeedStatistics` measures it.
    public static func recorded(_ figure: CalibrationFigure) -> Double {
        switch figure {
        case .spreadMean: 29.624
        case .spreadMedian: 28
        case .depth1: 145.95
        case .depth2: 101.67
        case .depth3: 85.74
        case .depth4: 82.19
        case .depth5: 90.55
        case .addShare: 0.4817
        case .cancelShare: 0.4393
        case .tradeShare: 0.0790
        case .gapMean: 158.2
        case .gapVariation: 3.392
        case .gapQuantile25: 0.1014
        case .gapMedian: 0.8274
        case .gapQuantile75: 32.77
        case .gapQuantile90: 432.0
        case .gapQuantile99: 2_517
        case .burst100Microseconds: 38
        case .burst1Millisecond: 56
        case .burst1Second: 331
        case .flowLag1: -0.065
        case .flowLag2: 0.025
        case .flowLag5: -0.039
        case .flowLag10: 0.009
        case .bucketFlowLag1: 0.280
        case .bucketFlowLag2: 0.214
        case .bucketFlowLag3: 0.160
        case .secondFlowLag1: 0.194
        case .secondFlowLag2: 0.174
        case .secondFlowLag5: 0.079
        case .queueForesight: 0.086
        case .flowForesight: 0.140
        }
    }

    /// The figures in which `simulated` misses its bar.
    public static func shortfalls(of simulated: FeedStatistics) -> [CalibrationFigure] {
        CalibrationFigure.allCases.filter {
            !$0.isMet(simulated: simulated.value($0), recorded: recorded($0))
        }
    }

    /// A readable table, one line per figure: title, recorded, simulated, bar, and whether it is met. Lines
    /// end in a line feed.
    public static func table(simulated: FeedStatistics) -> String {
        var text = "Recorded: \(source)\n"
        text += "Simulated: \(simulated.ticks) ticks\n"
        text += row("", "recorded", "simulated", "bar", "")
        for figure in CalibrationFigure.allCases {
            let recorded = recorded(figure)
            let value = simulated.value(figure)
            let verdict =
                figure.bar == .none
                ? "" : figure.isMet(simulated: value, recorded: recorded) ? "met" : "MISSED"
            text += row(figure.title, decimal(recorded), decimal(value), title(figure.bar), verdict)
        }
        return text
    }

    private static func title(_ bar: CalibrationFigure.Bar) -> String {
        switch bar {
        case .factor(let factor): "x \(decimal(factor, places: 1))"
        case .difference(let difference): "+-\(decimal(difference, places: 1))"
        case .none: "none"
        }
    }

    private static func row(
        _ title: String, _ recorded: String, _ simulated: String, _ bar: String, _ verdict: String
    )
        -> String
    {
        let line =
            title + String(repeating: " ", count: max(1, 58 - title.count)) + left(recorded, 10)
            + left(simulated, 11)
            + left(bar, 8) + "  " + verdict
        return line.replacingTrailingSpaces() + "\n"
    }

    private static func left(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// `value` with `places` decimals, rounded half away from zero; by hand, since this module has no
    /// formatter.
    private static func decimal(_ value: Double, places: Int = 3) -> String {
        var scale = 1
        for _ in 0..<places { scale *= 10 }
        guard abs(value) < 1e12 else { return "\(value)" }
        let scaled = Int(abs(value) * Double(scale) + 0.5)
        let fraction = String(scaled % scale)
        let sign = value < 0 && scaled > 0 ? "-" : ""
        return sign + String(scaled / scale) + "." + String(repeating: "0", count: places - fraction.count)
            + fraction
    }
}

extension String {
    fileprivate func replacingTrailingSpaces() -> String {
        var copy = self
        while copy.last == " " { copy.removeLast() }
        return copy
    }
}
