internal import Glibc

/// What went wrong while an array file was read or written.
public enum NPYError: Error, Equatable, CustomStringConvertible {
    /// The file could not be opened, written or closed; `errorNumber` is errno.
    case system(operation: String, path: String, errorNumber: Int32)
    /// An append was not a whole number of rows.
    case partialRow(path: String, found: Int, expectedMultipleOf: Int)
    /// The file is not an array that can be read; `byteOffset` says where that shows.
    case format(path: String, byteOffset: Int, reason: String)

    public var description: String {
        switch self {
        case .system(let operation, let path, let errorNumber):
            "cannot \(operation) \(path): \(String(cString: strerror(errorNumber)))"
        case .partialRow(let path, let found, let expected):
            "\(path): found \(found) bytes to append, expected a multiple of \(expected) (one row)"
        case .format(let path, let byteOffset, let reason):
            "\(path): not an array that can be read: \(reason), at byte \(byteOffset)"
        }
    }
}

/// Streams one array into a `.npy` file (NumPy's format, version 1.0): a vector, or a matrix of a fixed
/// number of columns.
///
/// The number of rows is written into the header by `finish()`; a writer that goes away without it leaves a
/// file that claims no rows. One thread at a time.
public struct NPYWriter: ~Copyable {
    /// Element types, little-endian, with the names that NumPy's header gives them.
    public enum ElementType: String, Sendable {
        case float32 = "<f4"
        case int64 = "<i8"
        case uint64 = "<u8"
        case uint32 = "<u4"
        case uint8 = "|u1"

        /// Bytes of one element.
        public var byteCount: Int {
            switch self {
            case .float32, .uint32: 4
            case .int64, .uint64: 8
            case .uint8: 1
            }
        }
    }

    /// The path that was opened.
    public let path: String
    /// Rows appended so far.
    public private(set) var rowCount = 0

    private let elementType: ElementType
    private let columnCount: Int?
    private var file: UnsafeMutablePointer<FILE>?

    /// Bytes before the data: room for the longest shape, and a multiple of 64 as NumPy aligns it.
    private static var headerByteCount: Int { 128 }

    /// Creates the file, or empties it.
    ///
    /// - Parameter columnCount: elements of a row of a matrix, positive; nil for a vector.
    public init(path: String, elementType: ElementType, columnCount: Int? = nil) throws(NPYError) {
        precondition(columnCount ?? 1 > 0, "A matrix has at least one column.")
        self.path = path
        self.elementType = elementType
        self.columnCount = columnCount
        file = unsafe fopen(path, "wb")
        guard unsafe file != nil else { throw .system(operation: "create", path: path, errorNumber: errno) }
        try writeHeader()
    }

    deinit {
        if let file = unsafe file { unsafe fclose(file) }
    }

    /// Bytes of one row.
    public var rowByteCount: Int { elementType.byteCount * (columnCount ?? 1) }

    /// Appends whole rows, as they lie in memory.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) throws(NPYError) {
        guard bytes.count % rowByteCount == 0 else {
            throw .partialRow(path: path, found: bytes.count, expectedMultipleOf: rowByteCount)
        }
        try write(bytes)
        rowCount += bytes.count / rowByteCount
    }

    /// Appends one element of a vector, or one row of a matrix with a single column; `Element` must have the
    /// size of the element type.
    public mutating func append<Element: BitwiseCopyable>(_ element: Element) throws(NPYError) {
        let result = unsafe withUnsafeBytes(of: element) { (bytes) -> Result<Void, NPYError> in
            do throws(NPYError) {
                try unsafe append(bytes)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Writes the number of rows into the header and closes the file.
    public mutating func finish() throws(NPYError) {
        guard unsafe file != nil else { return }
        guard unsafe fseek(file, 0, SEEK_SET) == 0 else {
            throw .system(operation: "seek in", path: path, errorNumber: errno)
        }
        try writeHeader()
        let status = unsafe fclose(file)
        unsafe file = nil
        guard status == 0 else { throw .system(operation: "close", path: path, errorNumber: errno) }
    }

    private func writeHeader() throws(NPYError) {
        let shape = columnCount.map { "(\(rowCount), \($0))" } ?? "(\(rowCount),)"
        let text = "{'descr': '\(elementType.rawValue)', 'fortran_order': False, 'shape': \(shape), }"
        let preambleByteCount = 10
        let textByteCount = NPYWriter.headerByteCount - preambleByteCount
        var header: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(textByteCount), 0]
        header += Array(text.utf8)
        header += Array(repeating: UInt8(ascii: " "), count: NPYWriter.headerByteCount - 1 - header.count)
        header.append(UInt8(ascii: "\n"))
        let failure = unsafe header.withUnsafeBytes { (bytes) -> NPYError? in
            do throws(NPYError) {
                try unsafe write(bytes)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(NPYError) {
        precondition(unsafe file != nil, "A finished writer is not written to.")
        guard unsafe fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count else {
            throw .system(operation: "write to", path: path, errorNumber: errno)
        }
    }
}
