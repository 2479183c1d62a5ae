internal import CPlatform
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#endif

/// A thread that steps one agent until it has finished. Made on one thread, which also joins it.
final class AgentThread<Work: Agent & ~Copyable>: ThreadBody, @unchecked Sendable {
    // Unchecked: `agent` belongs to the new thread from `start` until it has ended, and to the joining thread after
    // that; pthread_create and pthread_join order the two.
    private var agent: Work?
    private let core: Int
    private let idle: IdleStrategy
    private let clock: Clock
    private let budgetNanoseconds: UInt64
    private let finished = Atomic<Bool>(false)
    private var thread = pthread_t()

    /// How often the waiting thread looks whether all have finished.
    static var pollMicroseconds: UInt32 { 20_000 }

    init(_ agent: consuming Work, core: Int, options: PipelineOptions) {
        self.agent = consume agent
        self.core = core
        idle = options.idle
        clock = options.clock
        budgetNanoseconds = options.stepBudgetNanoseconds
    }

    /// Starts the thread. SIGINT and SIGTERM stay with the thread that starts it.
    func start() {
        var mask = sigset_t()
        var previous = sigset_t()
        sigfillset(&mask)
        pthread_sigmask(SIG_SETMASK, &mask, &previous)
        let context = Unmanaged.passRetained(self as ThreadBody).toOpaque()
        let code = unsafe pthread_create(
            &thread, nil,
            { context in
                unsafe context.map { unsafe Unmanaged<ThreadBody>.fromOpaque($0).takeRetainedValue().main() }
                return nil
            }, context)
        precondition(code == 0, "The system gives a thread to each agent.")
        pthread_sigmask(SIG_SETMASK, &previous, nil)
    }

    var hasFinished: Bool { finished.load(ordering: .acquiring) }

    /// Waits for the end of the thread and gives the agent back.
    func join() -> Work {
        pthread_join(thread, nil)
        guard let agent = agent.take() else { preconditionFailure("A thread is joined once.") }
        return agent
    }

    override func main() {
        FloatingPointMode.prepare()
        if core >= 0 { _ = martlet_thread_pin(Int32(core)) }
        run()
        finished.store(true, ordering: .releasing)
    }

    private func run() {
        guard var agent = agent.take() else { return }
        _ = martlet_thread_set_name(agent.name)
        var idler = Idler(idle)
        var previous = clock.monotonicNanoseconds()
        while !agent.isFinished {
            let work = agent.step(now: previous)
            let now = clock.monotonicNanoseconds()
            if work > 0 {
                agent.counters.raise(.longestStepNanoseconds, to: now &- previous)
                if now &- previous > budgetNanoseconds { agent.counters.add(.stepsOverBudget, 1) }
            }
            idler.idle(work: work)
            previous = work > 0 ? now : clock.monotonicNanoseconds()
        }
        self.agent = consume agent
    }
}

/// The floating-point mode of a thread that computes.
enum FloatingPointMode {
    /// Subnormal numbers are computed, not flushed to zero: the same bits on every thread and machine.
    static func prepare() { martlet_denormals_keep() }
}

/// What a C thread can call without knowing the agent's type.
class ThreadBody {
    func main() { preconditionFailure("A thread has a body.") }
}
