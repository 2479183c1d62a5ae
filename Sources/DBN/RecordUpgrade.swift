import MarketData

/// Turns records of versions 1 and 2 into version 3, as Databento's own decoder does.
enum RecordUpgrade {
    /// Appends `record`, whose own fields are `ownByteCount` bytes of a former layout, in version 3. What
    /// stands behind them (the send timestamp) stays behind them.
    static func append(_ record: Record, ownByteCount: Int, to buffer: inout ByteBuffer) {
        let extra = record.bytes.byteCount - ownByteCount
        let byteCount = RecordLayout.currentByteCount(record.type)
        precondition(
            RecordLayout.isFormer(record.type, byteCount: ownByteCount), "Only former layouts are upgraded.")
        let start = buffer.count
        buffer.append(zeros: byteCount + extra)
        let target = Target(start: start)
        target.copy(record, to: 0, from: 0, byteCount: Record.headerByteCount, in: &buffer)
        buffer.store(UInt8((byteCount + extra) / 4), at: start)
        switch record.type {
        case .definition: upgradeDefinition(record, ownByteCount: ownByteCount, target, &buffer)
        case .statistics: upgradeStatistics(record, target, &buffer)
        case .symbolMapping: upgradeSymbolMapping(record, target, &buffer)
        case .system:
            target.copy(record, to: 16, from: 16, byteCount: 64, in: &buffer)
            buffer.store(systemCode(record.text(16, byteCount: 64)), at: start + 319)
        case .error:
            target.copy(record, to: 16, from: 16, byteCount: 64, in: &buffer)
            buffer.store(errorCode(record.text(16, byteCount: 64)), at: start + 318)
            buffer.store(UInt8.max, at: start + 319)  // Whether it is the last error is unknown.
        default: break
        }
        target.copy(record, to: byteCount, from: ownByteCount, byteCount: extra, in: &buffer)
    }

    private struct Target {
        let start: Int

        func copy(_ record: Record, to: Int, from: Int, byteCount: Int, in buffer: inout ByteBuffer) {
            for index in 0..<byteCount {
                buffer.store(record.load(from + index, as: UInt8.self), at: start + to + index)
            }
        }
    }

    private static func upgradeDefinition(
        _ record: Record, ownByteCount: Int, _ target: Target, _ buffer: inout ByteBuffer
    ) {
        let is1 = ownByteCount == RecordLayout.definitionByteCount1
        DefinitionLayout.storeUndefined(in: &buffer, at: target.start)
        for move in is1 ? DefinitionLayout.movesFrom1 : DefinitionLayout.movesFrom2 {
            target.copy(record, to: move.to, from: move.from, byteCount: move.byteCount, in: &buffer)
        }
        let rawID = is1 ? DefinitionLayout.rawInstrumentID1 : DefinitionLayout.rawInstrumentID2
        buffer.store(
            UInt64(record.load(rawID, as: UInt32.self)), at: target.start + DefinitionLayout.rawInstrumentID3)
    }

    private static func upgradeStatistics(_ record: Record, _ target: Target, _ buffer: inout ByteBuffer) {
        target.copy(record, to: 16, from: 16, byteCount: 24, in: &buffer)
        let quantity = record.load(40, as: Int32.self)
        buffer.store(quantity == Int32.max ? Int64.max : Int64(quantity), at: target.start + 40)
        target.copy(record, to: 48, from: 44, byteCount: 14, in: &buffer)
    }

    private static func upgradeSymbolMapping(_ record: Record, _ target: Target, _ buffer: inout ByteBuffer) {
        buffer.store(UInt8.max, at: target.start + 16)  // Version 1 does not say the symbologies.
        target.copy(record, to: 17, from: 16, byteCount: MetadataLayout.symbolByteCount1, in: &buffer)
        buffer.store(UInt8.max, at: target.start + 88)
        target.copy(record, to: 89, from: 38, byteCount: MetadataLayout.symbolByteCount1, in: &buffer)
        target.copy(record, to: 160, from: 64, byteCount: 16, in: &buffer)
    }

    /// Version 1 tells kinds of messages apart by their text alone.
    private static func systemCode(_ text: String) -> UInt8 {
        if text == "Heartbeat" { return SystemView.Code.heartbeat }
        if text.hasPrefix("End of interval for ") { return SystemView.Code.endOfInterval }
        if text.hasPrefix("Subscription request "), text.hasSuffix(" succeeded") {
            return SystemView.Code.subscriptionAcknowledged
        }
        if text.hasPrefix("Warning: slow reading") { return SystemView.Code.slowReaderWarning }
        if text.hasPrefix("Finished "), text.hasSuffix(" replay") { return SystemView.Code.replayCompleted }
        return SystemView.Code.unset
    }

    private static func errorCode(_ text: String) -> UInt8 {
        if text == "User or API key deactivated" { return ErrorView.Code.keyDeactivated }
        if text == "User has reached their open connection limit" { return ErrorView.Code.connectionLimit }
        if text.hasPrefix("Failed to resolve symbol") { return ErrorView.Code.symbolResolution }
        if text == "Internal error" { return ErrorView.Code.internalError }
        if text.hasPrefix("Slow client detected for ") { return ErrorView.Code.skippedRecords }
        return ErrorView.Code.unset
    }
}
