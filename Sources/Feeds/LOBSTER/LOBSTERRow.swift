import MarketData

/// One row of a message file.
struct LOBSTERMessage: Equatable {
    /// Nanoseconds after midnight in New York.
    var nanoseconds: UInt64
    var type: UInt8
    /// Shares.
    var size: UInt64
    /// In 1e-9; for a halt the code in it.
    var price: Int64
    /// 1 for a buy order, -1 for a sell order.
    var direction: Int64

    /// What may follow the event type number.
    enum Kind {
        static let submission: UInt8 = 1
        static let cancellation: UInt8 = 2
        static let deletion: UInt8 = 3
        static let visibleExecution: UInt8 = 4
        static let hiddenExecution: UInt8 = 5
        static let crossTrade: UInt8 = 6
        static let halt: UInt8 = 7
    }

    /// What a halt row carries in its price column.
    enum HaltCode {
        static let halt: Int64 = -1
        static let quotingResumes: Int64 = 0
        static let tradingResumes: Int64 = 1
    }
}

/// The fields of CSV rows of integers and decimals, without quoting: all that LOBSTER writes.
struct LOBSTERRowCursor: ~Escapable {
    private let line: Span<UInt8>
    private var position = 0

    @_lifetime(copy line)
    init(_ line: Span<UInt8>) {
        self.line = line
    }

    /// Whether all fields were read.
    var isAtEnd: Bool { position > line.count }

    /// Bounds of the next field; nil when there is none.
    @inline(__always)
    private mutating func field() -> Range<Int>? {
        guard position <= line.count else { return nil }
        let start = position
        while position < line.count, line[position] != UInt8(ascii: ",") { position += 1 }
        let range = start..<position
        position += 1
        return range
    }

    /// The next field as a signed integer of at most 18 digits.
    @inline(__always)
    mutating func integer() -> Int64? {
        guard let range = field() else { return nil }
        var index = range.lowerBound
        let isNegative = index < range.upperBound && line[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        guard index < range.upperBound, range.upperBound - index <= 18 else { return nil }
        var value: Int64 = 0
        while index < range.upperBound {
            let digit = line[index] &- 0x30
            guard digit <= 9 else { return nil }
            value = value &* 10 &+ Int64(digit)
            index += 1
        }
        return isNegative ? -value : value
    }

    /// The next field as an exact decimal, in 1e-9.
    @inline(__always)
    mutating func decimal() -> Int64? {
        guard let range = field() else { return nil }
        return FixedPoint.parse(line, from: range.lowerBound, to: range.upperBound)
    }
}

extension LOBSTERMessage {
    /// Units of 1e-9 in LOBSTER's unit of price, a hundredth of a cent.
    static let priceScale: Int64 = 100_000
    /// LOBSTER's price of a level that is not there: this on the ask side, its negative on the bid side.
    static let emptyPrice: Int64 = 9_999_999_999

    /// Reads a row; nil if it is not one, or a value is outside what its column may hold.
    init?(_ line: Span<UInt8>) {
        var cursor = LOBSTERRowCursor(line)
        guard let time = cursor.decimal(), let type = cursor.integer(), cursor.integer() != nil,
            let size = cursor.integer(), let price = cursor.integer(), let direction = cursor.integer(),
            cursor.isAtEnd, time < 2 * 86_400 * 1_000_000_000, type >= 1, type <= 7,
            direction == 1 || direction == -1, size >= 0
        else { return nil }
        nanoseconds = UInt64(time)
        self.type = UInt8(type)
        self.size = UInt64(size)
        self.direction = direction
        if type == Kind.halt {
            guard price >= -1, price <= 1 else { return nil }
            self.price = price
        } else {
            let (scaled, overflow) = price.multipliedReportingOverflow(by: LOBSTERMessage.priceScale)
            guard price > 0, !overflow, size > 0 else { return nil }
            self.price = scaled
        }
    }
}

/// Reads the rows of order-book files.
enum LOBSTERBookRow {
    /// What is wrong with a row.
    enum Problem: Error {
        /// A field is not a number, or there are too few or too many of them.
        case malformed
        /// A size that is not a whole number of lots, or more of them than DBN holds.
        case size(Int64)
        /// A price that is not positive or too large for 1e-9.
        case price(Int64)
    }

    /// Puts the best levels of a row of `levelCount` levels into `levels` (as many as it has room for; the
    /// others are checked all the same). Sizes become lots of `lotShares` shares.
    static func read(
        _ line: Span<UInt8>, levelCount: Int, lots: LotScale, into levels: inout [BookLevel]
    ) throws(Problem) {
        var cursor = LOBSTERRowCursor(line)
        for index in 0..<levelCount {
            guard let askPrice = cursor.integer(), let askShares = cursor.integer(),
                let bidPrice = cursor.integer(),
                let bidShares = cursor.integer()
            else { throw .malformed }
            guard index < levels.count else { continue }
            var level = BookLevel()
            if askPrice != LOBSTERMessage.emptyPrice {
                level.askPrice = try scaled(askPrice)
                level.askSize = try size(askShares, lots)
            }
            if bidPrice != -LOBSTERMessage.emptyPrice {
                level.bidPrice = try scaled(bidPrice)
                level.bidSize = try size(bidShares, lots)
            }
            levels[index] = level
        }
        guard cursor.isAtEnd else { throw .malformed }
        for index in min(levelCount, levels.count)..<levels.count { levels[index] = BookLevel() }
    }

    private static func scaled(_ price: Int64) throws(Problem) -> Int64 {
        let (value, overflow) = price.multipliedReportingOverflow(by: LOBSTERMessage.priceScale)
        guard price > 0, !overflow else { throw .price(price) }
        return value
    }

    private static func size(_ shares: Int64, _ lots: LotScale) throws(Problem) -> UInt32 {
        guard shares > 0, let count = lots.lots(wholeUnits: UInt64(shares)) else { throw .size(shares) }
        return count
    }
}
