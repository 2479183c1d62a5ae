import CPlatform
import Foundation
import Pipeline
import Synchronization
import ZeroMQ

/// Speaks on standard error of a wait that takes long, from a thread of its own, so that nobody takes it for a hang.
final class WaitNotice: Sendable {
    /// Waits no longer than this are not spoken of.
    static let patienceNanoseconds: UInt64 = 1_000_000_000
    private static let pollMicroseconds: UInt32 = 20_000

    private let start = martlet_monotonic_ns()
    private let isOver = Atomic<Bool>(false)

    /// - Parameter begins: whether the wait has begun; asked again and again on the notice's thread.
    init(_ text: String, begins: @escaping @Sendable () -> Bool = { true }) {
        Thread { [self] in
            var begun: UInt64?
            while !isOver.load(ordering: .relaxed) {
                let now = martlet_monotonic_ns()
                if begun == nil, begins() { begun = now }
                if let begun, now - begun > WaitNotice.patienceNanoseconds { return StandardError.say(text) }
                usleep(WaitNotice.pollMicroseconds)
            }
        }.start()
    }

    /// Ends the wait. Returns how long it took, in nanoseconds.
    @discardableResult
    func end() -> UInt64 {
        isOver.store(true, ordering: .relaxed)
        return martlet_monotonic_ns() - start
    }
}

/// Interrupts the command when nothing has been received for a time, from a thread of its own. While a full ring keeps
/// ingest from receiving, the input is not silent.
final class SilenceWatch: Sendable {
    private let isOver = Atomic<Bool>(false)
    private let isSilent = Atomic<Bool>(false)

    init(_ counters: CounterBlock, seconds: Double) {
        Thread { [self] in
            func signsOfLife() -> UInt64 { counters[.messagesReceived] &+ counters[.ingestBlocked] }
            var count = signsOfLife()
            var heard = martlet_monotonic_ns()
            while !isOver.load(ordering: .relaxed) {
                usleep(50_000)
                let now = martlet_monotonic_ns()
                let newCount = signsOfLife()
                if newCount != count {
                    count = newCount
                    heard = now
                } else if Double(now - heard) > seconds * 1e9 {
                    isSilent.store(true, ordering: .relaxed)
                    return Interruption.begin(SIGTERM)
                }
            }
        }.start()
    }

    /// Ends the watch. Returns whether it has asked for the stop.
    func end() -> Bool {
        isOver.store(true, ordering: .relaxed)
        return isSilent.load(ordering: .relaxed)
    }
}

/// The wait for what is queued in a lossless publisher's socket when that is given up.
struct Drain {
    private let notice = WaitNotice(
        "waiting up to \(SocketOptions.lingerMillisecondsMax / 1_000) s for a slow subscriber to take what is queued")

    /// To be called when the socket and its context are gone.
    ///
    /// - Returns: false if the time was over before a subscriber had taken everything: it misses the rest. True says that
    ///   nothing is queued any more, taken or, by a subscriber that left meanwhile, not: libzmq does not tell which.
    func isComplete() -> Bool { notice.end() < UInt64(SocketOptions.lingerMillisecondsMax) * 1_000_000 }

    static let failure =
        "a subscriber had not taken everything after \(SocketOptions.lingerMillisecondsMax / 1_000) s: it misses the rest"
}
