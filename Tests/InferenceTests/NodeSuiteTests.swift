import Foundation
import ONNX
import Testing

/// Goal: the engine agrees with ONNX's own test cases of the operators that it imports.
///
/// Method: every case passes, or stands in `Golden/onnx_suite.txt` with the reason why it cannot. The list stays true:
/// a listed case that passes fails the test, and so does a line that matches no failing case.
@Suite struct NodeSuiteTests {
    /// A line of the list: a name in which `*` stands for any text, and why the cases of this name are not run.
    struct Listed {
        let pattern: String
        let reason: String

        func matches(_ name: String) -> Bool {
            let parts = pattern.split(separator: "*", omittingEmptySubsequences: false).map(String.init)
            guard parts.count > 1 else { return name == pattern }
            guard name.hasPrefix(parts[0]), name.hasSuffix(parts[parts.count - 1]) else { return false }
            var rest = name[name.index(name.startIndex, offsetBy: parts[0].count)...]
            for part in parts.dropFirst().dropLast() where !part.isEmpty {
                guard let range = rest.firstRange(of: part) else { return false }
                rest = rest[range.upperBound...]
            }
            return rest.count >= parts[parts.count - 1].count
        }

        static func load() throws -> [Listed] {
            let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/onnx_suite.txt")
            return try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
                .filter { !$0.hasPrefix("#") }.map { line in
                    let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
                    let reason = parts.count == 2 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
                    try #require(!reason.isEmpty, "A line of the list is 'pattern: reason': \(line)")
                    return Listed(pattern: parts[0], reason: reason)
                }
        }
    }

    @Test(.enabled(if: NodeSuite.folder != nil, "MARTLET_ONNX_SUITE is not set"))
    func `every case of the outside suite passes or is listed with its reason`() throws {
        let folder = try #require(NodeSuite.folder)
        let cases = try NodeSuite.cases(folder)
        // Of onnx 1.22.0. Another number is another suite, or a mistake in choosing from it.
        #expect(cases.count == 571)
        let list = try Listed.load()
        var matched = list.map { _ in 0 }
        var (passed, listed) = (0, 0)
        var problems: [String] = []
        for one in cases {
            let lines = list.indices.filter { list[$0].matches(one.name) }
            var failure: (any Error)?
            do { try one.check() } catch { failure = error }
            if let failure, lines.isEmpty {
                problems.append("\(one.name): \(failure)")
            } else if failure != nil {
                listed += 1
                for line in lines { matched[line] += 1 }
            } else {
                passed += 1
                problems += lines.map { "\(one.name) passes, but is listed: \(list[$0].pattern)" }
            }
        }
        for (line, count) in zip(list, matched) where count == 0 {
            problems.append("the list's '\(line.pattern)' matches no failing case")
        }
        for problem in problems { print("onnx suite: \(problem)") }
        let problemCount = problems.count
        #expect(problemCount == 0, "The problems are printed above.")
        print("onnx suite: \(passed) passed, \(listed) listed of \(cases.count) cases")
    }

    @Test(arguments: [
        ("a*c", "abc", true), ("a*c", "ac", true), ("a*c", "abd", false), ("ab*ba", "aba", false),
        ("*x*", "axb", true), ("*x*", "ab", false), ("abc", "abc", true), ("abc", "abcd", false),
        ("a*b*c*", "a1b2c3", true), ("a*b*c*", "a1c2b3", false), ("a*b*b", "ab", false), ("a*b*b", "abb", true),
    ])
    func `a star of the list stands for any text`(_ pattern: String, _ name: String, _ isMatch: Bool) {
        #expect(Listed(pattern: pattern, reason: "-").matches(name) == isMatch)
    }

    @Test func `a tensor agrees only with its type, its shape and its values`() {
        func tensor(_ elements: Tensor.Elements, _ shape: [Int]) -> Tensor {
            Tensor(name: "", shape: shape, elements: elements)
        }
        let expected = tensor(.float([1, 100]), [2])
        #expect(Agreement.difference(tensor(.float([1.000_01, 100.0009]), [2]), expected) == nil)
        #expect(Agreement.difference(tensor(.float([1.000_02, 100]), [2]), expected) != nil)
        #expect(Agreement.difference(tensor(.float([1, 100.002]), [2]), expected) != nil)
        #expect(Agreement.difference(tensor(.float([1, 100]), [2, 1]), expected) != nil)
        #expect(Agreement.difference(tensor(.double([1, 100]), [2]), expected) != nil)
        #expect(Agreement.difference(tensor(.float([1, .nan]), [2]), expected) != nil)
        let edge = tensor(.float([.nan, .infinity]), [2])
        #expect(Agreement.difference(edge, edge) == nil)
        #expect(Agreement.difference(tensor(.float([.nan, -.infinity]), [2]), edge) != nil)
        #expect(Agreement.difference(tensor(.float([0, .infinity]), [2]), edge) != nil)
        let eight = tensor(.uint8([1]), [])
        #expect(Agreement.difference(tensor(.uint8([1]), []), eight) == nil)
        #expect(Agreement.difference(tensor(.uint8([2]), []), eight) != nil)
        #expect(Agreement.difference(tensor(.float16([1]), []), tensor(.float16([1.000_976_562_5]), [])) != nil)
    }
}
