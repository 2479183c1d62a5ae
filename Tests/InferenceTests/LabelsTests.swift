import Foundation
import Inference
import TestSupport
import Testing

@Suite struct LabelsTests {
    private func labels(_ mids: [Int64], horizon: Int, alpha: Double, resets: [Int] = []) -> [Int8?] {
        let flags = mids.indices.map { resets.contains($0) }
        return Labels.smoothedMid(mids: mids, resets: flags, horizon: horizon, alpha: alpha).map {
            $0?.rawValue
        }
    }

    // The examples of docs/MODEL.md.
    @Test func `the examples of the document hold`() {
        #expect(labels([100, 100, 102, 104, 104, 98], horizon: 2, alpha: 0.01) == [0, 1, 1, -1, nil, nil])
        #expect(labels([100, 101, 102], horizon: 1, alpha: 0.01) == [0, 0, nil])
        #expect(labels([100, 101, 102, 110, 110], horizon: 1, alpha: 0, resets: [3]) == [1, 1, nil, 0, nil])
        #expect(labels([100, .max, 100, 101, 101], horizon: 1, alpha: 0) == [nil, nil, 1, 0, nil])
    }

    @Test func `a change of exactly the threshold is flat`() {
        #expect(labels([1000, 1001], horizon: 1, alpha: 0.001) == [0, nil])
        #expect(labels([1000, 999], horizon: 1, alpha: 0.001) == [0, nil])
        #expect(labels([1000, 1001], horizon: 1, alpha: 0.000_999) == [1, nil])
        #expect(labels([1000, 999], horizon: 1, alpha: 0.000_999) == [-1, nil])
    }

    @Test func `prices at the ends of the range do not overflow`() {
        let big = Int64.max - 1
        #expect(labels([big, 1, big, 1], horizon: 3, alpha: 0.1) == [-1, nil, nil, nil])
        #expect(labels([0, 5, -5, 5], horizon: 1, alpha: 0) == [nil, nil, nil, nil])
        #expect(labels([], horizon: 1, alpha: 0) == [])
    }

    @Test(.enabled(if: PythonProcess.isAvailable, "MARTLET_PYTHON is not set"))
    func `the NumPy twin gives the same labels`() throws {
        var generator = SplitMix(state: 11)
        let mids = walk(&generator, count: 20_000)
        let resets = mids.map { _ in Int.random(in: 0..<500, using: &generator) == 0 }
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "martlet-labels-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: folder) } }
        try mids.withUnsafeBytes { try Data($0).write(to: folder.appending(path: "mids.i64")) }
        try Data(resets.map { $0 ? 1 : 0 }).write(to: folder.appending(path: "resets.u8"))
        let twin = try PythonProcess("labels_oracle.py", [folder.path, "1:0", "10:1e-5", "100:2e-5"])
        #expect(try twin.readLine() == "done")
        for (horizon, alpha) in [(1, 0.0), (10, 1e-5), (100, 2e-5)] {
            let expected = try Data(contentsOf: folder.appending(path: "labels.\(horizon)")).map {
                Int8(bitPattern: $0)
            }
            let found = Labels.smoothedMid(mids: mids, resets: resets, horizon: horizon, alpha: alpha)
            #expect(found.map { $0?.rawValue ?? -128 } == expected)
            #expect(Set(expected).count == 4, "Every class and no label occur.")
        }
    }

    /// Prices near 100 that move by half a hundredth, with holes.
    private func walk(_ generator: inout SplitMix, count: Int) -> [Int64] {
        var price: Int64 = 100_000_000_000
        return (0..<count).map { _ in
            price += Int64.random(in: -1...1, using: &generator) * 5_000_000
            return Int.random(in: 0..<300, using: &generator) == 0 ? .max : price
        }
    }
}
