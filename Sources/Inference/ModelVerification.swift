internal import ONNX

/// Runs a model on rows of inputs and compares what it says with what it has to say.
///
/// Three questions: do the stored outputs come out; do all kernels give the bits of the scalar twin; do all ways of running
/// give the same bits. What another program says of the same rows is compared by that program, from `outputs`.
public struct ModelVerification {
    /// The answer to one question.
    public struct Check: Sendable, Codable, Equatable {
        public enum Status: String, Sendable, Codable {
            case passed, failed, skipped
        }

        public let name: String
        public let status: Status
        /// What was compared, and the greatest difference or the first one; or why nothing was.
        public let detail: String

        public init(_ name: String, _ status: Status, _ detail: String) {
            self.name = name
            self.status = status
            self.detail = detail
        }
    }

    /// Values of one output for each tick, row after row.
    public struct Output: Sendable {
        public let name: String
        /// Values of a row.
        public let width: Int
        public let values: [Float]

        public init(name: String, width: Int, values: [Float]) {
            self.name = name
            self.width = width
            self.values = values
        }

        public var count: Int { width == 0 ? 0 : values.count / width }
    }

    /// Rows of random inputs where none are stored.
    public static let tickCount = 256
    /// What 32-bit floats may differ by, for values up to 1; for greater ones relative to them.
    public static let tolerance: Float = 1e-5
    /// Multiply-adds that the scalar twin may do, at some 100 million a second.
    private static let scalarBudget = 300_000_000

    /// Values of inputs and outputs that are kept where rows are random: those of all ticks are held in memory.
    private static let valueBudget = 16 << 20

    private let bytes: [UInt8]
    private let model: AnyModel
    /// Rows for each input, by name; as many of each.
    public let inputs: [String: FeatureRows]
    /// Ticks that are run.
    public let ticks: Int

    /// - Parameters:
    ///   - bytes: The model file.
    ///   - stored: Rows for inputs that are known; the others are given seeded random values.
    /// - Throws: `ModelError` for a file that cannot be run, and `ModelError.value` for stored rows of another width or number
    ///   than the file says.
    public init(onnx bytes: [UInt8], stored: [String: FeatureRows]) throws(ModelError) {
        self.bytes = bytes
        model = try AnyModel(onnx: bytes)
        let values = model.inputs.map(\.shape) + model.outputShapes.values
        let affordable = ModelVerification.valueBudget / max(values.reduce(0) { $0 + $1.reduce(1, *) }, 1)
        let random = min(ModelVerification.tickCount, max(affordable, 2))
        let ticks = stored.values.map(\.count).min() ?? random + model.window - 1
        var inputs: [String: FeatureRows] = [:]
        for (name, shape, isFloat) in model.inputs {
            let width = model.metadata == nil ? shape.reduce(1, *) : shape[shape.count - 1]
            guard let rows = stored[name] else {
                if width > 0, isFloat {
                    inputs[name] = ModelVerification.randomRows(name, count: ticks, width: width)
                }
                continue
            }
            guard rows.width == width else {
                throw .value(name: name, reason: "stored rows of \(rows.width) values, expected \(width)")
            }
            guard rows.count == ticks else {
                throw .value(name: name, reason: "\(rows.count) stored rows, but another input has \(ticks)")
            }
            inputs[name] = rows
        }
        guard ticks >= model.window else {
            throw .value(
                name: GraphCompiler.featuresName,
                reason: "\(ticks) stored rows, less than one window of \(model.window)")
        }
        self.inputs = inputs
        self.ticks = ticks
    }

    /// Ticks before the first one with an output: the window fills up.
    public var leadingTicks: Int { model.window - 1 }

    static func randomRows(_ name: String, count: Int, width: Int) -> FeatureRows {
        FeatureRows(
            random: UInt64(name.utf8.reduce(1) { $0 &* 31 &+ Int($1) } & 0xFFFF_FFFF), count: count, width: width)
    }

    // MARK: Questions

    /// Compares with outputs that are stored beside the file.
    ///
    /// - Parameters:
    ///   - stored: The last row of each belongs to the last tick.
    ///   - isExact: Whether the bits are compared, as those of an integer reference.
    public func checkStored(_ stored: [Output], isExact: Bool) throws(ModelError) -> [Check] {
        let found = try outputs()
        var checks: [Check] = []
        for expected in stored.sorted(by: { $0.name < $1.name }) {
            let name = "stored \(expected.name)"
            guard let output = found.first(where: { $0.name == expected.name }) else {
                checks.append(Check(name, .failed, "the model has no such output"))
                continue
            }
            guard output.width == expected.width, expected.count > 0, expected.count <= output.count else {
                checks.append(
                    Check(
                        name, .failed,
                        "\(expected.count) rows of \(expected.width) values, expected up to \(output.count) of \(output.width)"
                    ))
                continue
            }
            checks.append(
                ModelVerification.compare(
                    name, output, expected, isExact: isExact, first: ticks - expected.count,
                    against: isExact ? "the integer reference" : "the stored values"))
        }
        return checks
    }

    /// Compares the kernels with their scalar twins, to the bit.
    public func checkScalarTwin() throws(ModelError) -> Check {
        // What does not multiply costs at least a move of each element.
        let work = max(model.multiplyAdds, model.arenaByteCount / 4, 1)
        let affordable = max(ModelVerification.scalarBudget / work, 4)
        let count = min(ticks, affordable)
        let found = try outputs(model, count: count)
        let expected: [Output]
        switch model.form {
        case .model(let contract):
            var twin = ScalarReference(model: contract)
            expected = collect(count) { tick in twin.step(features: row(GraphCompiler.featuresName, tick)) }
        case .program(let program):
            var twin = ScalarReference(list: program.storage.list)
            expected = collect(count) { tick in
                for (name, input) in program.storage.list.inputs where input.type == .float && inputs[name] != nil {
                    twin.memory.store(row(name, tick), input.operand)
                }
                return twin.run().mapValues { $0.asFloats ?? [] }
            }
        }
        return ModelVerification.compareAll("scalar twin", found, expected, against: "the kernels' scalar twins")
    }

    /// Compares all weights as dense matrices with all as block-sparse ones, to the bit.
    public func checkPolicies() throws(ModelError) -> Check {
        let dense = try outputs(try AnyModel(onnx: bytes, kernels: .dense), count: ticks)
        let sparse = try outputs(try AnyModel(onnx: bytes, kernels: .sparse), count: ticks)
        let check = ModelVerification.compareAll("dense and sparse", sparse, dense, against: "the dense kernels")
        guard check.status == .passed else { return check }
        return ModelVerification.compareAll("dense and sparse", try outputs(), dense, against: "the dense kernels")
    }

    /// Compares the outputs before the rest of a tick's work with those after it, to the bit. Nil where there is no such rest.
    public func checkRest() throws(ModelError) -> Check? {
        guard model.runsLater else { return nil }
        return ModelVerification.compareAll(
            "after the outputs", try outputs(model, count: ticks, isEarly: true), try outputs(),
            against: "the outputs when the state has moved on")
    }

    /// Compares running tick by tick with recomputing the whole window at each tick. Nil for a model without a window.
    public func checkStreaming() throws(ModelError) -> Check? {
        guard model.window > 1 else { return nil }
        let whole = try outputs(try AnyModel(onnx: bytes, streaming: .recompute), count: ticks)
        // Until the first window is full, it is padded in one way and in the other. To the bit only where the planner
        // had the same to fold into the weights: what a whole window pads with zeros, a stream never sees.
        let full = ticks - leadingTicks
        let check = ModelVerification.compareAll(
            "stream and window", try outputs().map { $0.last(full) }, whole.map { $0.last(full) }, isExact: false,
            first: leadingTicks, against: "the window computed anew on every tick")
        return Check(check.name, check.status, "\(check.detail); \(model.streamingDescription)")
    }

    /// What the model says on each tick, by output.
    public func outputs() throws(ModelError) -> [Output] { try outputs(model, count: ticks) }

    // MARK: Running

    private func row(_ input: String, _ tick: Int) -> [Float] {
        guard let rows = inputs[input] else { preconditionFailure("Rows are asked of inputs that have them.") }
        return Array(rows.values[tick * rows.width..<(tick + 1) * rows.width])
    }

    private func outputs(_ model: AnyModel, count: Int, isEarly: Bool = false) throws(ModelError) -> [Output] {
        switch model.form {
        case .model(let contract):
            var engine = InferenceEngine(model: contract)
            var state = contract.makeState()
            let widths = model.outputShapes.mapValues { $0.reduce(1, *) }
            return collect(count) { tick in
                row(GraphCompiler.featuresName, tick).withUnsafeBufferPointer {
                    if let base = $0.baseAddress { engine.predict(features: base, state: &state) }
                }
                let early = isEarly ? engine.outputs.values(widths) : [:]
                engine.advance(state: &state)
                return isEarly ? early : engine.outputs.values(widths)
            }
        case .program(let program):
            var engine = ProgramEngine(program)
            return collect(count) { tick in
                for name in inputs.keys {
                    guard let target = engine.floats(input: name) else { continue }
                    for (index, value) in row(name, tick).enumerated() { target[index] = value }
                }
                engine.run()
                return Dictionary(
                    uniqueKeysWithValues: program.outputNames.map { ($0, engine.output($0).asFloats ?? []) })
            }
        }
    }

    private func collect(_ count: Int, _ run: (Int) -> [String: [Float]]) -> [Output] {
        var rows: [String: [Float]] = [:]
        for tick in 0..<count {
            for (name, values) in run(tick) { rows[name, default: []] += values }
        }
        return rows.map { Output(name: $0.key, width: $0.value.count / max(count, 1), values: $0.value) }
            .sorted { $0.name < $1.name }
    }
}

extension ScalarReference {
    /// Computes all outputs of a free graph from what lies in the memory of its inputs.
    mutating func run() -> [String: Tensor] {
        for layer in list.layers { run(layer) }
        return list.outputs.reduce(into: [:]) { result, output in
            let (view, type) = output.value
            result[output.key] = Tensor(
                name: output.key, view: view, type: type,
                at: memory.address(view.operand, list.buffers[view.operand.buffer].storage))
        }
    }
}
