import ArgumentParser
import Configuration
import Foundation
import SystemPackage

/// A command's options from the command line, the environment and a YAML file, in this order.
struct Settings {
    private let reader: ConfigReader
    private let command: String

    /// - Parameter path: a YAML file with one mapping for each command; nil for none.
    init(command: String, path: String?) async throws {
        self.command = command
        let environment = EnvironmentVariablesProvider().prefixKeys(with: "martlet")
        guard let path else {
            reader = ConfigReader(provider: environment)
            return
        }
        guard FileManager.default.isReadableFile(atPath: path) else {
            throw CommandError(.noInput, "\(path): the configuration file cannot be read")
        }
        do {
            reader = ConfigReader(providers: [environment, try await FileProvider<YAMLSnapshot>(filePath: .init(path))])
        } catch {
            throw CommandError(.usage, "\(path): not a YAML mapping of options: \(error)")
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
        case is Int.Type: "a whole number"
        case is Double.Type: "a number"
        default: "a text"
        }
    }
}

/// The option that names the YAML file.
struct ConfigurationOption: ParsableArguments {
    @Option(name: .long, help: "A YAML file with options, one mapping for each command.")
    var config: String?
}
