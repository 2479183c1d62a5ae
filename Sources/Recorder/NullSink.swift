public import Pipeline

/// Takes everything and keeps nothing: a back-test looks at the packets through `ObservedSink`.
public struct NullSink: SignalSink {
    public init() {}
    public mutating func send(_ message: UnsafeRawBufferPointer) -> Bool { true }
    public mutating func finish() {}
}
