import ArgumentParser
import Configuration
import Foundation
import SystemPackage
import Yams

/// A command's options from the command line, the environment and a YAML file, in this order.
struct Settings {
    private let reader: ConfigReader
    private let command: String

    /// - Parameter path: a YAML file with one mapping for each command; nil for none.
    /// - Throws: `CommandError` for a file that cannot be read, and for any name in the file or the environment that no
    ///   option has: a mistyped name would else be an option that is silently not set.
    init<Command: ParsableCommand>(_ type: Command.Type, path: String?) async throws {
        command = Command._commandName
        let options = try OptionNames(of: type)
        try options.checkEnvironment(of: command)
        let environment = EnvironmentVariablesProvider().prefixKeys(with: "martlet")
        guard let path else {
            reader = ConfigReader(provider: environment)
            return
        }
        let text = try SmallFile.read(path, "the configuration file", byteCountMax: OptionNames.fileByteCountMax)
        do {
            guard try options.checkFile(text, path: path, command: command) else {
                reader = ConfigReader(provider: environment)
                return
            }
            reader = ConfigReader(providers: [environment, try await FileProvider<YAMLSnapshot>(filePath: .init(path))])
        } catch let error as CommandError {
            throw error
        } catch {
            throw CommandError(.usage, "\(path): not a YAML mapping of options: \(oneLine(error))")
        }
    }

    /// The option's value, if it is given anywhere.
    func value<Value: ExpressibleByArgument>(_ flag: Value?, _ key: String) throws -> Value? {
        if let flag { return flag }
        guard let text = reader.string(forKey: path(key)) else { return nil }
        guard let value = Value(argument: text) else {
            let allowed = Value.allValueStrings
            let hint =
                allowed.isEmpty
                ? "expected \(name(of: Value.self))" : "expected one of \(allowed.joined(separator: ", "))"
            throw CommandError(.usage, "option '\(command).\(key)': '\(text)' is wrong; \(hint)")
        }
        return value
    }

    func value<Value: ExpressibleByArgument>(_ flag: Value?, _ key: String, default fallback: Value) throws -> Value {
        try value(flag, key) ?? fallback
    }

    /// A flag that is set by its presence, or by `true` elsewhere.
    func flag(_ flag: Bool, _ key: String) throws -> Bool {
        if flag { return true }
        guard let text = reader.string(forKey: path(key)) else { return false }
        switch text.lowercased() {
        case "true", "yes", "1": return true
        case "false", "no", "0": return false
        default: throw CommandError(.usage, "option '\(command).\(key)': '\(text)' is wrong; expected true or false")
        }
    }

    /// An option that can be given several times; in the environment separated by semicolons, in the file a list.
    func values(_ flags: [String], _ key: String) throws -> [String] {
        if !flags.isEmpty { return flags }
        if let text = reader.string(forKey: path(key)) {
            return text.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        return reader.stringArray(forKey: path(key)) ?? []
    }

    private func path(_ key: String) -> ConfigKey { ConfigKey("\(command).\(key)") }

    private func name<Value>(of type: Value.Type) -> String {
        switch type {
        case is Int.Type, is UInt32.Type, is UInt64.Type: "a whole number"
        case is Double.Type: "a number"
        default: "a text"
        }
    }
}

/// The names that a command's options have, as its help lists them, against which the other sources are checked.
private struct OptionNames {
    /// What `_dumpHelp` says of a command, as far as it is needed.
    private struct Dump: Decodable {
        struct Name: Decodable { let kind, name: String }
        struct Argument: Decodable {
            let kind: String
            let isRepeating: Bool
            let names: [Name]?
        }
        struct Command: Decodable { let arguments: [Argument]? }
        let command: Command
    }

    /// By name: whether the option may be given several times. A positional argument is on the command line alone.
    private var isRepeating: [String: Bool] = [:]
    /// Options that say where the others are, or what can be said, and so stand on the command line alone.
    private static let commandLineOnly: Set = ["config", "help", "version"]
    /// Far above a file with every option of every command.
    static let fileByteCountMax = 1 << 20

    init<Command: ParsableCommand>(of type: Command.Type) throws {
        let dump = try JSONDecoder().decode(Dump.self, from: Data(type._dumpHelp().utf8))
        for argument in dump.command.arguments ?? [] where argument.kind != "positional" {
            for name in argument.names ?? [] where name.kind == "long" && !Self.commandLineOnly.contains(name.name) {
                isRepeating[name.name] = argument.isRepeating
            }
        }
    }

    private var all: String { isRepeating.keys.sorted().joined(separator: ", ") }

    /// Refuses variables that begin as this command's do and name no option of it.
    func checkEnvironment(of command: String) throws {
        let prefix = "MARTLET_" + OptionNames.variable(command) + "_"
        let known = Set(isRepeating.keys.map { prefix + OptionNames.variable($0) })
        let given = ProcessInfo.processInfo.environment.keys.filter { $0.hasPrefix(prefix) }
        for name in given.sorted() where !known.contains(name) {
            throw CommandError(
                .usage, "the environment's \(name) names no option of '\(command)'; it has \(all)")
        }
    }

    private static func variable(_ name: String) -> String {
        name.uppercased().replacingOccurrences(of: "-", with: "_")
    }

    /// Refuses keys of the command's mapping that name no option, and values that no option takes.
    ///
    /// - Returns: false if nothing stands in the file, comments apart.
    func checkFile(_ text: Data, path: String, command: String) throws -> Bool {
        guard let root = try Yams.Parser(yaml: text).singleRoot(), root.null == nil else { return false }
        guard let commands = root.mapping else {
            throw CommandError(.usage, "\(path): not a mapping; expected for example 'run: {workers: 2}'")
        }
        for (key, node) in commands {
            let name = key.string ?? ""
            guard Martlet.settableCommands.contains(name) else {
                throw CommandError(
                    .usage,
                    "\(path):\(line(key)): '\(name)' is no command; expected one of "
                        + Martlet.settableCommands.joined(separator: ", "))
            }
            // Of a command all of whose options are comments nothing is left but its name.
            guard name == command, node.null == nil else { continue }
            guard let options = node.mapping else {
                throw CommandError(.usage, "\(path):\(line(key)): '\(name)' is no mapping of options")
            }
            for (key, value) in options { try check(key, value, path, command) }
        }
        return true
    }

    private func check(_ key: Node, _ value: Node, _ path: String, _ command: String) throws {
        let name = key.string ?? ""
        guard let isRepeating = isRepeating[name] else {
            throw CommandError(
                .usage, "\(path):\(line(key)): '\(name)' is no option of '\(command)'; it has \(all)")
        }
        let isTaken = value.scalar != nil || isRepeating && value.sequence?.allSatisfy { $0.scalar != nil } ?? false
        guard isTaken else {
            throw CommandError(
                .usage,
                "\(path):\(line(key)): '\(name)' is wrong; expected one value\(isRepeating ? " or a list of them" : "")"
            )
        }
    }

    private func line(_ node: Node) -> Int { node.mark?.line ?? 1 }
}

/// An error's text without line breaks: every failure is one line.
func oneLine(_ error: Any) -> String {
    "\(error)".split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
        .joined(separator: "; ")
}

/// The option that names the YAML file.
struct ConfigurationOption: ParsableArguments {
    @Option(name: .long, help: "A YAML file with options, one mapping for each command.")
    var config: String?
}
