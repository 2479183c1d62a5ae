import Feeds
import Foundation
import Testing

struct NPYReaderTests {
    private func inFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID().uuidString).npy")
        try Data(bytes).write(to: file)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: file) } }
        try body(file.path)
    }

    private func array(_ header: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
        let text = Array(header.utf8)
        let length = version == 1 ? [UInt8(text.count), 0] : [UInt8(text.count), 0, 0, 0]
        return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + data
    }

    private func bytes<Value: FixedWidthInteger>(_ values: [Value]) -> [UInt8] {
        values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }

    @Test func whatTheWriterWroteReadsBack() throws {
        try inFile([]) { path in
            var writer = try NPYWriter(path: path, elementType: .float32, columnCount: 3)
            let values: [Float] = [1, -2.5, 3, 4, .infinity, -0]
            try values.withUnsafeBytes { try writer.append($0) }
            try writer.finish()
            let matrix = try NPYMatrix(path: path)
            #expect(matrix.rowCount == 2 && matrix.columnCount == 3)
            #expect(matrix.values == values)
        }
    }

    @Test(arguments: [UInt8(1), 2])
    func doublesAreRounded(version: UInt8) throws {
        let data = bytes([0.1, -3, 1e300].map(\.bitPattern))
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 3), }"
        try inFile(array(header, data, version: version)) { path in
            let matrix = try NPYMatrix(path: path)
            let expected: [Float] = [0.1, -3, .infinity]
            #expect(matrix.values == expected)
        }
    }

    @Test(arguments: [
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1), }", 8, "not float32"),
        ("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }", 4, "column by column"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", 16, "two dimensions"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, -1), }", 4, "two dimensions"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, x), }", 4, "two dimensions"),
        ("{'descr': '<f4', 'fortran_order': False, }", 4, "two dimensions"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", 12, "do not make the shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", 17, "do not make the shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0, "do not make the shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 0), }", 0, "two dimensions"),
    ])
    func anArrayOfAnotherKindIsRefused(header: String, byteCount: Int, reason: String) throws {
        try inFile(array(header, Array(repeating: 0, count: byteCount))) { path in
            let error = #expect(throws: NPYReadError.self) { try NPYMatrix(path: path) }
            #expect(error?.description.contains(reason) == true)
        }
    }

    @Test func bytesThatAreNoArrayAreRefused() throws {
        let cutOff: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0, 0xFF, 0xFF, 0, 0]
        let files: [[UInt8]] = [[], [0x93], Array(repeating: 0x93, count: 40), cutOff]
        for bytes in files {
            try inFile(bytes) { path in
                #expect(throws: NPYReadError.self) { try NPYMatrix(path: path) }
            }
        }
        #expect(throws: NPYReadError.self) { try NPYMatrix(path: "/does/not/exist.npy") }
    }
}
