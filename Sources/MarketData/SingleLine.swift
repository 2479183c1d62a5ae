extension String {
    /// The same text on one line and without control characters, each of which becomes U+FFFD: names come from files and
    /// from the network, and a terminal would obey them.
    package var singleLine: String {
        guard unicodeScalars.contains(where: String.isControl) else { return self }
        var text = String.UnicodeScalarView()
        for scalar in unicodeScalars { text.append(String.isControl(scalar) ? "\u{FFFD}" : scalar) }
        return String(text)
    }

    /// C0, DEL and C1, and the two separators that some terminals take for the end of a line.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || 0x7F...0x9F ~= scalar.value || 0x2028...0x2029 ~= scalar.value
    }
}
