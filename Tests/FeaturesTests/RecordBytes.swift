/// Bytes of single records, for tests that write a story by hand. Prices are in ticks of `tickSize`.
enum RecordBytes {
    static let tickSize: Int64 = 10_000_000
    static let last: UInt8 = 128
    static let snapshot: UInt8 = 32

    typealias Level = (price: Int64, size: UInt32)

    /// A trade record.
    static func trade(
        price: Int64, size: UInt32, side: Character, time: UInt64, flags: UInt8 = last
    ) -> [UInt8] {
        common(
            type: 0, byteCount: 48, price: price, size: size, action: "T", side: side, flags: flags, depth: 0,
            time: time)
    }

    /// An MBP-10 record, or MBP-1 where `levelCount` is 1; missing levels are undefined.
    static func book(
        bids: [Level], asks: [Level], time: UInt64, action: Character = "M", side: Character = "B",
        depth: UInt8 = 0, flags: UInt8 = last, levelCount: Int = 10
    ) -> [UInt8] {
        var bytes = common(
            type: levelCount == 1 ? 1 : 10, byteCount: 48 + 32 * levelCount, price: bids.first?.price ?? 0,
            size: 1,
            action: action, side: side, flags: flags, depth: depth, time: time)
        for index in 0..<levelCount {
            bytes += little(index < bids.count ? bids[index].price * tickSize : Int64.max)
            bytes += little(index < asks.count ? asks[index].price * tickSize : Int64.max)
            bytes += little(index < bids.count ? bids[index].size : 0)
            bytes += little(index < asks.count ? asks[index].size : 0)
            bytes += little(UInt64(0))
        }
        return bytes
    }

    private static func common(
        type: UInt8, byteCount: Int, price: Int64, size: UInt32, action: Character, side: Character,
        flags: UInt8,
        depth: UInt8, time: UInt64
    ) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(byteCount / 4), type, 1, 0] + little(UInt32(7)) + little(time)
        bytes += little(price * tickSize) + little(size)
        bytes += [action.asciiValue ?? 0, side.asciiValue ?? 0, flags, depth]
        return bytes + little(time) + little(UInt64(0))
    }

    private static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        (0..<(T.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> T($0 * 8)) }
    }
}
