import Foundation
import Inference
import MarketData
import Pipeline
import Recorder

/// What `score` and `run` say with `--json`, and as a table. Field names are part of the command line's contract.
struct Report: Encodable {
    struct Quantiles: Encodable {
        let p50, p99, p999: UInt64

        init(_ histogram: LatencyHistogram) {
            p50 = histogram.quantile(0.5)
            p99 = histogram.quantile(0.99)
            p999 = histogram.quantile(0.999)
        }
    }

    struct Stages: Encodable {
        let decode, features, model, publish: Quantiles
    }

    struct Horizon: Encodable {
        /// The horizon's length, in one of the two units.
        @OrNull var ticks: Int?
        @OrNull var milliseconds: Int?
        /// Ticks that count; 0 also for a horizon that is not evaluated, whose figures are null.
        let evaluated: Int
        @OrNull var accuracy: Double?
        @OrNull var macroF1: Double?
        @OrNull var weightedF1: Double?
        @OrNull var hitRate: Double?
        @OrNull var persistenceAccuracy: Double?
        @OrNull var persistenceMacroF1: Double?
        @OrNull var persistenceWeightedF1: Double?
        @OrNull var persistenceHitRate: Double?
        /// Counts by label, then by prediction, in the order down, flat, up.
        let confusion: [[Int]]

        init(_ result: HorizonResult) {
            ticks = result.ticks
            evaluated = result.model.total
            accuracy = result.model.accuracy
            macroF1 = result.model.macroF1
            weightedF1 = result.model.weightedF1
            hitRate = result.model.hitRate
            persistenceAccuracy = result.persistence.accuracy
            persistenceMacroF1 = result.persistence.macroF1
            persistenceWeightedF1 = result.persistence.weightedF1
            persistenceHitRate = result.persistence.hitRate
            let counts = result.model.counts
            confusion = [Array(counts[0..<3]), Array(counts[3..<6]), Array(counts[6..<9])]
        }

        /// A horizon that is not evaluated.
        init(_ horizon: ModelMetadata.Horizon) {
            ticks = horizon.unit == .ticks ? Int(horizon.length) : nil
            milliseconds = horizon.unit == .milliseconds ? Int(horizon.length) : nil
            evaluated = 0
            confusion = []
        }

        var name: String { ticks.map { "\($0) ticks" } ?? "\(milliseconds ?? 0) ms" }
    }

    var model = ""
    var ticks = 0
    var signals = 0
    var lost = 0
    var dropped = 0
    var gaps = 0
    @OrNull var ticksPerSecond: Double?
    @OrNull var ticksPerSecondPasses: [Double]?
    @OrNull var fileTicksPerSecond: Double?
    var latencyNs: Quantiles
    @OrNull var stagesNs: Stages?
    @OrNull var macroF1: Double?
    @OrNull var weightedF1: Double?
    @OrNull var persistenceMacroF1: Double?
    var evaluated = ""
    var horizons: [Horizon] = []
    @OrNull var signalsSha256: String?
    /// Counters that are not zero and that a good run leaves at zero.
    var counters: [String: UInt64] = [:]
    var incidents: [String] = []

    /// - Parameter results: those of the horizons that are evaluated, in the model's order.
    init(_ metadata: ModelMetadata, latency: LatencyHistogram, stages: StageTimes?, horizons results: [HorizonResult]) {
        latencyNs = Quantiles(latency)
        stagesNs = stages.map {
            Stages(
                decode: Quantiles($0.decode), features: Quantiles($0.features), model: Quantiles($0.model),
                publish: Quantiles($0.publish))
        }
        var rest = results[...]
        horizons = metadata.horizons.map { horizon in
            guard Evaluation.Horizon(horizon) != nil, let result = rest.popFirst() else { return Horizon(horizon) }
            return Horizon(result)
        }
        incidents = metadata.unknownKeys.sorted().map {
            "the model's metadata key \($0.singleLine) is not known and has no effect"
        }
        macroF1 = horizons.first?.macroF1
        weightedF1 = horizons.first?.weightedF1
        persistenceMacroF1 = horizons.first?.persistenceMacroF1
    }

    /// What a good run leaves at zero, where it is not.
    static func unusual(_ counters: PipelineCounters) -> [String: UInt64] {
        let watched: [(Counter, String)] = [
            (.recordsBeforeJoin, "records_before_join"), (.recordsDuplicate, "records_duplicate"),
            (.recordsDroppedOnInput, "records_dropped_on_input"),
            (.recordsConflatedOnInput, "records_conflated_on_input"),
            (.signalsDroppedOnOutput, "signals_dropped_on_output"),
            (.signalsConflatedOnOutput, "signals_conflated_on_output"),
            (.messagesMalformed, "messages_malformed"), (.messagesRefused, "messages_refused"),
            (.recordsUnsupported, "records_unsupported"), (.sessionChanges, "input_restarts"),
        ]
        var unusual: [String: UInt64] = [:]
        for (counter, name) in watched where counters[counter] > 0 { unusual[name] = counters[counter] }
        return unusual
    }

    /// One object on one line.
    func json() throws -> String { try StandardOutput.json(self) }

    /// A table for people.
    func table() -> String {
        var lines = ["", "model            \(model)"]
        lines.append("ticks            \(Format.count(ticks))")
        lines.append("signals          \(Format.count(signals))")
        lines.append("lost             \(Format.count(lost))")
        if dropped > 0 || gaps > 0 { lines.append("dropped, gaps    \(Format.count(dropped)), \(Format.count(gaps))") }
        if let rate = ticksPerSecond { lines.append("rate             \(Format.rate(rate)) ticks/s\(passes)") }
        if let rate = fileTicksPerSecond { lines.append("rate from file   \(Format.rate(rate)) ticks/s") }
        lines.append("latency          \(line(latencyNs))   receive → publish")
        if let stages = stagesNs {
            lines.append("  decode         \(line(stages.decode))")
            lines.append("  features       \(line(stages.features))")
            lines.append("  model          \(line(stages.model))")
            lines.append("  publish        \(line(stages.publish))")
        }
        if !horizons.isEmpty { lines += horizonLines() }
        if let digest = signalsSha256 { lines.append("signals sha256   \(digest)") }
        for (name, count) in counters.sorted(by: { $0.key < $1.key }) { lines.append("\(name)  \(count)") }
        for incident in incidents { lines.append("note             \(incident)") }
        return lines.joined(separator: "\n")
    }

    private var passes: String {
        guard let all = ticksPerSecondPasses, let low = all.min(), let high = all.max() else { return "" }
        return "   median of \(all.count), \(Format.rate(low)) to \(Format.rate(high))"
    }

    private func line(_ quantiles: Quantiles) -> String {
        "p50 \(Format.duration(quantiles.p50))  p99 \(Format.duration(quantiles.p99))  "
            + "p99.9 \(Format.duration(quantiles.p999))"
    }

    private func horizonLines() -> [String] {
        var lines = ["evaluated        \(evaluated)"]
        lines.append("                 horizon      count   macro F1  persistence   hit rate  persistence")
        for horizon in horizons {
            let cells = [
                pad(horizon.name, 10), pad(Format.count(horizon.evaluated), 10),
                pad(Format.ratio(horizon.macroF1), 10), pad(Format.ratio(horizon.persistenceMacroF1), 12),
                pad(Format.percent(horizon.hitRate), 10), pad(Format.percent(horizon.persistenceHitRate), 12),
            ]
            lines.append("               " + cells.joined(separator: " "))
        }
        return lines
    }

    private func pad(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(width - text.count, 0)) + text
    }
}
