public import Foundation
import Glibc

/// A Python script from `python/oracles/` that runs beside a test and talks with it by lines.
///
/// The interpreter is the one that the environment variable `MARTLET_PYTHON` names; tests that need it say
/// `.enabled(if: PythonProcess.isAvailable, "MARTLET_PYTHON is not set")`. Every wait has a limit, and a
/// script that is still running when its object goes is killed.
public final class PythonProcess {
    /// What went wrong, for the test's report.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public static let isAvailable = ProcessInfo.processInfo.environment["MARTLET_PYTHON"] != nil

    /// The root of the repository, found from where this file was compiled.
    public static let repository = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var buffered: [UInt8] = []

    /// Starts `python/oracles/<script>` with the arguments. What it writes to standard error goes to the
    /// test's.
    public init(_ script: String, _ arguments: [String]) throws {
        guard let python = ProcessInfo.processInfo.environment["MARTLET_PYTHON"] else {
            throw Failure(description: "MARTLET_PYTHON is not set")
        }
        let path = PythonProcess.repository.appending(path: "python/oracles").appending(path: script).path
        process.executableURL = URL(filePath: python)
        process.arguments = [path] + arguments
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }

    /// The next line that the script prints, without its end.
    public func readLine(timeoutSeconds: Double = 60) throws -> String {
        let deadline = Date(timeIntervalSinceNow: timeoutSeconds)
        while true {
            if let end = buffered.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: buffered[..<end], as: UTF8.self)
                buffered.removeSubrange(...end)
                return line
            }
            try readMore(until: deadline)
        }
    }

    /// The next line, as a JSON object of numbers.
    public func readNumbers(timeoutSeconds: Double = 60) throws -> [String: Int] {
        let line = try readLine(timeoutSeconds: timeoutSeconds)
        return try JSONDecoder().decode([String: Int].self, from: Data(line.utf8))
    }

    /// Gives the script a line on its standard input.
    public func write(line: String) throws {
        try input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    }

    /// Ends the script's standard input.
    public func closeInput() throws {
        try input.fileHandleForWriting.close()
    }

    /// Kills the script, as a crash or a power cut would, and waits until it is gone.
    public func crash() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Stops the script where it is (`SIGSTOP`), or lets it go on.
    public func setPaused(_ isPaused: Bool) {
        kill(process.processIdentifier, isPaused ? SIGSTOP : SIGCONT)
    }

    private func readMore(until deadline: Date) throws {
        let milliseconds = Int32(max(0, deadline.timeIntervalSinceNow) * 1_000)
        let descriptor = output.fileHandleForReading.fileDescriptor
        var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let readyCount = poll(&item, 1, milliseconds)
        if readyCount < 0 && errno == EINTR { return }
        guard readyCount > 0 else { throw Failure(description: "the script printed no line in time") }
        var chunk = [UInt8](repeating: 0, count: 4_096)
        let readCount = read(descriptor, &chunk, chunk.count)
        guard readCount > 0 else { throw Failure(description: "the script ended before it printed a line") }
        buffered += chunk.prefix(readCount)
    }
}
