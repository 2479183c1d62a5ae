import Features
import Foundation
import TestSupport
import Testing

/// The table of docs/FEATURES.md against the code: places, names, and the bounds under hostile input.
@Suite struct FeatureDocumentTests {
    struct Row {
        var indices: ClosedRange<Int>
        var firstName: String
        var lastName: String
        var bounds: ClosedRange<Float>
    }

    private static func rows() throws -> [Row] {
        let url = TwinTests.root.appending(path: "docs/FEATURES.md")
        let text = try String(contentsOf: url, encoding: .utf8).replacingOccurrences(of: "\\|", with: "/")
        return text.split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard line.hasPrefix("| "), cells.count == 6, let low = Float(cells[4]),
                let high = Float(cells[5])
            else {
                return nil
            }
            let indices = cells[0].split(separator: "–").compactMap { Int($0) }
            let names = cells[1].split(separator: "…").map { $0.trimmingCharacters(in: [" ", "`"]) }
            guard let first = indices.first, let last = indices.last, let name = names.first else {
                return nil
            }
            return Row(
                indices: first...last, firstName: name, lastName: names.last ?? name, bounds: low...high)
        }
    }

    @Test func `Every feature stands in the document once, in order and by its name`() throws {
        let names = FeatureExtractor.names
        #expect(names.count == FeatureExtractor.count)
        #expect(Set(names).count == names.count)
        var next = 0
        for row in try Self.rows() {
            #expect(row.indices.lowerBound == next)
            #expect(names[row.indices.lowerBound] == row.firstName)
            #expect(names[row.indices.upperBound] == row.lastName)
            next = row.indices.upperBound + 1
        }
        #expect(next == FeatureExtractor.count)
    }

    private static let cases: [(seed: UInt64, tickSize: Int64)] = [
        (11, 10_000_000), (12, 1), (13, FeatureExtractor.tickSizeMax),
    ]

    @Test(arguments: cases)
    func `Every value keeps to its documented bounds whatever comes in`(seed: UInt64, tickSize: Int64) throws {
        var generator = MarketRecordGenerator(seed: seed, tickSize: tickSize, isDisorderly: true)
        let result = FeatureRunner(generator.makeRecords(tickCount: 5_000), tickSize: tickSize)
        var bounds: [ClosedRange<Float>] = []
        for row in try Self.rows() { bounds += row.indices.map { _ in row.bounds } }
        try #require(bounds.count == FeatureExtractor.count)
        var offenders = Set<String>()
        for (index, value) in result.values.enumerated() {
            let column = index % FeatureExtractor.count
            if !value.isFinite || !bounds[column].contains(value) || value.isSubnormal {
                offenders.insert("\(FeatureExtractor.names[column]) \(value)")
            }
        }
        #expect(offenders.isEmpty)
    }
}
