internal import Synchronization

/// What the agents count. Each counter is written by one agent and may be read by any thread.
public enum Counter: Int, CaseIterable, Sendable {
    // Ingest.
    case messagesReceived
    case bytesReceived
    case recordsReceived
    case heartbeatsReceived
    case recordsLost
    case recordsBeforeJoin
    case recordsDuplicate
    case recordsDroppedOnInput
    case recordsConflatedOnInput
    case messagesMalformed
    case messagesRefused
    case sessionsEnded
    case sessionChanges
    case ingestBlocked
    // Worker.
    case ticks
    case recordsUnsupported
    case signalsComputed
    case signalsDroppedOnOutput
    case signalsConflatedOnOutput
    case workerBlocked
    case resets
    // Publisher.
    case signalsPublished
    case gapsPublished
    case packetsPublished
    case bytesPublished
    case publisherBlocked
    // Every agent.
    case longestStepNanoseconds
    case stepsOverBudget
}

/// One agent's counters: written by that agent alone, read by anyone at any time.
///
/// A counter is a relaxed load and store, because there is one writer; readers see each value whole, a little late.
@safe
public final class CounterBlock: @unchecked Sendable {
    // Unchecked: the memory is atomics, and the pointer never changes.
    private let values: UnsafeMutablePointer<Atomic<UInt64>>

    public init() {
        unsafe values = .allocate(capacity: Counter.allCases.count)
        for index in 0..<Counter.allCases.count {
            unsafe (values + index).initialize(to: Atomic(0))
        }
    }

    deinit {
        unsafe values.deinitialize(count: Counter.allCases.count)
        unsafe values.deallocate()
    }

    public subscript(_ counter: Counter) -> UInt64 {
        unsafe values[counter.rawValue].load(ordering: .relaxed)
    }

    /// Adds to a counter. Only the owning agent's thread may call this.
    func add(_ counter: Counter, _ amount: Int) {
        let value = unsafe values[counter.rawValue].load(ordering: .relaxed)
        // A hostile sequence number can name more losses than 64 bits hold: the counter then stays at its limit.
        let (sum, overflow) = value.addingReportingOverflow(UInt64(clamping: amount))
        unsafe values[counter.rawValue].store(overflow ? .max : sum, ordering: .relaxed)
    }

    /// Raises a counter that holds a maximum. Only the owning agent's thread may call this.
    func raise(_ counter: Counter, to value: UInt64) {
        let known = unsafe values[counter.rawValue].load(ordering: .relaxed)
        if value > known {
            unsafe values[counter.rawValue].store(value, ordering: .relaxed)
        }
    }
}
