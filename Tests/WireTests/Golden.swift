import Foundation
import Testing
import Wire

/// The golden messages that `python/oracles/wire_golden.py` packed by hand, and small helpers of these tests.
enum Golden {
    struct File: Decodable {
        let signal, signalSecondHorizon, gap, trade, schemaTrades, schemaMixed, header: String
        let signalsMessage, ticksMessage, heartbeatMessage, heartbeatWithoutAddress, endMessage: String
        let request, response, digestOfRun: String
        /// Kind, model, dataset, symbol, text in hexadecimal.
        let topics: [String: [String]]
    }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func file() throws -> File {
        let url = root.appending(path: "Tests/WireTests/Golden/wire.json")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(File.self, from: Data(contentsOf: url))
    }

    static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = Array(hexadecimal)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0..<$0 + 2]), radix: 16)! }
    }

    static func messages() throws -> [[UInt8]] {
        let file = try file()
        return [
            file.signalsMessage, file.ticksMessage, file.heartbeatMessage, file.heartbeatWithoutAddress,
            file.endMessage,
        ].map(bytes)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same draws on every machine.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// What `PacketView.parse` says, checked from bytes at an odd address so that every load is unaligned.
func parse(_ message: [UInt8]) -> PacketParse {
    let shifted = [0] + message
    return shifted.withUnsafeBytes { bytes in
        PacketView.parse(UnsafeRawBufferPointer(rebasing: bytes[1...]))
    }
}

func parseError(_ message: [UInt8]) -> WireError? {
    switch parse(message) {
    case .packet: nil
    case .malformed(let error): error
    }
}
