internal import Synchronization

/// The instruments that a pipeline has met, in order of appearance; the index is their number everywhere downstream.
///
/// Ingest alone appends. An entry never changes after that, and its index reaches other threads only through a ring,
/// whose release and acquire make the entry visible to them. Room for all is allocated at start.
@safe
public final class InstrumentRegistry: @unchecked Sendable {
    public struct Entry: Sendable {
        public let dataset: String
        public let symbol: String

        /// Compares bytes, as topics do: `String` would take "é" in its two encodings for one, and so two streams.
        func isNamed(dataset: String, symbol: String) -> Bool {
            self.symbol.utf8.elementsEqual(symbol.utf8) && self.dataset.utf8.elementsEqual(dataset.utf8)
        }
    }

    public let capacity: Int
    private let entries: UnsafeMutablePointer<Entry>
    private let published = Atomic<Int>(0)
    /// Unchecked: ingest's thread alone uses it. Without it each topic that is met or refused would cost a search through
    /// all instruments.
    private var indexByName: [[UInt8]: Int] = [:]

    public init(capacity: Int) {
        precondition(capacity > 0, "A pipeline has room for an instrument.")
        self.capacity = capacity
        unsafe entries = .allocate(capacity: capacity)
    }

    deinit {
        unsafe entries.deinitialize(count: count)
        unsafe entries.deallocate()
    }

    /// Instruments met so far. Any thread.
    public var count: Int { published.load(ordering: .acquiring) }

    /// The entry at `index`, which must be below `count`. Any thread.
    public subscript(_ index: Int) -> Entry {
        precondition(index >= 0 && index < count, "The instrument is registered.")
        return unsafe entries[index]
    }

    /// The number of an instrument, registering it if need be; nil if there is no room. Ingest's thread only.
    func intern(dataset: String, symbol: String) -> Int? {
        // A byte that no UTF-8 holds keeps the two names apart.
        let name = Array(dataset.utf8) + [0xFF] + Array(symbol.utf8)
        if let index = indexByName[name] { return index }
        let known = count
        guard known < capacity else { return nil }
        unsafe (entries + known).initialize(to: Entry(dataset: dataset, symbol: symbol))
        indexByName[name] = known
        published.store(known + 1, ordering: .releasing)
        return known
    }
}
