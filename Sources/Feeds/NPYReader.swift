internal import Foundation

/// Why an array file cannot be used.
public enum NPYReadError: Error, Equatable, CustomStringConvertible {
    case file(path: String, reason: String)
    case format(path: String, reason: String)

    public var description: String {
        switch self {
        case .file(let path, let reason), .format(let path, let reason): "\(path): \(reason)"
        }
    }
}

/// A matrix of floats from a `.npy` file (NumPy's format, versions 1 to 3): little-endian float32 or float64, rows one
/// after the other.
public struct NPYMatrix: Sendable {
    public let rowCount: Int
    public let columnCount: Int
    /// Row after row; those of float64 rounded.
    public let values: [Float]

    /// Files of more bytes are refused: two gigabytes are 5 million rows of a hundred features.
    public static let byteCountMax = 2 << 30

    /// Reads and checks a file. Never traps, whatever the bytes.
    public init(path: String) throws(NPYReadError) {
        let data: Data
        do {
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
            guard size <= NPYMatrix.byteCountMax else {
                throw NPYReadError.file(path: path, reason: "\(size) bytes, more than \(NPYMatrix.byteCountMax)")
            }
            data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
        } catch let error as NPYReadError {
            throw error
        } catch {
            throw .file(path: path, reason: "the array cannot be opened")
        }
        self = try NPYMatrix(bytes: data, path: path)
    }

    private init(bytes data: Data, path: String) throws(NPYReadError) {
        func wrong(_ reason: String) -> NPYReadError { .format(path: path, reason: reason) }
        guard data.count >= 12, data.prefix(6) == Data([0x93] + Array("NUMPY".utf8)) else {
            throw wrong("it is no array of NumPy's format")
        }
        let isFirstVersion = data[data.startIndex + 6] == 1
        let lengthBytes = data.dropFirst(8).prefix(isFirstVersion ? 2 : 4)
        let length = lengthBytes.reversed().reduce(0) { $0 << 8 | Int($1) }
        let start = 8 + lengthBytes.count + length
        guard start <= data.count else { throw wrong("its header is cut off") }
        let header = String(decoding: data.dropFirst(8 + lengthBytes.count).prefix(length), as: UTF8.self)
        let isDouble = header.contains("'<f8'")
        guard isDouble || header.contains("'<f4'") else { throw wrong("its elements are not float32 or float64") }
        guard header.contains("'fortran_order': False") else { throw wrong("it is stored column by column") }
        guard let shape = NPYMatrix.shape(header), shape.count == 2, shape[1] > 0 else {
            throw wrong("it has no two dimensions; expected [ticks, features]")
        }
        let (count, overflow) = shape[0].multipliedReportingOverflow(by: shape[1])
        let size = isDouble ? 8 : 4
        guard !overflow, count <= NPYMatrix.byteCountMax / size, data.count - start == count * size else {
            throw wrong("\(data.count - start) bytes of data do not make the shape \(shape)")
        }
        (rowCount, columnCount) = (shape[0], shape[1])
        values = data.withUnsafeBytes { raw in
            (0..<count).map { index in
                let offset = start + index * size
                guard isDouble else {
                    return Float(
                        bitPattern: UInt32(
                            littleEndian: unsafe raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
                }
                return Float(
                    Double(
                        bitPattern: UInt64(
                            littleEndian: unsafe raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))))
            }
        }
    }

    /// The extents in the header's `'shape': (3, 4)`.
    private static func shape(_ header: String) -> [Int]? {
        guard let key = header.range(of: "'shape': ("), let end = header[key.upperBound...].firstIndex(of: ")") else {
            return nil
        }
        let parts = header[key.upperBound..<end].split(separator: ",").map { $0.filter { $0 != " " } }
        let extents = parts.filter { !$0.isEmpty }.map { Int($0) }
        guard extents.allSatisfy({ ($0 ?? -1) >= 0 }) else { return nil }
        return extents.compactMap { $0 }
    }
}
