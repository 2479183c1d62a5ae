internal import MarketData
internal import Synchronization

/// What went wrong, each different thing once, with how often and when; written by agents, printed by a cold thread.
///
/// The idea is Aeron's distinct error log. Agents call it at most once per different thing and instrument, and count
/// repetitions in their counters, so that a flood of bad messages takes no lock per message.
public final class IncidentLog: Sendable {
    public struct Incident: Sendable {
        public let text: String
        public fileprivate(set) var count: Int
    }

    /// Different incidents kept. What comes beyond it is only counted: a hostile peer could name things without end.
    public static let incidentsMax = 64

    private let state = Mutex<(incidents: [Incident], isFull: Bool)>(([], false))

    public init() {}

    /// - Parameter text: one line; control characters in it, which a name may bring, are replaced.
    public func report(_ text: String) {
        let text = text.singleLine
        state.withLock { state in
            if let index = state.incidents.firstIndex(where: { $0.text == text }) {
                state.incidents[index].count += 1
            } else if state.incidents.count < IncidentLog.incidentsMax {
                state.incidents.append(Incident(text: text, count: 1))
            } else {
                state.isFull = true
            }
        }
    }

    /// All incidents so far, in order of first appearance, and whether more different ones were left out.
    public var snapshot: (incidents: [Incident], isFull: Bool) { state.withLock { $0 } }

    /// The same for a report: a line each, and one more where others were left out.
    public var lines: [String] {
        let (incidents, isFull) = snapshot
        let rest = isFull ? ["more than \(IncidentLog.incidentsMax) different incidents: the rest is only counted"] : []
        return incidents.map(\.text) + rest
    }
}
