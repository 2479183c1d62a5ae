import ONNX

/// The attributes of a tree operator, by name and type.
struct TreeAttributes {
    let node: Node

    /// - Throws: If the node has an attribute that is not in `known`.
    init(_ node: Node, known: Set<String>) throws(ModelError) {
        self.node = node
        // The least name, so that the same file always gives the same error.
        if let name = node.attributes.keys.filter({ !known.contains($0) }).min() {
            throw refused("attribute '\(name)' is not known")
        }
    }

    func refused(_ reason: String) -> ModelError {
        .node(name: node.name, operator: node.operatorName, reason: reason)
    }

    func integer(_ name: String) throws(ModelError) -> Int64? {
        switch node.attributes[name] {
        case nil: return nil
        case .integer(let value): return value
        default: throw refused("attribute '\(name)' is not an integer")
        }
    }

    func string(_ name: String) throws(ModelError) -> String? {
        switch node.attributes[name] {
        case nil: return nil
        case .string(let value): return value
        default: throw refused("attribute '\(name)' is not a string")
        }
    }

    /// Empty if absent.
    func integers(_ name: String) throws(ModelError) -> [Int64] {
        switch node.attributes[name] {
        case nil: return []
        case .integers(let values): return values
        default: throw refused("attribute '\(name)' is not a list of integers")
        }
    }

    /// Empty if absent.
    func strings(_ name: String) throws(ModelError) -> [String] {
        switch node.attributes[name] {
        case nil: return []
        case .strings(let values): return values
        default: throw refused("attribute '\(name)' is not a list of strings")
        }
    }

    /// The list `name` or the tensor `name`_as_tensor, of which at most one may be there; empty without.
    func floats(_ name: String) throws(ModelError) -> [Float] {
        var result: [Float] = []
        switch node.attributes[name] {
        case nil: break
        case .floats(let values): result = values
        default: throw refused("attribute '\(name)' is not a list of floats")
        }
        let tensor = try floatTensor("\(name)_as_tensor")
        guard result.isEmpty || tensor.isEmpty else {
            throw refused("attributes '\(name)' and '\(name)_as_tensor' are both there")
        }
        return result.isEmpty ? tensor : result
    }

    /// Empty if absent. Whatever the shape, its elements are taken in order.
    func floatTensor(_ name: String) throws(ModelError) -> [Float] {
        switch node.attributes[name] {
        case nil: return []
        case .tensor(let tensor):
            guard let values = tensor.floats else {
                throw refused(
                    "attribute '\(name)' is of \(tensor.elementType): only float32 trees are supported")
            }
            return values
        default: throw refused("attribute '\(name)' is not a tensor")
        }
    }

    /// - Throws: If `count` is not `expected`.
    func check(_ name: String, count: Int, expected: Int) throws(ModelError) {
        guard count == expected else {
            throw refused("'\(name)' has \(count) elements, expected \(expected)")
        }
    }

    func checkLimit(_ what: String, _ found: Int, _ limit: Int) throws(ModelError) {
        guard found <= limit else {
            throw .limit(what: "\(what) of node '\(node.name)'", found: found, limit: limit)
        }
    }

    func checkFinite(_ name: String, _ values: [Float]) throws(ModelError) {
        if let index = values.firstIndex(where: { !$0.isFinite }) {
            throw refused("'\(name)' has \(values[index]) at \(index), expected a finite number")
        }
    }
}
