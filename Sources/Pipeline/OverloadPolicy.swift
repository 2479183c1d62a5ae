/// What happens when a ring is full. Decided per pipeline, never guessed.
public enum OverloadPolicy: String, CaseIterable, Sendable {
    /// Waits: nothing is lost here, the pressure goes back to the source. For replay.
    case block
    /// Drops the newest, counts it, and writes a gap record in its place. For live feeds.
    case drop
    /// Keeps the latest value of each instrument beside the ring. Only for signals and for level data on input.
    case conflate
}
