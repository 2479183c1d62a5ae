import CPlatform
import Foundation
import Pipeline
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

    /// Every seventh tick is timed by stage in live use: seven divides none of the usual numbers of records in a packet, so
    /// that each place in one has its turn.
    static let stageInterval = 7

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

/// Topics by which lossless publishers know that a subscriber is there: it must have subscribed to a prefix of it,
/// or to more than it.
enum Readiness {
    static let replayTopic = "md/"

    static func signalsTopic(model: String) -> String { "sig/\(model)/" }
}
