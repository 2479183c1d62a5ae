/// What a model file says of itself beside the graph: its `martlet.*` metadata, as `docs/MODEL.md` lists them.
public struct ModelMetadata: Sendable, Equatable {
    /// What one of a model's predictions is about.
    public struct Horizon: Sendable, Equatable {
        /// In what a horizon is counted; the raw value is that of the wire format.
        public enum Unit: UInt8, Sendable {
            case ticks = 0
            case milliseconds = 1
        }

        /// Length in `unit`, from 1.
        public let length: UInt32
        public let unit: Unit
        /// Name of the label's definition in `docs/MODEL.md`, such as `smoothed-mid`.
        public let labelName: String
        /// Threshold between flat and the other classes, as a fraction of the mid price.
        public let alpha: Double

        public init(length: UInt32, unit: Unit, labelName: String, alpha: Double) {
            self.length = length
            self.unit = unit
            self.labelName = labelName
            self.alpha = alpha
        }
    }

    /// Precision of the weights and products.
    public enum Precision: String, Sendable {
        case fp32
        case int8
    }

    /// Version of the feature set that the model was trained on.
    public let featureSetVersion: Int
    /// The features that the model's input consists of, in order.
    public let featureNames: [String]
    /// The horizons in the order of the outputs.
    public let horizons: [Horizon]
    /// Ticks after a reset during which signals are flagged as warming up.
    public let warmUpTicks: Int
    /// The model's name, or empty.
    public let name: String
    /// SHA-256 of the files of the training data, 64 hexadecimal digits each.
    public let trainingDataSHA256: [String]
    /// Capture time of the last training tick, ns since the Unix epoch.
    public let trainingEndTimestamp: UInt64?
    /// Figures of merit by name, as the training measured them.
    public let metrics: [String: Double]
    /// Share of weights that are not zero, biases and the last layer not counted.
    public let density: Double?
    /// Precision, if stated.
    public let precision: Precision?
    /// Keys that begin with `martlet.` and are not known: a newer writer's, or a misspelling.
    public let unknownKeys: [String]
}

extension ModelMetadata {
    /// Reads the metadata of a graph.
    ///
    /// - Throws: `ModelError.metadata` for a required key that is missing and for a value of another type or range
    ///   than `docs/MODEL.md` says.
    public init(_ entries: [String: String]) throws(ModelError) {
        let reader = MetadataReader(entries: entries)
        let version = try reader.integer("contract_version", in: 1...1)
        guard version != nil else { throw reader.missing("contract_version") }
        guard let featureSetVersion = try reader.integer("feature_set_version", in: 1...1_000_000) else {
            throw reader.missing("feature_set_version")
        }
        guard let warmUpTicks = try reader.integer("warm_up_ticks", in: 0...1_000_000_000) else {
            throw reader.missing("warm_up_ticks")
        }
        self.featureSetVersion = featureSetVersion
        self.warmUpTicks = warmUpTicks
        featureNames = try reader.featureNames()
        horizons = try reader.horizons()
        name = try reader.string("name") ?? ""
        trainingDataSHA256 = try reader.hashes("training_data_sha256")
        trainingEndTimestamp = try reader.integer("training_end_timestamp", in: 0...Int.max).map {
            UInt64($0)
        }
        metrics = try reader.metrics()
        density = try reader.number("density", in: 0...1)
        if let text = try reader.string("precision") {
            guard let value = Precision(rawValue: text) else {
                throw reader.error("precision", "'\(text)', expected 'fp32' or 'int8'")
            }
            precision = value
        } else {
            precision = nil
        }
        unknownKeys = entries.keys.filter { $0.hasPrefix("martlet.") && !MetadataReader.keys.contains($0) }
            .sorted()
    }
}

/// Looks keys up, parses their JSON, and names the key in each error.
private struct MetadataReader {
    static let keys: Set<String> = Set(
        [
            "contract_version", "feature_set_version", "feature_names", "horizons", "warm_up_ticks", "name",
            "training_data_sha256", "training_end_timestamp", "metrics", "density", "precision",
        ].map { "martlet." + $0 })

    let entries: [String: String]

    func error(_ key: String, _ reason: String) -> ModelError {
        .metadata(key: "martlet." + key, reason: reason)
    }

    func missing(_ key: String) -> ModelError {
        error(key, "it is required and missing")
    }

    func value(_ key: String) throws(ModelError) -> JSONValue? {
        guard let text = entries["martlet." + key] else { return nil }
        do {
            return try JSONReader.read(text)
        } catch {
            throw self.error(key, "not JSON: \(error.reason) at byte \(error.byteOffset)")
        }
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws(ModelError) -> Int? {
        guard let value = try value(key) else { return nil }
        guard case .integer(let number) = value, range.contains(Int(number)) else {
            throw error(key, "expected an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return Int(number)
    }

    func number(_ key: String, in range: ClosedRange<Double>) throws(ModelError) -> Double? {
        guard let value = try value(key) else { return nil }
        guard let number = value.double, range.contains(number) else {
            throw error(key, "expected a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func string(_ key: String) throws(ModelError) -> String? {
        guard let value = try value(key) else { return nil }
        guard case .string(let text) = value else { throw error(key, "expected a string") }
        return text
    }

    func strings(_ key: String) throws(ModelError) -> [String]? {
        guard let value = try value(key) else { return nil }
        guard case .array(let elements) = value else { throw error(key, "expected an array of strings") }
        var strings: [String] = []
        for element in elements {
            guard case .string(let text) = element else { throw error(key, "expected an array of strings") }
            strings.append(text)
        }
        return strings
    }

    func featureNames() throws(ModelError) -> [String] {
        guard let names = try strings("feature_names") else { throw missing("feature_names") }
        guard !names.isEmpty else { throw error("feature_names", "expected at least one name") }
        guard names.count <= ModelLimits.features else {
            throw .limit(what: "features", found: names.count, limit: ModelLimits.features)
        }
        var seen: Set<String> = []
        for name in names where !seen.insert(name).inserted {
            throw error("feature_names", "'\(name)' stands twice")
        }
        return names
    }

    func hashes(_ key: String) throws(ModelError) -> [String] {
        let hashes = try strings(key) ?? []
        for hash in hashes {
            guard hash.utf8.count == 64, hash.allSatisfy({ $0.isHexDigit && !$0.isUppercase }) else {
                throw error(key, "'\(hash)', expected 64 lower-case hexadecimal digits")
            }
        }
        return hashes
    }

    func metrics() throws(ModelError) -> [String: Double] {
        guard let value = try value("metrics") else { return [:] }
        guard case .object(let members) = value else {
            throw error("metrics", "expected an object of numbers")
        }
        var metrics: [String: Double] = [:]
        for (name, member) in members {
            guard let number = member.double else { throw error("metrics", "'\(name)' is not a number") }
            metrics[name] = number
        }
        return metrics
    }

    func horizons() throws(ModelError) -> [ModelMetadata.Horizon] {
        guard let value = try value("horizons") else { throw missing("horizons") }
        guard case .array(let elements) = value, !elements.isEmpty else {
            throw error("horizons", "expected an array of at least one object")
        }
        guard elements.count <= ModelLimits.horizons else {
            throw .limit(what: "horizons", found: elements.count, limit: ModelLimits.horizons)
        }
        var horizons: [ModelMetadata.Horizon] = []
        for (index, element) in elements.enumerated() {
            horizons.append(try horizon(element, index: index))
        }
        return horizons
    }

    private func horizon(_ element: JSONValue, index: Int) throws(ModelError) -> ModelMetadata.Horizon {
        func wrong(_ reason: String) -> ModelError { error("horizons", "element \(index): \(reason)") }
        guard case .object(let members) = element else { throw wrong("expected an object") }
        guard case .integer(let length)? = members["length"], let length = UInt32(exactly: length), length > 0
        else {
            throw wrong("'length': expected an integer from 1 to \(UInt32.max)")
        }
        let unit: ModelMetadata.Horizon.Unit
        switch members["unit"] {
        case .string("ticks"): unit = .ticks
        case .string("milliseconds"): unit = .milliseconds
        default: throw wrong("'unit': expected 'ticks' or 'milliseconds'")
        }
        guard case .string(let label)? = members["label"], Labels.names.contains(label) else {
            throw wrong("'label': expected the name of a label definition: \(Labels.names.joined(separator: ", "))")
        }
        guard let alpha = members["alpha"]?.double, alpha >= 0 else {
            throw wrong("'alpha': expected a number of at least 0")
        }
        return ModelMetadata.Horizon(length: length, unit: unit, labelName: label, alpha: alpha)
    }
}
