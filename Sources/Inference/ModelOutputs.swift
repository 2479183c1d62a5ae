/// What a model said after the latest step: pointers into the engine's memory, which the next step overwrites.
///
/// `nil` stands for an output that the model does not have. H is the number of horizons.
public struct ModelOutputs {
    /// H times down, flat, up; each triple sums to 1.
    public let probabilities: UnsafePointer<Float>
    /// H expected returns, as fractions of the mid price.
    public let expectedReturn: UnsafePointer<Float>?
    /// H standard deviations of the return.
    public let volatility: UnsafePointer<Float>?
    /// H times the value at risk at 95 % and at 99 %, losses as positive fractions.
    public let valueAtRisk: UnsafePointer<Float>?
    /// H times the expected shortfall at 95 % and at 99 %, losses as positive fractions.
    public let expectedShortfall: UnsafePointer<Float>?
    /// Down, flat, up.
    public let trend: UnsafePointer<Float>?
    /// One target position, -1 to 1.
    public let position: UnsafePointer<Float>?

    init(plan: PlanStorage, arena: UnsafeRawPointer) {
        func pointer(_ name: String) -> UnsafePointer<Float>? {
            plan.list.outputs[name].map { output in
                let operand = output.view.operand
                return (arena + plan.placement.offsets[operand.buffer]).assumingMemoryBound(to: Float.self)
                    + operand.offset
            }
        }
        guard let probabilities = pointer(GraphCompiler.probabilitiesName) else {
            preconditionFailure("The compiler refuses a graph without probabilities.")
        }
        self.probabilities = probabilities
        expectedReturn = pointer("expected_return")
        volatility = pointer("volatility")
        valueAtRisk = pointer("value_at_risk")
        expectedShortfall = pointer("expected_shortfall")
        trend = pointer("trend")
        position = pointer("position")
    }

    /// The outputs that there are, by name.
    var pointers: [String: UnsafePointer<Float>] {
        [
            GraphCompiler.probabilitiesName: probabilities, "expected_return": expectedReturn, "volatility": volatility,
            "value_at_risk": valueAtRisk, "expected_shortfall": expectedShortfall, "trend": trend,
            "position": position,
        ].compactMapValues { $0 }
    }

    /// The values of the outputs that there are, by name; `widths` says how many each has.
    func values(_ widths: [String: Int]) -> [String: [Float]] {
        pointers.reduce(into: [:]) { result, output in
            guard let width = widths[output.key] else { return }
            result[output.key] = Array(UnsafeBufferPointer(start: output.value, count: width))
        }
    }
}
