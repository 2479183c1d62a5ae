import CZeroMQ

/// What libzmq refused: which operation, with which errno, on which endpoint or option.
///
/// Expected outcomes (nothing to receive, no room to send, a wait that timed out) are results, never errors,
/// and an interrupting signal is neither: the call is repeated.
public struct ZeroMQError: Error, Equatable, Sendable {
    /// The call that failed.
    public enum Operation: String, Equatable, Sendable {
        case createContext = "create context"
        case createSocket = "create socket"
        case setOption = "set option"
        case readOption = "read option"
        case bind = "bind"
        case unbind = "unbind"
        case connect = "connect"
        case disconnect = "disconnect"
        case subscribe = "subscribe"
        case unsubscribe = "unsubscribe"
        case send = "send"
        case receive = "receive"
        case wait = "wait"
        case makeKeys = "make keys"
    }

    public let operation: Operation
    /// The errno as libzmq reported it: the system's, or one of libzmq's own, which are larger than
    /// 156,384,712.
    public let code: Int32
    /// The endpoint, where the operation has one.
    public let endpoint: String?
    /// The libzmq name of the option, where the operation has one.
    public let option: String?

    init(_ operation: Operation, code: Int32, endpoint: String? = nil, option: String? = nil) {
        self.operation = operation
        self.code = code
        self.endpoint = endpoint
        self.option = option
    }

    /// The context was shut down: the thread that used the socket should end.
    public var isTerminated: Bool { code == ETERM }

    /// The receiver that a ROUTER addressed is gone.
    public var isUnroutable: Bool { code == EHOSTUNREACH }
}

extension ZeroMQError: CustomStringConvertible {
    /// One line: what failed, on what, why, and what to do about it.
    public var description: String {
        var line = "ZeroMQ: cannot \(operation.rawValue)"
        if let option { line += " \(option)" }
        if let endpoint { line += " \"\(endpoint)\"" }
        line += ": \(reason) (\(codeName))"
        if let advice { line += ". \(advice)" }
        return line
    }

    private var reason: String {
        // A static text of libzmq's or of the C library's: nothing to free.
        guard let text = zmq_strerror(code) else { return "unknown error" }
        return String(cString: text)
    }

    /// The errno's symbol, or its number where this module has no name for it.
    public var codeName: String {
        ZeroMQError.table.first { $0.code == code }?.name ?? "errno \(code)"
    }

    private var advice: String? {
        if operation == .setOption || operation == .createContext, code == EINVAL {
            return "The value is out of the range that docs/ZEROMQ.md gives for this option"
        }
        if operation == .bind, code == ENOENT {
            return "The folder of that path does not exist: make it, or choose another"
        }
        return ZeroMQError.table.first { $0.code == code }?.advice
    }

    private struct Entry: Sendable {
        let code: Int32
        let name: String
        let advice: String?
    }

    /// What each errno means for someone who runs the program. Cold: read only when an error is printed.
    private static let table: [Entry] = [
        Entry(
            code: EADDRINUSE, name: "EADDRINUSE",
            advice: "Another socket is bound there: stop that process, or choose another port"
                + " (port * takes a free one)"),
        Entry(
            code: EADDRNOTAVAIL, name: "EADDRNOTAVAIL",
            advice: "The address is not one of this machine or no such endpoint is bound: bind to one of its"
                + " addresses, or to 127.0.0.1"),
        Entry(
            code: EACCES, name: "EACCES",
            advice: "The system forbids it: use a port above 1023, or a path for ipc that this user may write"
        ),
        Entry(
            code: ENODEV, name: "ENODEV",
            advice: "No such network interface or host: bind to a numeric address, to an interface's name,"
                + " or to *"),
        Entry(
            code: EPROTONOSUPPORT, name: "EPROTONOSUPPORT",
            advice: "The transport is unknown here: use tcp://HOST:PORT, ipc://PATH or inproc://NAME"),
        Entry(
            code: ENOCOMPATPROTO, name: "ENOCOMPATPROTO",
            advice: "This kind of socket cannot use that transport: use tcp, ipc or inproc"),
        Entry(
            code: EINVAL, name: "EINVAL",
            advice:
                "The endpoint must look like tcp://HOST:PORT (port 1 to 65535, or * to bind to a free one),"
                + " ipc://PATH or inproc://NAME"),
        Entry(
            code: ENOENT, name: "ENOENT",
            advice: "Nothing is bound or connected to that endpoint: use the text that was given then"),
        Entry(
            code: ENAMETOOLONG, name: "ENAMETOOLONG",
            advice: "A path for ipc has at most 107 bytes: use a shorter one"),
        Entry(
            code: ETERM, name: "ETERM",
            advice: "The context was shut down: drop the socket and end its thread"),
        Entry(
            code: EMFILE, name: "EMFILE",
            advice: "Too many sockets or open files: raise maxSockets or `ulimit -n`"),
        Entry(
            code: EHOSTUNREACH, name: "EHOSTUNREACH",
            advice: "The peer with that routing id is gone: forget it"),
        Entry(
            code: ENOTSUP, name: "ENOTSUP",
            advice:
                "This kind of socket cannot do that: PUB and PUSH only send, SUB and PULL only receive"
        ),
        Entry(
            code: EFSM, name: "EFSM",
            advice: "The socket is not in a state for it: finish the message that was begun first"),
        Entry(
            code: EMTHREAD, name: "EMTHREAD",
            advice: "No input/output thread is left: make the context with at least one"),
        Entry(code: ENOMEM, name: "ENOMEM", advice: "Memory is used up: lower the high-water marks"),
        Entry(
            code: EAFNOSUPPORT, name: "EAFNOSUPPORT", advice: "This machine has no IPv6: turn it off"),
        Entry(code: ENOTSOCK, name: "ENOTSOCK", advice: nil),
        Entry(code: EFAULT, name: "EFAULT", advice: nil),
    ]
}
