/// How outputs are compared.
extension ModelVerification.Output {
    /// The last rows.
    func last(_ count: Int) -> ModelVerification.Output {
        ModelVerification.Output(name: name, width: width, values: Array(values.suffix(count * width)))
    }
}

extension ModelVerification {
    /// Compares the last rows of an output with as many expected ones.
    ///
    /// - Parameters:
    ///   - first: The tick of the first expected row.
    ///   - against: What is expected, for people.
    static func compare(
        _ name: String, _ output: Output, _ expected: Output, isExact: Bool, first: Int, against: String
    ) -> Check {
        let found = output.last(expected.count)
        var (worst, worstIndex) = (Float(-1), 0)
        for (index, (value, wanted)) in zip(found.values, expected.values).enumerated() {
            if value.bitPattern == wanted.bitPattern { continue }
            let difference = abs(value - wanted) / (isExact ? 1 : max(1, abs(wanted)))
            // A value that is no number is further off than any other.
            let distance = difference.isNaN ? Float.infinity : difference
            if distance > worst { (worst, worstIndex) = (distance, index) }
        }
        let rows = "\(expected.count) rows of \(expected.width)"
        guard worst >= 0 else { return Check(name, .passed, "\(rows): the bits of \(against)") }
        let place =
            "at tick \(first + worstIndex / expected.width), element \(worstIndex % expected.width): "
            + "\(found.values[worstIndex]), expected \(expected.values[worstIndex])"
        let isGood = !isExact && worst <= tolerance
        let limit = isExact ? "expected the bits of \(against)" : "limit \(tolerance) from \(against)"
        return Check(name, isGood ? .passed : .failed, "\(rows): greatest difference \(worst), \(limit), \(place)")
    }

    /// Compares all outputs; the first that is wrong counts.
    ///
    /// - Parameter first: The tick of the first row.
    static func compareAll(
        _ name: String, _ found: [Output], _ expected: [Output], isExact: Bool = true, first: Int = 0, against: String
    ) -> Check {
        guard found.map(\.name) == expected.map(\.name) else {
            return Check(name, .failed, "outputs \(found.map(\.name)), expected \(expected.map(\.name))")
        }
        var details: [String] = []
        for (output, wanted) in zip(found, expected) {
            guard output.width == wanted.width, output.values.count == wanted.values.count else {
                return Check(
                    name, .failed, "\(output.name): \(output.values.count) values, expected \(wanted.values.count)")
            }
            let check = compare(name, output, wanted, isExact: isExact, first: first, against: against)
            let detail = "\(output.name): \(check.detail)"
            if check.status == .failed { return Check(name, .failed, detail) }
            details.append(detail)
        }
        return Check(name, .passed, details.joined(separator: "; "))
    }
}
