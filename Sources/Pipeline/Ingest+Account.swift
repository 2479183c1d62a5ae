internal import CPlatform
internal import Features
internal import MarketData
internal import Wire

extension Ingest where Source: ~Copyable {
    /// Checks a message, finds its instrument, and accounts for its sequence.
    ///
    /// - Returns: what to put into a ring, or nil if the message carries nothing further. Never traps.
    mutating func account(_ message: UnsafeRawBufferPointer, receivedAt: UInt64) -> Delivery? {
        // Another core has written it: the check below would wait for each record's first line.
        unsafe martlet_prefetch(message.baseAddress, message.count)
        switch unsafe PacketView.parse(message) {
        case .malformed(let error):
            counters.add(.messagesMalformed, 1)
            if counters[.messagesMalformed] == 1 { incidents.report("malformed message: \(error)") }
            return nil
        case .packet(let view):
            let topic = unsafe view.topic(in: message)
            let known = unsafe topics.find(topic) ?? register(topic)
            guard known.instrument >= 0 else {
                counters.add(.messagesRefused, 1)
                return nil
            }
            let payload = unsafe view.payload(in: message)
            let index = Int(known.instrument)
            if known.isDefinition { return unsafe define(index, view.header, payload) }
            return unsafe account(index, view.header, payload, receivedAt: receivedAt)
        }
    }

    /// Meets a topic for the first time. Cold: once a topic, and once a message for what is refused.
    private mutating func register(_ bytes: UnsafeRawBufferPointer) -> TopicTable.Value {
        let value = instrument(of: unsafe Array(bytes))
        // Topics of instruments always find room; refused ones are remembered while there is some.
        if value.instrument >= 0 || topics.refusedCount < TopicTable.refusedMax {
            guard unsafe topics.insert(bytes, value) else { return .refused }
        }
        return value
    }

    /// What a topic stands for; refused, by name if it has one, if it is not a stream that can be followed.
    private mutating func instrument(of bytes: [UInt8]) -> TopicTable.Value {
        guard let topic = Topic.parse(bytes) else {
            report("a topic refused: expected md/… or def/…, with two names")
            return .refused
        }
        if case .signals = topic.kind {
            report("a topic of signals refused: expected md/… or def/…, with two names")
            return .refused
        }
        guard hasSignalsTopic(topic) else {
            report("\(topic.dataset) \(topic.symbol) refused: with the model's name its topic is too long")
            return .refused
        }
        guard let index = registry.intern(dataset: topic.dataset, symbol: topic.symbol) else {
            report(
                "\(topic.dataset) \(topic.symbol) refused: there is room for \(registry.capacity) instruments; "
                    + "give a larger --max-instruments")
            return .refused
        }
        return TopicTable.Value(instrument: Int32(index), isDefinition: topic.kind == Topic.Kind.definitions)
    }

    /// Says once a stream what is wrong with it, so that none falls silent without a word.
    mutating func report(_ trouble: InputStream.Trouble, _ index: Int, _ text: @autoclosure () -> String) {
        guard streams[index].reported.insert(trouble).inserted else { return }
        let entry = registry[index]
        incidents.report("\(entry.dataset) \(entry.symbol): \(text())")
    }

    /// Reports a refused topic, while refused topics are remembered: a peer that names ever new ones takes no lock.
    private mutating func report(_ text: String) {
        if topics.refusedCount < TopicTable.refusedMax { return incidents.report(text) }
        guard !hasReportedRest else { return }
        hasReportedRest = true
        incidents.report("more topics are refused than are named here")
    }

    /// Whether the instrument's signals can have a topic: that is longer than the one that came, by the model's name.
    private func hasSignalsTopic(_ topic: Topic) -> Bool {
        do throws(WireError) {
            _ = try Topic(.signals(modelName), dataset: topic.dataset, symbol: topic.symbol)
            return true
        } catch { return false }
    }

    /// Takes a definition packet: tick size, and from the schema which records complete a tick.
    private mutating func define(_ index: Int, _ header: PacketHeader, _ payload: UnsafeRawBufferPointer) -> Delivery? {
        guard header.kind == PacketHeader.Kind.records else { return nil }
        var tickSize: Int64 = 0
        var rule = streams[index].rule
        var records = PacketRecords(unsafe payload.bytes)
        while let record = records.next() {
            if record.type == .definition, record.bytes.byteCount >= DefinitionField.end {
                tickSize = record.load(DefinitionField.tickSize, as: Int64.self)
            } else if let schema = StreamSchema(record) {
                guard isUsable(index, schema) else { return nil }
                rule = schema.tickRule
            }
        }
        if tickSize > FeatureExtractor.tickSizeMax { reportTickSize(index, tickSize) }
        guard tickSize > 0, tickSize <= FeatureExtractor.tickSizeMax else {
            // A schema alone: the tick size can still come from the configuration.
            if !streams[index].isDefined { streams[index].rule = rule }
            return nil
        }
        guard !streams[index].isDefined || streams[index].tickSize != tickSize || streams[index].rule != rule else {
            return nil
        }
        return command(index, tickSize: tickSize, rule: rule)
    }

    /// Refuses by name a stream that can never have a book.
    private mutating func isUsable(_ index: Int, _ schema: StreamSchema) -> Bool {
        guard case .one(let schema) = schema, !schema.statesPriceLevels else {
            streams[index].isRefused = false
            return true
        }
        streams[index].isRefused = true
        report(
            .noPriceLevels, index,
            "refused, as a feed of \(schema.name) alone has no price levels; give mbp-1, mbp-10 or tbbo data")
        return false
    }

    /// Tells the worker an instrument's tick size and rule, through its ring.
    private mutating func command(_ index: Int, tickSize: Int64, rule: TickRule) -> Delivery {
        streams[index].isDefined = true
        streams[index].tickSize = tickSize
        streams[index].rule = rule
        var envelope = TickEnvelope(kind: TickEnvelope.Kind.definition)
        envelope.instrument = UInt32(index)
        definitionMemory.storeBytes(
            of: DefinitionCommand(tickSize: tickSize, rule: UInt64(rule.rawValue)), as: DefinitionCommand.self)
        return unsafe Delivery(
            envelope: envelope,
            payload: UnsafeRawBufferPointer(start: definitionMemory, count: DefinitionCommand.byteCount))
    }

    private mutating func account(
        _ index: Int, _ header: PacketHeader, _ payload: UnsafeRawBufferPointer, receivedAt: UInt64
    ) -> Delivery? {
        guard isFollowed(index, header) else { return nil }
        if header.kind == PacketHeader.Kind.heartbeat { counters.add(.heartbeatsReceived, 1) }
        if streams[index].tracker.expected == 0 { streams[index].firstSequence = header.sequence }
        var isNewSession = false
        var envelope = TickEnvelope(kind: TickEnvelope.Kind.records)
        envelope.instrument = UInt32(index)
        envelope.receivedAt = receivedAt
        envelope.session = header.session
        envelope.sequence = header.sequence
        var skip = 0
        switch streams[index].tracker.feed(header, now: clock.wallNanoseconds()) {
        case .inOrder: break
        case .gap(let from, let count):
            envelope.lost = lost(from: from, count: count)
        case .duplicate(let count):
            counters.add(.recordsDuplicate, count)
            report(.duplicate, index, "records that came before come again, and are skipped")
            skip = count
        case .beforeJoin(let count):
            counters.add(.recordsBeforeJoin, Int(truncatingIfNeeded: min(count, UInt64(Int.max))))
        case .newSession(let missing, let isTailUnknown):
            counters.add(.sessionChanges, 1)
            isNewSession = true
            streams[index].firstSequence = 1
            envelope.lost = lost(from: 1, count: missing)
            if isTailUnknown { envelope.lost = MissingRange(first: 1, count: GapRecord.unknownCount, reason: 1) }
        case .staleSession:
            counters.add(.messagesRefused, 1)
            report(.staleSession, index, "packets of an older session than the newest seen are refused")
            return nil
        case .implausibleLoss:
            counters.add(.messagesRefused, 1)
            report(.implausible, index, "a packet refused that would mean a loss of more than 2^32 records")
            return nil
        case .futureSession:
            counters.add(.messagesRefused, 1)
            report(.implausible, index, "a packet refused whose session begins more than a day from now")
            return nil
        }
        trackSession(index, header, isNew: isNewSession)
        guard streams[index].isDefined || definePreset(index) else {
            // None of its records has been taken: the first that could be is the next.
            streams[index].firstSequence = streams[index].tracker.expected
            refuseUndefined(index)
            return nil
        }
        envelope.firstSequence = streams[index].firstSequence
        return unsafe delivery(envelope, header, payload, skipping: skip, isNewSession: isNewSession)
    }

    /// The records of a packet behind the `skip` that came before; nil if nothing is left to tell.
    private mutating func delivery(
        _ envelope: TickEnvelope, _ header: PacketHeader, _ payload: UnsafeRawBufferPointer, skipping skip: Int,
        isNewSession: Bool
    ) -> Delivery? {
        var envelope = envelope
        guard header.kind == PacketHeader.Kind.records, skip < Int(header.count) else {
            // A heartbeat or an end can still reveal a loss, and tells what was dropped before a pause.
            let dropped = streams[Int(envelope.instrument)].dropped
            guard envelope.lost.count > 0 || isNewSession || dropped.count > 0 else { return nil }
            envelope.sequence = streams[Int(envelope.instrument)].tracker.expected
            return unsafe Delivery(envelope: envelope, payload: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        var offset = 0
        for _ in 0..<skip { offset += Int(unsafe payload[offset]) * 4 }
        envelope.recordCount = UInt32(Int(header.count) - skip)
        envelope.sequence &+= UInt64(skip)
        counters.add(.recordsReceived, Int(envelope.recordCount))
        return unsafe Delivery(envelope: envelope, payload: UnsafeRawBufferPointer(rebasing: payload[offset...]))
    }

    private mutating func lost(from: UInt64, count: UInt64) -> MissingRange {
        guard count > 0 else { return .none }
        counters.add(.recordsLost, Int(truncatingIfNeeded: min(count, UInt64(Int.max))))
        return MissingRange(
            first: from, count: GapRecord.count(count),
            reason: UInt32(GapReason.lostOnInput.rawValue))
    }

    /// Follows the first publisher of a topic; another's packets would interleave two sequences.
    private mutating func isFollowed(_ index: Int, _ header: PacketHeader) -> Bool {
        if streams[index].tracker.session == 0 { streams[index].publisher = header.publisher }
        let followed = streams[index].publisher
        guard followed != header.publisher else { return true }
        counters.add(.messagesRefused, 1)
        report(
            .publisher, index,
            "publisher \(header.publisher) refused, publisher \(followed) is followed; one topic "
                + "takes one publisher")
        return false
    }

    /// Defines an instrument from the configuration, if it is there.
    private mutating func definePreset(_ index: Int) -> Bool {
        guard !streams[index].isRefused else { return false }
        let entry = registry[index]
        for preset in presets where entry.isNamed(dataset: preset.dataset ?? entry.dataset, symbol: preset.symbol) {
            guard preset.tickSize <= FeatureExtractor.tickSizeMax else {
                reportTickSize(index, preset.tickSize)
                return false
            }
            pendingDefinition = command(index, tickSize: preset.tickSize, rule: streams[index].rule)
            return true
        }
        return false
    }

    private mutating func reportTickSize(_ index: Int, _ tickSize: Int64) {
        report(
            .tickSize, index,
            "refused, as its tick size of \(tickSize)e-9 is out of range; expected 1e-9 to "
                + "\(FeatureExtractor.tickSizeMax)e-9")
    }

    private mutating func refuseUndefined(_ index: Int) {
        counters.add(.messagesRefused, 1)
        // The reason is said already.
        guard streams[index].reported.isDisjoint(with: [.noPriceLevels, .tickSize]) else { return }
        let symbol = registry[index].symbol
        report(
            .undefined, index,
            "refused, as its tick size is not known; publish a definition or give --instrument \(symbol):tick=…,lot=…")
    }

    /// Knows how many sessions are open, so that a run over a replay can end with it. A packet of an older session says
    /// nothing of it, and a heartbeat opens a stream only as the first of a session.
    private mutating func trackSession(_ index: Int, _ header: PacketHeader, isNew: Bool) {
        if header.kind == PacketHeader.Kind.heartbeat, streams[index].hasMetSession, !isNew { return }
        streams[index].hasMetSession = true
        hasSeenSession = true
        let isOpen = header.kind != PacketHeader.Kind.endOfSession
        if !isOpen { counters.add(.sessionsEnded, 1) }
        guard isOpen != streams[index].isSessionOpen else { return }
        streams[index].isSessionOpen = isOpen
        openSessions += isOpen ? 1 : -1
    }
}

/// Where DBN's definition record holds the tick size, in all versions.
private enum DefinitionField {
    static let tickSize = 24
    static let end = 32
}
