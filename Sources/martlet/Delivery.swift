import CPlatform
import Foundation
import Pipeline
import Synchronization
import Wire
import ZeroMQ

/// What commands that publish have in common.
enum Publications {
    /// - Parameter lossless: what is queued when the command ends is still waited for, up to a minute; a live publisher
    ///   gives it a second.
    static func options(lossless: Bool) -> SocketOptions {
        var options = SocketOptions()
        if lossless { options.lingerMilliseconds = SocketOptions.lingerMillisecondsMax }
        // A subscriber sends subscriptions, which are no longer than topics.
        options.maxMessageBytes = PacketHeader.messageByteCountMax
        return options
    }

    /// Waits until a lossless publisher has its subscribers, or a stop is asked for; says so when that takes long.
    static func waitForSubscribers(_ socket: inout PublisherSocket) throws {
        guard case .lossless(let expected, let topic) = socket.policy else { return }
        let start = martlet_monotonic_ns()
        var said: Int?
        while !Interruption.control.isStopRequested {
            _ = try socket.pollSubscriptions()
            if socket.isReady { return }
            if said != socket.subscriberCount, martlet_monotonic_ns() - start > WaitNotice.patienceNanoseconds {
                said = socket.subscriberCount
                StandardError.say("waiting for subscribers to \(topic)…: \(said ?? 0) of \(expected) there")
            }
            usleep(1_000)
        }
    }
}

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

/// Asks the pipeline to stop when nothing has been received for a time, from a thread of its own.
final class SilenceWatch: Sendable {
    private let isOver = Atomic<Bool>(false)
    private let isSilent = Atomic<Bool>(false)

    init(_ counters: CounterBlock, seconds: Double) {
        Thread { [self] in
            var count = counters[.messagesReceived]
            var heard = martlet_monotonic_ns()
            while !isOver.load(ordering: .relaxed) {
                usleep(50_000)
                let now = martlet_monotonic_ns()
                if counters[.messagesReceived] != count {
                    count = counters[.messagesReceived]
                    heard = now
                } else if Double(now - heard) > seconds * 1e9 {
                    isSilent.store(true, ordering: .relaxed)
                    return Interruption.control.requestStop()
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
    /// - Returns: false if the time was over before a subscriber had taken everything: it misses the rest.
    func isComplete() -> Bool { notice.end() < UInt64(SocketOptions.lingerMillisecondsMax) * 1_000_000 }

    static let failure =
        "a subscriber had not taken everything after \(SocketOptions.lingerMillisecondsMax / 1_000) s: it misses the rest"
}
