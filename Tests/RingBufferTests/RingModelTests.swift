import Testing

/// Goal: first in, first out, nothing lost, torn or overwritten, and never stuck, for every interleaving of
/// the two sides' memory accesses on small rings. Method: `RingModel`, all reachable states. That the search
/// finds errors is shown by breaking the algorithm.
@Suite("Ring: every interleaving of a step model")
struct RingModelTests {
    /// States reached, or the first violation.
    private func search(_ setting: RingModel.Setting) throws(RingModel.Violation) -> Int {
        var seen: Set<RingModel> = []
        seen.reserveCapacity(1 << 20)
        var open: [RingModel] = []
        for start in 0..<setting.capacity {
            open.append(RingModel(setting, start: start))
        }
        seen.formUnion(open)
        var finishedCount = 0
        while let state = open.popLast() {
            let next = try state.successors(setting)
            if state.isFinished(setting) { finishedCount += 1 }
            var hasProgress = false
            for successor in next where successor != state {
                hasProgress = true
                if seen.insert(successor).inserted { open.append(successor) }
            }
            if !hasProgress && !state.isFinished(setting) { throw .stuck }
        }
        if finishedCount == 0 { throw .stuck }
        return seen.count
    }

    @Test("a faulty algorithm is found out", arguments: RingModel.Fault.allCases.filter { $0 != .none })
    func faults(fault: RingModel.Fault) {
        // Four words have no room for padding that matters; eight do.
        let setting = RingModel.Setting(
            capacity: fault == .paddingNotCounted ? 8 : 4, recordCount: 4,
            payloadWordsMax: fault == .paddingNotCounted ? 3 : 1, abortCountMax: 0, fault: fault)
        #expect(throws: RingModel.Violation.self) { _ = try search(setting) }
    }

    /// Offsets and lengths of three or four records go through padding of every length and a full ring.
    @Test(
        "first in, first out, nothing lost, torn, overwritten or stuck, from every offset",
        arguments: [
            RingModel.Setting(capacity: 4, recordCount: 4, payloadWordsMax: 1),
            RingModel.Setting(capacity: 4, recordCount: 5, payloadWordsMax: 1, abortCountMax: 0),
            RingModel.Setting(capacity: 8, recordCount: 3, payloadWordsMax: 2, abortCountMax: 0),
            RingModel.Setting(capacity: 8, recordCount: 2, payloadWordsMax: 3, abortCountMax: 0),
        ])
    func correct(setting: RingModel.Setting) throws {
        let count = try search(setting)
        #expect(count > 10_000, "The search covers what it is meant to.")
        print("Ring model, \(setting): \(count) states.")
    }
}
