public import ONNX

/// Why a model cannot be compressed.
public enum CompressionError: Error, Equatable, Sendable {
    /// The file is not a readable ONNX graph.
    case onnx(ONNXError)
    /// The model cannot be run, before or after.
    case model(ModelError)
    /// There is nothing that could be compressed; says why.
    case nothingToDo(reason: String)
    /// What the ranges or outputs are measured on does not fit the model.
    case calibration(reason: String)
}

extension CompressionError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .onnx(let error): error.description
        case .model(let error): error.description
        case .nothingToDo(let reason): "nothing can be compressed: \(reason)"
        case .calibration(let reason): "calibration: \(reason)"
        }
    }

    /// Runs what throws errors of ONNX files.
    static func reading<Value>(_ body: () throws(ONNXError) -> Value) throws(CompressionError) -> Value {
        do throws(ONNXError) { return try body() } catch { throw .onnx(error) }
    }

    /// Runs what throws errors of models.
    static func planning<Value>(_ body: () throws(ModelError) -> Value) throws(CompressionError) -> Value {
        do throws(ModelError) { return try body() } catch { throw .model(error) }
    }
}
