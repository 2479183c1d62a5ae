import Glibc

/// A POSIX thread for stress tests and benchmarks, joined exactly once. Values that must not be copied are
/// moved into it.
public struct TestThread: ~Copyable {
    private let handle: pthread_t

    /// Starts a thread that runs `body`.
    public init(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Box(body))
        var handle = pthread_t()
        let status = pthread_create(
            &handle, nil,
            { argument in
                Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        precondition(status == 0, "A thread can be created.")
        self.handle = handle
    }

    /// Waits for the end of the thread.
    public consuming func join() {
        pthread_join(handle, nil)
    }
}

/// Carries the closure through C's untyped argument.
private final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Holds a noncopyable value until the thread that will own it takes it out: closures cannot consume what
/// they capture.
public final class Handover<Value: ~Copyable & Sendable>: @unchecked Sendable {
    // Unchecked: written before the thread starts, taken by it once; `pthread_create` orders the two.
    private var value: Value?

    public init(_ value: consuming Value) { self.value = consume value }

    /// Moves the value out; traps the second time.
    public func take() -> Value {
        guard let value = value.take() else { preconditionFailure("A value is handed over once.") }
        return value
    }
}

/// Gives the CPU away while a test waits for another thread. A spin would burn its whole time slice where
/// threads outnumber CPUs, which on a busy machine turns milliseconds into minutes.
public func waitABit() {
    sched_yield()
}
