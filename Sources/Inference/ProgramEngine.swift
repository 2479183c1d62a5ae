public import ONNX

/// Runs a graph again and again in memory of its own: what `InferenceEngine` is to a `Model`. For tools.
///
/// `init`, `set` and `output` allocate; `run` does not, where the graph has no operation that does. Used on one thread
/// at a time.
public struct ProgramEngine: ~Copyable {
    private let program: Program
    private var runner: ProgramRunner

    /// Allocates the memory that a run needs, all inputs being zero.
    public init(_ program: Program) {
        self.program = program
        runner = ProgramRunner(program.storage)
    }

    /// Gives an input the value that it has from now on.
    ///
    /// - Throws: `ModelError.value` for a name that is no input, and for another type or shape than the graph says.
    public mutating func set(_ name: String, _ tensor: Tensor) throws(ModelError) {
        guard let input = program.storage.list.inputs[name] else {
            throw .value(name: name, reason: "the graph has no such input")
        }
        guard tensor.shape == input.shape, tensor.elementType == input.type else {
            throw .value(
                name: name,
                reason: "a value of \(tensor.elementType) and shape \(tensor.shape), expected \(input.type) and "
                    + "\(input.shape)")
        }
        runner.set(input.operand, tensor)
    }

    /// Where an input of 32-bit floats lies, in row-major order, or nil for another one. Valid as long as this engine.
    public func floats(input name: String) -> UnsafeMutableBufferPointer<Float>? {
        guard let input = program.storage.list.inputs[name], input.type == .float else { return nil }
        return UnsafeMutableBufferPointer(
            start: runner.address(input.operand).assumingMemoryBound(to: Float.self), count: input.operand.count)
    }

    /// Computes all outputs.
    public mutating func run() {
        runner.run()
    }

    /// The value of an output after the latest run.
    ///
    /// - Precondition: `name` is one of `Program.outputNames`.
    public func output(_ name: String) -> Tensor {
        runner.tensor(name)
    }
}

extension Program {
    /// The inputs that a run reads, sorted by name: shape and type, a symbolic extent being 1.
    public var inputs: [(name: String, shape: [Int], type: ElementType)] {
        storage.list.inputs.map { ($0.key, $0.value.shape, $0.value.type) }.sorted { $0.name < $1.name }
    }

    /// Names of the outputs, sorted.
    public var outputNames: [String] { storage.list.outputs.keys.sorted() }
}
