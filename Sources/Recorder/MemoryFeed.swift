public import Pipeline

/// Messages laid end to end in memory, played once.
public struct MemorySource: ~Copyable, TickSource {
    private let feed: MemoryFeed
    private var index = 0

    public init(_ feed: MemoryFeed) { self.feed = feed }

    public var isExhausted: Bool { index == feed.messageCount }

    public mutating func next() -> UnsafeRawBufferPointer? {
        guard index < feed.messageCount else { return nil }
        index += 1
        return unsafe feed.message(index - 1)
    }
}

/// The packets of a feed, kept whole in memory so that the time of decompression can be told from that of scoring.
@safe
public final class MemoryFeed: @unchecked Sendable {
    // Unchecked: never written after `init`.
    private let bytes: UnsafeMutableRawPointer
    private let places: [(offset: Int, byteCount: Int)]
    public let byteCount: Int

    public var messageCount: Int { places.count }

    /// Drains `source`, as long as its messages fit into `byteCountMax`; nil if they do not.
    public init?(_ source: inout some TickSource & ~Copyable, byteCountMax: Int) {
        var capacity = 1 << 20
        var memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
        var places: [(offset: Int, byteCount: Int)] = []
        var end = 0
        while let message = unsafe source.next() {
            // The next message starts aligned.
            let stride = (message.count + 7) & ~7
            if end + stride > capacity {
                let larger = max(2 * capacity, end + stride)
                guard end + stride <= byteCountMax else {
                    unsafe memory.deallocate()
                    return nil
                }
                let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
                unsafe moved.copyMemory(from: memory, byteCount: end)
                unsafe memory.deallocate()
                unsafe memory = moved
                capacity = larger
            }
            unsafe UnsafeMutableRawBufferPointer(start: memory + end, count: message.count).copyMemory(from: message)
            places.append((end, message.count))
            end += stride
        }
        unsafe bytes = memory
        self.places = places
        byteCount = end
    }

    deinit { unsafe bytes.deallocate() }

    func message(_ index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < messageCount, "The message exists.")
        return unsafe UnsafeRawBufferPointer(start: bytes + places[index].offset, count: places[index].byteCount)
    }
}
