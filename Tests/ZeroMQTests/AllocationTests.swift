import CMallocCounter
import Testing

@testable import ZeroMQ

struct AllocationTests {
    /// Messages of up to 33 bytes live inside libzmq's own struct, so that what is counted is this side's.
    /// inproc keeps the work on this thread; libzmq takes memory for queues in chunks of 256, kept below
    /// that here.
    @Test(
        "send and receive allocate nothing in steady state",
        .enabled(if: martlet_malloc_counter_is_active(), "a sanitizer has replaced malloc"))
    func allocatesNothing() throws {
        let context = try Context()
        var left = try Socket(context, .pair, options: testOptions)
        try left.bind("inproc://counted")
        var right = try Socket(context, .pair, options: testOptions)
        try right.connect("inproc://counted")
        let bytes = [UInt8](repeating: 1, count: 32)
        var message = Message()
        var handed = Message()
        var before: UInt64 = 0
        var receivedCount = 0
        for round in 0..<20_000 {
            if round == 10_000 { before = martlet_malloc_count_thread() }
            _ = try left.send(bytes.span.bytes)
            handed.reset(byteCount: 16)
            _ = try left.send(&handed)
            while try right.receive(into: &message) != .wouldBlock {
                let byteCount = message.bytes.byteCount
                receivedCount += byteCount > 0 ? 1 : 0
            }
            _ = try right.wait(for: .readable, timeoutMilliseconds: 0)
        }
        let count = martlet_malloc_count_thread() - before
        #expect(receivedCount == 40_000)
        #expect(count == 0)
    }
}
