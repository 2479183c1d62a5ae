/// Kernels that read their elements by tables of places: sums over axes, pools, products of two run-time values.
///
/// Every sum is of two chains, over the elements of even and of odd number, then even + odd; so is its scalar twin.
enum TableKernels {
    typealias Vector = SIMD8<Float>

    /// Sums, or the largest elements where `isMaximum`, at `starts[i] + taps[j]`. Groups of 8 results whose starts
    /// follow each other are computed side by side.
    @inline(__always)
    static func reduce(
        _ source: UnsafePointer<Float>, _ starts: UnsafePointer<Int32>, count: Int, _ taps: UnsafePointer<Int32>,
        tapCount: Int, isMaximum: Bool, _ destination: UnsafeMutablePointer<Float>
    ) {
        var index = 0
        while index < count {
            let start = Int(starts[index])
            if index &+ 8 <= count, Int(starts[index &+ 7]) &- start == 7 {
                let result =
                    isMaximum
                    ? maximum8(source + start, taps, tapCount) : sum8(source + start, taps, tapCount)
                UnsafeMutableRawPointer(destination + index).storeBytes(of: result, as: Vector.self)
                index &+= 8
            } else {
                destination[index] =
                    isMaximum
                    ? maximum(source + start, taps, tapCount) : sum(source + start, taps, tapCount)
                index &+= 1
            }
        }
    }

    @inline(__always)
    private static func load8(_ source: UnsafePointer<Float>) -> Vector {
        UnsafeRawPointer(source).loadUnaligned(as: Vector.self)
    }

    @inline(__always)
    private static func sum8(_ source: UnsafePointer<Float>, _ taps: UnsafePointer<Int32>, _ count: Int) -> Vector {
        var even = Vector.zero
        var odd = Vector.zero
        var tap = 0
        while tap &+ 1 < count {
            even += load8(source + Int(taps[tap]))
            odd += load8(source + Int(taps[tap &+ 1]))
            tap &+= 2
        }
        if tap < count { even += load8(source + Int(taps[tap])) }
        return even + odd
    }

    @inline(__always)
    static func sum(_ source: UnsafePointer<Float>, _ taps: UnsafePointer<Int32>, _ count: Int) -> Float {
        var even: Float = 0
        var odd: Float = 0
        var tap = 0
        while tap &+ 1 < count {
            even += source[Int(taps[tap])]
            odd += source[Int(taps[tap &+ 1])]
            tap &+= 2
        }
        if tap < count { even += source[Int(taps[tap])] }
        return even + odd
    }

    @inline(__always)
    private static func maximum8(
        _ source: UnsafePointer<Float>, _ taps: UnsafePointer<Int32>, _ count: Int
    ) -> Vector {
        var greatest = Vector(repeating: -.infinity)
        for tap in 0..<count {
            let value = load8(source + Int(taps[tap]))
            greatest.replace(with: value, where: value .> greatest)
        }
        return greatest
    }

    @inline(__always)
    static func maximum(_ source: UnsafePointer<Float>, _ taps: UnsafePointer<Int32>, _ count: Int) -> Float {
        var greatest = -Float.infinity
        for tap in 0..<count {
            let value = source[Int(taps[tap])]
            greatest = value > greatest ? value : greatest
        }
        return greatest
    }

    /// Sums of products. Groups of 8 results with one place in the first operand and neighbouring ones in the second
    /// are computed side by side.
    @inline(__always)
    static func contract(
        _ first: UnsafePointer<Float>, _ second: UnsafePointer<Float>, _ firstStarts: UnsafePointer<Int32>,
        _ secondStarts: UnsafePointer<Int32>, count: Int, _ firstTaps: UnsafePointer<Int32>,
        _ secondTaps: UnsafePointer<Int32>, tapCount: Int, _ destination: UnsafeMutablePointer<Float>
    ) {
        var index = 0
        while index < count {
            let x = first + Int(firstStarts[index])
            let y = second + Int(secondStarts[index])
            if index &+ 8 <= count, firstStarts[index &+ 7] == firstStarts[index],
                secondStarts[index &+ 7] &- secondStarts[index] == 7
            {
                var chains = (Vector.zero, Vector.zero)
                var tap = 0
                while tap &+ 1 < tapCount {
                    chains.0.addProduct(Vector(repeating: x[Int(firstTaps[tap])]), load8(y + Int(secondTaps[tap])))
                    chains.1.addProduct(
                        Vector(repeating: x[Int(firstTaps[tap &+ 1])]), load8(y + Int(secondTaps[tap &+ 1])))
                    tap &+= 2
                }
                if tap < tapCount {
                    chains.0.addProduct(Vector(repeating: x[Int(firstTaps[tap])]), load8(y + Int(secondTaps[tap])))
                }
                UnsafeMutableRawPointer(destination + index).storeBytes(of: chains.0 + chains.1, as: Vector.self)
                index &+= 8
            } else {
                destination[index] = product(x, y, firstTaps, secondTaps, tapCount)
                index &+= 1
            }
        }
    }

    @inline(__always)
    static func product(
        _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ firstTaps: UnsafePointer<Int32>,
        _ secondTaps: UnsafePointer<Int32>, _ count: Int
    ) -> Float {
        var even: Float = 0
        var odd: Float = 0
        var tap = 0
        while tap &+ 1 < count {
            even.addProduct(x[Int(firstTaps[tap])], y[Int(secondTaps[tap])])
            odd.addProduct(x[Int(firstTaps[tap &+ 1])], y[Int(secondTaps[tap &+ 1])])
            tap &+= 2
        }
        if tap < count { even.addProduct(x[Int(firstTaps[tap])], y[Int(secondTaps[tap])]) }
        return even + odd
    }
}
