/// Running sums that forget: each channel is eight sums of the same value under eight decays.
///
/// A step does sum ← sum · λ + value, two separately rounded operations. Lanes 0–3 forget by ticks with a
/// constant λ, lanes 4–7 by capture time with λ = exp(-Δt/τ). A sum closer to zero than `flushThreshold`
/// becomes zero, so that no denormal ever appears. One extractor owns the sums; they are used on its thread
/// only.
struct DecayedSums: ~Copyable {
    typealias Lanes = SIMD8<Float>

    enum Channel: Int, CaseIterable {
        case ticks, depth, flow1, flow10, signedVolume, volume, tradeSigns, trades, midChange, squaredReturn,
            logGap
    }

    /// Sums nearer to zero than this are set to zero.
    static var flushThreshold: Float { 0x1p-40 }
    /// exp(-Δt/τ) is zero where Δt/τ exceeds this; e^-30 is a tenth of `flushThreshold`.
    static var exponentMax: Float { 30 }
    /// λ of the lanes that forget by ticks: 1 - 1/4, 1 - 1/16, 1 - 1/64, 1 - 1/256.
    static var tickDecays: SIMD4<Float> { SIMD4(0.75, 0.9375, 0.984375, 0.99609375) }
    /// 1/τ of the lanes that forget by time, in 1/s: τ is 0.1, 1, 10 and 60 s.
    static var inverseTimes: SIMD4<Float> { SIMD4(10, 1, 0.1, 0.016666668) }

    /// One vector per channel, aligned to a cache line. Every `Channel` is a valid index.
    private let sums: UnsafeMutablePointer<Lanes>
    /// λ of the step that is under way.
    private var decays = Lanes(repeating: 0)
    /// Kept, because `allCases` makes an array each time, and a reset in the middle of a run must not allocate.
    private let channelCount: Int

    init() {
        let channelCount = Channel.allCases.count
        self.channelCount = channelCount
        let byteCount = channelCount * MemoryLayout<Lanes>.stride
        sums = unsafe UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
            .bindMemory(to: Lanes.self, capacity: channelCount)
        unsafe sums.initialize(repeating: Lanes(repeating: 0), count: channelCount)
    }

    deinit { unsafe UnsafeMutableRawPointer(sums).deallocate() }

    mutating func reset() {
        unsafe sums.update(repeating: Lanes(repeating: 0), count: channelCount)
    }

    /// Begins a step, `elapsed` seconds after the one before; not negative.
    mutating func begin(elapsed: Float) {
        let exponents = elapsed * DecayedSums.inverseTimes
        let zeros = SIMD4<Float>(repeating: 0)
        let isOver = exponents .> SIMD4(repeating: DecayedSums.exponentMax)
        let clamped = exponents.replacing(with: zeros, where: isOver)
        let exponentials = ElementaryFunctions.exp(Lanes(lowHalf: zeros, highHalf: zeros - clamped)).highHalf
        let timeDecays = exponentials.replacing(with: zeros, where: isOver)
        decays = Lanes(lowHalf: DecayedSums.tickDecays, highHalf: timeDecays)
    }

    /// Decays the channel, adds `value`, and returns the sums.
    @inline(__always)  // A call would pass the vectors through memory.
    mutating func advance(_ channel: Channel, by value: Float) -> Lanes {
        let sum = unsafe sums[channel.rawValue] * decays + Lanes(repeating: value)
        let isSmall =
            (sum .< Lanes(repeating: DecayedSums.flushThreshold))
            .& (sum .> Lanes(repeating: -DecayedSums.flushThreshold))
        let kept = sum.replacing(with: Lanes(repeating: 0), where: isSmall)
        unsafe sums[channel.rawValue] = kept
        return kept
    }
}
