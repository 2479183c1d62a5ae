import Feeds
import Foundation
import Testing

@Suite struct NPYWriterTests {
    private func temporaryPath() -> String {
        FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID().uuidString).npy").path
    }

    @Test func `A file that cannot be created is an error with its path`() {
        #expect(throws: NPYError.system(operation: "create", path: "/nowhere/a.npy", errorNumber: ENOENT)) {
            _ = try NPYWriter(path: "/nowhere/a.npy", elementType: .float32)
        }
    }

    @Test func `A part of a row is refused`() throws {
        let path = temporaryPath()
        defer { #expect(unlink(path) == 0) }
        var writer = try NPYWriter(path: path, elementType: .float32, columnCount: 3)
        var failure: NPYError?
        do {
            try writer.append(Float(1))
        } catch {
            failure = error
        }
        #expect(failure == .partialRow(path: path, found: 4, expectedMultipleOf: 12))
    }

    @Test func `The header tells type, order and rows, and the data follow at a multiple of 64`() throws {
        let path = temporaryPath()
        defer { #expect(unlink(path) == 0) }
        var writer = try NPYWriter(path: path, elementType: .float32, columnCount: 2)
        let rows: [Float] = [1, 2, 3, 4, 5, 6]
        try rows.withUnsafeBytes { try writer.append($0) }
        let rowCount = writer.rowCount
        #expect(rowCount == 3)
        try writer.finish()
        let bytes = try [UInt8](Data(contentsOf: URL(filePath: path)))
        #expect(bytes.count == 128 + 24)
        #expect(Array(bytes[..<10]) == [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0])
        let text = String(decoding: bytes[10..<128], as: UTF8.self)
        #expect(text.hasPrefix("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), } "))
        #expect(text.hasSuffix(" \n"))
        #expect(Array(bytes[128...]) == rows.withUnsafeBytes { Array($0) })
    }

    @Test func `A vector has a shape of one dimension`() throws {
        let path = temporaryPath()
        defer { #expect(unlink(path) == 0) }
        var writer = try NPYWriter(path: path, elementType: .int64)
        try writer.append(Int64(-1))
        try writer.append(Int64(2))
        try writer.finish()
        let bytes = try [UInt8](Data(contentsOf: URL(filePath: path)))
        #expect(
            String(decoding: bytes[10..<128], as: UTF8.self).contains(
                "'descr': '<i8', 'fortran_order': False, 'shape': (2,)"))
        #expect(bytes.count == 128 + 16)
    }
}
