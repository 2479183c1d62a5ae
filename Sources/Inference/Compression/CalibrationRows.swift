/// What ranges and outputs are measured on: of a model of the contract ticks, the features in its order; of a free graph
/// runs, the values of all its inputs, sorted by name and one after another.
public struct CalibrationRows: Sendable {
    /// Floats of a row: `AnyModel.rowWidth` of the model.
    public let featureCount: Int
    public private(set) var count = 0
    private(set) var values: [Float] = []
    /// Of each row, whose state it is for.
    private(set) var streams: [Int32] = []
    /// Of each row, whether the state before it is that of no tick.
    private(set) var startsAnew: [Bool] = []
    public private(set) var streamCount = 0

    public init(featureCount: Int) {
        precondition(featureCount > 0, "A row has features.")
        self.featureCount = featureCount
    }

    /// Appends a tick.
    ///
    /// - Parameters:
    ///   - features: As many as a row has, finite.
    ///   - stream: Which instrument, from 0.
    public mutating func append(_ features: some Collection<Float>, stream: Int = 0, startsAnew: Bool = false) {
        precondition(features.count == featureCount, "A row has as many features as the model wants.")
        values += features
        streams.append(Int32(stream))
        self.startsAnew.append(startsAnew)
        streamCount = max(streamCount, stream + 1)
        count += 1
    }
}
