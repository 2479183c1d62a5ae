/// Finds the instrument of a topic by its bytes, without allocating: open addressing over copies of the topics met.
///
/// Used on ingest's thread only. Entries are never removed; the table is twice as large as what it may hold, so that a
/// search ends.
@safe
struct TopicTable: ~Copyable {
    struct Value: BitwiseCopyable {
        /// -1 for a topic that is refused: it is remembered so that refusing it again costs no more than finding it.
        let instrument: Int32
        let isDefinition: Bool

        static let refused = Value(instrument: -1, isDefinition: false)
    }

    /// Refused topics that are remembered, as many as an incident log names. Beyond it each message costs a search.
    static let refusedMax = IncidentLog.incidentsMax

    private struct Slot: BitwiseCopyable {
        var hash: UInt64 = 0
        var bytesOffset = 0
        var byteCount = 0
        var value = Value(instrument: -1, isDefinition: false)
    }

    private let slots: UnsafeMutablePointer<Slot>
    private let slotMask: Int
    private let bytes: UnsafeMutableRawPointer
    private let bytesCapacity: Int
    private var bytesCount = 0
    private(set) var count = 0
    private(set) var refusedCount = 0
    private let countMax: Int

    init(capacity: Int, topicByteCountMax: Int) {
        let slotCount = 1 << (Int.bitWidth - (2 * capacity - 1).leadingZeroBitCount)
        slotMask = slotCount - 1
        countMax = capacity
        bytesCapacity = capacity * topicByteCountMax
        unsafe slots = .allocate(capacity: slotCount)
        unsafe slots.initialize(repeating: Slot(), count: slotCount)
        unsafe bytes = .allocate(byteCount: bytesCapacity, alignment: 8)
    }

    deinit {
        unsafe slots.deallocate()
        unsafe bytes.deallocate()
    }

    func find(_ topic: UnsafeRawBufferPointer) -> Value? {
        let hash = TopicTable.hash(topic)
        var index = Int(truncatingIfNeeded: hash) & slotMask
        while unsafe slots[index].byteCount != 0 {
            if unsafe slots[index].hash == hash, unsafe matches(slots[index], topic) {
                return unsafe slots[index].value
            }
            index = (index + 1) & slotMask
        }
        return nil
    }

    /// Adds a topic that `find` did not know. False if there is no room.
    mutating func insert(_ topic: UnsafeRawBufferPointer, _ value: Value) -> Bool {
        guard count < countMax, bytesCount + topic.count <= bytesCapacity, topic.count > 0 else { return false }
        let hash = TopicTable.hash(topic)
        var index = Int(truncatingIfNeeded: hash) & slotMask
        while unsafe slots[index].byteCount != 0 { index = (index + 1) & slotMask }
        unsafe UnsafeMutableRawBufferPointer(start: bytes + bytesCount, count: topic.count).copyMemory(from: topic)
        unsafe slots[index] = Slot(hash: hash, bytesOffset: bytesCount, byteCount: topic.count, value: value)
        bytesCount += topic.count
        count += 1
        if value.instrument < 0 { refusedCount += 1 }
        return true
    }

    private func matches(_ slot: Slot, _ topic: UnsafeRawBufferPointer) -> Bool {
        guard slot.byteCount == topic.count else { return false }
        let known = unsafe UnsafeRawBufferPointer(start: bytes + slot.bytesOffset, count: slot.byteCount)
        return unsafe known.hasSameBytes(as: topic)
    }

    /// FNV-1a, eight bytes at a time and the rest singly: topics are short, and there are at most some hundreds.
    private static func hash(_ topic: UnsafeRawBufferPointer) -> UInt64 {
        let prime: UInt64 = 0x0000_0100_0000_01B3
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var offset = 0
        while offset + 8 <= topic.count {
            unsafe hash = (hash ^ topic.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* prime
            offset += 8
        }
        while offset < topic.count {
            unsafe hash = (hash ^ UInt64(topic[offset])) &* prime
            offset += 1
        }
        return hash ^ (hash >> 32)
    }
}

extension UnsafeRawBufferPointer {
    /// As `elementsEqual`, eight bytes at a time.
    func hasSameBytes(as other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        var offset = 0
        while offset + 8 <= count {
            let word = unsafe loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            guard unsafe word == other.loadUnaligned(fromByteOffset: offset, as: UInt64.self) else { return false }
            offset += 8
        }
        while offset < count {
            guard unsafe self[offset] == other[offset] else { return false }
            offset += 1
        }
        return true
    }
}
