import Foundation
import Testing

@testable import Feeds

/// What NumPy wrote is read; anything else is a typed error, never a trap.
@Suite struct NPYReaderTests {
    private static func file(_ header: String, version: UInt8 = 1, data: [UInt8]) -> [UInt8] {
        let text = Array(header.utf8)
        let length = (0..<(version == 1 ? 2 : 4)).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
        return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + data
    }

    private static func bytes(_ values: [Float]) -> [UInt8] {
        values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) } }
    }

    private static let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n"

    @Test(arguments: [UInt8(1), 2, 3]) func `Each version of the format is read`(version: UInt8) throws {
        let values: [Float] = [1, -2, 3.5, .infinity, 0, -0.0]
        let array = try NPYArray(bytes: Self.file(Self.good, version: version, data: Self.bytes(values)), path: "a")
        #expect(array.shape == [2, 3])
        #expect(array.values.map(\.bitPattern) == values.map(\.bitPattern))
    }

    @Test func `What the writer wrote is read`() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).npy").path
        defer { unlink(path) }
        var writer = try NPYWriter(path: path, elementType: .float32, columnCount: 2)
        for value: Float in [1, 2, 3, 4] {
            if value.truncatingRemainder(dividingBy: 2) == 1 {
                try [value, value + 1].withUnsafeBytes { try writer.append($0) }
            }
        }
        try writer.finish()
        let array = try NPYArray(path: path)
        #expect(array == (try NPYArray(bytes: [UInt8](try Data(contentsOf: URL(filePath: path))), path: path)))
        #expect(array.shape == [2, 2])
        #expect(array.values == [1, 2, 3, 4])
    }

    @Test func `An empty array and a single number are arrays`() throws {
        let none = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}\n"
        #expect(try NPYArray(bytes: Self.file(none, data: []), path: "a").values.isEmpty)
        let one = "{\"shape\": (), \"fortran_order\": False, \"descr\": \"<f4\"}"
        #expect(try NPYArray(bytes: Self.file(one, data: Self.bytes([7])), path: "a").values == [7])
    }

    @Test(arguments: [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)}", "<f8"),
        ("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3)}", ">f4"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}", "quotes"),
        ("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", "rows first"),
        ("{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 3)}", "False"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4)}", "32 bytes"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "too large"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}", "extent"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}", "extent"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': 6}", "'('"),
        ("{'descr': '<f4', 'fortran_order': False}", "no entry 'shape'"),
        ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", "twice"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} + 1", "more than"),
        ("{'descr': '<f4", "without end"),
        ("", "'{'"),
    ])
    func `A header that is none is refused with its reason`(header: String, reason: String) {
        let error = #expect(throws: NPYError.self) {
            _ = try NPYArray(bytes: Self.file(header, data: Self.bytes([1, 2, 3, 4, 5, 6])), path: "a.npy")
        }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("a.npy") == true)
    }

    @Test func `Every part of a file and every changed byte is an array or an error`() throws {
        let whole = Self.file(Self.good, data: Self.bytes([1, 2, 3, 4, 5, 6]))
        for count in 0..<whole.count {
            #expect(throws: NPYError.self) { _ = try NPYArray(bytes: Array(whole[..<count]), path: "a") }
        }
        for place in whole.indices {
            for value in [UInt8(0), 0x27, 0x28, 0x39, 0x7F, 0xFF] {
                var changed = whole
                changed[place] = value
                do { _ = try NPYArray(bytes: changed, path: "a") } catch { #expect("\(error)".contains("a")) }
            }
        }
    }

    @Test func `What is no file is an error of the system or of the format`() {
        #expect(throws: NPYError.system(operation: "open", path: "/nowhere/a.npy", errorNumber: ENOENT)) {
            _ = try NPYArray(path: "/nowhere/a.npy")
        }
        #expect(throws: NPYError.format(path: "/dev/null", byteOffset: 0, reason: "not a regular file")) {
            _ = try NPYArray(path: "/dev/null")
        }
    }
}
