import ArgumentParser
import CPlatform
import DBN
import Feeds
import Foundation
import Recorder

/// The command line: wiring and exit codes, no logic.
@main
struct Martlet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "Market data in over ZeroMQ, predictions out, in the time of one tick.",
        discussion: """
            A first run, in three terminals:
              martlet run --model models/default.onnx --output tcp://127.0.0.1:5557
              martlet subscribe tcp://127.0.0.1:5557
              martlet replay feeds/*.dbn.zst --output tcp://127.0.0.1:5556 --subscribers 1 --speed 100

            Endpoints are ZeroMQ's (tcp://HOST:PORT, ipc://PATH); '@' in front binds, '>' connects, as in CZMQ; without either, \
            inputs connect and outputs bind. Each option, but those of bench and model, can also be given in the environment \
            (MARTLET_RUN_WORKERS=2) or in a YAML file (--config FILE, 'run: {workers: 2}'); the command line wins, then the \
            environment, then the file. A name that no option has is refused.

            Exit codes: 0 done; 64 wrong use; 65 bad input data; 66 a file that cannot be opened or written; 69 a socket \
            that cannot be used, a subscriber that left or was too slow, or nothing for the seconds of --timeout; 70 a fault of \
            the program; 78 this processor lacks what the program was built for; 130 and 143 interrupted by SIGINT or \
            SIGTERM before a file was written, or a second one half a second or more after the first, which ends the \
            process at once; 141 the reader of standard output has gone.
            """,
        subcommands: [
            RunCommand.self, ReplayCommand.self, SubscribeCommand.self, ScoreCommand.self, FeaturesCommand.self,
            ConvertCommand.self, InspectCommand.self, SimulateCommand.self, ModelCommand.self, BenchCommand.self,
        ])

    /// Commands whose options a YAML file can give.
    static let settableCommands = configuration.subcommands
        .filter { $0 != BenchCommand.self && $0 != ModelCommand.self }.map { $0._commandName }

    static func main() async {
        Martlet.openStandardStreams()
        // A reader of standard error that has gone must not end a command that still has work to do.
        signal(SIGPIPE, SIG_IGN)
        if let missing = martlet_cpu_supports_build_level() {
            CommandError(
                .configuration,
                "this processor has no \(String(cString: missing)); the program was built for "
                    + "\(String(cString: martlet_build_level()))"
            ).exit()
        }
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as CommandError {
            error.exit()
        } catch {
            // Help that was asked for is no failure; a mistake is one line, as all others.
            let text = oneLine(message(for: error))
            switch exitCode(for: error) {
            case .success: exit(withError: error)
            case .validationFailure:
                CommandError(.usage, "\(text); 'martlet --help' and 'martlet COMMAND --help' say more").exit()
            default: CommandError(.software, text).exit()
            }
        }
    }
}

extension Martlet {
    /// A stream that the caller has closed becomes the null device: else the next file opened would take its number.
    private static func openStandardStreams() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number is the one that is missing.
            guard open("/dev/null", O_RDWR) == descriptor else { return }
        }
    }
}

/// One line on standard error and an exit code: how every command fails.
struct CommandError: Error, CustomStringConvertible {
    /// Values of `sysexits.h`.
    enum Code: Int32 {
        case usage = 64
        case data = 65
        case noInput = 66
        case unavailable = 69
        case software = 70
        case configuration = 78
    }

    let code: Code
    let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    /// What a library threw: a file that the system refuses is told from data that are wrong.
    init(_ error: any Error) {
        if let error = error as? CommandError {
            self = error
            return
        }
        let code: Code =
            switch error {
            case let error as DBNError:
                switch error.reason {
                case .file, .notRegularFile: .noInput
                default: .data
                }
            case FeedError.file, FeedError.output, NPYError.system, FeatureExport.Failure.array: .noInput
            case FeedError.option, is SimulatorError: .usage
            default: .data
            }
        self.init(code, oneLine(error))
    }

    func exit() -> Never {
        StandardError.say(description)
        Foundation.exit(code.rawValue)
    }
}
