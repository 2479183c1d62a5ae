internal import Glibc

/// An array of 32-bit floats out of a `.npy` file (NumPy's format, versions 1.0 to 3.0).
public struct NPYArray: Sendable, Equatable {
    /// Extents; empty for a single number.
    public let shape: [Int]
    /// In row-major order.
    public let values: [Float]

    /// Bytes of a file that are read at most: a bound on memory, far beyond what is stored beside a model.
    public static let byteCountMax = 1 << 30
    /// Dimensions at most, as NumPy has it.
    public static let rankMax = 32
    /// Bytes of a header at most. NumPy writes 128 for all but the oddest types.
    static let headerByteCountMax = 1 << 16

    /// Reads a file.
    ///
    /// - Throws: `NPYError.system` for a file that cannot be read, `NPYError.format` for anything that is not an array of
    ///   little-endian 32-bit floats in C order, whatever the bytes.
    public init(path: String) throws(NPYError) {
        self = try NPYArray(bytes: try NPYArray.bytes(of: path), path: path)
    }

    /// Reads what a file holds.
    ///
    /// - Parameter path: For the text of an error.
    public init(bytes: [UInt8], path: String) throws(NPYError) {
        var header = try NPYHeader(bytes, path: path)
        try header.read()
        guard header.typeName == "<f4" else {
            throw header.error("elements of type '\(header.typeName)', expected '<f4'")
        }
        guard !header.isFortranOrder else { throw header.error("columns first, expected rows first") }
        var count = 1
        for extent in header.shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard !overflow, product <= NPYArray.byteCountMax else {
                throw header.error("shape \(header.shape) is too large")
            }
            count = product
        }
        let data = bytes[header.dataOffset...]
        guard data.count == count * 4 else {
            throw header.error("shape \(header.shape) needs \(count * 4) bytes of data, found \(data.count)")
        }
        shape = header.shape
        values = unsafe data.withUnsafeBytes { buffer in
            (0..<count).map { index in
                Float(
                    bitPattern: UInt32(
                        littleEndian: unsafe buffer.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)))
            }
        }
    }

    private static func bytes(of path: String) throws(NPYError) -> [UInt8] {
        // A pipe would make the program wait; without this flag already when it is opened.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system(operation: "open", path: path, errorNumber: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            throw .system(operation: "look at", path: path, errorNumber: errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .format(path: path, byteOffset: 0, reason: "not a regular file")
        }
        guard status.st_size <= byteCountMax else {
            throw .format(path: path, byteOffset: 0, reason: "\(status.st_size) bytes, more than \(byteCountMax)")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system(operation: "read", path: path, errorNumber: errno) }
            // The file has shrunk: what is missing is found by the caller.
            guard count > 0 else { return Array(bytes[..<filled]) }
            filled += count
        }
        return bytes
    }
}

/// The header: a magic number, a version, a length, and a dictionary as Python writes it, with three entries.
private struct NPYHeader {
    private(set) var typeName = ""
    private(set) var isFortranOrder = false
    private(set) var shape: [Int] = []
    /// Where the elements begin.
    let dataOffset: Int

    private let path: String
    private let bytes: [UInt8]
    private var offset: Int

    init(_ bytes: [UInt8], path: String) throws(NPYError) {
        func error(_ reason: String, _ offset: Int) -> NPYError {
            .format(path: path, byteOffset: offset, reason: reason)
        }
        guard bytes.count >= 10, Array(bytes[..<6]) == [0x93] + Array("NUMPY".utf8) else {
            throw error("it does not begin as a NumPy file does", 0)
        }
        let version = bytes[6]
        guard (1...3).contains(version), bytes[7] == 0 else {
            throw error("version \(version).\(bytes[7]), expected 1.0, 2.0 or 3.0", 6)
        }
        let lengthByteCount = version == 1 ? 2 : 4
        guard bytes.count >= 8 + lengthByteCount else { throw error("the file ends in its header", 8) }
        let length = (0..<lengthByteCount).reduce(0) { $0 | Int(bytes[8 + $1]) << (8 * $1) }
        guard length <= NPYArray.headerByteCountMax else {
            throw error("a header of \(length) bytes, more than \(NPYArray.headerByteCountMax)", 8)
        }
        offset = 8 + lengthByteCount
        dataOffset = offset + length
        guard dataOffset <= bytes.count else {
            throw error("a header of \(length) bytes, which the file does not have", 8)
        }
        self.bytes = Array(bytes[..<dataOffset])
        self.path = path
    }

    func error(_ reason: String) -> NPYError { .format(path: path, byteOffset: offset, reason: reason) }

    /// Reads the dictionary.
    mutating func read() throws(NPYError) {
        var missing: Set = ["descr", "fortran_order", "shape"]
        try expect("{")
        while !take("}") {
            let key = try string()
            guard missing.remove(key) != nil else {
                throw error("an entry '\(key)' that is not known, or stands twice")
            }
            try expect(":")
            switch key {
            case "descr": typeName = try string()
            case "fortran_order": isFortranOrder = try truth()
            default: shape = try extents()
            }
            guard take(",") else {
                try expect("}")
                break
            }
        }
        skipSpace()
        guard offset == bytes.count else { throw error("more than a dictionary in the header") }
        guard missing.isEmpty else { throw error("no entry '\(missing.sorted().joined(separator: "', '"))'") }
    }

    private mutating func skipSpace() {
        while offset < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[offset]) { offset += 1 }
    }

    private mutating func take(_ text: StaticString) -> Bool {
        skipSpace()
        let wanted = Array("\(text)".utf8)
        guard bytes[offset...].starts(with: wanted) else { return false }
        offset += wanted.count
        return true
    }

    private mutating func expect(_ text: StaticString) throws(NPYError) {
        guard take(text) else { throw error("expected '\(text)'") }
    }

    private mutating func string() throws(NPYError) -> String {
        skipSpace()
        guard offset < bytes.count, bytes[offset] == UInt8(ascii: "'") || bytes[offset] == UInt8(ascii: "\"") else {
            // Types of several fields are lists.
            throw error("expected a text in quotes")
        }
        let quote = bytes[offset]
        guard let end = bytes[(offset + 1)...].firstIndex(of: quote) else { throw error("a text without end") }
        defer { offset = end + 1 }
        return String(decoding: bytes[offset + 1..<end], as: UTF8.self)
    }

    private mutating func truth() throws(NPYError) -> Bool {
        if take("True") { return true }
        try expect("False")
        return false
    }

    private mutating func extents() throws(NPYError) -> [Int] {
        var extents: [Int] = []
        try expect("(")
        while !take(")") {
            skipSpace()
            let digits = bytes[offset...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            guard let extent = Int(String(decoding: digits, as: UTF8.self)) else { throw error("expected an extent") }
            guard extents.count < NPYArray.rankMax else { throw error("more than \(NPYArray.rankMax) dimensions") }
            offset += digits.count
            extents.append(extent)
            guard take(",") else {
                try expect(")")
                break
            }
        }
        return extents
    }
}
