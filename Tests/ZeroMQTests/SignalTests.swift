import CZeroMQ
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import ZeroMQ

/// A signal that arrives during a call: the threads of the tests' own pool block signals, so that each test
/// starts one that does not.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct SignalTests {
    @Test("a signal ends a wait early with false, and is no error")
    func interruptedWait() throws {
        let context = try Context()
        var control = try Socket(context, .pair, options: testOptions)
        try control.bind("inproc://waiting")
        var pull = try Socket(context, .pull, options: testOptions)
        try pull.bind("tcp://127.0.0.1:*")
        let handover = Handover(Ends(left: pull, right: try Socket(context, .pair, options: testOptions)))
        let target = SignalTarget()
        let outcome = Outcome()
        let thread = TestThread {
            var ends = handover.take()
            target.acceptSignals()
            do {
                try ends.right.connect("inproc://waiting")
                try ends.right.sendAll([1])
                outcome.flag = try ends.left.wait(for: .readable, timeoutMilliseconds: -1)
                // Still usable: nothing there, and no error.
                var message = Message()
                if try ends.left.receive(into: &message) == .wouldBlock { try ends.right.sendAll([2]) }
            } catch {
                outcome.code = 1
            }
        }
        _ = try control.receiveAll()
        // The thread may not be in its wait yet: signal until it has come back from it.
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        var isBack = false
        while !isBack && ContinuousClock.now < deadline {
            target.signal()
            isBack = try control.wait(for: .readable, timeoutMilliseconds: 5)
        }
        // Ends the wait, should the signal not have done so.
        context.shutdown()
        thread.join()
        #expect(isBack)
        #expect(outcome.flag == false)
        #expect(outcome.code == 0)
    }

    @Test("send, receive and the end of a context go on under a storm of signals")
    func interruptedTransfer() throws {
        let stopContext = try Context()
        let target = SignalTarget()
        let outcome = Outcome()
        let thread = TestThread {
            target.acceptSignals()
            do { outcome.flag = try Self.transfer(5_000) } catch { outcome.code = 1 }
            stopContext.shutdown()
        }
        var stop = try Socket(stopContext, .pull, options: testOptions)
        var signalCount = 0
        while !fails(.wait, with: ETERM, { _ = try stop.wait(for: .readable, timeoutMilliseconds: 0) }) {
            if target.isReady { signalCount += target.signal() }
            usleep(20)
        }
        thread.join()
        #expect(outcome.flag)
        #expect(outcome.code == 0)
        #expect(signalCount > 100)
    }

    /// Sends numbered messages to itself.
    private static func transfer(_ count: UInt64) throws -> Bool {
        let context = try Context()
        var left = try Socket(context, .pair, options: testOptions)
        try left.bind("tcp://127.0.0.1:*")
        var right = try Socket(context, .pair, options: testOptions)
        try right.connect(left.lastEndpoint)
        for index in 0..<count {
            try left.sendAll(numberedMessage(index))
            if try number(of: right.receivePatiently()) != index { return false }
        }
        return true
    }
}

extension Socket {
    /// As `receiveAll`, where a wait may end early any number of times.
    fileprivate mutating func receivePatiently() throws -> [UInt8] {
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        while !(try wait(for: .readable, timeoutMilliseconds: 1_000)) {
            try #require(ContinuousClock.now < deadline, "nothing came in time")
        }
        return try receiveAll()
    }
}

/// The thread that gets the signals, once it has said so.
private final class SignalTarget: @unchecked Sendable {
    // Unchecked: the lock-free flag is set after the thread is known, and read before it is used.
    private var thread = pthread_self()
    private let readiness = Atomic(false)

    var isReady: Bool { readiness.load(ordering: .acquiring) }

    /// Makes the calling thread the target: SIGUSR2 then interrupts its calls, and does nothing else.
    func acceptSignals() {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in }
        sigaction(SIGUSR2, &action, nil)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGUSR2)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        thread = pthread_self()
        readiness.store(true, ordering: .releasing)
    }

    /// Sends one signal; returns 1, to be counted.
    @discardableResult
    func signal() -> Int {
        pthread_kill(thread, SIGUSR2)
        return 1
    }
}
