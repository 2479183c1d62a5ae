internal import CPlatform

/// The clocks of a pipeline, passed in. They serve latency metrics, heartbeats and the packets' send time only; what is
/// computed depends on the records' own capture timestamps.
public enum Clock: Sendable {
    case system
    /// Always 0: a back-test reads no clock, and its packets are the same bytes each time.
    case none

    /// Nanoseconds that never go backwards, from an arbitrary origin.
    public func monotonicNanoseconds() -> UInt64 {
        switch self {
        case .system: martlet_monotonic_ns()
        case .none: 0
        }
    }

    /// Nanoseconds since the Unix epoch.
    public func wallNanoseconds() -> UInt64 {
        switch self {
        case .system: martlet_realtime_ns()
        case .none: 0
        }
    }
}
