import ArgumentParser
import CPlatform
import Foundation
import Pipeline
import Wire
import ZeroMQ

struct SubscribeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscribe",
        abstract: "Shows the signals of a processor: a live table for people, JSON or CSV for programs.",
        discussion: """
            The table shows the newest signal of each topic and horizon; in a pipe it prints some rows a second. JSON and CSV \
            print every signal and every gap, one a line. What was lost is counted and said at the end.

              martlet subscribe tcp://127.0.0.1:5557
              martlet subscribe tcp://127.0.0.1:5557 --topic sig/default/MARTLET.SIM/ --format csv > signals.csv
            """)

    enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
        case table, json, csv
    }

    @Argument(help: "The processor's output. '@' in front binds.")
    var endpoint: String

    @Option(help: "Topic prefix. Default: sig/ (every model and instrument).")
    var topic: String?

    @Option(help: "table, json or csv. Default: table.")
    var format: OutputFormat?

    @Flag(help: "End when every stream has ended its session.")
    var once = false

    @Option(help: "Give up after so many seconds without a message; 0 waits for ever. Default: 0.")
    var timeout: Double?

    @OptionGroup var configuration: ConfigurationOption

    /// Between looks at the socket while nothing comes: also how fast an interruption is seen.
    private static let waitMilliseconds = 100

    mutating func run() async throws {
        let settings = try await Settings(Self.self, path: configuration.config)
        let prefix = try settings.value(topic, "topic", default: "sig/")
        let kinds = ["sig/", "md/", "def/"]
        guard kinds.contains(where: { prefix.hasPrefix($0) || $0.hasPrefix(prefix) }) else {
            throw CommandError(
                .usage, "--topic '\(prefix)' is wrong; expected a prefix that begins with sig/, md/ or def/")
        }
        let format = try settings.value(format, "format", default: .table)
        let endsWithSessions = try settings.flag(once, "once")
        let timeout = try silenceSeconds(settings, timeout)
        Interruption.install()
        var reader = SignalReader()
        var output = SignalOutput(format)
        do {
            let context = try Context()
            var socket = try Socket(context, .sub, options: Subscriptions.options)
            try socket.subscribe(prefix)
            try Endpoint(endpoint, bindsByDefault: false).attach(&socket)
            var message = Message()
            var heard = martlet_monotonic_ns()
            while !Interruption.control.isStopRequested, !(endsWithSessions && reader.allSessionsEnded) {
                guard case .received = try socket.receive(into: &message) else {
                    output.refresh(reader)
                    _ = try socket.wait(for: .readable, timeoutMilliseconds: SubscribeCommand.waitMilliseconds)
                    if let timeout, Double(martlet_monotonic_ns() - heard) > timeout * 1e9 {
                        output.finish(reader)
                        throw CommandError(.unavailable, "nothing has come for \(timeout) s")
                    }
                    continue
                }
                heard = martlet_monotonic_ns()
                reader.read(message.bytes) { output.show($0, $1) }
                output.refreshIfDue(reader)
            }
        } catch let error as ZeroMQError {
            throw CommandError(.unavailable, "\(error)")
        }
        output.finish(reader)
    }
}
