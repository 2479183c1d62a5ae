/// The simulator's source of chance: xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number
/// Generators", 2018), seeded through SplitMix64 as its authors recommend.
///
/// Integers and the uniform draw are exact on every machine; everything else builds on `PortableMath`.
struct SimulatorRandom {
    private var s0: UInt64
    private var s1: UInt64
    private var s2: UInt64
    private var s3: UInt64

    /// Equal seeds give equal streams. No seed is special: SplitMix64 never yields four zeros in a row.
    init(seed: UInt64) {
        var mixer = SplitMix64(state: seed)
        s0 = mixer.next()
        s1 = mixer.next()
        s2 = mixer.next()
        s3 = mixer.next()
    }

    /// A generator in a given state, not all zero, to compare with published vectors.
    init(state: (UInt64, UInt64, UInt64, UInt64)) {
        (s0, s1, s2, s3) = state
    }

    mutating func next() -> UInt64 {
        let product = s1 &* 5
        let result = ((product << 7) | (product >> 57)) &* 9
        let shifted = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = (s3 << 45) | (s3 >> 19)
        return result
    }

    /// Uniform in the open interval (0, 1), so that its logarithm is finite: the middles of 2^52 equal cells,
    /// which a `Double` holds exactly.
    mutating func uniform() -> Double {
        (Double(next() >> 12) + 0.5) * 0x1p-52
    }

    /// Uniform in `0..<bound`, by the high half of a product. The bias, below `bound` / 2^64, is of no
    /// consequence here.
    mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "A draw has at least one outcome.")
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// True with `probability`; always consumes one draw.
    mutating func chance(_ probability: Double) -> Bool {
        uniform() < probability
    }

    /// Failures before the first success, at most `max`, where each trial fails with `probability`.
    mutating func geometric(_ probability: Double, max: Int) -> Int {
        var count = 0
        while count < max, chance(probability) { count += 1 }
        return count
    }
}

/// Steele, Lea and Flood's SplitMix64: turns any 64-bit number into well-mixed seeds.
struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// `exp` and `log` from additions, multiplications and divisions alone.
///
/// IEEE 754 fixes the result of those to the last bit and Swift never fuses them, so a seed gives the same
/// bytes on every machine. The functions of libm differ between libraries and versions, so the simulator must
/// not call them.
enum PortableMath {
    private static let log2OfE = 1.442695040888963407
    /// ln 2 in two parts: the first has so few bits that its product with a small integer is exact (Cody and
    /// Waite).
    private static let ln2High = 0x1.62e42feep-1
    private static let ln2Low = 1.9082149292705877e-10

    /// e^-x for x ≥ 0, to about 1e-15 relative; 0 beyond x = 700, where nothing in the simulator can see the
    /// difference.
    static func exponentialDecay(_ x: Double) -> Double {
        precondition(x >= 0, "A decay takes a non-negative time.")
        guard x < 700 else { return 0 }
        let halvings = Double(Int(x * log2OfE))
        let rest = (x - halvings * ln2High) - halvings * ln2Low
        // e^-rest for rest in [0, ln 2): the Taylor polynomial of degree 16 by Horner's rule.
        var sum = 1.0
        var degree = 16.0
        while degree >= 1 {
            sum = 1 - sum * rest / degree
            degree -= 1
        }
        return sum * Double(sign: .plus, exponent: -Int(halvings), significand: 1)
    }

    /// The natural logarithm of a normal positive number, to about 1e-15 relative to its size or to 1.
    static func naturalLogarithm(_ x: Double) -> Double {
        precondition(x.isNormal && x > 0, "A logarithm is taken of a normal positive number.")
        var mantissa = x.significand
        var exponent = Double(x.exponent)
        if mantissa > 1.4142135623730951 {
            mantissa *= 0.5
            exponent += 1
        }
        // ln m = 2 artanh(z), z = (m - 1) / (m + 1), |z| < 0.172: twelve terms leave less than 1e-19.
        let z = (mantissa - 1) / (mantissa + 1)
        let square = z * z
        var sum = 0.0
        var odd = 23.0
        while odd >= 1 {
            sum = sum * square + 1 / odd
            odd -= 2
        }
        return exponent * ln2High + (exponent * ln2Low + 2 * z * sum)
    }
}
