import MarketData
import Wire

/// Any bytes as a message, a request and a response: no trap, no read outside the bytes, and every packet
/// that is accepted can be read to its end and accounted for.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzWire(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    let message = bytes.bytes
    _ = try? RetransmissionRequest(message)
    _ = try? RetransmissionResponse(message)
    _ = Topic.parse(bytes)
    guard case .packet(let view) = PacketView.parse(bytes) else { return 0 }
    var tracker = SequenceTracker()
    _ = tracker.feed(view.header, now: view.header.sentTimestamp)
    _ = view.topic(in: message).withUnsafeBytes { Topic.parse($0) }
    guard view.header.kind == PacketHeader.Kind.records else {
        _ = Heartbeat.address(in: view.payload(in: message))
        return 0
    }
    var (records, byteCount) = (0, 0)
    var walk = view.records(in: message)
    while let record = walk.next() {
        records += 1
        byteCount += record.bytes.byteCount
        _ = SignalRecord(record)
        _ = GapRecord(record)
        _ = StreamSchema(record)
        _ = TickRule.lastFlag.completesTick(record)
    }
    precondition(
        records == Int(view.header.count) && byteCount == view.payloadByteCount, "A packet is read whole.")
    return 0
}
