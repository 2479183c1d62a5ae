internal import Inference
internal import Wire

/// Compares predictions with what happened, in one pass over a stream of signals and with fixed memory.
///
/// A tick is evaluated for a horizon of k ticks once k more mid prices are known (`Labels`, label `smoothed-mid`).
/// Persistence predicts the last label known at that moment, which is that of k ticks before. A tick counts if it is
/// labelled, warmed up, has a mid price, has a last known label, and lies in the evaluated part; labels never cross a
/// reset or a gap.
public struct Evaluation: Sendable {
    /// One horizon's parameters, from the model's metadata.
    public struct Horizon: Sendable {
        public let ticks: Int
        /// α, a fraction of the mid price.
        public let threshold: Double

        public init(ticks: Int, threshold: Double) {
            precondition(ticks > 0, "A horizon has a length.")
            self.ticks = ticks
            self.threshold = threshold
        }
    }

    /// Which ticks count.
    public enum Part: Sendable {
        case all
        /// Ticks from this capture time on, nanoseconds since the epoch.
        case fromTime(UInt64)
        /// Ticks from this number on, counted over all instruments from 0.
        case fromTick(Int)
    }

    public let horizons: [Horizon]
    public let part: Part
    public private(set) var results: [HorizonResult]
    private var windows: [MidWindow] = []
    private var ticksSeen = 0
    private let windowCapacity: Int

    public init(horizons: [Horizon], part: Part) {
        self.horizons = horizons
        self.part = part
        results = horizons.map { HorizonResult(ticks: $0.ticks) }
        windowCapacity = (horizons.map(\.ticks).max() ?? 1) + 1
    }

    /// Takes the signals of one tick of stream `stream`, counted from 0, one for each horizon and in that order.
    mutating func take(stream: Int, _ signals: [SignalRecord]) {
        guard let first = signals.first, signals.count == horizons.count else { return }
        while windows.count <= stream { windows.append(MidWindow(capacity: windowCapacity, horizons: horizons.count)) }
        let flags = SignalFlags(rawValue: first.flags)
        if flags.contains(.firstAfterReset) { windows[stream].clear() }
        let isCounted = !flags.contains(.warmingUp) && isInPart(first)
        ticksSeen += 1
        guard Labels.isUsable(first.midPrice) else {
            // Without a mid price there is neither a label nor a next mid: the run of labels breaks.
            windows[stream].clear()
            return
        }
        windows[stream].append(mid: first.midPrice, isCounted: isCounted, signals)
        for index in horizons.indices { settle(stream, index) }
    }

    /// The stream has a gap: labels do not cross it.
    mutating func breakOff(stream: Int) {
        guard stream < windows.count else { return }
        windows[stream].clear()
    }

    private func isInPart(_ signal: SignalRecord) -> Bool {
        switch part {
        case .all: true
        case .fromTime(let time): signal.captureTimestamp >= time
        case .fromTick(let tick): ticksSeen >= tick
        }
    }

    /// Labels the tick whose horizon is complete with the newest mid, if there is one.
    private mutating func settle(_ stream: Int, _ index: Int) {
        let k = horizons[index].ticks
        guard let mid = windows[stream].mid(back: k) else { return }
        // Sums and product wrap; their difference is exact while k times the greatest move of the mid fits 64 bits,
        // which is a move of 9 million whole units at k = 1000.
        let difference = windows[stream].sumOfNewest(k) &- k &* Int(mid)
        let label = Labels.direction(difference, horizon: k, mid: mid, alpha: horizons[index].threshold).rawValue
        let persistence = windows[stream].exchangeLabel(horizon: index, back: k, label)
        guard windows[stream].isCounted(back: k), let persistence else { return }
        let direction = windows[stream].direction(back: k, horizon: index)
        results[index].model.count(label: label, prediction: direction)
        results[index].persistence.count(label: label, prediction: persistence)
    }
}

/// A horizon's confusion counts for the model and for the persistence baseline.
public struct HorizonResult: Sendable {
    public let ticks: Int
    public var model = Confusion()
    public var persistence = Confusion()
}

/// Counts of (label, prediction) pairs of three classes, and the scores that follow from them.
public struct Confusion: Sendable, Equatable {
    /// `counts[3 * label + prediction]`, classes in the order down, flat, up.
    public private(set) var counts = [Int](repeating: 0, count: 9)

    public init() {}

    mutating func count(label: Int8, prediction: Int8) {
        counts[3 * (Int(label) + 1) + Int(prediction) + 1] += 1
    }

    public var total: Int { counts.reduce(0, +) }

    /// The share of right predictions; nil without any.
    public var accuracy: Double? {
        total == 0 ? nil : Double(counts[0] + counts[4] + counts[8]) / Double(total)
    }

    /// F1 of one class; 0 where it was neither there nor predicted, as scikit-learn has it.
    public func f1(class index: Int) -> Double {
        let hits = counts[4 * index]
        let labelled = counts[3 * index] + counts[3 * index + 1] + counts[3 * index + 2]
        let predicted = counts[index] + counts[3 + index] + counts[6 + index]
        return labelled + predicted == 0 ? 0 : 2 * Double(hits) / Double(labelled + predicted)
    }

    /// The plain mean of the three classes' F1; nil without any prediction.
    public var macroF1: Double? { total == 0 ? nil : (f1(class: 0) + f1(class: 1) + f1(class: 2)) / 3 }

    /// The mean weighted by how often each class was the label; nil without any prediction.
    public var weightedF1: Double? {
        guard total > 0 else { return nil }
        var sum = 0.0
        for index in 0..<3 {
            let labelled = counts[3 * index] + counts[3 * index + 1] + counts[3 * index + 2]
            sum += f1(class: index) * Double(labelled)
        }
        return sum / Double(total)
    }

    /// The share of predicted moves (down or up) that were right; nil if none was predicted.
    public var hitRate: Double? {
        let predicted = counts[0] + counts[3] + counts[6] + counts[2] + counts[5] + counts[8]
        return predicted == 0 ? nil : Double(counts[0] + counts[8]) / Double(predicted)
    }
}

/// The last mids of a stream with their running sums, their predictions, and the labels found so far.
private struct MidWindow: Sendable {
    private let slotMask: Int
    private let horizonCount: Int
    private var mids: [Int64]
    /// `sums[position]` is the sum of all mids before it, wrapping: differences of up to the capacity apart are exact.
    private var sums: [Int]
    private var counted: [Bool]
    private var directions: [Int8]
    /// The last label of each position and horizon.
    private var labels: [Int8]
    private var position = 0

    private static let noLabel: Int8 = .min

    init(capacity: Int, horizons: Int) {
        horizonCount = horizons
        // Labels of k ticks back are looked up k ticks back again: two horizons of room, and a power of two, because a
        // remainder costs more than all else here.
        let slots = 1 << (Int.bitWidth - (2 * capacity).leadingZeroBitCount)
        slotMask = slots - 1
        mids = Array(repeating: 0, count: slots)
        sums = Array(repeating: 0, count: slots)
        counted = Array(repeating: false, count: slots)
        directions = Array(repeating: 0, count: slots * horizons)
        labels = Array(repeating: MidWindow.noLabel, count: slots * horizons)
    }

    mutating func clear() { position = 0 }

    private func slot(back: Int) -> Int { (position &- 1 &- back) & slotMask }

    mutating func append(mid: Int64, isCounted: Bool, _ newest: [SignalRecord]) {
        let previous = position == 0 ? 0 : sums[slot(back: 0)]
        position += 1
        let slot = slot(back: 0)
        mids[slot] = mid
        sums[slot] = previous &+ Int(mid)
        counted[slot] = isCounted
        for index in 0..<horizonCount {
            directions[slot * horizonCount + index] = newest[index].direction
            labels[slot * horizonCount + index] = MidWindow.noLabel
        }
    }

    /// The mid `back` ticks before the newest, if the run reaches that far.
    func mid(back: Int) -> Int64? { position > back ? mids[slot(back: back)] : nil }

    func sumOfNewest(_ count: Int) -> Int { sums[slot(back: 0)] &- sums[slot(back: count)] }

    func isCounted(back: Int) -> Bool { counted[slot(back: back)] }

    func direction(back: Int, horizon: Int) -> Int8 { directions[slot(back: back) * horizonCount + horizon] }

    /// Stores the label of the tick `back` before the newest, and returns the last one that was known at that tick.
    mutating func exchangeLabel(horizon: Int, back: Int, _ label: Int8) -> Int8? {
        labels[slot(back: back) * horizonCount + horizon] = label
        guard position > 2 * back else { return nil }
        let known = labels[slot(back: 2 * back) * horizonCount + horizon]
        return known == MidWindow.noLabel ? nil : known
    }
}
