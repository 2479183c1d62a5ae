import Testing

@testable import Inference

@Suite struct JSONReaderTests {
    @Test(arguments: [
        "", " ", "{", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "\"", "\"\\x\"", "\"\\u12\"",
        "\"\\ud800\"",
        "01", "1.", ".5", "-", "+1", "1e", "1e999", "nul", "tru", "1 2", "[1]]", "{\"a\":1,\"a\":2}",
        "\"\n\"", "NaN",
    ])
    func `text that is not JSON is refused`(_ text: String) {
        #expect(throws: JSONError.self) { try JSONReader.read(text) }
    }

    @Test func `nesting is bounded`() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONError(byteOffset: 16, reason: "nested deeper than 16")) {
            try JSONReader.read(deep)
        }
    }

    @Test func `values keep their kind`() throws {
        #expect(try JSONReader.read(" [null, true, false] ") == .array([.null, .bool(true), .bool(false)]))
        #expect(try JSONReader.read("9007199254740993") == .integer(9_007_199_254_740_993))
        #expect(try JSONReader.read("-1.5e-2") == .number(-0.015))
        #expect(try JSONReader.read(#""a\n\"\u00e9\ud83d\ude00é""#) == .string("a\n\"é😀é"))
        #expect(try JSONReader.read(#"{"a": {"b": []}}"#) == .object(["a": .object(["b": .array([])])]))
    }
}
