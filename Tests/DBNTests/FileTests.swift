import DBN
import Foundation
import MarketData
import Testing

@Suite("Files")
struct FileTests {
    @Test("a missing file, a folder and a broken file give errors that name the file")
    func rejections() throws {
        let folder = try TemporaryFolder()
        let missing = folder.path("missing.dbn")
        let error = #expect(throws: DBNError.self) { _ = try DBNFileReader(path: missing) }
        #expect(error?.path == missing)
        #expect(
            error?.reason == .file(operation: "open", errno: ENOENT, message: "No such file or directory"))
        #expect(error?.description == "\(missing): open: No such file or directory")
        let directory = #expect(throws: DBNError.self) { _ = try DBNFileReader(path: folder.url.path) }
        #expect(directory?.reason == .file(operation: "read", errno: EISDIR, message: "Is a directory"))
        try writeFile([1, 2, 3], folder.path("broken.dbn"))
        let broken = #expect(throws: DBNError.self) { _ = try DBNFileReader(path: folder.path("broken.dbn")) }
        #expect(broken?.reason == .notDBN(found: [1, 2, 3]))
        #expect(broken?.path == folder.path("broken.dbn"))
        let written = #expect(throws: DBNError.self) {
            _ = try DBNFileWriter(path: folder.url.path, metadata: testMetadata, compression: .none)
        }
        #expect(written?.reason == .notRegularFile)
    }

    @Test("what was written is read again", arguments: [DBNEncoder.Compression.none, .zstd()])
    func roundTrip(compression: DBNEncoder.Compression) throws {
        let folder = try TemporaryFolder()
        let path = folder.path("trip.dbn")
        var writer = try DBNFileWriter(path: path, metadata: testMetadata, compression: compression)
        let records = (0..<20_000).map { makeRecord(0, byteCount: 48, instrumentID: $0, fill: 1) }
        for record in records { try writer.encode(record.span.bytes) }
        #expect(!FileManager.default.fileExists(atPath: path))
        try writer.finish()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["trip.dbn"])
        var reader = try DBNFileReader(path: path)
        let metadata = reader.metadata
        #expect(metadata == testMetadata)
        var count = 0
        while try reader.next() {
            let same = reader.record.bytes.withUnsafeBytes { $0.elementsEqual(records[count]) }
            #expect(same)
            count += 1
            let number = reader.recordNumber
            #expect(number == UInt64(count))
        }
        #expect(count == records.count)
        let again = try reader.next()
        #expect(!again)
    }

    @Test("without finish the old file stays and nothing is left behind")
    func abandoned() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("old.dbn")
        try writeFile([1, 2, 3], path)
        do {
            var writer = try DBNFileWriter(path: path, metadata: testMetadata, compression: .none)
            try writer.encode(makeRecord(0, byteCount: 48).span.bytes)
        }
        #expect(try readFile(path) == [1, 2, 3])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["old.dbn"])
    }

    @Test("a fragment has no metadata and keeps its first record")
    func fragment() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("part.dbn.frag")
        try writeFile(makeRecord(0, byteCount: 48) + makeRecord(1, byteCount: 80), path)
        var reader = try DBNFileReader(path: path)
        let metadata = reader.metadata
        #expect(metadata == nil)
        var types: [UInt8] = []
        while try reader.next() { types.append(reader.record.type.rawValue) }
        #expect(types == [0, 1])
    }
}
