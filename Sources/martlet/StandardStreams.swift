import Foundation
import MarketData

/// Text to standard error. What cannot be written is given up: there is nobody left to tell.
enum StandardError {
    /// One line, with the program's name in front.
    static func say(_ text: String) { write("martlet: \(text.singleLine)\n") }

    static func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = unsafe Foundation.write(STDERR_FILENO, bytes, bytes.count)
    }
}

/// What may not be known. Its key is in the JSON object all the same, with null, so that a reader need not guess.
@propertyWrapper
struct OrNull<Value: Encodable>: Encodable {
    var wrappedValue: Value?

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        try value.encode(wrappedValue)
    }
}

/// Text to standard output, without a buffer of its own. What cannot be written ends the program with one line; a reader
/// that has gone ends it as SIGPIPE does, without a word.
enum StandardOutput {
    /// One line, or several.
    static func print(_ text: String) { write(text + "\n") }

    /// One object on one line, its keys in snake case and in order.
    static func print(json value: some Encodable) throws { print(try json(value)) }

    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Foundation.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EPIPE {
                signal(SIGPIPE, SIG_DFL)
                raise(SIGPIPE)
            } else if errno == EAGAIN {
                // Whoever shares the stream has made it one that does not wait: the wait is done here.
                var stream = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
                _ = unsafe poll(&stream, 1, -1)
            } else if errno != EINTR {
                CommandError(.noInput, "standard output cannot be written: \(String(cString: strerror(errno)))").exit()
            }
        }
    }
}
