/// The blocks in which weights are set to zero: outputs by inputs.
///
/// They are the blocks of the engine's kernels: 16×1 in floats, 8×4 in bytes. Of a recurrent layer a block is 8 units of
/// every gate, 32 or 24 outputs, whatever is said of linear layers.
public struct BlockShape: Equatable, Sendable, CustomStringConvertible {
    /// Outputs of a block of a linear layer.
    public let outputs: Int
    /// Inputs of every block.
    public let inputs: Int

    /// The shapes that a kernel can use.
    public static let known = ["16x1", "32x1", "8x4", "32x4"]
    /// Units of a recurrent layer in a block.
    static let units = 8

    /// Reads a shape such as `16x1`; nil if no kernel can use it.
    public init?(_ text: String) {
        let lowered = text.lowercased()
        guard BlockShape.known.contains(lowered) else { return nil }
        let parts = lowered.split(separator: "x").compactMap { Int($0) }
        (outputs, inputs) = (parts[0], parts[1])
    }

    public var description: String { "\(outputs)x\(inputs)" }

    /// The shape of a matrix's blocks.
    func description(of matrix: WeightedMatrix) -> String {
        "\(matrix.gates > 1 ? matrix.gates * BlockShape.units : outputs)x\(inputs)"
    }

    /// The blocks of a matrix, each as the places of its weights in the constant. Blocks at the ends may be smaller; none
    /// is empty.
    func blocks(of matrix: WeightedMatrix) -> [[Int]] {
        let map = matrix.map
        var panels: [[Int]] = []
        if matrix.gates > 1 {
            let units = map.rows / matrix.gates
            for first in stride(from: 0, to: units, by: BlockShape.units) {
                let chosen = first..<min(first + BlockShape.units, units)
                panels.append((0..<matrix.gates).flatMap { gate in chosen.map { gate * units + $0 } })
            }
        } else {
            for first in stride(from: 0, to: map.rows, by: outputs) {
                panels.append(Array(first..<min(first + outputs, map.rows)))
            }
        }
        var blocks: [[Int]] = []
        for panel in panels {
            for first in stride(from: 0, to: map.columns, by: inputs) {
                let columns = first..<min(first + inputs, map.columns)
                let places = panel.flatMap { row in columns.map { map.place(row, $0) } }
                    .filter { $0 >= 0 }
                if !places.isEmpty { blocks.append(places) }
            }
        }
        return blocks
    }
}
