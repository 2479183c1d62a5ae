/// One file inside a zip, as the central directory describes it.
package struct ZipEntry: Equatable {
    /// Path inside the archive.
    var name: String
    var isDeflated: Bool
    var checksum: UInt32
    var compressedByteCount: UInt64
    var byteCount: UInt64
    /// Where the entry's data begin in the file.
    var dataOffset: UInt64
}

/// The central directory of a zip file (PKWARE's APPNOTE 6.3), read once.
///
/// Entries are stored or deflated. Encryption, zip64 (a part beyond 4 GiB or more than 65,534 entries) and
/// archives of several volumes are refused by name.
package struct ZipArchive {
    /// More entries than any day of any vendor has.
    private static let entryCountMax = 10_000
    private static let endRecordByteCount = 22
    private static let commentByteCountMax = 65_535

    let path: String
    package let entries: [ZipEntry]

    package init(file: InputFile) throws(FeedError) {
        path = file.path
        let tailByteCount = Int(
            min(file.byteCount, UInt64(ZipArchive.endRecordByteCount + ZipArchive.commentByteCountMax)))
        let tailOffset = file.byteCount - UInt64(tailByteCount)
        let tail = try file.bytes(count: tailByteCount, at: tailOffset)
        guard let end = ZipArchive.endRecord(in: tail) else {
            throw .archive(
                path: path, offset: tailOffset,
                problem: "no end-of-directory record: this is not a zip file, or it is cut short")
        }
        if end >= 20, tail.u32(end - 20) == 0x0706_4B50 {
            throw ZipArchive.zip64(path, tailOffset + UInt64(end))
        }
        let disk = tail.u16(end + 4)
        let count = Int(tail.u16(end + 10))
        let directoryByteCount = tail.u32(end + 12)
        let directoryOffset = tail.u32(end + 16)
        guard count != 0xFFFF, directoryByteCount != .max, directoryOffset != .max else {
            throw ZipArchive.zip64(path, tailOffset + UInt64(end))
        }
        guard disk == 0, tail.u16(end + 6) == 0, tail.u16(end + 8) == tail.u16(end + 10) else {
            throw .archive(
                path: path, offset: tailOffset + UInt64(end),
                problem: "archives of several volumes are not read")
        }
        guard count <= ZipArchive.entryCountMax,
            UInt64(directoryOffset) + UInt64(directoryByteCount) <= tailOffset + UInt64(end)
        else {
            throw .archive(
                path: path, offset: tailOffset + UInt64(end),
                problem: "the directory (\(count) entries, \(directoryByteCount) bytes) cannot be true")
        }
        let directory = try file.bytes(count: Int(directoryByteCount), at: UInt64(directoryOffset))
        entries = try ZipArchive.entries(directory, at: UInt64(directoryOffset), count: count, file: file)
    }

    /// Where the end-of-directory record begins in the file's tail: the last place whose comment ends with
    /// the file.
    private static func endRecord(in tail: [UInt8]) -> Int? {
        guard tail.count >= endRecordByteCount else { return nil }
        for start in stride(from: tail.count - endRecordByteCount, through: 0, by: -1)
        where tail.u32(start) == 0x0605_4B50 {
            if start + endRecordByteCount + Int(tail.u16(start + 20)) == tail.count { return start }
        }
        return nil
    }

    private static func entries(
        _ directory: [UInt8], at directoryOffset: UInt64, count: Int, file: InputFile
    ) throws(FeedError) -> [ZipEntry] {
        var entries: [ZipEntry] = []
        var position = 0
        for _ in 0..<count {
            guard position + 46 <= directory.count, directory.u32(position) == 0x0201_4B50 else {
                throw .archive(
                    path: file.path, offset: directoryOffset + UInt64(position),
                    problem: "no directory entry \(entries.count + 1) of \(count)")
            }
            let nameEnd = position + 46 + Int(directory.u16(position + 28))
            let next = nameEnd + Int(directory.u16(position + 30)) + Int(directory.u16(position + 32))
            guard next <= directory.count else {
                throw .archive(
                    path: file.path, offset: directoryOffset + UInt64(position),
                    problem: "directory entry \(entries.count + 1) runs past the directory's end")
            }
            let name = String(decoding: directory[position + 46..<nameEnd], as: UTF8.self)
            entries.append(try entry(directory, position, name: name, file: file, at: directoryOffset))
            position = next
        }
        return entries
    }

    private static func entry(
        _ directory: [UInt8], _ position: Int, name: String, file: InputFile, at directoryOffset: UInt64
    ) throws(FeedError) -> ZipEntry {
        let offset = directoryOffset + UInt64(position)
        let flags = directory.u16(position + 8)
        let method = directory.u16(position + 10)
        let sizes = (compressed: directory.u32(position + 20), plain: directory.u32(position + 24))
        let headerOffset = directory.u32(position + 42)
        guard flags & 1 == 0 else {
            throw .archive(
                path: file.path, offset: offset, problem: "\(name) is encrypted; encryption is not read")
        }
        guard sizes.compressed != .max, sizes.plain != .max, headerOffset != .max else {
            throw zip64(file.path, offset)
        }
        guard method == 0 || method == 8 else {
            throw .archive(
                path: file.path, offset: offset,
                problem: "\(name) has compression method \(method); only stored (0) and deflated (8) are read"
            )
        }
        let header = try file.bytes(count: 30, at: UInt64(headerOffset))
        guard header.u32(0) == 0x0403_4B50 else {
            throw .archive(
                path: file.path, offset: UInt64(headerOffset), problem: "no local header of \(name)")
        }
        let dataOffset = UInt64(headerOffset) + 30 + UInt64(header.u16(26)) + UInt64(header.u16(28))
        guard dataOffset + UInt64(sizes.compressed) <= file.byteCount else {
            throw .archive(
                path: file.path, offset: dataOffset, problem: "the data of \(name) run past the file's end")
        }
        return ZipEntry(
            name: name, isDeflated: method == 8, checksum: directory.u32(position + 16),
            compressedByteCount: UInt64(sizes.compressed), byteCount: UInt64(sizes.plain),
            dataOffset: dataOffset)
    }

    private static func zip64(_ path: String, _ offset: UInt64) -> FeedError {
        .archive(
            path: path, offset: offset,
            problem: "this is a zip64 archive; zip64 is not read, repack it as plain zip")
    }
}

extension [UInt8] {
    fileprivate func u16(_ offset: Int) -> UInt16 { UInt16(self[offset]) | UInt16(self[offset + 1]) << 8 }
    fileprivate func u32(_ offset: Int) -> UInt32 { UInt32(u16(offset)) | UInt32(u16(offset + 2)) << 16 }
}
