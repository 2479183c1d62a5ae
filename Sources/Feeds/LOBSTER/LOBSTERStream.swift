import DBN
import MarketData

/// The days of one symbol, one event after the other.
final class LOBSTERStream: ConversionStream {
    private(set) var report: InstrumentConversion
    private(set) var nextTimestamp: UInt64?

    private let instrument: Instrument
    private let id: UInt32
    private let lots: LotScale
    private let sessions: [LOBSTERSession]
    /// Index of the session after the open one.
    private var nextSession = 0
    private var closedByteCount: UInt64 = 0
    private var session: LOBSTERSession?
    private var messages: LineReader?
    private var books: LineReader?
    private var messageStream: ByteStream?
    private var bookStream: ByteStream?
    /// Rows of the open day read so far.
    private var rowNumber: UInt64 = 0

    /// The event to be written next, and the book after it.
    private var message = LOBSTERMessage(nanoseconds: 0, type: 0, size: 0, price: 0, direction: 1)
    private var levels = [BookLevel](repeating: BookLevel(), count: OrderBook.depth)
    /// The book before it.
    private var previous = [BookLevel](repeating: BookLevel(), count: OrderBook.depth)

    init(sessions: [LOBSTERSession], instrument: Instrument, id: UInt32) throws(FeedError) {
        self.sessions = sessions
        self.instrument = instrument
        self.id = id
        lots = LotScale(lotSize: instrument.lotSize)
        report = InstrumentConversion(
            symbol: instrument.symbol, instrumentID: id, tickSize: instrument.tickSize,
            lotSize: instrument.lotSize)
        report.files = sessions.map(\.label)
        try advance()
    }

    var consumedByteCount: UInt64 {
        closedByteCount + (messageStream?.consumedByteCount ?? 0) + (bookStream?.consumedByteCount ?? 0)
    }

    func step<Sink: RecordSink & ~Copyable>(into sink: inout Sink) throws(FeedError) {
        guard let timestamp = nextTimestamp else { return }
        report.note(timestamp)
        switch message.type {
        case LOBSTERMessage.Kind.halt:
            try writeStatus(to: &sink, at: timestamp)
        case LOBSTERMessage.Kind.hiddenExecution, LOBSTERMessage.Kind.crossTrade:
            try writeTrade(to: &sink, at: timestamp, isLast: true)
        case LOBSTERMessage.Kind.visibleExecution:
            try writeTrade(to: &sink, at: timestamp, isLast: false)
            try writeBook(to: &sink, at: timestamp, action: Action.fill)
        case LOBSTERMessage.Kind.submission:
            try writeBook(to: &sink, at: timestamp, action: Action.add)
        default:
            try writeBook(to: &sink, at: timestamp, action: Action.cancel)
        }
        swap(&previous, &levels)
        try advance()
    }

    private func fields(at timestamp: UInt64, action: UInt8, side: UInt8) throws(FeedError) -> MarketFields {
        guard let size = lots.lots(wholeUnits: message.size) else {
            throw refusal("size \(message.size)", .size(Int64(clamping: message.size)), of: message)
        }
        return MarketFields(
            publisherID: Publisher.lobster.id, instrumentID: id, venueTimestamp: timestamp,
            captureTimestamp: timestamp,
            price: message.price, size: size, action: action, side: side,
            venueSequence: UInt32(truncatingIfNeeded: rowNumber))
    }

    private func writeTrade<Sink: RecordSink & ~Copyable>(
        to sink: inout Sink, at timestamp: UInt64, isLast: Bool
    ) throws(FeedError) {
        // The resting order's direction is given: a sell order was executed by a buyer.
        var side = message.direction == -1 ? Side.bid : Side.ask
        if message.type == LOBSTERMessage.Kind.crossTrade { side = Side.none }
        var trade = try fields(at: timestamp, action: Action.trade, side: side)
        if isLast {
            trade.flags = .last
            report.ticks += 1
        }
        report.trades += 1
        if message.type == LOBSTERMessage.Kind.hiddenExecution { report.hiddenExecutions += 1 }
        if message.type == LOBSTERMessage.Kind.crossTrade { report.crossTrades += 1 }
        if message.price % instrument.tickSize != 0 { report.offTickTrades.add(messagePosition) }
        try sink.trade(trade)
    }

    private func writeBook<Sink: RecordSink & ~Copyable>(
        to sink: inout Sink, at timestamp: UInt64, action: UInt8
    ) throws(FeedError) {
        let isBid = message.direction == 1
        var book = try fields(at: timestamp, action: action, side: isBid ? Side.bid : Side.ask)
        book.flags = .last
        book.depth = depth(isBid: isBid)
        report.books += 1
        report.ticks += 1
        let best = levels[0]
        if best.bidPrice != Price.undefined, best.askPrice != Price.undefined, best.bidPrice >= best.askPrice {
            report.crossedBooks.add(messagePosition)
        }
        if isOffTick(best.bidPrice) || isOffTick(best.askPrice) { report.offTickBooks.add(messagePosition) }
        // A span cannot be taken of a class's property; the local shares its storage.
        let rows = levels
        try sink.book(book, levels: rows.span)
    }

    private func isOffTick(_ price: Int64) -> Bool {
        price != Price.undefined && price % instrument.tickSize != 0
    }

    /// The level of the event's price: in the book after it, or before it where the level is gone;
    /// `OrderBook.depth` where it is deeper than the levels kept.
    private func depth(isBid: Bool) -> UInt8 {
        for book in [levels, previous] {
            for index in book.indices
            where (isBid ? book[index].bidPrice : book[index].askPrice) == message.price {
                return UInt8(index)
            }
        }
        return UInt8(OrderBook.depth)
    }

    private func writeStatus<Sink: RecordSink & ~Copyable>(
        to sink: inout Sink, at timestamp: UInt64
    ) throws(FeedError) {
        report.halts.add(messagePosition)
        report.statuses += 1
        let action: StatusAction
        switch message.price {
        case LOBSTERMessage.HaltCode.halt: action = .halt
        case LOBSTERMessage.HaltCode.quotingResumes: action = .quoting
        default: action = .trading
        }
        try sink.status(
            StatusFields(
                publisherID: Publisher.lobster.id, instrumentID: id, venueTimestamp: timestamp,
                captureTimestamp: timestamp, action: action, isTrading: action == .trading,
                isQuoting: action != .halt))
    }
}

/// Reading.
extension LOBSTERStream {
    private var messagePosition: InputPosition {
        InputPosition(file: session.map(\.label) ?? "", line: messages?.lineNumber ?? 0)
    }

    /// Reads rows until one holds an event, through the days.
    private func advance() throws(FeedError) {
        let before = nextTimestamp
        nextTimestamp = nil
        while nextTimestamp == nil {
            if session == nil {
                guard nextSession < sessions.count else { return }
                try open(sessions[nextSession])
                nextSession += 1
            }
            if try readRow() { continue }
            closeSession()
        }
        if let before, let now = nextTimestamp, now < before { report.clockReversals.add(messagePosition) }
    }

    private func open(_ next: LOBSTERSession) throws(FeedError) {
        let messageStream = try ByteStream(file: next.file, entry: next.messages)
        let bookStream = try ByteStream(file: next.file, entry: next.books)
        messages = LineReader(path: next.label, stream: messageStream)
        books = LineReader(path: "\(next.file.path):\(next.books.name)", stream: bookStream)
        self.messageStream = messageStream
        self.bookStream = bookStream
        session = next
        rowNumber = 0
        for index in previous.indices { previous[index] = BookLevel() }
    }

    private func closeSession() {
        closedByteCount = consumedByteCount
        session = nil
        messages = nil
        books = nil
        messageStream = nil
        bookStream = nil
    }

    /// Reads one row of both files. False at the end of the day; true leaves `nextTimestamp` nil if the row
    /// is malformed.
    private func readRow() throws(FeedError) -> Bool {
        let hasMessage = try nextLine(messages)
        let hasBook = try nextLine(books)
        guard hasMessage || hasBook else { return false }
        rowNumber += 1
        guard hasMessage, hasBook else {
            let ended = hasMessage ? "order-book" : "message"
            throw .content(
                path: hasMessage ? messages?.path ?? "" : books?.path ?? "",
                line: hasMessage ? messages?.lineNumber ?? 0 : books?.lineNumber ?? 0,
                found: "row \(rowNumber)",
                expected: "the end, because the \(ended) file has \(rowNumber - 1) rows")
        }
        report.lines += 1
        guard let parsed = messages.flatMap({ LOBSTERMessage($0.line) }) else {
            try refuseFirstRow("a row that is not TIME,TYPE,ORDER,SIZE,PRICE,DIRECTION", of: messages?.path)
            report.malformed.add(messagePosition)
            return true
        }
        message = parsed
        guard try readBook() else {
            let columns = "\(4 * (session?.name.levelCount ?? 0)) integers"
            try refuseFirstRow(
                "a row that is not the \(columns) that the file's name announces", of: books?.path)
            let place = InputPosition(file: books?.path ?? "", line: books?.lineNumber ?? 0)
            report.malformed.add(place)
            return true
        }
        nextTimestamp = (session?.name.midnightTimestamp ?? 0) + parsed.nanoseconds
        return true
    }

    /// Goes to the next line that is not empty. False at the end.
    private func nextLine(_ reader: LineReader?) throws(FeedError) -> Bool {
        guard let reader else { return false }
        while try reader.next() {
            if !reader.line.isEmpty { return true }
        }
        return false
    }

    /// Reads the book row. False if it is malformed.
    private func readBook() throws(FeedError) -> Bool {
        let levelCount = session?.name.levelCount ?? 0
        do throws(LOBSTERBookRow.Problem) {
            try readLevels(levelCount)
            return true
        } catch {
            switch error {
            case .malformed: return false
            case .size(let shares): throw refusal("size \(shares)", error, of: nil)
            case .price(let price): throw refusal("price \(price)", error, of: nil)
            }
        }
    }

    private func readLevels(_ levelCount: Int) throws(LOBSTERBookRow.Problem) {
        guard let books else { throw .malformed }
        try LOBSTERBookRow.read(books.line, levelCount: levelCount, lots: lots, into: &levels)
    }

    /// A file whose first row is malformed is another kind of file, so it is refused; later rows are counted.
    private func refuseFirstRow(_ found: String, of path: String?) throws(FeedError) {
        guard rowNumber == 1 else { return }
        throw .content(path: path ?? "", line: 1, found: found, expected: "LOBSTER's format")
    }

    private func refusal(_ found: String, _ problem: LOBSTERBookRow.Problem, of message: LOBSTERMessage?)
        -> FeedError
    {
        let expected =
            switch problem {
            case .price: "a positive price, at most 92,233,720,368 dollars"
            default:
                "a positive multiple of the lot size \(FixedPoint.text(instrument.lotSize)), "
                    + "at most 4294967294 lots; --instrument \(instrument.symbol):lot=SIZE gives another"
            }
        return .content(
            path: (message == nil ? books?.path : messages?.path) ?? "",
            line: (message == nil ? books?.lineNumber : messages?.lineNumber) ?? 0, found: found,
            expected: expected)
    }
}
