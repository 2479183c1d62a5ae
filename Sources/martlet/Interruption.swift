import CPlatform
import Foundation
import MarketData
import Pipeline
import Synchronization

/// SIGINT and SIGTERM ask the pipeline to stop; a second one ends the process at once.
enum Interruption {
    static let control = PipelineControl()
    /// When the first came, monotonic nanoseconds.
    private static let firstAt = Atomic<UInt64>(0)
    private static let firstNumber = Atomic<Int32>(0)
    /// A second signal within this time is of the same key press: a shell may pass on what the terminal has sent as well.
    private static let graceNanoseconds: UInt64 = 500_000_000

    static func install() {
        // Made before a handler may need them.
        _ = control.isStopRequested
        _ = firstAt.load(ordering: .relaxed)
        _ = firstNumber.load(ordering: .relaxed)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                let first = Interruption.firstAt.load(ordering: .relaxed)
                guard first == 0 || martlet_monotonic_ns() - first <= Interruption.graceNanoseconds else {
                    _exit(128 + number)
                }
                Interruption.begin(number)
            }
        }
    }

    /// What the first signal does; also for a command that ends itself.
    static func begin(_ number: Int32) {
        if firstAt.compareExchange(expected: 0, desired: martlet_monotonic_ns(), ordering: .relaxed).exchanged {
            firstNumber.store(number, ordering: .relaxed)
        }
        control.requestStop()
    }

    /// What a process exits with that the first signal has ended.
    static var exitCode: Int32 { 128 + firstNumber.load(ordering: .relaxed) }
}

/// A command that writes a file or a folder of them: an interruption ends it at the next sign of progress, and leaves no
/// part of that.
struct UnfinishedFile {
    private let path: String

    /// - Parameter path: where it is written before it gets its name.
    init(_ path: String) {
        self.path = path
        Interruption.install()
    }

    /// Ends the process if it has been asked to.
    func endIfInterrupted() {
        guard Interruption.control.isStopRequested else { return }
        remove()
        StandardError.say("interrupted: nothing was written")
        exit(Interruption.exitCode)
    }

    /// Removes what was written so far. What cannot be removed stays, as there is nothing else to be done about it.
    func remove() {
        do { try FileManager.default.removeItem(atPath: path) } catch { return }
    }
}

/// Progress of long work, in one line that is rewritten; on a terminal only.
struct ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let start = DispatchTime.now().uptimeNanoseconds
    private var next: UInt64 = 0

    /// Rewrites the line at most ten times a second.
    mutating func show(_ text: @autoclosure () -> String) {
        guard isTerminal else { return }
        let now = DispatchTime.now().uptimeNanoseconds
        guard now >= next else { return }
        next = now + 100_000_000
        StandardError.write("\r\u{1B}[K\(text().singleLine)")
    }

    /// Rate and time to go, when the total is known.
    mutating func show(_ what: String, done: Int, total: Int?) {
        let seconds = max(Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9, 1e-9)
        let rate = Double(done) / seconds
        guard let total, total > 0, done > 0 else {
            show("\(what): \(Format.count(done)), \(Format.rate(rate))/s")
            return
        }
        let left = Double(max(total - done, 0)) / rate
        show(
            "\(what): \(100 * done / total) %, \(Format.rate(rate))/s, "
                + "\(Int(left.rounded(.up))) s to go")
    }

    func clear() {
        if isTerminal { StandardError.write("\r\u{1B}[K") }
    }
}

/// Numbers for people.
enum Format {
    /// 147,916
    static func count(_ value: Int) -> String {
        var digits = Array(String(abs(value)))
        var index = digits.count - 3
        while index > 0 {
            digits.insert(",", at: index)
            index -= 3
        }
        return (value < 0 ? "-" : "") + String(digits)
    }

    /// 1.23 M
    static func rate(_ value: Double) -> String {
        if value >= 1e6 { return String(format: "%.2f M", value / 1e6) }
        if value >= 1e4 { return String(format: "%.1f k", value / 1e3) }
        return String(format: "%.0f", value)
    }

    /// Nanoseconds as ns, µs or ms.
    static func duration(_ nanoseconds: UInt64) -> String {
        switch nanoseconds {
        case ..<10_000: "\(nanoseconds) ns"
        case ..<10_000_000: String(format: "%.1f µs", Double(nanoseconds) / 1e3)
        default: String(format: "%.1f ms", Double(nanoseconds) / 1e6)
        }
    }

    static func ratio(_ value: Double?) -> String { value.map { String(format: "%.3f", $0) } ?? "-" }

    static func percent(_ value: Double?) -> String { value.map { String(format: "%.1f %%", 100 * $0) } ?? "-" }
}
