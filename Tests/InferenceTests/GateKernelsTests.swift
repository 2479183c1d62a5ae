import Foundation
import TestSupport
import Testing

@testable import Inference

/// Goal: the gate kernels have the bits of their plain twins and are as exact as stated. Method: random sums, a fifth
/// of them far out, in five groups of eight units, which is no multiple of anything.
@Suite struct GateKernelsTests {
    typealias Vector = SIMD8<Float>
    private static let groups = 5
    private static let units = 8 * groups

    /// Random numbers, `count` vectors.
    private static func random(_ count: Int, seed: UInt64) -> [Vector] {
        var generator = SplitMix64(seed: seed)
        return (0..<count).map { _ in
            var vector = Vector.zero
            for lane in 0..<8 {
                let isFar = UInt64.random(in: 0..<5, using: &generator) == 0
                vector[lane] = Float.random(in: isFar ? -200...200 : -5...5, using: &generator)
            }
            return vector
        }
    }

    private static func sigmoid(_ x: Float) -> Double { 1 / (1 + exp(-Double(x))) }

    private func sameBits(_ x: Float, _ y: Float) -> Bool { x.bitPattern == y.bitPattern || (x.isNaN && y.isNaN) }

    @Test(arguments: UInt64(1)...20)
    func `An LSTM step has the bits of its twin and is within 6e-7 of the exact one`(seed: UInt64) {
        let input = GateKernelsTests.random(4 * GateKernelsTests.groups, seed: seed)
        var hidden = GateKernelsTests.random(4 * GateKernelsTests.groups, seed: seed + 100)
        hidden[3][5] = .nan
        hidden[4][1] = .infinity
        var cell = GateKernelsTests.random(GateKernelsTests.groups, seed: seed + 200)
        let before = cell
        var result = Array(repeating: Vector.zero, count: GateKernelsTests.groups)
        cell.withUnsafeMutableBufferPointer { cell in
            guard let state = cell.baseAddress else { return }
            GateKernels.lstm(
                inputSums: input, hiddenSums: hidden, cell: state, destination: &result, nextCell: state,
                groups: GateKernelsTests.groups)
        }
        for unit in 0..<GateKernelsTests.units {
            let (group, lane) = (unit / 8, unit % 8)
            let sums = (0..<4).map { input[4 * group + $0][lane] + hidden[4 * group + $0][lane] }
            let twin = ScalarGates.lstm(
                input: sums[0], output: sums[1], forget: sums[2], candidate: sums[3], cell: before[group][lane])
            #expect(sameBits(twin.hidden, result[group][lane]))
            #expect(sameBits(twin.cell, cell[group][lane]))
            #expect(twin.cell.isNaN == sums[3].isNaN)
            guard sums.allSatisfy(\.isFinite) else { continue }
            let kept = GateKernelsTests.sigmoid(sums[2]) * Double(before[group][lane])
            let next = kept + GateKernelsTests.sigmoid(sums[0]) * tanh(Double(sums[3]))
            // Of the cell as it is: a large one has larger errors.
            let exact = GateKernelsTests.sigmoid(sums[1]) * tanh(Double(twin.cell))
            #expect(abs(Double(twin.cell) - next) <= 6e-7 * max(1, abs(Double(before[group][lane]))))
            #expect(abs(Double(twin.hidden) - exact) <= 6e-7)
        }
    }

    @Test(arguments: UInt64(1)...20)
    func `A GRU step has the bits of its twin in both forms and is within 1e-6 of the exact one`(seed: UInt64) {
        let groups = GateKernelsTests.groups
        let input = GateKernelsTests.random(3 * groups, seed: seed)
        let hiddenSums = GateKernelsTests.random(3 * groups, seed: seed + 100)
        let hidden = GateKernelsTests.random(groups, seed: seed + 200).map { $0 / 200 }
        let resetSums = GateKernelsTests.random(groups, seed: seed + 300)
        var used = hiddenSums
        var state = hidden
        state.withUnsafeMutableBufferPointer { state in
            guard let start = state.baseAddress else { return }
            GateKernels.gru(inputSums: input, hiddenSums: &used, hidden: start, destination: start, groups: groups)
        }
        let two = (0..<groups).flatMap { [hiddenSums[3 * $0], hiddenSums[3 * $0 + 1]] }
        var resetHidden = Array(repeating: Vector.zero, count: groups)
        GateKernels.gruReset(
            inputSums: input, hiddenSums: two, hidden: hidden, resetHidden: &resetHidden, groups: groups)
        var second = Array(repeating: Vector.zero, count: groups)
        GateKernels.gruCandidate(
            inputSums: input, hiddenSums: two, resetSums: resetSums, hidden: hidden, destination: &second,
            groups: groups)
        for unit in 0..<GateKernelsTests.units {
            let (group, lane) = (unit / 8, unit % 8)
            let x = (0..<3).map { input[3 * group + $0][lane] }
            let h = (0..<3).map { hiddenSums[3 * group + $0][lane] }
            let before = hidden[group][lane]
            let twin = ScalarGates.gru(
                input: (x[0], x[1], x[2]), hiddenSums: (h[0], h[1], h[2]), hidden: before)
            #expect(sameBits(twin, state[group][lane]))
            let reset = ScalarGates.gruReset(input: x[1], hiddenSum: h[1], hidden: before)
            #expect(sameBits(reset, resetHidden[group][lane]))
            let other = ScalarGates.gruCandidate(
                input: (x[0], x[2]), updateSum: h[0], resetSum: resetSums[group][lane], hidden: before)
            #expect(sameBits(other, second[group][lane]))

            let update = GateKernelsTests.sigmoid(x[0] + h[0])
            let gate = GateKernelsTests.sigmoid(x[1] + h[1])
            let candidate = tanh(Double(x[2] + resetSums[group][lane]))
            #expect(abs(Double(reset) - gate * Double(before)) <= 3e-7)
            #expect(abs(Double(other) - ((1 - update) * candidate + update * Double(before))) <= 1e-6)
        }
    }

    @Test func `The gates are within 2e-7 and 3e-7 of the exact values`() {
        var sigmoid = 0.0
        var tangent = 0.0
        for x in stride(from: Float(-40), to: 40, by: 0.0011) {
            let s = ScalarGates.sigmoid(x)
            sigmoid = max(sigmoid, abs(Double(s.raised / (s.lowered + s.raised)) - GateKernelsTests.sigmoid(x)))
            let t = ScalarGates.tanh(x)
            tangent = max(tangent, abs(Double((t.raised - t.lowered) / (t.lowered + t.raised)) - tanh(Double(x))))
        }
        #expect(sigmoid <= 2e-7)
        #expect(tangent <= 3e-7)
    }

    @Test func `A plain recurrent step is the tanh of the sum`() {
        let input = GateKernelsTests.random(GateKernelsTests.groups, seed: 1)
        let hidden = GateKernelsTests.random(GateKernelsTests.groups, seed: 2)
        var result = Array(repeating: Vector.zero, count: GateKernelsTests.groups)
        GateKernels.rnn(
            inputSums: input, hiddenSums: hidden, destination: &result, groups: GateKernelsTests.groups)
        for unit in 0..<GateKernelsTests.units {
            let (group, lane) = (unit / 8, unit % 8)
            let twin = ScalarGates.rnn(inputSum: input[group][lane], hiddenSum: hidden[group][lane])
            #expect(sameBits(twin, result[group][lane]))
        }
    }
}
