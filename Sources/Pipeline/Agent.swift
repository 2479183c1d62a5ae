/// A piece of the pipeline that does its work in bounded steps and does not know which thread it runs on.
///
/// The idea is Aeron's: `step` does what is there now, up to a limit, and returns how much that was; a runner decides
/// about threads and waiting. An agent owns its state and is used by one thread at a time.
public protocol Agent: ~Copyable {
    /// For thread names and messages; at most 15 characters, as Linux allows.
    var name: String { get }

    /// Nothing more will ever come from this agent, and everything it held has been handed on.
    var isFinished: Bool { get }

    /// What it counts.
    var counters: CounterBlock { get }

    /// Does what is there, up to the agent's own limit, without waiting.
    ///
    /// - Parameter now: monotonic nanoseconds, read once per cycle by the runner.
    /// - Returns: how many messages were handled; 0 lets the runner idle.
    mutating func step(now: UInt64) -> Int
}
