/// Writes protobuf messages field by field, so that tests can make files that no library would write.
struct WireWriter {
    var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func integer(_ field: Int, _ value: Int64) {
        varint(UInt64(field) << 3)
        varint(UInt64(bitPattern: value))
    }

    mutating func float(_ field: Int, _ value: Float) {
        varint(UInt64(field) << 3 | 5)
        for shift in stride(from: 0, to: 32, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(shift)))
        }
    }

    mutating func data(_ field: Int, _ content: [UInt8]) {
        varint(UInt64(field) << 3 | 2)
        varint(UInt64(content.count))
        bytes += content
    }

    mutating func string(_ field: Int, _ text: String) {
        data(field, Array(text.utf8))
    }

    mutating func message(_ field: Int, _ write: (inout WireWriter) -> Void) {
        var inner = WireWriter()
        write(&inner)
        data(field, inner.bytes)
    }
}

/// A model in parts, each of which a test can replace.
struct FileParts {
    var irVersion: Int64 = 8
    var opset: Int64? = 17
    var nodes: [(inout WireWriter) -> Void] = [FileParts.node("Relu", ["x"], ["y"])]
    var initializers: [(inout WireWriter) -> Void] = []
    var inputs: [(inout WireWriter) -> Void] = [FileParts.value("x", [1, 4])]
    var outputs: [(inout WireWriter) -> Void] = [FileParts.value("y", [1, 4])]
    /// Further fields of the graph and of the model.
    var graphExtra: (inout WireWriter) -> Void = { _ in }
    var modelExtra: (inout WireWriter) -> Void = { _ in }

    var bytes: [UInt8] {
        var model = WireWriter()
        model.integer(1, irVersion)
        if let opset { model.message(8) { $0.integer(2, opset) } }
        model.message(7) { graph in
            graph.string(2, "net")
            for node in nodes { graph.message(1, node) }
            for tensor in initializers { graph.message(5, tensor) }
            for input in inputs { graph.message(11, input) }
            for output in outputs { graph.message(12, output) }
            graphExtra(&graph)
        }
        modelExtra(&model)
        return model.bytes
    }

    static func node(
        _ op: String, _ inputs: [String], _ outputs: [String], name: String = "n",
        extra: @escaping (inout WireWriter) -> Void = { _ in }
    ) -> (inout WireWriter) -> Void {
        { writer in
            for input in inputs { writer.string(1, input) }
            for output in outputs { writer.string(2, output) }
            writer.string(3, name)
            writer.string(4, op)
            extra(&writer)
        }
    }

    static func value(_ name: String, _ shape: [Int64], type: Int64 = 1) -> (inout WireWriter) -> Void {
        { writer in
            writer.string(1, name)
            writer.message(2) { value in
                value.message(1) { tensor in
                    tensor.integer(1, type)
                    tensor.message(2) { extents in
                        for extent in shape {
                            extents.message(1) { $0.integer(1, extent) }
                        }
                    }
                }
            }
        }
    }

    static func tensor(
        _ name: String, _ shape: [Int64], type: Int64 = 1, _ content: @escaping (inout WireWriter) -> Void
    ) -> (inout WireWriter) -> Void {
        { writer in
            for extent in shape { writer.integer(1, extent) }
            writer.integer(2, type)
            writer.string(8, name)
            content(&writer)
        }
    }
}
