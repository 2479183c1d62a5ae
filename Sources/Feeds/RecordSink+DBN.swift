public import DBN
public import MarketData

extension DBNFileWriter: RecordSink {
    public mutating func definition(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64
    ) throws(FeedError) {
        do throws(DBNError) {
            try encodeDefinition(
                instrument, publisherID: publisherID, instrumentID: instrumentID, venueTimestamp: timestamp,
                captureTimestamp: timestamp)
        } catch { throw .output("\(error)") }
    }

    public mutating func trade(_ fields: MarketFields) throws(FeedError) {
        do throws(DBNError) { try encodeTrade(fields) } catch { throw .output("\(error)") }
    }

    public mutating func book(_ fields: MarketFields, levels: Span<BookLevel>) throws(FeedError) {
        do throws(DBNError) { try encodeBook(fields, levels: levels) } catch { throw .output("\(error)") }
    }

    public mutating func status(_ status: StatusFields) throws(FeedError) {
        let bytes = RecordBytes.status(status)
        do throws(DBNError) { try encode(bytes.span.bytes) } catch { throw .output("\(error)") }
    }

    public mutating func remark(
        _ text: String, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64
    ) throws(FeedError) {
        let bytes = RecordBytes.remark(
            text, publisherID: publisherID, instrumentID: instrumentID, timestamp: timestamp)
        do throws(DBNError) { try encode(bytes.span.bytes) } catch { throw .output("\(error)") }
    }
}

extension DBNEncoder: RecordSink {
    public mutating func definition(
        _ instrument: Instrument, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64
    ) throws(FeedError) {
        do throws(DBNError) {
            try encodeDefinition(
                instrument, publisherID: publisherID, instrumentID: instrumentID, venueTimestamp: timestamp,
                captureTimestamp: timestamp)
        } catch { throw .output("\(error)") }
    }

    public mutating func trade(_ fields: MarketFields) throws(FeedError) {
        do throws(DBNError) { try encodeTrade(fields) } catch { throw .output("\(error)") }
    }

    public mutating func book(_ fields: MarketFields, levels: Span<BookLevel>) throws(FeedError) {
        do throws(DBNError) { try encodeBook(fields, levels: levels) } catch { throw .output("\(error)") }
    }

    public mutating func status(_ status: StatusFields) throws(FeedError) {
        let bytes = RecordBytes.status(status)
        do throws(DBNError) { try encode(bytes.span.bytes) } catch { throw .output("\(error)") }
    }

    public mutating func remark(
        _ text: String, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64
    ) throws(FeedError) {
        let bytes = RecordBytes.remark(
            text, publisherID: publisherID, instrumentID: instrumentID, timestamp: timestamp)
        do throws(DBNError) { try encode(bytes.span.bytes) } catch { throw .output("\(error)") }
    }
}

/// The records that are written too seldom to have a function of their own in the encoder.
enum RecordBytes {
    /// Room for a system record's text without its closing NUL.
    static let remarkByteCountMax = 302

    /// DBN's `StatusMsg`, 40 bytes, little-endian.
    static func status(_ status: StatusFields) -> [UInt8] {
        var bytes = header(
            .status, byteCount: 40, publisherID: status.publisherID, instrumentID: status.instrumentID,
            timestamp: status.venueTimestamp)
        store(status.captureTimestamp, at: 16, in: &bytes)
        store(status.action.rawValue, at: 24, in: &bytes)
        bytes[30] = status.isTrading ? UInt8(ascii: "Y") : UInt8(ascii: "N")
        bytes[31] = status.isQuoting ? UInt8(ascii: "Y") : UInt8(ascii: "N")
        // Whether short selling is restricted is not known.
        bytes[32] = UInt8(ascii: "~")
        return bytes
    }

    /// DBN's `SystemMsg`, 320 bytes, with the code "unset". What is not ASCII becomes a question mark; a
    /// longer text is cut.
    static func remark(_ text: String, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64)
        -> [UInt8]
    {
        var bytes = header(
            .system, byteCount: 320, publisherID: publisherID, instrumentID: instrumentID,
            timestamp: timestamp)
        for (index, byte) in text.utf8.prefix(remarkByteCountMax).enumerated() {
            bytes[16 + index] = byte >= 0x20 && byte < 0x7F ? byte : UInt8(ascii: "?")
        }
        bytes[319] = 0xFF
        return bytes
    }

    private static func header(
        _ type: RecordType, byteCount: Int, publisherID: UInt16, instrumentID: UInt32, timestamp: UInt64
    ) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        bytes[0] = UInt8(byteCount / 4)
        bytes[1] = type.rawValue
        store(publisherID, at: 2, in: &bytes)
        store(instrumentID, at: 4, in: &bytes)
        store(timestamp, at: 8, in: &bytes)
        return bytes
    }

    private static func store<Value: FixedWidthInteger>(
        _ value: Value, at offset: Int, in bytes: inout [UInt8]
    ) {
        for index in 0..<MemoryLayout<Value>.size {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
    }
}
