/// Where a pipeline's packets come from: a socket, a file, memory. Used on ingest's thread only.
public protocol TickSource: ~Copyable {
    /// The next whole message, valid until the next call; nil while there is none.
    mutating func next() -> UnsafeRawBufferPointer?

    /// No message will ever come again: a replay has ended, or a socket has failed.
    var isExhausted: Bool { get }
}

/// Where a pipeline's packets go. Used on the publisher's thread only.
public protocol SignalSink: ~Copyable {
    /// Takes over a copy of the message, or says that it cannot now.
    ///
    /// - Returns: false if the same message should be offered again later; a sink that drops returns true.
    mutating func send(_ message: UnsafeRawBufferPointer) -> Bool

    /// Looks at a message that was sent, after its latency has been taken. Nothing, unless a sink has a use for it.
    mutating func observe(_ message: UnsafeRawBufferPointer)

    /// Called before the first end of a session is offered, and again if that was not taken: who leaves after it does so
    /// by right. Nothing, unless a sink has a use for it.
    mutating func willEnd()

    /// Called once, after the last message: sends what is buffered.
    mutating func finish()
}

extension SignalSink where Self: ~Copyable {
    public mutating func observe(_ message: UnsafeRawBufferPointer) {}
    public mutating func willEnd() {}
}
