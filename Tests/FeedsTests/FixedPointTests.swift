import Feeds
import Testing

@Suite struct FixedPointTests {
    @Test(
        "Text that is not an exact decimal of nine places is refused",
        arguments: [
            "", ".", ".5", "1.", "-1", "+1", "1e3", "1,5", " 1", "1 ", "0.0000000001", "1.2.3",
            "9223372036.854775808",
            "18446744073709551616", "99999999999999999999999999", "0x10", "١", "1.000000000000000000001",
        ])
    func refuses(text: String) {
        #expect(FixedPoint.parse(text) == nil)
    }

    @Test(
        "Decimals become integers of 1e-9 without rounding",
        arguments: [
            ("0", 0), ("1", 1_000_000_000), ("61234.50", 61_234_500_000_000), ("0.000000001", 1),
            ("0.1000000000000", 100_000_000), ("9223372036.854775807", Int64.max), ("007.70", 7_700_000_000),
            ("1234567890.5", 1_234_567_890_500_000_000),
        ] as [(String, Int64)])
    func parses(text: String, value: Int64) {
        #expect(FixedPoint.parse(text) == value)
    }

    @Test("A value's text parses to the value again")
    func roundTrip() {
        var generator = SeededGenerator(state: 1)
        for _ in 0..<1_000 {
            let value =
                Int64.random(in: 0...Int64.max, using: &generator)
                >> Int64.random(in: 0...62, using: &generator)
            #expect(FixedPoint.parse(FixedPoint.text(value)) == value)
        }
        #expect(FixedPoint.text(10_000) == "0.00001")
        #expect(FixedPoint.text(-1_500_000_000) == "-1.5")
    }
}

@Suite struct ConversionOptionsTests {
    @Test(
        "A malformed --instrument is refused with what would be right",
        arguments: [
            ("BTCUSDT", "no colon"), (":tick=1", "no symbol"), ("A:tick", "is not KEY=SIZE"),
            ("A:tick=", "is not a size"), ("A:tick=0", "is not a size"), ("A:tick=-1", "is not a size"),
            ("A:tick=1e-3", "is not a size"), ("A:lot=0.0000000001", "is not a size"),
            ("A:tick=1,tick=2", "given twice"), ("A:step=1", "neither tick nor lot"),
            ("A:", "is not KEY=SIZE"),
        ])
    func refuses(text: String, problem: String) {
        let message = refusal { () throws(FeedError) in try InstrumentOverride(parsing: text) }
        #expect(message.contains(problem))
        #expect(message.hasPrefix("--instrument \(text): "))
    }

    @Test("A symbol given twice is refused")
    func refusesTwice() {
        let message = refusal { () throws(FeedError) in
            try ConversionOptions(instrumentTexts: ["A:tick=1", "A:lot=1"])
        }
        #expect(message.contains("A is given twice"))
    }

    @Test("Sizes are exact and either may be left out")
    func parses() throws {
        let options = try ConversionOptions(instrumentTexts: ["ETHUSDT:tick=0.01,lot=0.0001", "X:Y:lot=100"])
        #expect(
            options.instruments["ETHUSDT"]
                == InstrumentOverride(symbol: "ETHUSDT", tickSize: 10_000_000, lotSize: 100_000))
        #expect(options.instruments["X:Y"] == InstrumentOverride(symbol: "X:Y", lotSize: 100_000_000_000))
    }
}
