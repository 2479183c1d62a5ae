/// Exact decimals: text to integers of 1e-9 without a floating-point number between.
package enum FixedPoint {
    /// Digits after the point that 1e-9 can hold.
    static let fractionDigits = 9

    /// The value of `text` in 1e-9: digits, optionally a point and more digits, nothing else.
    ///
    /// Nil if the text is anything else, has a nonzero digit beyond the ninth place, or does not fit in 63
    /// bits.
    @inline(__always)
    static func parse(_ text: Span<UInt8>, from start: Int, to end: Int) -> Int64? {
        var value: UInt64 = 0
        var index = start
        var digits = 0
        // 9 whole digits and the 9 of the fraction fit in 64 bits without any overflow check.
        while index < end, digits < 9 {
            let digit = text[index] &- 0x30
            guard digit <= 9 else { break }
            value = value &* 10 &+ UInt64(digit)
            index += 1
            digits += 1
        }
        while index < end, text[index] != UInt8(ascii: ".") {
            let digit = text[index] &- 0x30
            guard digit <= 9, value < 1_000_000_000_000 else { return nil }
            value = value &* 10 &+ UInt64(digit)
            index += 1
            digits += 1
        }
        guard digits > 0 else { return nil }
        var places = 0
        var fraction: UInt64 = 0
        if index < end {
            index += 1
            guard index < end else { return nil }
            while index < end {
                let digit = text[index] &- 0x30
                guard digit <= 9 else { return nil }
                if places < fractionDigits {
                    fraction = fraction &* 10 &+ UInt64(digit)
                    places += 1
                } else if digit != 0 {
                    return nil
                }
                index += 1
            }
        }
        while places < fractionDigits {
            fraction = fraction &* 10
            places += 1
        }
        let (whole, overflow) = value.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = whole.addingReportingOverflow(fraction)
        guard !overflow, !carry, sum <= UInt64(Int64.max) else { return nil }
        return Int64(sum)
    }

    /// The value of `text` in 1e-9, as the other form.
    package static func parse(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        return parse(bytes.span, from: 0, to: bytes.count)
    }

    /// The unsigned integer in `text[start..<end]`: digits only; nil if there are none or it exceeds 64 bits.
    @inline(__always)
    static func integer(_ text: Span<UInt8>, from start: Int, to end: Int) -> UInt64? {
        guard end > start, end - start <= 20 else { return nil }
        var value: UInt64 = 0
        for index in start..<end {
            let digit = text[index] &- 0x30
            guard digit <= 9 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// The shortest decimal text of a value in 1e-9.
    package static func text(_ value: Int64) -> String {
        let magnitude = value.magnitude
        let whole = String(magnitude / 1_000_000_000)
        var fraction = String(magnitude % 1_000_000_000)
        fraction = String(repeating: "0", count: fractionDigits - fraction.utf8.count) + fraction
        while fraction.hasSuffix("0") { fraction.removeLast() }
        let sign = value < 0 ? "-" : ""
        return fraction.isEmpty ? sign + whole : "\(sign)\(whole).\(fraction)"
    }
}
