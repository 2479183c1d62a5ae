internal import Synchronization

/// The one thing that is told to a running pipeline from outside: stop.
public final class PipelineControl: Sendable {
    private let stop = Atomic<Bool>(false)

    public init() {}

    /// Asks ingest to take nothing more; what is in the rings is still processed and published. Any thread.
    public func requestStop() { stop.store(true, ordering: .relaxed) }

    public var isStopRequested: Bool { stop.load(ordering: .relaxed) }
}
