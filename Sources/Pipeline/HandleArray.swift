/// A fixed number of noncopyable values in one allocation: the rings and states that an agent owns.
///
/// `Array` cannot hold noncopyable elements in Swift 6.3. Elements stay where they are, so that access compiles to a
/// load from a base address, without reference counting or exclusivity checks.
@safe
public struct HandleArray<Element: ~Copyable>: ~Copyable {
    @usableFromInline let base: UnsafeMutablePointer<Element>
    public private(set) var count = 0
    public let capacity: Int

    public init(capacity: Int) {
        precondition(capacity >= 0, "A capacity is not negative.")
        unsafe base = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit {
        unsafe base.deinitialize(count: count)
        unsafe base.deallocate()
    }

    public mutating func append(_ element: consuming Element) {
        precondition(count < capacity, "The array has room.")
        unsafe (base + count).initialize(to: element)
        count += 1
    }

    /// Takes the last element out.
    public mutating func removeLast() -> Element {
        precondition(count > 0, "The array is not empty.")
        count -= 1
        return unsafe (base + count).move()
    }

    @inlinable
    public subscript(_ index: Int) -> Element {
        unsafeAddress {
            precondition(index >= 0 && index < count, "The index is in range.")
            return unsafe UnsafePointer(base + index)
        }
        unsafeMutableAddress {
            precondition(index >= 0 && index < count, "The index is in range.")
            return unsafe base + index
        }
    }
}

// The elements are owned by the array, which moves as a whole from the thread that made it to the one that uses it.
extension HandleArray: @unchecked Sendable where Element: Sendable & ~Copyable {}
