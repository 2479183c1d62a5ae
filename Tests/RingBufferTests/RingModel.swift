/// The ring's algorithm, one memory access per step, for a search of every interleaving.
///
/// Memory is in words of 8 bytes; a word holds a tag that says what was written there. Plain stores and
/// payload loads are first issued and then performed at any later step, in any order, which is more than any
/// real processor does; a releasing store waits until what was issued before is performed, an acquiring load
/// holds back what follows. The producer chooses each record's length, may abort, commit less than it
/// claimed, and stage; the consumer releases when it likes. Ownership is checked at each store: no word that
/// the consumer owns is ever written.
struct RingModel: Hashable {
    /// The same for all states of one search.
    struct Setting: Sendable {
        var capacity: Int
        var recordCount: Int
        var payloadWordsMax: Int
        var abortCountMax = 1
        var fault = Fault.none
    }

    /// Ways to break the algorithm, each of which the search must find.
    enum Fault: CaseIterable {
        case none, publishIsRelaxed, releaseIsRelaxed, releaseBeforeAdvance, limitIsOneTooFar,
            paddingNotCounted
    }

    enum Violation: Error, Equatable {
        case storeIntoOwnedWord, wrongHeader, wrongPayload, stuck
    }

    /// What a word holds: 2 bits kind, 3 bits record, 3 bits number.
    enum Tag {
        static func header(record: UInt8, strideWords: UInt8) -> UInt8 { 1 << 6 | record << 3 | strideWords }
        static func padding(words: UInt8) -> UInt8 { 2 << 6 | words }
        static func payload(record: UInt8, index: UInt8) -> UInt8 { 3 << 6 | record << 3 | index }
    }

    enum ProducerStep: UInt8 { case choose, checkSpace, writePayload, commit }

    // Shared memory.
    var memory: UInt64 = 0
    var published: UInt8 = 0
    var released: UInt8 = 0
    // The producer's own.
    var producerStep = ProducerStep.choose
    var position: UInt8 = 0
    var limit: UInt8
    var limitIsNew = false
    var start: UInt8 = 0
    var claimedWords: UInt8 = 0
    var writtenWords: UInt8 = 0
    var recordsCommitted: UInt8 = 0
    var abortsLeft: UInt8
    /// Tags of stores that were issued, by word.
    var pendingStores: UInt64 = 0
    /// Payload words of each record, 2 bits each: what the consumer must find.
    var lengths: UInt16 = 0
    // The consumer's own.
    var readPosition: UInt8 = 0
    var publishedSeen: UInt8 = 0
    var releasedOwn: UInt8 = 0
    var recordsRead: UInt8 = 0
    /// Tags that loads which were issued must find, by word.
    var pendingLoads: UInt64 = 0

    init(_ setting: Setting, start: Int = 0) {
        let start = UInt8(start)
        (position, readPosition, published, released, publishedSeen, releasedOwn) =
            (start, start, start, start, start, start)
        limit = start + UInt8(setting.capacity)
        abortsLeft = UInt8(setting.abortCountMax)
    }

    /// Whether everything was written, published and read.
    func isFinished(_ setting: Setting) -> Bool {
        recordsRead == setting.recordCount && pendingStores == 0 && pendingLoads == 0
            && producerStep == .choose && recordsCommitted == setting.recordCount
    }

    /// All states that one step of either side leads to.
    func successors(_ setting: Setting) throws(Violation) -> [RingModel] {
        var next: [RingModel] = []
        try appendProducerSteps(setting, &next)
        try appendConsumerSteps(setting, &next)
        return next
    }

    // MARK: The producer

    private func appendProducerSteps(_ setting: Setting, _ next: inout [RingModel]) throws(Violation) {
        let capacity = UInt8(setting.capacity)
        for word in 0..<setting.capacity where pendingStores.lane(word) != 0 {
            if isOwnedByConsumer(word, capacity) { throw .storeIntoOwnedWord }
            var state = self
            state.memory.setLane(word, pendingStores.lane(word))
            state.pendingStores.setLane(word, 0)
            next.append(state)
        }
        if position != published, pendingStores == 0 || setting.fault == .publishIsRelaxed {
            // `publish` or the end of `commit`: the releasing store.
            var state = self
            state.published = position
            next.append(state)
        }
        switch producerStep {
        case .choose:
            guard recordsCommitted < setting.recordCount else { return }
            for words in 0...setting.payloadWordsMax {
                var state = self
                state.claimedWords = UInt8(words)
                state.limitIsNew = false
                state.producerStep = .checkSpace
                next.append(state)
            }
        case .checkSpace: next.append(checkingSpace(setting))
        case .writePayload: appendWrites(capacity, &next)
        case .commit:
            for words in Set([0, claimedWords]) {
                next.append(committed(words: words, capacity))
            }
        }
    }

    /// `tryClaim`: the cached limit, then one load of `released`, then the answer.
    private func checkingSpace(_ setting: Setting) -> RingModel {
        let capacity = UInt8(setting.capacity)
        var state = self
        let stride = claimedWords + 1
        let toEnd = capacity - position % capacity
        let padded = stride > toEnd
        let start = padded ? position + toEnd : position
        let end = (setting.fault == .paddingNotCounted ? position : start) + stride
        let allowed = limit + (setting.fault == .limitIsOneTooFar ? 1 : 0)
        guard end <= allowed else {
            if limitIsNew {
                state.producerStep = .choose  // Full: the caller gets nil and may try anything else.
            } else {
                state.limit = released + capacity
                state.limitIsNew = true
            }
            return state
        }
        if padded {
            state.pendingStores.setLane(Int(position % capacity), Tag.padding(words: toEnd))
        }
        state.start = start
        state.pendingStores.setLane(
            Int(start % capacity), Tag.header(record: recordsCommitted, strideWords: stride))
        state.writtenWords = 0
        state.producerStep = claimedWords == 0 ? .commit : .writePayload
        return state
    }

    private func appendWrites(_ capacity: UInt8, _ next: inout [RingModel]) {
        var state = self
        let index = writtenWords + 1
        state.pendingStores.setLane(
            Int((start + index) % capacity), Tag.payload(record: recordsCommitted, index: index))
        state.writtenWords = index
        if index == claimedWords { state.producerStep = .commit }
        next.append(state)
        if abortsLeft > 0 {
            var aborted = self
            aborted.abortsLeft -= 1
            aborted.producerStep = .choose
            next.append(aborted)
        }
    }

    private func committed(words: UInt8, _ capacity: UInt8) -> RingModel {
        var state = self
        if words != claimedWords {
            state.pendingStores.setLane(
                Int(start % capacity), Tag.header(record: recordsCommitted, strideWords: words + 1))
        }
        state.position = start + words + 1
        state.lengths |= UInt16(words) << (2 * UInt16(recordsCommitted))
        state.recordsCommitted += 1
        state.producerStep = .choose
        return state
    }

    /// Whether the word lies between the consumer's position and what is published, or is still to be loaded.
    private func isOwnedByConsumer(_ word: Int, _ capacity: UInt8) -> Bool {
        if pendingLoads.lane(word) != 0 { return true }
        return (readPosition..<max(readPosition, published)).contains { Int($0 % capacity) == word }
    }

    // MARK: The consumer

    private func appendConsumerSteps(_ setting: Setting, _ next: inout [RingModel]) throws(Violation) {
        let capacity = UInt8(setting.capacity)
        for word in 0..<setting.capacity where pendingLoads.lane(word) != 0 {
            if memory.lane(word) != pendingLoads.lane(word) { throw .wrongPayload }
            var state = self
            state.pendingLoads.setLane(word, 0)
            next.append(state)
        }
        if releasedOwn != readPosition, pendingLoads == 0 || setting.fault == .releaseIsRelaxed {
            var state = self
            state.released = readPosition
            state.releasedOwn = readPosition
            next.append(state)
        }
        if readPosition == publishedSeen {
            // `refresh`: one acquiring load; without news the state stays as it is, which the search has
            // seen.
            if published != publishedSeen {
                var state = self
                state.publishedSeen = published
                next.append(state)
            }
        } else {
            next.append(try readingHeader(setting, capacity))
        }
    }

    /// `peek` and `advance`: the header's load, then the payload's loads are issued.
    private func readingHeader(_ setting: Setting, _ capacity: UInt8) throws(Violation) -> RingModel {
        var state = self
        let tag = memory.lane(Int(readPosition % capacity))
        if tag >> 6 == 2 {
            state.readPosition += tag & 63
            guard state.readPosition < publishedSeen else { throw .wrongHeader }
            return state
        }
        let words = UInt8(lengths >> (2 * UInt16(recordsRead)) & 3)
        guard tag == Tag.header(record: recordsRead, strideWords: words + 1) else { throw .wrongHeader }
        for index in 0..<words {
            state.pendingLoads.setLane(
                Int((readPosition + index + 1) % capacity), Tag.payload(record: recordsRead, index: index + 1)
            )
        }
        state.readPosition += words + 1
        state.recordsRead += 1
        if setting.fault == .releaseBeforeAdvance {
            // Gives the record after this one back as well, before it is read.
            state.released = min(state.readPosition + 1, publishedSeen)
        }
        return state
    }
}

extension UInt64 {
    /// Byte `index`, counted from the lowest.
    func lane(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: self >> UInt64(8 * index)) }

    mutating func setLane(_ index: Int, _ value: UInt8) {
        let shift = UInt64(8 * index)
        self = self & ~(0xFF << shift) | UInt64(value) << shift
    }
}
