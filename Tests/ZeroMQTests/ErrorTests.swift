import CZeroMQ
import Testing

@testable import ZeroMQ

struct ErrorTests {
    @Test(
        "an endpoint that cannot be bound is a typed error that names it",
        arguments: [
            ("", EINVAL), ("nonsense", EINVAL), ("tcp://", EINVAL), ("tcp://127.0.0.1", EINVAL),
            ("tcp://127.0.0.1:99999", EINVAL), ("tcp://127.0.0.1:x", EINVAL),
            ("tcp://127.0.0.1:5\0556", EINVAL),
            ("tcp://127.0.0.1:65536", EINVAL), ("tcp://127.0.0.1:5556x", EINVAL),
            ("tcp://127.0.0.1:-1", EINVAL),
            ("tcp://127.0.0.1:", EINVAL), ("tcp://127.0.0.1:99999999999999999999", EINVAL),
            ("tcp://no-such-interface:5556", ENODEV), ("tcp://8.8.8.8:5556", EADDRNOTAVAIL),
            ("carrier-pigeon://x", EPROTONOSUPPORT), ("udp://127.0.0.1:5556", ENOCOMPATPROTO),
            ("inproc://", EINVAL), ("ipc:///proc/no/socket", ENOENT),
            ("ipc:///\(String(repeating: "x", count: 200))", ENAMETOOLONG),
        ])
    func rejectsBind(endpoint: String, code: Int32) throws {
        let context = try Context()
        var socket = try Socket(context, .pub, options: testOptions)
        #expect(throws: ZeroMQError(.bind, code: code, endpoint: endpoint)) { try socket.bind(endpoint) }
        #expect(socket.lastEndpoint == "")
        try socket.bind("tcp://127.0.0.1:*")
    }

    @Test(
        "an endpoint that cannot be connected to is a typed error that names it",
        arguments: [
            ("", EINVAL), ("tcp://127.0.0.1:*", EINVAL), ("tcp://127.0.0.1:0", EINVAL),
            ("tcp://127.0.0.1:65537", EINVAL),
            ("tcp://127.0.0.1:1\0", EINVAL), ("carrier-pigeon://x", EPROTONOSUPPORT),
        ])
    func rejectsConnect(endpoint: String, code: Int32) throws {
        let context = try Context()
        var socket = try Socket(context, .sub, options: testOptions)
        #expect(throws: ZeroMQError(.connect, code: code, endpoint: endpoint)) {
            try socket.connect(endpoint)
        }
    }

    @Test(
        "an address in use is a typed error that says what to do",
        arguments: ["tcp://127.0.0.1:*", "inproc://used"])
    func addressInUse(endpoint: String) throws {
        let context = try Context()
        var first = try Socket(context, .pub, options: testOptions)
        try first.bind(endpoint)
        var second = try Socket(context, .pub, options: testOptions)
        let taken = first.lastEndpoint
        #expect(throws: ZeroMQError(.bind, code: EADDRINUSE, endpoint: taken)) { try second.bind(taken) }
        let line = ZeroMQError(.bind, code: EADDRINUSE, endpoint: taken).description
        #expect(line.hasPrefix("ZeroMQ: cannot bind \"\(taken)\": Address already in use (EADDRINUSE). "))
        #expect(line.contains("choose another port"))
    }

    @Test("what is not there is a folder to one who binds, and an endpoint to one who lets go")
    func notThere() {
        let folder = ZeroMQError(.bind, code: ENOENT, endpoint: "ipc:///no/socket").description
        #expect(folder.contains("The folder of that path does not exist"))
        #expect(ZeroMQError(.unbind, code: ENOENT).description.contains("Nothing is bound or connected"))
    }

    @Test("what a kind of socket cannot do is a typed error")
    func wrongKind() throws {
        let context = try Context()
        var message = Message()
        var publisher = try Socket(context, .pub, options: testOptions)
        #expect(fails(.receive, with: ENOTSUP) { _ = try publisher.receive(into: &message) })
        #expect(fails(.subscribe, with: EINVAL) { try publisher.subscribe("md/") })
        var subscriber = try Socket(context, .sub, options: testOptions)
        #expect(fails(.send, with: ENOTSUP) { _ = try subscriber.send(bytes(1).span.bytes) })
        #expect(fails(.unbind, with: ENOENT) { try subscriber.unbind("tcp://127.0.0.1:1") })
        #expect(fails(.disconnect, with: ENOENT) { try subscriber.disconnect("tcp://127.0.0.1:1") })
    }

    @Test("a router's message to a peer that is gone is an error, not a silent loss")
    func unroutable() throws {
        let context = try Context()
        var router = try Socket(context, .router, options: testOptions)
        try router.bind("tcp://127.0.0.1:*")
        do {
            _ = try router.send(bytes(1, 2, 3).span.bytes, more: true)
            Issue.record("nobody is there")
        } catch {
            #expect(error.isUnroutable)
            #expect(!error.isTerminated)
        }
    }

    @Test(
        "every errno has a line, also one that this module does not know",
        arguments: [0, 1, 9_999, -1, ETERM])
    func describesAnyErrno(code: Int32) {
        let line = ZeroMQError(.send, code: code).description
        #expect(line.hasPrefix("ZeroMQ: cannot send: "))
        #expect(!line.contains("\n"))
        #expect(ZeroMQError(.send, code: 9_999).codeName == "errno 9999")
        #expect(ZeroMQError(.send, code: ETERM).codeName == "ETERM")
    }

    @Test(
        "an error that a user can mend says how",
        arguments: [
            EADDRINUSE, EADDRNOTAVAIL, EACCES, ENODEV, EPROTONOSUPPORT, ENOCOMPATPROTO, EINVAL, ETERM, EMFILE,
        ])
    func givesAdvice(code: Int32) {
        let error = ZeroMQError(.bind, code: code, endpoint: "tcp://x:1")
        #expect(!error.codeName.hasPrefix("errno"))
        #expect(error.description.contains("(\(error.codeName)). "))
    }
}
