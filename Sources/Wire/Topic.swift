/// The name of a stream: what travels in it, and of which instrument.
///
/// As text: `md/<dataset>/<symbol>/`, `sig/<model>/<dataset>/<symbol>/`, `def/<dataset>/<symbol>/`. Each
/// component is followed by `/`, so a subscription to `md/X/A/` does not match `md/X/AB/`. Inside a component
/// `/`, `%` and control characters are written `%XX` (upper-case hexadecimal, one for each UTF-8 byte). One
/// stream has one spelling: `parse` refuses every other. Cold code: agents keep the bytes.
public struct Topic: Sendable {
    /// What a topic carries.
    public enum Kind: Hashable, Sendable {
        /// DBN records of one instrument.
        case ticks
        /// Signal and gap records of the named model for one instrument.
        case signals(String)
        /// Definition and schema of one instrument.
        case definitions
    }

    public let kind: Kind
    public let dataset: String
    public let symbol: String
    /// The text, escaped, in UTF-8, without padding.
    public let bytes: [UInt8]

    /// Most bytes of a topic's text. DBN allows a symbol of 71 bytes and a dataset of 16; with every byte
    /// escaped and a model name of 64 that is 460. 511 bytes and their NUL are eight cache lines, and bound
    /// the search for the NUL.
    @inlinable public static var byteCountMax: Int { 511 }
    /// Most bytes of a topic with its padding.
    @inlinable public static var paddedByteCountMax: Int { 512 }

    /// Prefixes that subscribe to everything of one kind.
    public static let ticksPrefix = Array("md/".utf8)
    public static let signalsPrefix = Array("sig/".utf8)
    public static let definitionsPrefix = Array("def/".utf8)

    /// The topic of these names.
    ///
    /// - Throws: `topicText` if a name is empty, `topicTooLong` if the text exceeds `byteCountMax`.
    public init(_ kind: Kind, dataset: String, symbol: String) throws(WireError) {
        var text: [UInt8]
        switch kind {
        case .ticks: text = Topic.ticksPrefix
        case .definitions: text = Topic.definitionsPrefix
        case .signals(let model):
            text = Topic.signalsPrefix
            try Topic.append(model, to: &text)
        }
        try Topic.append(dataset, to: &text)
        try Topic.append(symbol, to: &text)
        guard text.count <= Topic.byteCountMax else { throw WireError(.topicTooLong, at: Topic.byteCountMax) }
        self.kind = kind
        self.dataset = dataset
        self.symbol = symbol
        self.bytes = text
    }

    /// The topic that `text` (without padding) spells, or nil if it is not one that `init` writes.
    public static func parse(_ text: some BidirectionalCollection<UInt8>) -> Topic? {
        guard text.count <= byteCountMax, text.last == UInt8(ascii: "/") else { return nil }
        var names: [String] = []
        for component in text.dropLast().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard let name = unescape(component) else { return nil }
            names.append(name)
        }
        let topic: Topic?
        switch (names.first, names.count) {
        case ("md", 3): topic = make(.ticks, dataset: names[1], symbol: names[2])
        case ("def", 3): topic = make(.definitions, dataset: names[1], symbol: names[2])
        case ("sig", 4): topic = make(.signals(names[1]), dataset: names[2], symbol: names[3])
        default: topic = nil
        }
        // Another spelling of the same names would be another stream to every subscriber.
        guard let topic, topic.bytes.elementsEqual(text) else { return nil }
        return topic
    }

    private static func make(_ kind: Kind, dataset: String, symbol: String) -> Topic? {
        do throws(WireError) { return try Topic(kind, dataset: dataset, symbol: symbol) } catch { return nil }
    }

    private static func append(_ name: String, to text: inout [UInt8]) throws(WireError) {
        guard !name.isEmpty else { throw WireError(.topicText, at: text.count) }
        for scalar in name.unicodeScalars {
            let isEscaped =
                scalar == "/" || scalar == "%" || scalar.properties.generalCategory == .control
            for byte in scalar.utf8 {
                if isEscaped {
                    text += [UInt8(ascii: "%"), hexadecimalDigit(byte >> 4), hexadecimalDigit(byte & 15)]
                } else {
                    text.append(byte)
                }
            }
        }
        text.append(UInt8(ascii: "/"))
    }

    private static func hexadecimalDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }

    private static func hexadecimalValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func unescape(_ component: some Collection<UInt8>) -> String? {
        var name: [UInt8] = []
        var rest = component.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                name.append(byte)
                continue
            }
            guard let high = rest.next().flatMap(hexadecimalValue),
                let low = rest.next().flatMap(hexadecimalValue)
            else { return nil }
            name.append(high << 4 | low)
        }
        return String(validating: name, as: UTF8.self)
    }
}

/// Two topics are the same stream when their bytes are: `String` would take "é" in its two encodings for one.
extension Topic: Hashable {
    public static func == (left: Topic, right: Topic) -> Bool { left.bytes == right.bytes }
    public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}

/// Topics as bytes of a message.
extension Topic {
    /// Bytes of this topic in a message, padding included: a multiple of 8.
    public var paddedByteCount: Int { Topic.paddedByteCount(bytes.count) }

    /// Bytes that a text of `byteCount` bytes takes in a message: at least one NUL, and a multiple of 8.
    @inlinable
    public static func paddedByteCount(_ byteCount: Int) -> Int { (byteCount &+ 8) & ~7 }

    /// `text` followed by its NUL padding, as it opens a message.
    public static func padded(_ text: [UInt8]) -> [UInt8] {
        text + Array(repeating: 0, count: paddedByteCount(text.count) - text.count)
    }

    /// The text of a tick topic. Traps on an empty name and past `byteCountMax`: names from outside go
    /// through `init`.
    public static func ticks(dataset: String, symbol: String) -> [UInt8] {
        trusted(.ticks, dataset: dataset, symbol: symbol)
    }

    /// The text of a signal topic. Traps on an empty name and past `byteCountMax`: names from outside go
    /// through `init`.
    public static func signals(model: String, dataset: String, symbol: String) -> [UInt8] {
        trusted(.signals(model), dataset: dataset, symbol: symbol)
    }

    /// The text of a definition topic. Traps on an empty name and past `byteCountMax`: names from outside go
    /// through `init`.
    public static func definitions(dataset: String, symbol: String) -> [UInt8] {
        trusted(.definitions, dataset: dataset, symbol: symbol)
    }

    private static func trusted(_ kind: Kind, dataset: String, symbol: String) -> [UInt8] {
        guard let topic = make(kind, dataset: dataset, symbol: symbol) else {
            preconditionFailure(
                "A topic's names are not empty, and its text is at most \(byteCountMax) bytes.")
        }
        return topic.bytes
    }
}
