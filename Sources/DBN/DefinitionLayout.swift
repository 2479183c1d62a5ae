import MarketData

/// Where the fields of instrument definitions stand, and what they hold when undefined. Version 3 if nothing
/// else is said.
enum DefinitionLayout {
    static let captureTimestamp = 16
    static let tickSize = 24
    static let lotSize3 = 80
    static let rawSymbol3 = 238
    static let instrumentClass3 = 487

    /// A run of bytes that an older version has at another place.
    struct Move {
        var to: Int
        var from: Int
        var byteCount: Int
    }

    /// From version 1. What is not listed was dropped (trading reference price and date, trading status,
    /// settlement price type), is new (legs), or changed its size: the raw instrument id.
    static let movesFrom1 = [
        Move(to: 2, from: 2, byteCount: 78),  // publisher_id ... max_price_variation
        Move(to: 80, from: 88, byteCount: 24),  // unit_of_measure_qty ... price_ratio
        Move(to: 104, from: 328, byteCount: 8),  // strike_price
        Move(to: 136, from: 112, byteCount: 8),  // inst_attrib_value, underlying_id
        Move(to: 144, from: 124, byteCount: 32),  // market_depth_implied ... min_trade_vol
        Move(to: 176, from: 160, byteCount: 12),  // contract_multiplier ... original_contract_size
        Move(to: 212, from: 178, byteCount: 8),  // appl_id ... channel_id
        Move(to: 224, from: 186, byteCount: 36),  // currency ... raw_symbol
        Move(to: 309, from: 222, byteCount: 33),  // group, exchange, asset
        Move(to: 346, from: 255, byteCount: 70),  // cfi ... strike_price_currency
        Move(to: 487, from: 325, byteCount: 1),  // instrument_class
        Move(to: 488, from: 342, byteCount: 1),  // match_algorithm
        Move(to: 489, from: 344, byteCount: 2),  // main_fraction, price_display_format
        Move(to: 491, from: 347, byteCount: 10),  // sub_fraction ... tick_rule
    ]
    static let rawInstrumentID1 = 120

    /// From version 2.
    static let movesFrom2 = [
        Move(to: 2, from: 2, byteCount: 78),  // publisher_id ... max_price_variation
        Move(to: 80, from: 88, byteCount: 32),  // unit_of_measure_qty ... strike_price
        Move(to: 136, from: 120, byteCount: 8),  // inst_attrib_value, underlying_id
        Move(to: 144, from: 132, byteCount: 44),  // market_depth_implied ... original_contract_size
        Move(to: 212, from: 178, byteCount: 8),  // appl_id ... channel_id
        Move(to: 224, from: 186, byteCount: 118),  // currency ... asset
        Move(to: 346, from: 304, byteCount: 70),  // cfi ... strike_price_currency
        Move(to: 487, from: 374, byteCount: 2),  // instrument_class, match_algorithm
        Move(to: 489, from: 377, byteCount: 2),  // main_fraction, price_display_format
        Move(to: 491, from: 380, byteCount: 10),  // sub_fraction ... tick_rule
    ]
    static let rawInstrumentID2 = 128
    static let rawInstrumentID3 = 112

    /// Writes DBN's undefined values behind the header of a record of zeros at `start`.
    static func storeUndefined(in buffer: inout ByteBuffer, at start: Int) {
        // ts_recv, expiration, activation.
        for offset in [16, 40, 48] { buffer.store(Timestamp.undefined, at: start + offset) }
        // Prices and ratios in 1e-9, from min_price_increment to leg_delta.
        for offset in [24, 32, 56, 64, 72, 80, 88, 96, 104, 120, 128] {
            buffer.store(Price.undefined, at: start + offset)
        }
        // inst_attrib_value, market depths, lot sizes, multiplier, decay, contract size.
        for offset in [136, 144, 148, 160, 164, 168, 176, 180, 184] {
            buffer.store(Int32.max, at: start + offset)
        }
        // market_segment_id, max_trade_vol, min_trade_vol.
        for offset in [152, 156, 172] { buffer.store(UInt32.max, at: start + offset) }
        buffer.store(Int16.max, at: start + 212)  // appl_id
        // maturity_year, decay_start_date, channel_id.
        for offset in [214, 216, 218] { buffer.store(UInt16.max, at: start + offset) }
        buffer.store(UInt8(ascii: " "), at: start + 488)  // match_algorithm: undefined
        // main_fraction ... underlying_product, maturity month to week, tick_rule.
        for offset in [489, 490, 491, 492, 494, 495, 496, 500] { buffer.store(UInt8.max, at: start + offset) }
        buffer.store(UInt8(ascii: "A"), at: start + 493)  // security_update_action: add
        buffer.store(UInt8(ascii: "N"), at: start + 497)  // user_defined_instrument: no
        // contract_multiplier_unit, flow_schedule_type.
        for offset in [498, 499] { buffer.store(Int8.max, at: start + offset) }
        buffer.store(Side.none, at: start + 502)  // leg_side
    }
}
