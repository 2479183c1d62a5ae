import Testing
import Wire

@Suite struct TopicTests {
    @Test(arguments: [
        "", "/", "md", "md/", "md/X/", "md/X/A", "md//A/", "md/X//", "md/X/A/B/", "sig/X/A/", "sig//X/A/",
        "def/X/",
        "xx/X/A/", "MD/X/A/", "/md/X/A/", "md/X/%/", "md/X/%2/", "md/X/%2f/", "md/X/%41/", "md/X/%G0/",
        "md/X/A\n/",
        "md/X/A\u{85}/", "md/X/A\0/", "md/X/%FF/", "md/X/%C2/", "md/X/A/\0",
    ])
    func `A text that no topic has is refused`(text: String) {
        #expect(Topic.parse(Array(text.utf8)) == nil)
    }

    @Test func `Bytes that are not UTF-8 and texts that are too long are refused`() {
        #expect(Topic.parse(Array("md/X/".utf8) + [0xFF, UInt8(ascii: "/")]) == nil)
        #expect(Topic.parse(Array("md/X/".utf8) + Array(repeating: 65, count: 506) + Array("/".utf8)) == nil)
        #expect(Topic.parse(Array("md/X/".utf8) + Array(repeating: 65, count: 505) + Array("/".utf8)) != nil)
    }

    @Test func `Names that make no topic are typed errors`() {
        #expect(throws: WireError(.topicText, at: 3)) { try Topic(.ticks, dataset: "", symbol: "A") }
        #expect(throws: WireError(.topicText, at: 5)) { try Topic(.ticks, dataset: "X", symbol: "") }
        #expect(throws: WireError(.topicText, at: 4)) { try Topic(.signals(""), dataset: "X", symbol: "A") }
        let long = String(repeating: "/", count: 200)
        #expect(throws: WireError(.topicTooLong, at: 511)) { try Topic(.ticks, dataset: "X", symbol: long) }
    }

    @Test func `A topic of trusted names that is impossible traps`() async {
        await #expect(processExitsWith: .failure) { _ = Topic.ticks(dataset: "", symbol: "A") }
    }

    @Test func `Topics are the golden ones, there and back`() throws {
        let golden = try Golden.file().topics
        #expect(golden.count == 3)
        for fields in golden.values {
            let kind: Topic.Kind
            let text: [UInt8]
            switch fields[0] {
            case "md":
                kind = .ticks
                text = Topic.ticks(dataset: fields[2], symbol: fields[3])
            case "def":
                kind = .definitions
                text = Topic.definitions(dataset: fields[2], symbol: fields[3])
            default:
                kind = .signals(fields[1])
                text = Topic.signals(model: fields[1], dataset: fields[2], symbol: fields[3])
            }
            #expect(text == Golden.bytes(fields[4]))
            let topic = try #require(Topic.parse(text))
            #expect(topic.kind == kind)
            #expect(Array(topic.dataset.utf8) == Array(fields[2].utf8))
            #expect(Array(topic.symbol.utf8) == Array(fields[3].utf8))
        }
    }

    @Test func `A padded topic is a multiple of eight bytes with at least one NUL`() {
        for count in 1...Topic.byteCountMax {
            let padded = Topic.padded([UInt8](repeating: 65, count: count))
            #expect(padded.count % 8 == 0 && padded.count - count >= 1 && padded.count - count <= 8)
            #expect(padded.count == Topic.paddedByteCount(count) && padded.count <= Topic.paddedByteCountMax)
            #expect(padded.dropFirst(count).allSatisfy { $0 == 0 })
        }
    }

    /// Random names, made of few and awkward characters so that collisions are likely: no topic is a prefix
    /// of another, two topics are equal exactly when their names are, and each is parsed to the names that it
    /// was made of.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `No topic is a prefix of another`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let characters: [Character] = [
            "a", "/", "%", "é", "\n", "2", "F", "😀", ".", "e\u{301}", "\u{7F}", "\0",
        ]
        func name() -> String {
            String(
                (0..<Int.random(in: 1...3, using: &generator)).map { _ in
                    characters.randomElement(using: &generator)!
                })
        }
        var topics: [(names: [[UInt8]], text: [UInt8])] = []
        for _ in 0..<400 {
            let (model, dataset, symbol) = (name(), name(), name())
            let kind = [Topic.Kind.ticks, .definitions, .signals(model)].randomElement(using: &generator)!
            let topic = try Topic(kind, dataset: dataset, symbol: symbol)
            let parsed = try #require(Topic.parse(topic.bytes))
            #expect(parsed == topic)
            var names = ["\(topic.bytes[0])", dataset, symbol]
            if case .signals = kind { names.append(model) }
            if case .signals(let read) = parsed.kind { #expect(Array(read.utf8) == Array(model.utf8)) }
            #expect(Array(parsed.symbol.utf8) == Array(symbol.utf8))
            topics.append((names.map { Array($0.utf8) }, topic.bytes))
        }
        for (index, one) in topics.enumerated() {
            for other in topics[..<index] {
                #expect(one.text.starts(with: other.text) == (one.names == other.names))
                #expect(other.text.starts(with: one.text) == (one.names == other.names))
            }
        }
    }
}
