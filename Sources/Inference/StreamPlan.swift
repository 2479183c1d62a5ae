import ONNX

/// How a value of a window model moves in time: with each tick every position takes the value of the next one.
struct TimeAxis: Equatable {
    var axis: Int
    /// The position that depends on the newest tick and nothing newer; position p is `shift - p` ticks old.
    var shift: Int
    /// The positions that depend on no padding, so that they do move.
    var low: Int
    var high: Int

    /// Positions before this one count from a later start.
    func moved(by offset: Int, extent: Int) -> TimeAxis {
        TimeAxis(
            axis: axis, shift: shift - offset, low: max(low - offset, 0), high: min(high - offset, extent - 1))
    }

    func with(axis: Int) -> TimeAxis {
        TimeAxis(axis: axis, shift: shift, low: low, high: high)
    }
}

/// Which values of a window model are computed one tick at a time.
struct StreamPlan {
    /// Values that are computed for the newest tick only, or are views of such.
    var streamed: [String: TimeAxis] = [:]
    /// For each streamed value the greatest age at which it is read, in ticks.
    var lags: [String: Int] = [:]
    /// For each node that computes streamed values, by its first output, the greatest age at which it reads its inputs.
    var reach: [String: Int] = [:]
    /// How all values move that do.
    var times: [String: TimeAxis] = [:]
    /// Positions along the axis of time, of all values that move.
    var extents: [String: Int] = [:]
    /// How the windows of convolutions and pools slide, by the node's first output.
    var windows: [String: SlidingWindow] = [:]
    /// The position that a node picks of a streamed value, by the node's first output.
    var picked: [String: Int] = [:]
    /// What is known without a tick of values that move: shapes.
    var constants: [String: Tensor] = [:]
    /// Streamed values that are parts of others, or padded ones whose padding nobody reads.
    var aliases: Set<String> = []
    /// The first nodes that need their whole window, with the reason: name, operator, reason.
    var barriers: [(name: String, operator: String, reason: String)] = []

    /// Steps of a recurrent node's window, by the node's first output.
    var windowTicks: [String: Int] = [:]
    /// Values of which there is one row for each window that is under way: the axis of the rows. The last row is that of
    /// the window that ends with this tick.
    var staggered: [String: Int] = [:]
    /// Nodes that compute something, other than where elements are.
    var computingNodes = 0

    var isEmpty: Bool { computingNodes == 0 }
}

extension Node {
    /// A name that no other node has: that of its first result.
    var key: String { outputs.first { !$0.isEmpty } ?? name }
}
