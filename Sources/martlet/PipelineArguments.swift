public import ArgumentParser
import DBN
import Feeds
import Foundation
import MarketData
public import Pipeline
import Recorder

extension OverloadPolicy: ExpressibleByArgument {}
extension IdleStrategy: ExpressibleByArgument {}

/// Options that `run` and `score` share.
struct PipelineArguments: ParsableArguments {
    @Option(help: "The model, an ONNX file. Default: models/default.onnx.")
    var model: String?

    @Option(help: "The model's name in the signal topics. Default: the file's name without its ending.")
    var name: String?

    @Option(help: "Workers, among whom instruments are spread: a thread each, but for score. Default: 1.")
    var workers: Int?

    @Option(
        help: "Bytes of each ring, a power of two from 262144, for the largest packet, to 1073741824. Default: 4194304."
    )
    var ringBytes: Int?

    @Option(help: "Instruments that are followed; one beyond it is refused by name. Default: 256.")
    var maxInstruments: Int?

    @Option(
        help: "Tick and lot size of an instrument whose feed does not say, as SYMBOL:tick=0.01,lot=1. May be repeated.")
    var instrument: [String] = []

    func options(_ settings: Settings) throws -> PipelineOptions {
        var options = PipelineOptions()
        options.workers = try inRange(settings.value(workers, "workers", default: 1), "workers", 1...64)
        options.ringBytes = try settings.value(ringBytes, "ring-bytes", default: options.ringBytes)
        // Less could not take every packet that a publisher may send: 'block' would have to lose some.
        let least = PipelineOptions.ringBytesForAnyPacket
        guard options.ringBytes.nonzeroBitCount == 1, least...(1 << 30) ~= options.ringBytes else {
            throw CommandError(
                .usage,
                "--ring-bytes \(options.ringBytes) is wrong; expected a power of two from \(least) to 1073741824")
        }
        // Each worker has a ring before it and one behind it, whose pages are all touched before the start.
        let rings = 2 * options.workers * options.ringBytes
        guard rings <= ProcessInfo.processInfo.physicalMemory / 2 else {
            throw CommandError(
                .usage,
                "--ring-bytes \(options.ringBytes) with --workers \(options.workers) would take \(rings >> 20) MiB, more than "
                    + "half of this machine's memory; give less of either")
        }
        options.instrumentsMax = try inRange(
            settings.value(maxInstruments, "max-instruments", default: 256), "max-instruments", 1...65_536)
        options.presets = try instruments(settings).map {
            InstrumentPreset(
                dataset: $0.dataset.isEmpty ? nil : $0.dataset, symbol: $0.symbol, tickSize: $0.tickSize)
        }
        return options
    }

    @Option(help: "A DBN file of definitions, for tick sizes that the feed does not state.")
    var definitions: String?

    /// Instruments given by flag, environment or file; of one given twice the first counts.
    func instruments(_ settings: Settings) throws -> [Instrument] {
        let given = try InstrumentArgument.parse(settings.values(instrument, "instrument"))
        guard let path = try settings.value(definitions, "definitions") else { return given }
        return try given + InstrumentArgument.read(definitions: path)
    }
}

/// `SYMBOL:tick=…,lot=…`
enum InstrumentArgument {
    /// The instruments that a DBN file defines, of whatever version. A lot is one share or contract where it
    /// is not stated.
    static func read(definitions path: String) throws -> [Instrument] {
        try checkReadable([path])
        var instruments: [Instrument] = []
        do {
            var reader = try DBNFileReader(path: path)
            let dataset = reader.metadata?.dataset ?? ""
            while try reader.next() {
                guard let definition = DefinitionView(reader.record) else { continue }
                let lot = definition.unitOfMeasureQuantity
                let isStated = lot > 0 && lot != Price.undefined
                let lotSize = isStated ? lot : Price.unitsPerWhole
                if let instrument = definition.instrument(dataset: dataset, lotSize: lotSize) {
                    instruments.append(instrument)
                }
            }
        } catch { throw CommandError(error) }
        guard !instruments.isEmpty else { throw CommandError(.data, "\(path): no definition with a tick size in it") }
        return instruments
    }

    static func parse(_ texts: [String]) throws -> [Instrument] {
        // Bytes, as in topics: `String` would take "é" in its two encodings for one.
        var seen: Set<[UInt8]> = []
        return try texts.map { text in
            let parsed: InstrumentOverride
            do { parsed = try InstrumentOverride(parsing: text) } catch { throw CommandError(.usage, "\(error)") }
            guard seen.insert(Array(parsed.symbol.utf8)).inserted else {
                throw CommandError(.usage, "--instrument \(text): \(parsed.symbol) is given twice")
            }
            guard let tickSize = parsed.tickSize else {
                throw CommandError(
                    .usage, "--instrument \(text): the tick size is missing; expected SYMBOL:tick=…,lot=…")
            }
            return Instrument(
                dataset: "", symbol: parsed.symbol, tickSize: tickSize, lotSize: parsed.lotSize ?? Price.unitsPerWhole)
        }
    }
}

/// Seconds for which nothing may come before a command that waits gives up; nil for ever.
func silenceSeconds(_ settings: Settings, _ flag: Double?) throws -> Double? {
    let seconds = try settings.value(flag, "timeout", default: 0)
    guard (0...86_400).contains(seconds) else {
        throw CommandError(.usage, "--timeout \(seconds) is wrong; expected 0 to 86400 seconds")
    }
    return seconds > 0 ? seconds : nil
}

func inRange(_ value: Int, _ name: String, _ range: ClosedRange<Int>) throws -> Int {
    guard range.contains(value) else {
        throw CommandError(
            .usage,
            "--\(name) \(value) is wrong; expected a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
}
