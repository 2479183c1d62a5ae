import MarketData
import Testing
import Wire

@Suite struct DigestTests {
    @Test func `SHA-256 agrees with the examples of FIPS 180`() {
        let examples = [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ]
        for (text, hexadecimal) in examples {
            let bytes = Array(text.utf8)
            #expect(SHA256.digest(of: bytes).hex == hexadecimal)
            var hash = SHA256()
            for byte in bytes { hash.update([byte].span.bytes) }
            let digest = hash.finish()
            let empty = hash.finalize()
            #expect(digest.bytes == Golden.bytes(hexadecimal) && empty.hex == examples[0].1)
            #expect(withUnsafeBytes(of: digest.prefix) { Array($0) } == Array(digest.bytes[..<8]))
        }
    }

    @Test func `The digest of a run ignores packets, interleaving and gaps`() throws {
        let file = try Golden.file()
        let (first, second) = (Golden.bytes(file.signal), Golden.bytes(file.signalSecondHorizon))
        let gap = Golden.bytes(file.gap)
        let (a, b) = (Array("sig/default/XNAS.ITCH/A/".utf8), Array("sig/default/XNAS.ITCH/BRK.B/".utf8))
        for order in [
            [(b, first), (a, second), (b, gap), (b, second)], [(b, first), (b, second), (a, second)],
        ] {
            var digest = SignalDigest()
            let silent = digest.addTopic(Array("sig/default/XNAS.ITCH/C/".utf8))
            for (topic, bytes) in order {
                let index = digest.addTopic(topic)
                #expect(index != silent)
                var records = PacketRecords(bytes.span.bytes)
                while let record = records.next() { digest.add(record, to: index) }
            }
            #expect(digest.count == 3)
            let hexadecimal = digest.finalize().hex
            #expect(hexadecimal == file.digestOfRun)
        }
        let empty = SignalDigest().finalize()
        #expect(empty == SHA256.digest(of: []))
    }

    @Test func `A record by value and by view have one digest`() throws {
        let bytes = Golden.bytes(try Golden.file().signal)
        var byValue = SignalDigest()
        var byView = SignalDigest()
        let (one, other) = (byValue.addTopic([65]), byView.addTopic([65]))
        var records = PacketRecords(bytes.span.bytes)
        while let record = records.next() {
            byView.add(record, to: other)
            if let signal = SignalRecord(record) { byValue.add(signal, to: one) }
        }
        let (left, right) = (byValue.finalize(), byView.finalize())
        #expect(left == right && left != SHA256.digest(of: []))
    }
}
