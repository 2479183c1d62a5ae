import DBN
import MarketData

/// libFuzzer's entry: whatever the bytes are, the decoder must neither trap nor read outside them nor hold
/// much memory, must say the same of them however they are cut, and what it accepts must survive encoding.
///
/// The first byte chooses how the rest is cut.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDBN(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 0 else { return 0 }
    let bytes = unsafe RawSpan(_unsafeStart: data, byteCount: count)
    let step = Int(bytes.unsafeByte(0)) % 64 + 1
    let input = bytes.extracting(1..<count)
    let whole = Outcome(input, step: .max)
    let cut = Outcome(input, step: step)
    // libzstd may find damage before it hands out what it decompressed in the same call, so the cut decides
    // how much of a damaged frame is seen. Everything else must be the same.
    if whole.isDamagedFrame || cut.isDamagedFrame { return 0 }
    guard whole == cut else { fail("The cut changes the result: \(whole) \(cut)") }
    return 0
}

extension RawSpan {
    fileprivate func unsafeByte(_ index: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self)
    }
}

/// A broken rule ends the process, which is what libFuzzer looks for; unlike a precondition's, the text is printed in an
/// optimised build too.
private func fail(_ text: String) -> Never { fatalError(text) }

/// What the decoder said, condensed.
private struct Outcome: Equatable {
    var metadata: DBNMetadata?
    var recordCount: UInt64 = 0
    var byteOffset: UInt64 = 0
    var checksum: UInt64 = 0
    var error: DBNError.Reason?
    var isDamagedFrame = false

    init(_ input: RawSpan, step: Int) {
        var limits = DBNDecoder.Limits()
        limits.metadataByteCountMax = 1 << 20
        limits.windowLogMax = 20
        var decoder = DBNDecoder(limits: limits)
        var map = SymbolMap(instrumentCountMax: 100)
        var encoder: DBNEncoder?
        do throws(DBNError) {
            var position = 0
            // A zstd bomb would only cost time here.
            loop: while recordCount < 20_000 {
                let result = try decoder.next()
                if result != .needsInput { byteOffset = decoder.byteOffset }
                switch result {
                case .needsInput where position == input.byteCount: decoder.finish()
                case .needsInput:
                    let end = position + min(step, input.byteCount - position)
                    try decoder.feed(input.extracting(position..<end))
                    position = end
                case .metadata:
                    metadata = decoder.metadata
                    try checkMetadata()
                case .record:
                    if recordCount == 0, step == .max { encoder = try makeEncoder(decoder.hasSendTimestamps) }
                    recordCount += 1
                    checksum = checksum &* 31 &+ read(decoder.record)
                    checksum &+= decoder.sendTimestamp ?? 0
                    try encode(decoder.record, &encoder)
                    if map.count < 100 { try map.apply(decoder.record) }
                case .end: break loop
                }
            }
        } catch {
            self.error = error.reason
            byteOffset = error.byteOffset
            if case .zstd = error.reason { isDamagedFrame = true }
        }
        if var encoder = encoder.take() {
            do throws(DBNError) { try Outcome.checkEncoding(&encoder) } catch { fail("\(error)") }
        }
    }

    /// Metadata come back from the encoder as they went in, unless they hold what cannot be written.
    private func checkMetadata() throws(DBNError) {
        guard let metadata else { fail("Metadata are there after .metadata.") }
        _ = try? SymbolMap(metadata: metadata, instrumentCountMax: 1_000)
        guard var encoder = try? DBNEncoder(metadata: metadata, compression: .none) else { return }
        let bytes = encoder.takeOutput()
        var decoder = DBNDecoder()
        try decoder.feed(bytes.span.bytes)
        guard try decoder.next() == .metadata, var again = decoder.metadata else {
            fail("Metadata are written.")
        }
        again.version = metadata.version
        guard again == metadata else { fail("\(again) \(metadata)") }
    }

    /// Records of known types can be written, and are then records of version 3.
    private static func checkEncoding(_ encoder: inout DBNEncoder) throws(DBNError) {
        let count = encoder.recordCount
        let bytes = encoder.takeOutput()
        var decoder = DBNDecoder()
        try decoder.feed(bytes.span.bytes)
        decoder.finish()
        while try decoder.next() != .end {}
        guard decoder.recordNumber == count else { fail("\(decoder.recordNumber) of \(count) records") }
    }
}

private func makeEncoder(_ hasSendTimestamps: Bool) throws(DBNError) -> DBNEncoder {
    var metadata = DBNMetadata(dataset: "FUZZ", start: 0)
    metadata.hasSendTimestamps = hasSendTimestamps
    return try DBNEncoder(metadata: metadata, compression: .none)
}

/// Writes `record`, unless it is of no known type.
private func encode(_ record: Record, _ encoder: inout DBNEncoder?) throws(DBNError) {
    guard encoder != nil else { return }
    do {
        try encoder?.encode(record.bytes)
    } catch {
        guard case .unknownRecordType = error.reason else { fail("\(error)") }
    }
}

/// Touches every view and field that fits.
private func read(_ record: Record) -> UInt64 {
    var sum = UInt64(record.type.rawValue) &+ record.venueTimestamp &+ UInt64(record.instrumentID)
    sum &+= record.indexTimestamp ?? 0
    if record.isTradeOrBook { sum &+= UInt64(bitPattern: record.price) &+ record.captureTimestamp }
    for index in 0..<record.levelCount { sum &+= UInt64(bitPattern: record.level(index).bidPrice) }
    sum &+= TickRule.lastFlag.completesTick(record) ? 1 : 0
    if let view = MBOView(record) { sum &+= view.orderID &+ UInt64(view.venueSequence) }
    if let view = BBOView(record) { sum &+= UInt64(view.level.askCount) }
    if let view = CMBP1View(record) { sum &+= UInt64(view.askPublisherID) }
    if let view = OHLCVView(record) { sum &+= view.volume }
    if let view = StatusView(record) { sum &+= UInt64(view.isShortSellRestricted) }
    if let view = StatisticsView(record) {
        sum &+= UInt64(view.statisticFlags) &+ UInt64(bitPattern: view.quantity)
    }
    if let view = SystemView(record) { sum &+= UInt64(view.message.utf8.count) &+ UInt64(view.code) }
    if let view = ErrorView(record) { sum &+= UInt64(view.message.utf8.count) &+ UInt64(view.isLast) }
    if let view = SymbolMappingView(record) { sum &+= UInt64(view.symbolOut.utf8.count) &+ view.end }
    if let view = DefinitionView(record) {
        sum &+= UInt64(view.rawSymbol.utf8.count) &+ view.rawInstrumentID &+ UInt64(view.updateAction)
        sum &+= UInt64(bitPattern: view.instrument(dataset: "FUZZ")?.tickSize ?? 0)
    }
    return sum
}
