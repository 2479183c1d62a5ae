import Foundation
import MarketData
import Wire

/// Prints signals in one of the formats of `subscribe`.
struct SignalOutput {
    private let format: SubscribeCommand.OutputFormat
    private let isTerminal = isatty(STDOUT_FILENO) == 1
    private var latest: [String: [UInt64: SignalRecord]] = [:]
    private var nextRefresh: UInt64 = 0
    private var linesShown = 0
    private var buffer = ""

    /// Table: ten times a second on a terminal, twice in a pipe.
    private var refreshNanoseconds: UInt64 { isTerminal ? 100_000_000 : 500_000_000 }
    private static let bufferByteCountMax = 1 << 16

    init(_ format: SubscribeCommand.OutputFormat) {
        self.format = format
        if format == .csv {
            StandardOutput.write(
                "topic,ts_recv,input_sequence,horizon,unit,direction,p_down,p_flat,p_up,mid_price,flags,expected_return,"
                    + "volatility,var_95,var_99,es_95,es_99,trend_down,trend_flat,trend_up,position\n")
        }
    }

    mutating func show(_ topic: String, _ item: SignalItem) {
        switch (format, item) {
        case (.table, .signal(let signal)):
            latest[topic, default: [:]][UInt64(signal.horizonUnit) << 32 | UInt64(signal.horizon)] = signal
        case (.table, .gap): break
        case (.json, .signal(let signal)): write(json(topic, signal))
        case (.json, .gap(let gap)):
            write(
                "{\"topic\":\"\(escape(topic))\",\"gap\":{\"input_session\":\(gap.inputSession),"
                    + "\"first_missing\":\(gap.firstMissing),\"count\":\(gap.count),\"reason\":\(gap.reason)}}")
        case (.csv, .signal(let signal)): write(csv(topic, signal))
        case (.csv, .gap(let gap)):
            write("# gap,\(quoted(topic)),first_missing=\(gap.firstMissing),count=\(gap.count),reason=\(gap.reason)")
        }
    }

    mutating func refreshIfDue(_ reader: SignalReader) {
        let now = DispatchTime.now().uptimeNanoseconds
        guard now >= nextRefresh else { return }
        refresh(reader)
    }

    mutating func refresh(_ reader: SignalReader) {
        flush()
        guard format == .table, !latest.isEmpty else { return }
        nextRefresh = DispatchTime.now().uptimeNanoseconds + refreshNanoseconds
        var lines = [
            "topic                                 horizon    direction   down   flat     up           mid  flags"
        ]
        for (topic, horizons) in latest.sorted(by: { $0.key < $1.key }) {
            for (_, signal) in horizons.sorted(by: { $0.key < $1.key }) { lines.append(row(topic, signal)) }
        }
        lines.append("\(Format.count(reader.signals)) signals, \(reader.lost) lost, \(reader.gaps) gaps")
        var text = ""
        if isTerminal, linesShown > 0 { text += "\u{1B}[\(linesShown)A" }
        for line in lines { text += isTerminal ? line + "\u{1B}[K\n" : line + "\n" }
        StandardOutput.write(text)
        linesShown = lines.count
        if !isTerminal { latest.removeAll(keepingCapacity: true) }
    }

    mutating func finish(_ reader: SignalReader) {
        refresh(reader)
        flush()
        let summary =
            "\(reader.topicCount) topics, \(reader.signals) signals, \(reader.lost) lost, "
            + "\(reader.beforeJoin) before joining, \(reader.gaps) gaps, \(reader.malformed) malformed, "
            + "\(reader.refused) refused"
        StandardError.say(summary)
    }

    private mutating func write(_ line: String) {
        buffer += line
        buffer += "\n"
        if buffer.utf8.count > SignalOutput.bufferByteCountMax { flush() }
    }

    private mutating func flush() {
        guard !buffer.isEmpty else { return }
        StandardOutput.write(buffer)
        buffer.removeAll(keepingCapacity: true)
    }

    private func row(_ topic: String, _ signal: SignalRecord) -> String {
        let name = topic.padding(toLength: max(36, topic.count), withPad: " ", startingAt: 0)
        let horizon = "\(signal.horizon) \(signal.horizonUnit == 0 ? "ticks" : "ms")"
        let arrow = signal.direction > 0 ? "▲ up" : signal.direction < 0 ? "▼ down" : "· flat"
        let probabilities = [signal.probabilityDown, signal.probabilityFlat, signal.probabilityUp]
            .map { String(format: "%6.3f", $0) }.joined(separator: " ")
        return "\(name)  \(horizon.padding(toLength: 10, withPad: " ", startingAt: 0)) "
            + "\(arrow.padding(toLength: 9, withPad: " ", startingAt: 0)) \(probabilities) "
            + "\(String(repeating: " ", count: max(0, 13 - price(signal).count)))\(price(signal))  \(flags(signal))"
    }

    /// Exact, without trailing zeros.
    private func price(_ signal: SignalRecord) -> String {
        guard signal.midPrice != Price.undefined else { return "-" }
        let whole = signal.midPrice.magnitude / UInt64(Price.unitsPerWhole)
        var fraction = String(signal.midPrice.magnitude % UInt64(Price.unitsPerWhole))
        fraction = String(repeating: "0", count: 9 - fraction.count) + fraction
        while fraction.count > 2, fraction.hasSuffix("0") { fraction.removeLast() }
        return (signal.midPrice < 0 ? "-" : "") + "\(whole).\(fraction)"
    }

    private func flags(_ signal: SignalRecord) -> String {
        let flags = SignalFlags(rawValue: signal.flags)
        var words: [String] = []
        if flags.contains(.warmingUp) { words.append("warming") }
        if flags.contains(.staleAfterGap) { words.append("stale") }
        if flags.contains(.crossedBook) { words.append("crossed") }
        if flags.contains(.oneSidedBook) { words.append("one-sided") }
        if flags.contains(.firstAfterReset) { words.append("first") }
        return words.joined(separator: ",")
    }

    private func values(_ signal: SignalRecord) -> [(String, Float)] {
        [
            ("expected_return", signal.expectedReturn), ("volatility", signal.volatility),
            ("var_95", signal.valueAtRisk95), ("var_99", signal.valueAtRisk99), ("es_95", signal.expectedShortfall95),
            ("es_99", signal.expectedShortfall99), ("trend_down", signal.trendDown), ("trend_flat", signal.trendFlat),
            ("trend_up", signal.trendUp), ("position", signal.position),
        ]
    }

    private func json(_ topic: String, _ signal: SignalRecord) -> String {
        var text = "{\"topic\":\"\(escape(topic))\",\"ts_recv\":\(signal.captureTimestamp),"
        text += "\"input_sequence\":\(signal.inputSequence),\"horizon\":\(signal.horizon),"
        text += "\"unit\":\"\(signal.horizonUnit == 0 ? "ticks" : "ms")\",\"direction\":\(signal.direction),"
        let mid = signal.midPrice == Price.undefined ? "null" : "\(signal.midPrice)"
        text += "\"mid_price\":\(mid),\"flags\":\(signal.flags)"
        let probabilities = [
            ("p_down", signal.probabilityDown), ("p_flat", signal.probabilityFlat), ("p_up", signal.probabilityUp),
        ]
        for (name, value) in probabilities + values(signal) where value.isFinite { text += ",\"\(name)\":\(value)" }
        return text + "}"
    }

    private func csv(_ topic: String, _ signal: SignalRecord) -> String {
        let mid = signal.midPrice == Price.undefined ? "" : "\(signal.midPrice)"
        let head =
            "\(quoted(topic)),\(signal.captureTimestamp),\(signal.inputSequence),\(signal.horizon),"
            + "\(signal.horizonUnit == 0 ? "ticks" : "ms"),\(signal.direction)"
        let floats: ([Float]) -> String = { $0.map { $0.isFinite ? "\($0)" : "" }.joined(separator: ",") }
        let probabilities = floats([signal.probabilityDown, signal.probabilityFlat, signal.probabilityUp])
        return "\(head),\(probabilities),\(mid),\(signal.flags),\(floats(values(signal).map(\.1)))"
    }

    /// A topic's text in CSV, quoted where it has to be (RFC 4180).
    private func quoted(_ text: String) -> String {
        guard text.contains(",") || text.contains("\"") else { return text }
        return "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }

    /// A topic's text in JSON; control characters are already escaped in topics.
    private func escape(_ text: String) -> String {
        text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
    }
}
