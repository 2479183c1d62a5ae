/// Functions of each element, and softmax.
extension StepRunner {
    /// Replaces values by a function of them.
    @inline(__always)
    func activate(_ step: UnsafePointer<Step>, _ values: UnsafeMutablePointer<Vector>, vectorCount: Int) {
        switch step.pointee.function {
        case .identity: break
        case .relu:
            for index in 0..<vectorCount { values[index] = VectorFunctions.relu(values[index]) }
        case .tanh:
            for index in 0..<vectorCount { values[index] = VectorFunctions.tanh(values[index]) }
        case .sigmoid:
            for index in 0..<vectorCount { values[index] = VectorFunctions.sigmoid(values[index]) }
        case .clip:
            let (low, high) = (step.pointee.low, step.pointee.high)
            for index in 0..<vectorCount { values[index] = VectorFunctions.clip(values[index], low, high) }
        case .leakyRelu:
            let slope = step.pointee.low
            for index in 0..<vectorCount { values[index] = VectorFunctions.leakyRelu(values[index], slope) }
        default: activateRarely(step, values, vectorCount: vectorCount)
        }
    }

    /// The functions that are seldom seen in models, apart so that the others' loops stay near each other.
    @inline(never)
    private func activateRarely(
        _ step: UnsafePointer<Step>, _ values: UnsafeMutablePointer<Vector>, vectorCount: Int
    ) {
        let (low, high) = (step.pointee.low, step.pointee.high)
        switch step.pointee.function {
        case .elu: for index in 0..<vectorCount { values[index] = VectorFunctions.elu(values[index], low) }
        case .hardSigmoid:
            for index in 0..<vectorCount { values[index] = VectorFunctions.hardSigmoid(values[index], low, high) }
        case .softplus: for index in 0..<vectorCount { values[index] = VectorFunctions.softplus(values[index]) }
        case .gelu: for index in 0..<vectorCount { values[index] = VectorFunctions.gelu(values[index]) }
        case .geluTanh: for index in 0..<vectorCount { values[index] = VectorFunctions.geluTanh(values[index]) }
        case .erf: for index in 0..<vectorCount { values[index] = VectorFunctions.erf(values[index]) }
        case .exp: for index in 0..<vectorCount { values[index] = VectorFunctions.exp(values[index]) }
        case .sqrt: for index in 0..<vectorCount { values[index] = VectorFunctions.sqrt(values[index]) }
        case .root: for index in 0..<vectorCount { values[index] = VectorFunctions.root(values[index]) }
        case .negative: for index in 0..<vectorCount { values[index] = VectorFunctions.neg(values[index]) }
        case .reciprocal: for index in 0..<vectorCount { values[index] = VectorFunctions.reciprocal(values[index]) }
        case .square: for index in 0..<vectorCount { values[index] = VectorFunctions.square(values[index]) }
        default:
            let exponent = Vector(repeating: low)
            for index in 0..<vectorCount { values[index] = VectorFunctions.pow(values[index], exponent) }
        }
    }

    /// Exponentials of the differences to the greatest of each group, in vectors, then each divided by its group's sum,
    /// added up in ascending order.
    @inline(__always)
    func softmax(
        _ step: UnsafePointer<Step>, _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>
    ) {
        let count = step.pointee.count
        let width = step.pointee.width
        var group = 0
        while group < count {
            var greatest = source[group]
            for index in group..<group &+ width {
                greatest = source[index] > greatest ? source[index] : greatest
            }
            for index in group..<group &+ width { target[index] = source[index] - greatest }
            group &+= width
        }
        let vectors = UnsafeMutableRawPointer(target).assumingMemoryBound(to: Vector.self)
        for index in 0..<(count &+ 7) >> 3 { vectors[index] = VectorFunctions.expNonPositive(vectors[index]) }
        group = 0
        while group < count {
            var sum = target[group]
            for index in group &+ 1..<group &+ width { sum += target[index] }
            let inverse = 1 / sum
            for index in group..<group &+ width { target[index] *= inverse }
            group &+= width
        }
    }

    /// As `softmax`, for the three classes of a direction or a trend, four groups at a time: their first elements side by
    /// side in one half of a vector, their second ones in the other, the third ones in another vector. So nothing is
    /// stored in small pieces and read back whole, which would wait for the store buffer.
    @inline(__always)
    static func softmaxOfThree(_ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, count: Int) {
        if count == 3 { return softmaxOfOneThree(source, target) }
        let last = count &- 3
        var first = 0
        while first <= last {
            // Where there are no four groups any more, the last one is done again.
            let second = min(first &+ 3, last)
            let third = min(first &+ 6, last)
            let fourth = min(first &+ 9, last)
            let a = SIMD4(source[first], source[second], source[third], source[fourth])
            let b = SIMD4(source[first &+ 1], source[second &+ 1], source[third &+ 1], source[fourth &+ 1])
            let c = SIMD4(source[first &+ 2], source[second &+ 2], source[third &+ 2], source[fourth &+ 2])
            var greatest = a.replacing(with: b, where: b .> a)
            greatest.replace(with: c, where: c .> greatest)
            let ab = VectorFunctions.expNonPositive(Vector(lowHalf: a - greatest, highHalf: b - greatest))
            let cc = VectorFunctions.expNonPositive(Vector(lowHalf: c - greatest, highHalf: c - greatest)).lowHalf
            let inverse = 1 / ((ab.lowHalf + ab.highHalf) + cc)
            let (x, y, z) = (ab.lowHalf * inverse, ab.highHalf * inverse, cc * inverse)
            store(x[0], y[0], z[0], to: target + first)
            store(x[1], y[1], z[1], to: target + second)
            store(x[2], y[2], z[2], to: target + third)
            store(x[3], y[3], z[3], to: target + fourth)
            first &+= 12
        }
    }

    /// As `softmaxOfThree` of a single group, with one vector of exponentials.
    @inline(__always)
    private static func softmaxOfOneThree(_ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>) {
        let (a, b, c) = (source[0], source[1], source[2])
        let pair = b > a ? b : a
        let greatest = c > pair ? c : pair
        let powers = VectorFunctions.expNonPositive(
            Vector(lowHalf: SIMD4(a, b, c, c) - SIMD4(repeating: greatest), highHalf: .zero))
        let inverse = 1 / ((powers[0] + powers[1]) + powers[2])
        let shares = powers.lowHalf * SIMD4(repeating: inverse)
        store(shares[0], shares[1], shares[2], to: target)
    }

    @inline(__always)
    private static func store(_ x: Float, _ y: Float, _ z: Float, to target: UnsafeMutablePointer<Float>) {
        target[0] = x
        target[1] = y
        target[2] = z
    }
}
