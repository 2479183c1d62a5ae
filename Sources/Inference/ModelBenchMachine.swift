internal import CPlatform

/// What one core of this machine does at most, measured: the limits that a model's time is compared with.
public struct MachineRates: Sendable {
    /// Bytes per nanosecond (GB/s) that are loaded from the first-level data cache.
    public let firstLevelBytes: Double
    /// Bytes per nanosecond (GB/s) that are loaded from the second-level cache.
    public let secondLevelBytes: Double
    /// Fused multiply-adds of 32-bit floats per nanosecond.
    public let multiplyAdds: Double
    /// What each is divided by where the planner's constants are of another machine.
    private static let planner = (firstLevel: 64 * PlannerCosts.gigahertz, secondLevel: 32 * PlannerCosts.gigahertz)

    /// A buffer well within the first-level cache, and one well beyond it and within the second-level cache.
    private static let (firstLevelByteCount, secondLevelByteCount) = (16 << 10, 256 << 10)
    /// Runs of each, of which the fastest counts: a busy neighbour can only slow them down.
    private static let runCount = 48
    /// Bytes loaded in one run: 1 MiB lasts some microseconds, hundreds of times the timer's cost.
    private static let runByteCount = 1 << 20

    /// Measured at the first call in a process, in a few milliseconds.
    public static let ofThisProcess = MachineRates()

    private init() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: MachineRates.secondLevelByteCount, alignment: 64)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: MachineRates.secondLevelByteCount)
        let vectors = UnsafePointer(memory.assumingMemoryBound(to: SIMD8<Float>.self))
        let sink = UnsafeMutablePointer<SIMD8<Float>>.allocate(capacity: 1)
        sink.initialize(to: .zero)
        defer { sink.deallocate() }
        firstLevelBytes = MachineRates.bandwidth(vectors, MachineRates.firstLevelByteCount, sink)
        secondLevelBytes = MachineRates.bandwidth(vectors, MachineRates.secondLevelByteCount, sink)
        multiplyAdds = MachineRates.arithmetic(sink)
    }

    private static func fastest(_ work: () -> Void) -> Double {
        var shortest = UInt64.max
        for _ in 0..<runCount {
            let begin = martlet_monotonic_ns()
            work()
            shortest = min(shortest, martlet_monotonic_ns() - begin)
        }
        return Double(max(shortest, 1))
    }

    private static func bandwidth(
        _ vectors: UnsafePointer<SIMD8<Float>>, _ byteCount: Int, _ sink: UnsafeMutablePointer<SIMD8<Float>>
    ) -> Double {
        let count = byteCount / 32
        let nanoseconds = fastest {
            for _ in 0..<runByteCount / byteCount { load(vectors, count, sink) }
        }
        return Double(runByteCount) / nanoseconds
    }

    /// Sums `count` vectors, a multiple of 8, in eight chains, so that no addition waits for another. Not inlined: the
    /// compiler would else see that each pass over the memory gives the same.
    @inline(never)
    private static func load(
        _ vectors: UnsafePointer<SIMD8<Float>>, _ count: Int, _ sink: UnsafeMutablePointer<SIMD8<Float>>
    ) {
        var (a, b, c, d) = (SIMD8<Float>.zero, SIMD8<Float>.zero, SIMD8<Float>.zero, SIMD8<Float>.zero)
        var (e, f, g, h) = (a, b, c, d)
        var index = 0
        while index < count {
            let place = vectors + index
            a += place[0]
            b += place[1]
            c += place[2]
            d += place[3]
            e += place[4]
            f += place[5]
            g += place[6]
            h += place[7]
            index += 8
        }
        sink[0] = a + b + (c + d) + (e + f + (g + h))
    }

    private static func arithmetic(_ sink: UnsafeMutablePointer<SIMD8<Float>>) -> Double {
        let rounds = 2_000
        let nanoseconds = fastest { multiply(rounds, sink) }
        return Double(rounds * 10 * 8) / nanoseconds
    }

    /// Ten chains of multiply-adds from registers: two a cycle that each take four or five, and more would not fit the
    /// registers.
    @inline(never)
    private static func multiply(_ rounds: Int, _ sink: UnsafeMutablePointer<SIMD8<Float>>) {
        let (factor, start) = (sink[0], sink[0])
        var (a, b, c, d, e) = (start, start, start, start, start)
        var (f, g, h, i, j) = (start, start, start, start, start)
        for _ in 0..<rounds {
            a.addProduct(a, factor)
            b.addProduct(b, factor)
            c.addProduct(c, factor)
            d.addProduct(d, factor)
            e.addProduct(e, factor)
            f.addProduct(f, factor)
            g.addProduct(g, factor)
            h.addProduct(h, factor)
            i.addProduct(i, factor)
            j.addProduct(j, factor)
        }
        sink[0] = a + b + (c + d) + (e + f + (g + h)) + (i + j)
    }

    /// A predicted time on this machine. What is bound by neither loads nor multiply-adds stays as it is.
    public func nanoseconds(_ time: PredictedTime) -> Double {
        time.firstLevel * MachineRates.planner.firstLevel / firstLevelBytes
            + time.secondLevel * MachineRates.planner.secondLevel / secondLevelBytes
            + time.arithmetic * 16 * PlannerCosts.gigahertz / multiplyAdds + time.other
    }
}
