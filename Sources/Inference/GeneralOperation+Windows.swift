import ONNX

/// The windows of a pool over each of `outer` parts of a value, for the numbers of their largest elements. Three axes,
/// the first ones of extent 1 where there are fewer: what a window sees is counted, not listed.
struct PlaceWindows: Sendable {
    struct Axis: Sendable {
        /// Positions of the value, and of the result.
        var extent = 1
        var outputs = 1
        var kernel = 1
        var stride = 1
        var dilation = 1
        /// Padding before the first position.
        var before = 0

        /// The elements of a window that are no padding: the first position and their number.
        func positions(_ output: Int) -> (first: Int, count: Int) {
            let origin = output * stride - before
            let low = origin < 0 ? (dilation - 1 - origin) / dilation : 0
            let high = origin < extent ? min((extent - 1 - origin) / dilation + 1, kernel) : 0
            return (origin + low * dilation, max(high - low, 0))
        }
    }

    var axes: (Axis, Axis, Axis)
    var outer: Int
    /// Whether positions are numbered with the first axis as the fastest.
    var isColumnMajor: Bool

    /// Elements of a part of the value.
    var size: Int { axes.0.extent * axes.1.extent * axes.2.extent }

    /// Elements of a part of the result.
    var count: Int { axes.0.outputs * axes.1.outputs * axes.2.outputs }

    /// The number of a position.
    private func number(_ i: Int, _ j: Int, _ k: Int) -> Int {
        isColumnMajor
            ? i + axes.0.extent * (j + axes.1.extent * k) : (i * axes.1.extent + j) * axes.2.extent + k
    }

    /// The number of the first of the largest elements of a window; 0 where it sees padding only.
    func place<Element: Comparable>(_ part: UnsafePointer<Element>, window: Int) -> Int {
        let (rows, columns) = (axes.1.outputs, axes.2.outputs)
        let first = axes.0.positions(window / (rows * columns))
        let second = axes.1.positions(window / columns % rows)
        let third = axes.2.positions(window % columns)
        guard first.count > 0, second.count > 0, third.count > 0 else { return 0 }
        func value(_ i: Int, _ j: Int, _ k: Int) -> Element { part[(i * axes.1.extent + j) * axes.2.extent + k] }
        var best = (first.first, second.first, third.first)
        var greatest = value(best.0, best.1, best.2)
        for a in 0..<first.count {
            let i = first.first + a * axes.0.dilation
            for b in 0..<second.count {
                let j = second.first + b * axes.1.dilation
                for c in 0..<third.count {
                    let k = third.first + c * axes.2.dilation
                    if value(i, j, k) > greatest {
                        greatest = value(i, j, k)
                        best = (i, j, k)
                    }
                }
            }
        }
        return number(best.0, best.1, best.2)
    }
}

extension GeneralOperation {
    func reduce(
        _ memory: some OperandMemory, _ destination: Operand, isSum: Bool, _ type: ElementType, _ starts: [Int32],
        _ taps: [Int32]
    ) {
        if type == .double {
            let (source, result) = (memory.doubles(sources[0]), memory.doubles(destination))
            for (index, start) in starts.enumerated() {
                var value = isSum ? 0 : -Double.infinity
                for tap in taps {
                    let element = source[Int(start + tap)]
                    if isSum { value += element } else { value = element > value ? element : value }
                }
                result[index] = value
            }
            return
        }
        let (source, result) = (memory.integers(sources[0]), memory.integers(destination))
        let least = type.bounds?.lowerBound ?? .min
        for (index, start) in starts.enumerated() {
            var value = isSum ? 0 : least
            for tap in taps {
                let element = source[Int(start + tap)]
                value = isSum ? value &+ element : max(value, element)
            }
            result[index] = type.wrapped(value)
        }
    }

    func maximumPlaces(
        _ memory: some OperandMemory, _ destination: Operand, _ windows: PlaceWindows, _ storage: Storage
    ) {
        let result = memory.integers(destination)
        func find<Element: Comparable>(_ source: UnsafePointer<Element>) {
            for part in 0..<windows.outer {
                let begin = part * windows.size
                for window in 0..<windows.count {
                    result[part * windows.count + window] =
                        Int64(begin + windows.place(source + begin, window: window))
                }
            }
        }
        switch storage {
        case .float, .byte: find(memory.floats(sources[0]))
        case .double: find(memory.doubles(sources[0]))
        case .integer: find(memory.integers(sources[0]))
        }
    }
}
