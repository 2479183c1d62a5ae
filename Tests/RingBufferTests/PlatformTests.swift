import CMallocCounter
import CPlatform
import RingBuffer
import Synchronization
import TestSupport
import Testing

@Suite("Platform")
struct PlatformTests {
    @Test("pinning to a CPU that does not exist is refused with EINVAL")
    func pinRefused() {
        let einval: Int32 = 22
        #expect(martlet_thread_pin(-1) == einval)
        #expect(martlet_thread_pin(1 << 20) == einval)
        #expect(martlet_thread_pin(1023) == einval)
    }

    @Test("a thread that avoids a CPU is on another, and one that has no other stays")
    func avoid() {
        let results = Results()
        let thread = TestThread {
            let first = martlet_thread_cpu()
            var isRight = true
            // Until one is left, which cannot be avoided.
            while martlet_thread_avoid(martlet_thread_cpu()) == 0 { isRight = isRight && martlet_thread_cpu() != first }
            let last = martlet_thread_cpu()
            for _ in 0..<100 { isRight = isRight && martlet_thread_cpu() == last }
            results.isRight.store(isRight && martlet_thread_avoid(-1) == 22, ordering: .releasing)
        }
        thread.join()
        let isRight = results.isRight.load(ordering: .acquiring)
        #expect(isRight)
    }

    @Test("a pinned thread stays on its CPU, and carries its name cut to 15 bytes")
    func pinAndName() {
        let results = Results()
        let thread = TestThread {
            let cpu = martlet_thread_cpu()
            _ = martlet_thread_pin(cpu)
            _ = martlet_thread_set_name("martlet-worker-0-and-more")
            var name = [CChar](repeating: 1, count: 16)
            let status = martlet_thread_get_name(&name, 16)
            results.isRight.store(
                status == 0 && martlet_thread_cpu() == cpu
                    && String(
                        validating: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                        == "martlet-worker-",
                ordering: .releasing)
        }
        thread.join()
        let isRight = results.isRight.load(ordering: .acquiring)
        #expect(isRight)
    }

    @Test("this machine has the build's instruction-set level")
    func level() {
        #expect(martlet_cpu_supports_build_level() == nil)
        #if arch(x86_64)
            let level = String(cString: martlet_build_level())
            #expect(level.hasPrefix("x86-64"))
        #endif
    }

    @Test("clocks go forward")
    func clocks() {
        let before = (martlet_monotonic_ns(), martlet_cycles(), martlet_thread_cpu_ns())
        var sum: UInt64 = 0
        while martlet_monotonic_ns() - before.0 < 1_000_000 { sum &+= martlet_cycles() }
        #expect(martlet_cycles() > before.1)
        #expect(martlet_thread_cpu_ns() > before.2)
        #expect(sum != 0)
        // 2020-01-01: a clock below that counts in another unit.
        #expect(martlet_realtime_ns() > 1_577_836_800_000_000_000)
    }

    @Test("subnormal numbers are kept or flushed on the calling thread as asked")
    func denormals() {
        let results = Results()
        let thread = TestThread {
            martlet_denormals_flush()
            let flushed = !martlet_denormals_are_kept() && halfOfSmallest() == 0
            martlet_denormals_keep()
            let kept = martlet_denormals_are_kept() && halfOfSmallest() > 0
            results.isRight.store(flushed && kept, ordering: .releasing)
        }
        thread.join()
        let isRight = results.isRight.load(ordering: .acquiring)
        #expect(isRight)
    }

    final class Results: Sendable {
        let isRight = Atomic<Bool>(false)
    }
}

/// Half of the smallest normal number, computed when called.
@inline(never)
private func halfOfSmallest() -> Float {
    let halves = Atomic<UInt32>(Float.leastNormalMagnitude.bitPattern)
    return Float(bitPattern: halves.load(ordering: .relaxed)) * 0.5
}

@Suite(
    "Malloc counter", .serialized,
    .enabled(if: martlet_malloc_counter_is_active(), "a sanitizer has its own allocator"))
struct MallocCounterTests {
    /// Something that must be on the heap, and that the optimiser cannot see through.
    final class Node {
        var next: Node?
        init(_ next: Node?) { self.next = next }
    }

    final class Count: Sendable {
        let value = Atomic<UInt64>(0)
    }

    @inline(never)
    private func allocations(_ body: () -> Void) -> UInt64 {
        let before = martlet_malloc_count_thread()
        body()
        return martlet_malloc_count_thread() - before
    }

    @Test("Swift's class instances, arrays, closures and aligned memory are counted one by one")
    func swiftAllocations() {
        var nodes: Node?
        let classes = allocations { for _ in 0..<100 { nodes = Node(nodes) } }
        #expect(classes == 100)
        var array: [Int] = []
        let arrays = allocations { array.reserveCapacity(1000) }
        #expect(arrays == 1)
        var memory: UnsafeMutableRawPointer?
        let aligned = allocations { memory = .allocate(byteCount: 4096, alignment: 128) }
        #expect(aligned == 1)
        memory?.deallocate()
        let plain = allocations { memory = .allocate(byteCount: 64, alignment: 8) }
        #expect(plain == 1)
        memory?.deallocate()
        #expect(nodes != nil && array.isEmpty)
    }

    @Test("threads count apart, the process counts all")
    func threads() {
        let processBefore = martlet_malloc_count_process()
        let own = Count()
        let thread = TestThread {
            let before = martlet_malloc_count_thread()
            var nodes: Node?
            for _ in 0..<1000 { nodes = Node(nodes) }
            // Taken apart one by one: a long chain would be freed recursively.
            while let node = nodes { nodes = node.next }
            own.value.store(martlet_malloc_count_thread() - before, ordering: .releasing)
        }
        let before = martlet_malloc_count_thread()
        thread.join()
        let mine = martlet_malloc_count_thread() - before
        let theirs = own.value.load(ordering: .acquiring)
        #expect(theirs >= 1000)
        #expect(mine < 1000)
        #expect(martlet_malloc_count_process() - processBefore >= 1000)
    }

    @Test("a warm ring allocates nothing on either side")
    func ring() {
        var pair = RingBuffer.make(byteCount: 4096)
        var read = 0
        let count = allocations {
            for seed in 0..<10_000 {
                _ = write(&pair.producer, byteCount: seed % 200, seed: seed)
                read += pair.consumer.drain(limit: 8) { _ in }
            }
        }
        #expect(count == 0)
        #expect(read == 10_000)
    }
}
