@testable import Inference

/// Draws numbers from a seed (xorshift), a third of them from the boundaries.
struct BoundaryDraw {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    }

    mutating func bits() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state >> 8
    }

    mutating func integer(_ range: ClosedRange<Int>) -> Int {
        switch bits() % 6 {
        case 0: range.lowerBound
        case 1: range.upperBound
        default: range.lowerBound + Int(bits() % UInt64(range.count))
        }
    }
}

/// Runs a packed matrix over memory with guards around it, as the engine would.
struct IntegerProductRig {
    static let guardValue: Int32 = 0x5A5A_5A5A

    let matrix: IntegerMatrix
    let packing: IntegerPacking
    let arithmetic: IntegerArithmetic

    init(_ matrix: IntegerMatrix, _ order: IntegerPacking.Order, _ arithmetic: IntegerArithmetic) {
        self.matrix = matrix
        self.arithmetic = arithmetic
        packing = IntegerPacking(matrix, order: order, arithmetic: arithmetic)
    }

    /// What the arithmetic takes.
    static func inputRange(_ arithmetic: IntegerArithmetic) -> ClosedRange<Int> {
        switch arithmetic {
        case .sevenBit: 0...127
        case .unsigned: 0...255
        case .signed: -128...127
        }
    }

    static func weightRange(_ arithmetic: IntegerArithmetic) -> ClosedRange<Int> {
        arithmetic == .sevenBit ? -63...63 : -255...255
    }

    /// The sums of the plain twin, in panel order.
    func expected(_ inputs: [Int]) -> [Int32] {
        packing.inPanelOrder(IntegerReference.product(matrix, inputs.map(Int32.init)), padding: 0)
    }

    /// Inputs side by side, at an odd address, with other bytes in the padding of the last group.
    func run(_ weights: IntegerWeights, _ inputs: [Int]) -> [Int32] {
        var bytes = [UInt8](repeating: 0xA5, count: 1 + weights.shape.sourceBytes)
        for (index, input) in inputs.enumerated() { bytes[1 + index] = UInt8(truncatingIfNeeded: input) }
        return run(weights, bytes, start: 1, table: nil)
    }

    /// Inputs in groups that lie anywhere, in any order, with other bytes between them.
    func runScattered(_ weights: IntegerWeights, _ inputs: [Int], _ draw: inout BoundaryDraw) -> [Int32] {
        let groups = weights.shape.groups
        var places = Array(0..<groups)
        for index in places.indices.reversed() { places.swapAt(index, Int(draw.bits() % UInt64(index + 1))) }
        var bytes = [UInt8](repeating: 0xA5, count: groups * 7 + 4)
        var table: [Int32] = []
        for group in 0..<groups {
            let offset = places[group] * 7 + Int(draw.bits() % 4)
            table.append(Int32(offset))
            for index in 0..<4 where group * 4 + index < inputs.count {
                bytes[offset + index] = UInt8(truncatingIfNeeded: inputs[group * 4 + index])
            }
        }
        return run(weights, bytes, start: 0, table: table)
    }

    private func run(_ weights: IntegerWeights, _ bytes: [UInt8], start: Int, table: [Int32]?) -> [Int32] {
        let vectors = weights.shape.sumVectors
        var sums = [SIMD8<Int32>](
            repeating: SIMD8(repeating: IntegerProductRig.guardValue), count: vectors + 2)
        // One more element each, so that an empty array has an address too.
        (weights.bytes + [0]).withUnsafeBytes { weightBytes in
            (weights.panels + [IntegerPanel(pairs: -1, rest: -1)]).withUnsafeBufferPointer { panels in
                (weights.offsets + [-1]).withUnsafeBufferPointer { offsets in
                    (table ?? [0]).withUnsafeBufferPointer { groupOffsets in
                        bytes.withUnsafeBytes { source in
                            sums.withUnsafeMutableBufferPointer { destination in
                                let matrix = IntegerKernels.Matrix(
                                    shape: weights.shape, weights: weightBytes.baseAddress!,
                                    panels: panels.baseAddress!, offsets: offsets.baseAddress!)
                                IntegerKernels.run(
                                    matrix, source: source.baseAddress! + start,
                                    groupOffsets: table == nil ? nil : groupOffsets.baseAddress,
                                    destination: destination.baseAddress! + 1)
                            }
                        }
                    }
                }
            }
        }
        let isGuarded = [0, vectors + 1].allSatisfy {
            sums[$0] == SIMD8(repeating: IntegerProductRig.guardValue)
        }
        return isGuarded ? sums[1...vectors].flatMap { vector in (0..<8).map { vector[$0] } } : []
    }
}
