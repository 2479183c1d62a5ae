import ONNX

/// How the elements of a buffer lie in memory.
enum Storage: UInt8, Sendable {
    /// 32-bit floats. The values of 16-bit floats, too, rounded to them.
    case float
    /// 64-bit floats.
    case double
    /// 64-bit integers: the values of all integer types and of booleans, wrapped to their type after each operation.
    case integer
    /// Bytes: quantised values on their way to an integer product.
    case byte

    /// Bytes of an element.
    var byteCount: Int {
        switch self {
        case .float: 4
        case .double, .integer: 8
        case .byte: 1
        }
    }

    init(_ type: ElementType) {
        switch type {
        case .float: self = .float
        case .double: self = .double
        default: self = type.isInteger ? .integer : .float
        }
    }
}

/// Values that do not change, in the form of their storage.
enum ConstantValues: Sendable {
    case float([Float])
    case double([Double])
    case integer([Int64])
    case byte([UInt8])

    var count: Int {
        switch self {
        case .float(let values): values.count
        case .double(let values): values.count
        case .integer(let values): values.count
        case .byte(let values): values.count
        }
    }
}

/// A piece of memory that a plan uses, before it has an address.
struct Buffer: Sendable {
    enum Place: Equatable, Sendable {
        /// The engine's own memory. Another buffer may take the same place when this one is not needed any more.
        case arena
        /// The engine's own memory, kept for this buffer alone and zero at first: inputs and outputs of a graph, and
        /// results of which a part is never written.
        case pinned
        /// The engine's own memory, written once.
        case constant
        /// The caller's feature vector.
        case features
        /// The state of one instrument.
        case state
        /// The state of one instrument: the newest `depth` rows of `width` elements, oldest first.
        case ring(depth: Int, width: Int)
    }

    var place: Place
    var storage: Storage
    /// Elements, padding not counted.
    var count: Int
    var values: ConstantValues?
}

/// A run of elements of a buffer.
struct Operand: Equatable, Sendable {
    /// Index of the buffer in the list of layers.
    var buffer: Int
    /// Elements from the start of the buffer.
    var offset = 0
    var count: Int

    /// Elements of this operand.
    func part(_ start: Int, _ count: Int) -> Operand {
        Operand(buffer: buffer, offset: offset + start, count: count)
    }
}

/// The elements of a value: a shape over an operand, with a stride for each axis.
///
/// Layout operators change views and move nothing. An axis of stride 0 repeats; strides may be negative.
struct View: Equatable, Sendable {
    var operand: Operand
    /// Elements from the start of the operand to the first element of the view.
    var start = 0
    var shape: [Int]
    var strides: [Int]

    /// All of an operand in row-major order.
    init(_ operand: Operand, shape: [Int]) {
        self.operand = operand
        self.shape = shape
        strides = View.rowMajor(shape)
    }

    init(_ operand: Operand, start: Int, shape: [Int], strides: [Int]) {
        self.operand = operand
        self.start = start
        self.shape = shape
        self.strides = strides
    }

    static func rowMajor(_ shape: [Int]) -> [Int] {
        var strides = Array(repeating: 1, count: shape.count)
        for axis in shape.indices.dropLast().reversed() {
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        }
        return strides
    }

    var count: Int { shape.reduce(1, *) }

    /// Places of the elements in the operand, in row-major order of the view.
    var indices: [Int] { View.indices(shape: shape, strides: strides, start: start) }

    /// For each element of a row-major value of `shape` the place that `strides` give it.
    static func indices(shape: [Int], strides: [Int], start: Int = 0) -> [Int] {
        var result = [start]
        for (extent, stride) in zip(shape, strides) {
            result = result.flatMap { base in (0..<extent).map { base + $0 * stride } }
        }
        return result
    }

    /// Whether the elements lie side by side in row-major order.
    var isContiguous: Bool {
        var expected = 1
        for axis in shape.indices.reversed() where shape[axis] != 1 {
            guard strides[axis] == expected else { return false }
            expected *= shape[axis]
        }
        return true
    }

    /// The first and the last place that the view touches.
    var extent: (first: Int, last: Int) {
        var (first, last) = (start, start)
        for (extent, stride) in zip(shape, strides) where extent > 1 {
            if stride < 0 { first += stride * (extent - 1) } else { last += stride * (extent - 1) }
        }
        return (first, last)
    }

    /// The same elements in another shape of the same count, or nil where that needs a copy.
    ///
    /// Axes of extent 1 are free; the others are matched in groups of equal size, inside of which the old axes must
    /// follow each other without a gap.
    func reshaped(_ target: [Int]) -> View? {
        if shape == target { return self }
        if count == 0 { return View(operand, shape: target) }
        let old = shape.indices.filter { shape[$0] != 1 }.map { (extent: shape[$0], stride: strides[$0]) }
        let new = target.indices.filter { target[$0] != 1 }
        var result = Array(repeating: 1, count: target.count)
        var (oldStart, newStart) = (0, 0)
        while oldStart < old.count, newStart < new.count {
            var (oldEnd, newEnd) = (oldStart + 1, newStart + 1)
            var (oldSize, newSize) = (old[oldStart].extent, target[new[newStart]])
            while oldSize != newSize {
                if newSize < oldSize {
                    guard newEnd < new.count else { return nil }
                    newSize *= target[new[newEnd]]
                    newEnd += 1
                } else {
                    guard oldEnd < old.count else { return nil }
                    oldSize *= old[oldEnd].extent
                    oldEnd += 1
                }
            }
            for axis in oldStart..<oldEnd - 1 {
                guard old[axis].stride == old[axis + 1].extent * old[axis + 1].stride else { return nil }
            }
            var stride = old[oldEnd - 1].stride
            for axis in (newStart..<newEnd).reversed() {
                result[new[axis]] = stride
                stride *= target[new[axis]]
            }
            (oldStart, newStart) = (oldEnd, newEnd)
        }
        return View(operand, start: start, shape: target, strides: result)
    }

    func permuted(_ order: [Int]) -> View {
        View(operand, start: start, shape: order.map { shape[$0] }, strides: order.map { strides[$0] })
    }

    /// This view stretched to a wider shape by NumPy's rules, or nil where it does not fit.
    func broadcast(to target: [Int]) -> View? {
        guard shape.count <= target.count else { return nil }
        let lead = target.count - shape.count
        var wide = Array(repeating: 0, count: target.count)
        for axis in shape.indices {
            if shape[axis] == target[lead + axis] {
                wide[lead + axis] = strides[axis]
            } else if shape[axis] != 1 {
                return nil
            }
        }
        return View(operand, start: start, shape: target, strides: wide)
    }
}

/// The shape that two shapes give by NumPy's rules, or nil where they do not fit.
func broadcastShape(_ first: [Int], _ second: [Int]) -> [Int]? {
    let rank = max(first.count, second.count)
    let left = Array(repeating: 1, count: rank - first.count) + first
    let right = Array(repeating: 1, count: rank - second.count) + second
    var result: [Int] = []
    for (a, b) in zip(left, right) {
        guard a == b || a == 1 || b == 1 else { return nil }
        result.append(a == 1 ? b : a)
    }
    return result
}

extension View {
    /// The same elements over no more of the operand than from the first to the last of them.
    var spanned: View {
        guard count > 0 else {
            return View(Operand(buffer: operand.buffer, offset: operand.offset, count: 0), shape: shape)
        }
        let (first, last) = extent
        let part = Operand(buffer: operand.buffer, offset: operand.offset + first, count: last - first + 1)
        return View(part, start: start - first, shape: shape, strides: strides)
    }

    /// Whether an element stands at two places of the view.
    var repeatsElements: Bool { zip(shape, strides).contains { $0 > 1 && $1 == 0 } }
}
