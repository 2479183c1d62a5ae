import Testing

@testable import Inference

/// Goal: dense and sparse products of every arithmetic, order and size are exact. Method: the plain twin, on random and extreme
/// numbers, with guards around what is written and noise around what is read.
@Suite struct IntegerKernelsTests {
    private static let orders: [IntegerPacking.Order] = [.rows, .gates(1), .gates(2), .gates(3), .gates(4)]

    /// All four ways to compute a product against the plain twin.
    private func check(_ rig: IntegerProductRig, _ inputs: [Int], _ draw: inout BoundaryDraw) -> Bool {
        let expected = rig.expected(inputs)
        let dense = rig.packing.dense()
        let sparse = rig.packing.sparse()
        return rig.run(dense, inputs) == expected
            && rig.run(sparse, inputs) == expected
            && rig.runScattered(dense, inputs, &draw) == expected
            && rig.runScattered(sparse, inputs, &draw) == expected
    }

    /// A matrix of which a share of the blocks of 8 by 4 is empty.
    private func matrix(
        rows: Int, columns: Int, _ arithmetic: IntegerArithmetic, emptyOfEight: UInt64, _ draw: inout BoundaryDraw
    ) -> IntegerMatrix {
        var weights = [Int16](repeating: 0, count: rows * columns)
        let range = IntegerProductRig.weightRange(arithmetic)
        for top in stride(from: 0, to: rows, by: 8) {
            for left in stride(from: 0, to: columns, by: 4) where draw.bits() % 8 >= emptyOfEight {
                for row in top..<min(top + 8, rows) {
                    for column in left..<min(left + 4, columns) {
                        weights[row * columns + column] = Int16(draw.integer(range))
                    }
                }
            }
        }
        return IntegerMatrix(rows: rows, columns: columns, weights: weights)
    }

    private func inputs(_ count: Int, _ arithmetic: IntegerArithmetic, _ draw: inout BoundaryDraw) -> [Int] {
        (0..<count).map { _ in draw.integer(IntegerProductRig.inputRange(arithmetic)) }
    }

    @Test(
        "Products of 1 to 70 rows and columns are exact, dense and sparse, side by side and scattered",
        arguments: IntegerArithmetic.allCases)
    func sizes(arithmetic: IntegerArithmetic) {
        var draw = BoundaryDraw(seed: 1)
        for size in 1...70 {
            let other = Int(draw.bits() % 70) + 1
            for (rows, columns) in [(size, other), (other, size)] {
                let matrix = matrix(
                    rows: rows, columns: columns, arithmetic, emptyOfEight: draw.bits() % 9, &draw)
                let rig = IntegerProductRig(matrix, .rows, arithmetic)
                let isExact = check(rig, inputs(columns, arithmetic, &draw), &draw)
                #expect(isExact, "\(rows) rows, \(columns) columns")
            }
        }
    }

    @Test(
        "Products of gates are exact, with each group of 8 units' gates together",
        arguments: IntegerArithmetic.allCases)
    func gates(arithmetic: IntegerArithmetic) {
        var draw = BoundaryDraw(seed: 2)
        for gates in 1...4 {
            for units in [1, 7, 8, 9, 16, 20] {
                let columns = Int(draw.bits() % 40) + 1
                let matrix = matrix(
                    rows: gates * units, columns: columns, arithmetic, emptyOfEight: draw.bits() % 9, &draw)
                let rig = IntegerProductRig(matrix, .gates(gates), arithmetic)
                let isExact = check(rig, inputs(columns, arithmetic, &draw), &draw)
                #expect(isExact, "\(gates) gates of \(units) units, \(columns) columns")
            }
        }
        let order = IntegerPacking(
            IntegerMatrix(rows: 18, columns: 1, weights: Array(repeating: 1, count: 18)), order: .gates(2),
            arithmetic: arithmetic
        ).inPanelOrder(Array(0..<18), padding: -1)
        #expect(Array(order[0..<16]) == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16])
        #expect(order[16] == 8 && order[24] == 17 && order.filter { $0 == -1 }.count == 14)
    }

    @Test(
        "Nothing wraps or saturates when all inputs and weights are at their bounds",
        arguments: IntegerArithmetic.allCases)
    func extremes(arithmetic: IntegerArithmetic) {
        var draw = BoundaryDraw(seed: 3)
        let inputRange = IntegerProductRig.inputRange(arithmetic)
        let weightRange = IntegerProductRig.weightRange(arithmetic)
        for input in [inputRange.lowerBound, inputRange.upperBound] {
            for weight in [weightRange.lowerBound, weightRange.upperBound] {
                let matrix = IntegerMatrix(
                    rows: 40, columns: 64, weights: Array(repeating: Int16(weight), count: 40 * 64))
                for order in IntegerKernelsTests.orders.dropLast(2) + [.gates(4)] {
                    let rig = IntegerProductRig(matrix, order, arithmetic)
                    let isExact = check(rig, Array(repeating: input, count: 64), &draw)
                    #expect(isExact, "\(input) times \(weight)")
                }
            }
        }
    }

    @Test("The widest matrix with the greatest numbers fits its sums", arguments: [Int16(-255), 255])
    func widest(weight: Int16) {
        let columns = IntegerMatrix.columnsMax
        let matrix = IntegerMatrix(rows: 1, columns: columns, weights: Array(repeating: weight, count: columns))
        let rig = IntegerProductRig(matrix, .rows, .unsigned)
        let sums = rig.run(rig.packing.dense(), Array(repeating: 255, count: columns))
        #expect(sums.first == Int32(weight) * 255 * 32_768)
    }

    @Test("A matrix of zeros stores no block and gives zeros", arguments: IntegerArithmetic.allCases)
    func zeros(arithmetic: IntegerArithmetic) {
        var draw = BoundaryDraw(seed: 4)
        for order in IntegerKernelsTests.orders.dropFirst() + [.rows] {
            let matrix = IntegerMatrix(rows: 24, columns: 13, weights: Array(repeating: 0, count: 24 * 13))
            let rig = IntegerProductRig(matrix, order, arithmetic)
            let sparse = rig.packing.sparse()
            #expect(rig.packing.blockDensity == 0 && sparse.bytes.isEmpty && sparse.offsets.isEmpty)
            let isExact = check(rig, inputs(13, arithmetic, &draw), &draw)
            #expect(isExact)
        }
        let empty = IntegerProductRig(IntegerMatrix(rows: 3, columns: 0, weights: []), .rows, arithmetic)
        #expect(check(empty, [], &draw))
    }

    @Test("Only blocks that hold a weight are stored")
    func blocks() {
        var weights = [Int16](repeating: 0, count: 16 * 12)
        // The last row of the first 8 in the second group, and the first row of the second 8 in the third.
        weights[7 * 12 + 7] = 1
        weights[8 * 12 + 8] = -1
        let packing = IntegerPacking(
            IntegerMatrix(rows: 16, columns: 12, weights: weights), order: .rows, arithmetic: .sevenBit)
        let sparse = packing.sparse()
        #expect(packing.groupsOfPanel == [[1], [2]])
        #expect(sparse.offsets == [4, 8])
        #expect(sparse.bytes.count == 2 * 32 && sparse.bytes[31] == 1 && sparse.bytes[32] == 255)
        #expect(packing.blockDensity == 2.0 / 6.0)
        #expect(packing.dense().bytes.count == 16 * 12)
    }

    @Test("Runs that are not whole groups get columns of zeros, and the product stays")
    func runs() {
        var draw = BoundaryDraw(seed: 5)
        let matrix = matrix(rows: 9, columns: 3 * 6, .signed, emptyOfEight: 0, &draw)
        let padded = matrix.paddingRuns(of: 6)
        let inputs = inputs(18, .signed, &draw)
        let runs = (0..<3).flatMap { inputs[$0 * 6..<$0 * 6 + 6] + [99, -99] }
        #expect(padded.columns == 24)
        #expect(matrix.paddingRuns(of: 18).columns == 20)
        #expect(
            IntegerReference.product(matrix, inputs.map(Int32.init))
                == IntegerReference.product(padded, runs.map(Int32.init)))
        let isExact = check(IntegerProductRig(padded, .rows, .signed), runs, &draw)
        #expect(isExact)
    }

    @Test("Corrections take the zero point out of a product of raw bytes", arguments: [0, 1, 128, 255])
    func corrections(zeroPoint: Int32) {
        var draw = BoundaryDraw(seed: 6)
        let matrix = matrix(rows: 5, columns: 33, .unsigned, emptyOfEight: 2, &draw)
        let raw = inputs(33, .unsigned, &draw).map(Int32.init)
        let corrected = zip(IntegerReference.product(matrix, raw), matrix.corrections(zeroPoint: zeroPoint))
            .map(+)
        #expect(corrected == IntegerReference.product(matrix, raw.map { $0 - zeroPoint }))
    }

    @Test("The fast arithmetic is chosen only where it is exact")
    func choice() {
        let small = IntegerMatrix(rows: 1, columns: 2, weights: [-63, 63])
        let large = IntegerMatrix(rows: 1, columns: 2, weights: [-64, 0])
        #expect(IntegerArithmetic(inputs: 0...127, isSigned: false, matrix: small) == .sevenBit)
        #expect(IntegerArithmetic(inputs: 0...127, isSigned: true, matrix: small) == .sevenBit)
        #expect(IntegerArithmetic(inputs: 0...128, isSigned: false, matrix: small) == .unsigned)
        #expect(IntegerArithmetic(inputs: -1...127, isSigned: true, matrix: small) == .signed)
        #expect(IntegerArithmetic(inputs: 0...127, isSigned: false, matrix: large) == .unsigned)
    }

    @Test("Weights that the fast products would wrap are refused")
    func refused() async {
        await #expect(processExitsWith: .failure) {
            let matrix = IntegerMatrix(rows: 1, columns: 1, weights: [64])
            _ = IntegerPacking(matrix, order: .rows, arithmetic: .sevenBit)
        }
        await #expect(processExitsWith: .failure) {
            _ = IntegerMatrix(rows: 1, columns: 1, weights: [256])
        }
    }
}
