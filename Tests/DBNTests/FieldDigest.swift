import DBN
import MarketData

/// The sums that `dbn_oracle.py digest` makes, made from the typed views: record number i of its class adds
/// value * (2 i + 1) to a field's sum, byte j of a text field of n bytes adds byte * (2 (i n + j) + 1).
struct FieldDigest {
    struct Class {
        var count = 0
        var names: [StaticString] = []
        var sums: [UInt64] = []
        private var cursor = 0
        private var weight: UInt64 = 1

        mutating func begin(_ record: Record) {
            cursor = 0
            weight = UInt64(count) &* 2 &+ 1
            count += 1
            add("publisher_id", record.publisherID)
            add("instrument_id", record.instrumentID)
            add("ts_event", record.venueTimestamp)
        }

        mutating func add<T: FixedWidthInteger>(_ name: StaticString, _ value: T) {
            place(name, UInt64(truncatingIfNeeded: value) &* weight)
        }

        mutating func add(_ name: StaticString, _ text: String, byteCount: Int) {
            var sum: UInt64 = 0
            var position = UInt64(count - 1) &* UInt64(byteCount)
            for byte in text.utf8 {
                sum &+= UInt64(byte) &* (position &* 2 &+ 1)
                position &+= 1
            }
            place(name, sum)
        }

        private mutating func place(_ name: StaticString, _ amount: UInt64) {
            if cursor == sums.count {
                names.append(name)
                sums.append(0)
            }
            sums[cursor] &+= amount
            cursor += 1
        }
    }

    var count = 0
    private var classes: [[Class]] = Array(
        repeating: Array(repeating: Class(), count: 4), count: FieldDigest.names.count)

    /// Names of the oracle's classes; three more for the former versions.
    static let names = [
        "TradeMsg", "MBP1Msg", "MBP10Msg", "MBOMsg", "BBOMsg", "CMBP1Msg", "CBBOMsg", "OHLCVMsg", "StatusMsg",
        "StatMsg", "ImbalanceMsg", "InstrumentDefMsg", "SymbolMappingMsg", "ErrorMsg", "SystemMsg",
    ]

    /// Classes by the oracle's name, those met only.
    var byName: [String: Class] {
        var result: [String: Class] = [:]
        for (number, versions) in classes.enumerated() {
            for (version, item) in versions.enumerated() where item.count > 0 {
                result[FieldDigest.names[number] + (version == 3 ? "" : "V\(version)")] = item
            }
        }
        return result
    }

    mutating func add(_ record: Record) {
        count += 1
        switch record.type {
        case .trade: FieldDigest.addMarket(record, to: &classes[0][3])
        case .mbp1: FieldDigest.addMarket(record, to: &classes[1][3])
        case .mbp10: FieldDigest.addMarket(record, to: &classes[2][3])
        case .imbalance: classes[10][3].begin(record)
        default: addViewed(record)
        }
    }

    private static func addMarket(_ record: Record, to target: inout Class) {
        target.begin(record)
        target.add("price", record.price)
        target.add("size", record.size)
        target.add("action", record.action)
        target.add("side", record.side)
        target.add("flags", record.flags.rawValue)
        target.add("depth", record.depth)
        target.add("ts_recv", record.captureTimestamp)
        target.add("sequence", record.venueSequence)
        for index in 0..<record.levelCount {
            addLevel(record.level(index), FieldDigest.levelNames[index], to: &target)
        }
    }

    private static let levelNames: [[StaticString]] = [
        ["bid_px_00", "ask_px_00", "bid_sz_00", "ask_sz_00", "bid_ct_00", "ask_ct_00"],
        ["bid_px_01", "ask_px_01", "bid_sz_01", "ask_sz_01", "bid_ct_01", "ask_ct_01"],
        ["bid_px_02", "ask_px_02", "bid_sz_02", "ask_sz_02", "bid_ct_02", "ask_ct_02"],
        ["bid_px_03", "ask_px_03", "bid_sz_03", "ask_sz_03", "bid_ct_03", "ask_ct_03"],
        ["bid_px_04", "ask_px_04", "bid_sz_04", "ask_sz_04", "bid_ct_04", "ask_ct_04"],
        ["bid_px_05", "ask_px_05", "bid_sz_05", "ask_sz_05", "bid_ct_05", "ask_ct_05"],
        ["bid_px_06", "ask_px_06", "bid_sz_06", "ask_sz_06", "bid_ct_06", "ask_ct_06"],
        ["bid_px_07", "ask_px_07", "bid_sz_07", "ask_sz_07", "bid_ct_07", "ask_ct_07"],
        ["bid_px_08", "ask_px_08", "bid_sz_08", "ask_sz_08", "bid_ct_08", "ask_ct_08"],
        ["bid_px_09", "ask_px_09", "bid_sz_09", "ask_sz_09", "bid_ct_09", "ask_ct_09"],
    ]

    private static func addLevel(_ level: BookLevel, _ names: [StaticString], to target: inout Class) {
        target.add(names[0], level.bidPrice)
        target.add(names[1], level.askPrice)
        target.add(names[2], level.bidSize)
        target.add(names[3], level.askSize)
        target.add(names[4], level.bidCount)
        target.add(names[5], level.askCount)
    }

    private mutating func addViewed(_ record: Record) {
        if let view = MBOView(record) {
            FieldDigest.add(view, to: &classes[3][3])
        } else if let view = BBOView(record) {
            FieldDigest.add(view, to: &classes[4][3])
        } else if let view = CMBP1View(record) {
            let isInterval = record.type == .cbbo1Second || record.type == .cbbo1Minute
            FieldDigest.add(view, isInterval: isInterval, to: &classes[isInterval ? 6 : 5][3])
        } else if let view = OHLCVView(record) {
            FieldDigest.add(view, to: &classes[7][3])
        } else if let view = StatusView(record) {
            FieldDigest.add(view, to: &classes[8][3])
        } else if let view = StatisticsView(record) {
            FieldDigest.add(view, to: &classes[9][record.bytes.byteCount < 80 ? 1 : 3])
        } else if let view = DefinitionView(record) {
            FieldDigest.add(view, to: &classes[11][Int(view.version)])
        } else {
            addMessage(record)
        }
    }

    private mutating func addMessage(_ record: Record) {
        let version = record.bytes.byteCount < 100 ? 1 : 3
        if let view = SymbolMappingView(record) {
            FieldDigest.add(view, version: version, to: &classes[12][version])
        } else if let view = ErrorView(record) {
            var target = classes[13][version]
            target.begin(record)
            target.add("err", view.message, byteCount: version == 1 ? 64 : 302)
            if version == 3 {
                target.add("code", view.code)
                target.add("is_last", view.isLast)
            }
            classes[13][version] = target
        } else if let view = SystemView(record) {
            var target = classes[14][version]
            target.begin(record)
            target.add("msg", view.message, byteCount: version == 1 ? 64 : 303)
            if version == 3 { target.add("code", view.code) }
            classes[14][version] = target
        }
    }

    private static func add(_ view: MBOView, to target: inout Class) {
        target.begin(view.record)
        target.add("order_id", view.orderID)
        target.add("price", view.price)
        target.add("size", view.size)
        target.add("flags", view.flags.rawValue)
        target.add("channel_id", view.channelID)
        target.add("action", view.action)
        target.add("side", view.side)
        target.add("ts_recv", view.captureTimestamp)
        target.add("ts_in_delta", view.captureDelta)
        target.add("sequence", view.venueSequence)
    }

    private static func add(_ view: BBOView, to target: inout Class) {
        target.begin(view.record)
        target.add("price", view.lastTradePrice)
        target.add("size", view.lastTradeSize)
        target.add("side", view.lastTradeSide)
        target.add("flags", view.flags.rawValue)
        target.add("ts_recv", view.captureTimestamp)
        target.add("sequence", view.venueSequence)
        addLevel(view.level, FieldDigest.levelNames[0], to: &target)
    }

    private static func add(_ view: CMBP1View, isInterval: Bool, to target: inout Class) {
        target.begin(view.record)
        target.add("price", view.price)
        target.add("size", view.size)
        target.add("side", view.side)
        target.add("flags", view.flags.rawValue)
        target.add("ts_recv", view.captureTimestamp)
        target.add("bid_px_00", view.bidPrice)
        target.add("ask_px_00", view.askPrice)
        target.add("bid_sz_00", view.bidSize)
        target.add("ask_sz_00", view.askSize)
        target.add("bid_pb_00", view.bidPublisherID)
        target.add("ask_pb_00", view.askPublisherID)
        if !isInterval {
            target.add("action", view.action)
            target.add("ts_in_delta", view.captureDelta)
        }
    }

    private static func add(_ view: OHLCVView, to target: inout Class) {
        target.begin(view.record)
        target.add("open", view.open)
        target.add("high", view.high)
        target.add("low", view.low)
        target.add("close", view.close)
        target.add("volume", view.volume)
    }

    private static func add(_ view: StatusView, to target: inout Class) {
        target.begin(view.record)
        target.add("ts_recv", view.captureTimestamp)
        target.add("action", view.action)
        target.add("reason", view.reason)
        target.add("trading_event", view.tradingEvent)
        target.add("is_trading", view.isTrading)
        target.add("is_quoting", view.isQuoting)
        target.add("is_short_sell_restricted", view.isShortSellRestricted)
    }

    private static func add(_ view: StatisticsView, to target: inout Class) {
        target.begin(view.record)
        target.add("ts_recv", view.captureTimestamp)
        target.add("ts_ref", view.referenceTimestamp)
        target.add("price", view.price)
        // The older record's undefined quantity is another number; the view gives the newer one.
        let isFormer = view.record.bytes.byteCount < 80
        target.add("quantity", isFormer && view.quantity == .max ? Int64(Int32.max) : view.quantity)
        target.add("sequence", view.venueSequence)
        target.add("ts_in_delta", view.captureDelta)
        target.add("stat_type", view.statisticType)
        target.add("channel_id", view.channelID)
        target.add("update_action", view.updateAction)
        target.add("stat_flags", view.statisticFlags)
    }

    private static func add(_ view: DefinitionView, to target: inout Class) {
        target.begin(view.record)
        target.add("ts_recv", view.captureTimestamp)
        target.add("min_price_increment", view.tickSize)
        target.add("display_factor", view.displayFactor)
        target.add("expiration", view.expiration)
        target.add("activation", view.activation)
        target.add("high_limit_price", view.highLimitPrice)
        target.add("low_limit_price", view.lowLimitPrice)
        target.add("unit_of_measure_qty", view.unitOfMeasureQuantity)
        target.add("strike_price", view.strikePrice)
        target.add("raw_instrument_id", view.rawInstrumentID)
        target.add("contract_multiplier", view.contractMultiplier)
        target.add("currency", view.currency, byteCount: 4)
        target.add("raw_symbol", view.rawSymbol, byteCount: view.version == 1 ? 22 : 71)
        target.add("exchange", view.exchange, byteCount: 5)
        target.add("asset", view.asset, byteCount: view.version == 3 ? 11 : 7)
        target.add("security_type", view.securityType, byteCount: 7)
        target.add("underlying", view.underlying, byteCount: 21)
        target.add("instrument_class", view.instrumentClass)
        target.add("security_update_action", view.updateAction)
    }

    private static func add(_ view: SymbolMappingView, version: Int, to target: inout Class) {
        let width = version == 1 ? 22 : 71
        target.begin(view.record)
        if version == 3 {
            target.add("stype_in", view.symbolTypeIn)
            target.add("stype_out", view.symbolTypeOut)
        }
        target.add("stype_in_symbol", view.symbolIn, byteCount: width)
        target.add("stype_out_symbol", view.symbolOut, byteCount: width)
        target.add("start_ts", view.start)
        target.add("end_ts", view.end)
    }
}
