import ONNX

/// Windows that slide over the axes of a value: convolutions and pools.
struct SlidingWindow {
    var kernel: [Int]
    var strides: [Int]
    var dilations: [Int]
    /// Elements added before and after each axis.
    var before: [Int]
    var after: [Int]
    /// Windows along each axis.
    var outputs: [Int]
    /// What of `after` is there only because the number of windows was rounded up: no padding that counts.
    var overhang: [Int] = []

    var isPadded: Bool { before.contains { $0 != 0 } || after.contains { $0 != 0 } }

    /// Where each window begins, and where its elements are from there, over axes with these strides.
    func tables(_ axisStrides: [Int]) -> (starts: [Int], taps: [Int]) {
        (
            View.indices(shape: outputs, strides: zip(axisStrides, strides).map(*)),
            View.indices(shape: kernel, strides: zip(axisStrides, dilations).map(*))
        )
    }
}

extension GraphCompiler {
    /// Reads the attributes that say how a window slides over axes of these extents.
    func slidingWindow(
        _ node: Node, extents: [Int], kernel: [Int], roundsUp: Bool = false
    ) throws(ModelError) -> SlidingWindow {
        let rank = extents.count
        func list(_ name: String, _ count: Int, _ value: Int64, _ low: Int64) throws(ModelError) -> [Int] {
            let values = try integersAttribute(node, name) ?? Array(repeating: value, count: count)
            guard values.count == count, values.allSatisfy({ $0 >= low && $0 <= Int64(ModelLimits.elements) }) else {
                throw refused(node, "attribute '\(name)' is \(listed(values)), expected \(count) values from \(low)")
            }
            return values.map { Int($0) }
        }
        let strides = try list("strides", rank, 1, 1)
        let dilations = try list("dilations", rank, 1, 1)
        let pads = try list("pads", 2 * rank, 0, 0)
        var window = SlidingWindow(
            kernel: kernel, strides: strides, dilations: dilations, before: Array(pads[..<rank]),
            after: Array(pads[rank...]), outputs: [])
        let automatic = try stringAttribute(node, "auto_pad", default: "NOTSET")
        for axis in 0..<rank {
            let reach = (kernel[axis] - 1) * dilations[axis] + 1
            switch automatic {
            case "NOTSET": break
            case "VALID": (window.before[axis], window.after[axis]) = (0, 0)
            case "SAME_UPPER", "SAME_LOWER":
                let outputs = (extents[axis] + strides[axis] - 1) / strides[axis]
                let total = max(0, (outputs - 1) * strides[axis] + reach - extents[axis])
                window.before[axis] = automatic == "SAME_UPPER" ? total / 2 : total - total / 2
                window.after[axis] = total - window.before[axis]
            default: throw refused(node, "attribute 'auto_pad' is '\(automatic)'")
            }
            let size = extents[axis] + window.before[axis] + window.after[axis]
            guard size >= reach || roundsUp && size > 0 else {
                throw refused(node, "a window of \(reach) over an axis of \(size)")
            }
            var outputs = max(size - reach, 0) / strides[axis] + 1
            var overhang = 0
            if roundsUp, automatic == "NOTSET" || automatic == "VALID" {
                outputs = (max(size - reach, 0) + strides[axis] - 1) / strides[axis] + 1
                if size < reach { outputs = 1 }
                // A last window that would begin in the padding behind the values is left out.
                if (outputs - 1) * strides[axis] >= extents[axis] + window.before[axis] { outputs -= 1 }
                overhang = max(0, (outputs - 1) * strides[axis] + reach - size)
            }
            window.after[axis] += overhang
            window.overhang.append(overhang)
            window.outputs.append(outputs)
        }
        try elementCount(window.outputs, node)
        return window
    }

    mutating func compileConvolution(_ node: Node) throws(ModelError) {
        try checkAttributes(
            node, known: ["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])
        let value = try input(node, 0)
        let weight = try input(node, 1)
        let rank = value.shape.count - 2
        guard value.type == .float, rank >= 1, weight.shape.count == rank + 2, !weight.shape.contains(0),
            !value.shape.contains(0)
        else {
            throw refused(node, "a value of shape \(value.shape) and a weight of shape \(weight.shape)")
        }
        let groups = Int(clamping: try integerAttribute(node, "group", default: 1))
        let (channels, outputs, perGroup) = (value.shape[1], weight.shape[0], weight.shape[1])
        guard groups >= 1, outputs % groups == 0, groups <= channels, perGroup * groups == channels else {
            throw refused(node, "\(groups) groups of \(channels) channels and a weight of shape \(weight.shape)")
        }
        let kernel = Array(weight.shape[2...])
        if let stated = try integersAttribute(node, "kernel_shape"), stated != kernel.map({ Int64($0) }) {
            throw refused(node, "attribute 'kernel_shape' is \(listed(stated)), the weight has \(kernel)")
        }
        guard isWeight(weight) || isFolding else { throw refused(node, "the weight is not a constant") }
        let window = try slidingWindow(node, extents: Array(value.shape[2...]), kernel: kernel)
        var bias: [Float] = []
        if let tensor = try floatsInput(node, 2, "the bias"), let floats = tensor.floats {
            guard tensor.shape == [outputs] else { throw refused(node, "a bias of shape \(tensor.shape)") }
            bias = floats
        }
        let positions = kernel.reduce(1, *)
        guard positions <= ModelLimits.weights, outputs * channels * positions <= ModelLimits.weights else {
            throw .limit(
                what: "weights at node '\(node.name)'", found: outputs * channels * positions,
                limit: ModelLimits.weights)
        }
        // Inputs in the order of positions, then channels, which lie side by side. A group's outputs have weights of 0
        // for the channels of the other groups: the matrix is sparse.
        let map = WeightMap(outputs: outputs, groups: groups, channelsPerGroup: perGroup, positions: positions)
        if window.isPadded { try padInput(node, window) }
        let product = try appendProduct(node, 0, weight: 1, map, bias: bias, scale: 1) { view in
            let (starts, taps) = window.tables(Array(view.strides[2...]))
            let batches = (0..<view.shape[0]).map { view.start + $0 * view.strides[0] }
            return ProductTables(
                rows: batches.flatMap { batch in starts.map { batch + $0 } },
                columns: taps.flatMap { tap in (0..<channels).map { tap + $0 * view.strides[1] } })
        }
        values[node.inputs[0]] = value
        let shape = [value.shape[0], outputs] + window.outputs
        let spatial = View.rowMajor(window.outputs).map { $0 * product.rowWidth }
        let batchStride = window.outputs.reduce(1, *) * product.rowWidth
        let view = View(product.operand, start: 0, shape: shape, strides: [batchStride, 1] + spatial)
        try define(node, .view(view), .float, shape: shape, openLinear: product.index)
    }

    /// Puts zeros around a convolution's input, with the channels of a position side by side. Quantised values are
    /// padded before they are quantised, so that the zeros become the zero point.
    private mutating func padInput(_ node: Node, _ window: SlidingWindow) throws(ModelError) {
        let value = try input(node, 0)
        let padded: Value
        switch value.value {
        case .dequantized(let view, let quantizer) where quantizer.keepsZero:
            let floats = try requantizable(view, quantizer, node)
            padded = .dequantized(try channelsLast(floats, window, .number(0), node), quantizer)
        default: padded = .view(try channelsLast(try floatInput(node, 0), window, .number(0), node))
        }
        if case .dequantized(let view, _) = padded { values[node.inputs[0]]?.shape = view.shape }
        if case .view(let view) = padded { values[node.inputs[0]]?.shape = view.shape }
        values[node.inputs[0]]?.value = padded
    }

    /// A padded copy whose channels lie side by side, as a view in the order of the graph.
    func channelsLastOrder(_ rank: Int) -> (to: [Int], back: [Int]) {
        ([0] + Array(2..<rank + 2) + [1], [0, rank + 1] + Array(1..<rank + 1))
    }

    mutating func channelsLast(
        _ view: View, _ window: SlidingWindow, _ fill: Fill, _ node: Node
    ) throws(ModelError) -> View {
        let order = channelsLastOrder(window.kernel.count)
        let padded = try padded(
            view.permuted(order.to), before: [0] + window.before + [0], after: [0] + window.after + [0], fill: fill,
            node)
        return padded.permuted(order.back)
    }

    // MARK: Pools

    mutating func compilePool(_ node: Node) throws(ModelError) {
        let value = try input(node, 0)
        let rank = value.shape.count - 2
        guard rank >= 1, !value.shape.contains(0) else { throw refused(node, "a value of shape \(value.shape)") }
        let isMaximum = node.operatorName == "MaxPool"
        var kernel = Array(value.shape[2...])
        var roundsUp = false
        var countsPadding = false
        if node.operatorName == "GlobalAveragePool" {
            try checkAttributes(node, known: [])
        } else {
            try checkAttributes(
                node,
                known: [
                    "auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides", "storage_order",
                    "count_include_pad",
                ])
            guard let stated = try integersAttribute(node, "kernel_shape"), stated.count == rank,
                stated.allSatisfy({ $0 > 0 && $0 <= Int64(ModelLimits.elements) })
            else { throw refused(node, "attribute 'kernel_shape' is missing or does not fit") }
            kernel = stated.map { Int($0) }
            roundsUp = try integerAttribute(node, "ceil_mode", default: 0) != 0
            countsPadding = try integerAttribute(node, "count_include_pad", default: 0) != 0
        }
        let window = try slidingWindow(node, extents: Array(value.shape[2...]), kernel: kernel, roundsUp: roundsUp)
        let isKnown = isMaximum ? !value.type.isInteger || [.int8, .uint8].contains(value.type) : value.type == .float
        guard isKnown else { throw refused(node, "values of type \(value.type)") }
        let source = try viewInput(node, 0)
        let fill = Fill.number(isMaximum ? -.infinity : 0)
        let padded = window.isPadded ? try channelsLast(source, window, fill, node) : source
        let result = try pool(padded, window, value.type, isMaximum: isMaximum, node)
        let shape = result.shape
        guard isMaximum || countsPadding && !roundsUp || !window.isPadded else {
            return try defineAverage(node, result, window, countsPadding: countsPadding, extents: value.shape)
        }
        try define(node, .view(result), value.type, shape: shape)
        if isMaximum, node.outputs.count > 1, !node.outputs[1].isEmpty {
            try defineMaximumPlaces(node, source, window)
        }
    }

    /// The largest element or the mean of each window.
    private mutating func pool(
        _ view: View, _ window: SlidingWindow, _ type: ElementType, isMaximum: Bool, _ node: Node
    ) throws(ModelError) -> View {
        let order = channelsLastOrder(window.kernel.count)
        let (starts, taps) = window.tables(Array(view.strides[2...]))
        let channels = (0..<view.shape[1]).map { $0 * view.strides[1] }
        let batches = (0..<view.shape[0]).map { view.start + $0 * view.strides[0] }
        let all = batches.flatMap { batch in starts.flatMap { start in channels.map { Int32(batch + start + $0) } } }
        let shape = [view.shape[0]] + window.outputs + [view.shape[1]]
        let count = try elementCount(shape, node)
        try spend(count * taps.count, node)
        let reduction: Reduction = isMaximum ? .maximum : .mean(Float(taps.count))
        let destination = try allocate(count, storage(view.operand))
        let table = taps.map { Int32($0) }
        if storage(view.operand) == .float {
            try append(
                node, .reduce(reduction, source: view.operand, starts: all, taps: table), to: destination,
                shape: shape)
        } else {
            try append(
                node, .general(GeneralOperation(.reduce(reduction, type, starts: all, taps: table), [view.operand])),
                to: destination, shape: shape)
        }
        return View(destination, shape: shape).permuted(order.back)
    }

    /// An average over the elements of each window that are not padding: the mean times its share.
    private mutating func defineAverage(
        _ node: Node, _ mean: View, _ window: SlidingWindow, countsPadding: Bool, extents: [Int]
    ) throws(ModelError) {
        var counts = [1.0]
        for axis in window.kernel.indices {
            let extent = extents[axis + 2]
            let low = countsPadding ? 0 : window.before[axis]
            let padding = window.after[axis] - window.overhang[axis]
            let high = window.before[axis] + extent + (countsPadding ? padding : 0)
            let along = (0..<window.outputs[axis]).map { output in
                (0..<window.kernel[axis]).count {
                    let place = output * window.strides[axis] + $0 * window.dilations[axis]
                    return place >= low && place < high
                }
            }
            counts = counts.flatMap { count in along.map { count * Double($0) } }
        }
        let taps = Double(window.kernel.reduce(1, *))
        let outer = mean.shape[0] * mean.shape[1]
        let scale = (0..<outer).flatMap { _ in counts.map { $0 == 0 ? 0 : taps / $0 } }
        try define(
            node, .affine(mean, scale: scale, offset: scale.map { _ in 0 }), .float, shape: mean.shape)
    }

    /// The place in the input of each window's largest element.
    private mutating func defineMaximumPlaces(
        _ node: Node, _ source: View, _ window: SlidingWindow
    ) throws(ModelError) {
        let isColumnMajor = try integerAttribute(node, "storage_order", default: 0) != 0
        let rank = window.kernel.count
        guard rank <= 3 else { throw refused(node, "places of windows over \(rank) dimensions") }
        let operand = try contiguous(source, node)
        let axes = (0..<3).map { index in
            let axis = index - (3 - rank)
            guard axis >= 0 else { return PlaceWindows.Axis() }
            return PlaceWindows.Axis(
                extent: source.shape[axis + 2], outputs: window.outputs[axis], kernel: window.kernel[axis],
                stride: window.strides[axis], dilation: window.dilations[axis], before: window.before[axis])
        }
        let windows = PlaceWindows(
            axes: (axes[0], axes[1], axes[2]), outer: source.shape[0] * source.shape[1], isColumnMajor: isColumnMajor)
        let shape = Array(source.shape[..<2]) + window.outputs
        try spend(try elementCount(shape, node) * window.kernel.reduce(1, *), node)
        try defineGeneral(
            node, .maximumPlaces(windows, storage(operand)), [operand], .int64, shape: shape, output: 1)
    }
}
