import Glibc
public import MarketData

/// Writes a DBN file that appears whole or not at all: a temporary file beside it takes its name in `finish`.
///
/// A thin shell around `DBNEncoder`. Without `finish`, or after an error, the temporary file is removed and
/// an older file of that name stays as it was. A symbolic link is replaced, not followed. A writer belongs to
/// one thread at a time.
public struct DBNFileWriter: ~Copyable {
    /// Output gathers up to here before it is written.
    private static let writeByteCount = 256 << 10

    public let path: String
    private var encoder: DBNEncoder
    private var file: FileDescriptor
    /// The temporary file exists.
    private var isTemporary = false

    /// Makes the temporary file. Throws if `path` is something else than a regular file or nothing.
    public init(path: String, metadata: DBNMetadata, compression: DBNEncoder.Compression) throws(DBNError) {
        self.path = path
        encoder = DBNEncoder(unopened: compression, hasSendTimestamps: metadata.hasSendTimestamps)
        file = FileDescriptor(path: path)
        do throws(DBNError) {
            try encoder.open(metadata: metadata, compression: compression)
            try DBNFileWriter.checkDestination(path)
            try openTemporary()
        } catch {
            throw error.at(path: path)
        }
    }

    deinit { removeTemporary() }

    /// The file that takes the name `path` in `finish`; whoever ends the process before that should remove it.
    public var temporaryPath: String { file.path }

    /// Records written.
    public var recordCount: UInt64 { encoder.recordCount }

    /// As `DBNEncoder.encode`.
    public mutating func encode(_ record: RawSpan) throws(DBNError) {
        do throws(DBNError) {
            try encoder.encode(record)
            try writeOutput(from: DBNFileWriter.writeByteCount)
        } catch {
            throw error.at(path: path)
        }
    }

    /// As `DBNEncoder.encodeTrade`.
    public mutating func encodeTrade(_ fields: MarketFields) throws(DBNError) {
        do throws(DBNError) {
            try encoder.encodeTrade(fields)
            try writeOutput(from: DBNFileWriter.writeByteCount)
        } catch {
            throw error.at(path: path)
        }
    }

    /// As `DBNEncoder.encodeBook`.
    public mutating func encodeBook(_ fields: MarketFields, levels: Span<BookLevel>) throws(DBNError) {
        do throws(DBNError) {
            try encoder.encodeBook(fields, levels: levels)
            try writeOutput(from: DBNFileWriter.writeByteCount)
        } catch {
            throw error.at(path: path)
        }
    }

    /// As `DBNEncoder.encodeDefinition`.
    public mutating func encodeDefinition(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, venueTimestamp: UInt64,
        captureTimestamp: UInt64, instrumentClass: UInt8 = 0
    ) throws(DBNError) {
        do throws(DBNError) {
            try encoder.encodeDefinition(
                instrument, publisherID: publisherID, instrumentID: instrumentID,
                venueTimestamp: venueTimestamp,
                captureTimestamp: captureTimestamp, instrumentClass: instrumentClass)
            try writeOutput(from: DBNFileWriter.writeByteCount)
        } catch {
            throw error.at(path: path)
        }
    }

    /// Ends the stream, brings it to the disk and gives the file its name. Called once.
    public mutating func finish() throws(DBNError) {
        do throws(DBNError) {
            try encoder.finish()
            try writeOutput(from: 1)
            try file.synchronize()
            try file.close()
            guard unsafe rename(file.path, path) == 0 else { throw systemError("rename", file.path) }
            isTemporary = false
        } catch {
            throw error.at(path: path)
        }
    }

    private mutating func writeOutput(from byteCount: Int) throws(DBNError) {
        guard encoder.outputByteCount >= byteCount else { return }
        try encoder.withOutput { bytes throws(DBNError) in try file.write(bytes) }
    }

    private static func checkDestination(_ path: String) throws(DBNError) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw systemError("stat", path)
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw DBNError(.notRegularFile, path: path) }
    }

    /// Makes a new file beside `path`, named after it, this process and a number.
    private mutating func openTemporary() throws(DBNError) {
        var number = 0
        while true {
            file = FileDescriptor(path: "\(path).\(getpid()).\(number).partial")
            do throws(DBNError) {
                try file.create()
                isTemporary = true
                return
            } catch {
                // A file of that name may be left from a process that was killed.
                guard case .file(_, EEXIST, _) = error.reason, number < 1_000 else { throw error }
                number += 1
            }
        }
    }

    private func removeTemporary() {
        if isTemporary { _ = unsafe unlink(file.path) }
    }
}
