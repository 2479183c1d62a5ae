internal import CPlatform

#if canImport(Glibc)
    internal import Glibc
#endif

/// How a thread waits when a step found nothing to do. Chosen from outside; the agent does not know.
public enum IdleStrategy: String, CaseIterable, Sendable {
    /// Never gives the core away. For pinned threads on cores of their own.
    case spin
    /// Offers the core to others at once.
    case yield
    /// Spins, then yields, then sleeps ever longer up to a millisecond. The default where agents outnumber cores.
    case backoff
}

/// The state of a waiting thread. One per thread.
public struct Idler {
    private let strategy: IdleStrategy
    private var idleCycles = 0

    /// Spins and yields before the first sleep: about 2 µs and 10 µs, so that a burst after a pause is met awake.
    private static let spinCycles = 32
    private static let yieldCycles = 64
    private static let sleepNanosecondsMin = 1_000
    private static let sleepNanosecondsMax = 1_000_000

    public init(_ strategy: IdleStrategy) { self.strategy = strategy }

    /// Called after each cycle with the work it did.
    public mutating func idle(work: Int) {
        guard work == 0 else {
            idleCycles = 0
            return
        }
        idleCycles &+= 1
        switch strategy {
        case .spin: martlet_cpu_pause()
        case .yield: sched_yield()
        case .backoff: backOff()
        }
    }

    private func backOff() {
        if idleCycles <= Idler.spinCycles {
            martlet_cpu_pause()
        } else if idleCycles <= Idler.spinCycles + Idler.yieldCycles {
            sched_yield()
        } else {
            let doublings = min(idleCycles - Idler.spinCycles - Idler.yieldCycles, 10)
            let nanoseconds = min(Idler.sleepNanosecondsMin << doublings, Idler.sleepNanosecondsMax)
            var pause = timespec(tv_sec: 0, tv_nsec: nanoseconds)
            nanosleep(&pause, nil)
        }
    }
}
