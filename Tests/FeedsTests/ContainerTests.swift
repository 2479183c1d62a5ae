import Feeds
import Testing

/// All lines of a file, through the reader under test.
private func lines(_ path: String) throws(FeedError) -> [String] {
    let file = try InputFile(path: path)
    return try lines(LineReader(path: path, stream: ByteStream(file: file)))
}

private func lines(_ reader: LineReader) throws(FeedError) -> [String] {
    var result: [String] = []
    while try reader.next() {
        let line = reader.line
        result.append(String(decoding: line.indices.map { line[$0] }, as: UTF8.self))
    }
    return result
}

private func zipLines(_ path: String) throws(FeedError) -> [[String]] {
    let file = try InputFile(path: path)
    var result: [[String]] = []
    for entry in try ZipArchive(file: file).entries {
        result.append(try lines(LineReader(path: path, stream: ByteStream(file: file, entry: entry))))
    }
    return result
}

@Suite struct ContainerTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    @Test("A file that is not there, or no file, is refused")
    func refusesMissing() {
        #expect(refusal { () throws(FeedError) in try lines("/nowhere/at.all") }.contains("cannot open"))
        #expect(refusal { () throws(FeedError) in try lines("/dev/null") }.contains("not a regular file"))
    }

    @Test("A gzip file cut anywhere is refused, never trapped on")
    func refusesCutGzip() throws {
        let whole = Container.gzip("one\ntwo\n") + Container.gzip("three\n")
        let firstMember = Container.gzip("one\ntwo\n").count
        for count in 2..<whole.count where count != firstMember {
            let path = try folder.write(Array(whole[..<count]), "cut.gz")
            #expect(refusal { () throws(FeedError) in try lines(path) }.contains("at byte"), "\(count)")
        }
    }

    @Test("A gzip file with a wrong check sum, or rubbish behind it, is refused")
    func refusesDamagedGzip() throws {
        var damaged = Container.gzip("one\n")
        damaged[damaged.count - 5] ^= 1
        let path = try folder.write(damaged, "a.gz")
        #expect(refusal { () throws(FeedError) in try lines(path) }.contains("incorrect data check"))
        let trailed = try folder.write(Container.gzip("one\n") + [1, 2, 3], "b.gz")
        #expect(refusal { () throws(FeedError) in try lines(trailed) }.contains("incorrect header check"))
    }

    @Test("Gzip members, the zero bytes behind them, and plain text give their lines")
    func readsGzip() throws {
        let members =
            Container.gzip("one\ntw") + Container.gzip("") + Container.gzip("o\r\n\nlast") + [0, 0, 0]
        #expect(try lines(folder.write(members, "a.gz")) == ["one", "two", "", "last"])
        #expect(try lines(folder.write("one\ntwo", "a.txt")) == ["one", "two"])
        #expect(try lines(folder.write("", "empty")) == [])
    }

    @Test("Lines longer than the buffer grow it, up to a limit")
    func longLines() throws {
        let long = String(repeating: "x", count: 1_000_000)
        #expect(
            try lines(folder.write(Container.gzip("a\n\(long)\nb\n"), "long.gz")).map(\.utf8.count) == [
                1, 1_000_000, 1,
            ])
        let endless = [UInt8](repeating: 0x78, count: LineReader.lineByteCountMax + 1)
        let path = try folder.write(Container.gzip(endless), "endless.gz")
        #expect(
            refusal { () throws(FeedError) in try lines(path) }.contains("line 1: found a line of more than"))
    }

    @Test("What a zip may not be is refused by name")
    func refusesZips() throws {
        var file = Container.ZipFile("a.csv", "1,2\n3,4\n")
        func message(_ bytes: [UInt8]) throws -> String {
            let path = try folder.write(bytes, "a.zip")
            return refusal { () throws(FeedError) in try zipLines(path) }
        }
        #expect(try message([]).contains("not a zip file"))
        #expect(try message(Array("PK, but no more".utf8)).contains("not a zip file"))
        #expect(try message(Container.zip([file], endCount: 0xFFFF)).contains("zip64"))
        #expect(try message(Container.zip([file], endCount: 2)).contains("no directory entry 2 of 2"))
        file.flags = 1
        #expect(try message(Container.zip([file])).contains("encrypted"))
        file.flags = 0
        file.method = 12
        #expect(try message(Container.zip([file])).contains("method 12"))
        file.method = nil
        file.checksum = 1
        #expect(try message(Container.zip([file])).contains("CRC-32"))
        file.checksum = nil
        file.byteCount = 7
        #expect(try message(Container.zip([file])).contains("longer than the 7 bytes"))
        file.byteCount = 9
        #expect(try message(Container.zip([file])).contains("has 8 bytes"))
        file.byteCount = .max
        #expect(try message(Container.zip([file])).contains("zip64"))
    }

    @Test("A zip cut or changed anywhere is refused or read, never trapped on")
    func survivesDamage() throws {
        var stored = Container.ZipFile("b.csv", "5,6\n")
        stored.isStored = true
        let whole = Container.zip([Container.ZipFile("a.csv", "1,2\n3,4\n"), stored], comment: "words")
        for count in 0..<whole.count {
            let path = try folder.write(Array(whole[..<count]), "cut.zip")
            #expect(
                refusal { () throws(FeedError) in try zipLines(path) } != "nothing was refused", "\(count)")
        }
        for index in whole.indices {
            for mask in [0x01, 0x80, 0xFF] as [UInt8] {
                var changed = whole
                changed[index] ^= mask
                let path = try folder.write(changed, "changed.zip")
                // A changed name or date is read all the same; what counts is that nothing traps.
                _ = refusal { () throws(FeedError) in try zipLines(path) }
            }
        }
    }

    @Test("Stored and deflated entries give their lines")
    func readsZip() throws {
        var stored = Container.ZipFile("b.csv", "5,6\n")
        stored.isStored = true
        let path = try folder.write(
            Container.zip([Container.ZipFile("a.csv", "1,2\n3,4\n"), stored], comment: "words"), "a.zip")
        #expect(try zipLines(path) == [["1,2", "3,4"], ["5,6"]])
    }
}
