internal import CPlatform

#if canImport(Glibc)
    internal import Glibc
#endif

extension Pipeline where Source: ~Copyable, Sink: ~Copyable {
    /// Gives each agent a thread of its own and waits on the calling thread until all have finished.
    ///
    /// - Parameter whileRunning: called about every 20 ms with the seconds since the start, on the calling thread.
    /// - Returns: the pipeline, with what its agents counted and measured.
    public consuming func runThreaded(whileRunning: (Double) -> Void) -> Pipeline {
        let options = self.options
        let control = self.control
        let incidents = self.incidents
        let registry = self.registry
        func core(_ index: Int) -> Int { index < options.cores.count ? options.cores[index] : -1 }
        let ingestThread = AgentThread(ingest, core: core(0), options: options)
        let publisherThread = AgentThread(publisher, core: core(1), options: options)
        var waiting = workers
        var threads: [AgentThread<Worker>] = []
        while waiting.count > 0 {
            let index = waiting.count - 1
            threads.insert(AgentThread(waiting.removeLast(), core: core(2 + index), options: options), at: 0)
        }
        publisherThread.start()
        for thread in threads { thread.start() }
        ingestThread.start()
        let start = martlet_monotonic_ns()
        while !publisherThread.hasFinished {
            usleep(AgentThread<Worker>.pollMicroseconds)
            whileRunning(Double(martlet_monotonic_ns() &- start) / 1e9)
        }
        var finished = HandleArray<Worker>(capacity: threads.count)
        for thread in threads { finished.append(thread.join()) }
        return Pipeline(
            control: control, incidents: incidents, registry: registry, ingest: ingestThread.join(), workers: finished,
            publisher: publisherThread.join(), options: options)
    }
}
