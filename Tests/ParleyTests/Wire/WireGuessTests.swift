import Testing

@testable import Parley

/// What the first bytes of a connection look like, for error messages.
@Suite struct WireGuessTests {
    private static let texts = [
        ("GET / HTTP/1.1", "HTTP"), ("POST /", "HTTP"), ("HEAD /", "HTTP"), ("PUT /", "HTTP"),
        ("OPTIONS *", "HTTP"), ("CONNECT a:1", "HTTP"), ("HTTP/1.1 200", "HTTP"), ("GETX", "text"),
        ("SSH-2.0", "SSH"), ("SSH", "text"), (" ", "text"), ("~", "text"), ("\t\r\n", "text"),
        ("sixteen letters!\0", "text"),
    ]

    private static let bytes: [(bytes: [UInt8], guess: String?)] = [
        ([], nil), ([0], nil), ([3], nil),
        ([0x16, 3], "TLS"), ([0x16, 4], nil), ([0x17, 3], nil),
        // A small type and a zero length byte.
        ([1, 0, 0, 0, 0], "framed"), ([10, 0, 0, 0, 9], "framed"), ([11, 0, 0, 0, 0], nil),
        ([0, 0, 0, 0, 0], nil), ([3, 0, 0, 0], nil), ([3, 1, 0, 0, 0], nil),
        // A length, and a type id below -64.
        ([4, 0xff, 0x81], "gob"), ([0x7f, 0xff, 1], "gob"), ([3, 0xff, 0x81], nil),
        ([0x80, 0xff, 0x81], nil), ([4, 0xff], nil), ([4, 0xff, 0x82], nil), ([4, 0xfe, 0x81], nil),
        // A type byte, and no more than that.
        ([1], "unframed"), ([2, 0xff], "unframed"), ([1, 0, 0, 0], "unframed"),
        // Not quite text: controls, DEL, and a byte that is not ASCII as the last of sixteen.
        ([0x08], nil), ([0x0b], nil), ([0x0c], nil), ([0x0e], nil), ([0x1f], nil), ([0x7f], nil),
        (Array("fifteen letters".utf8) + [0x80], nil),
    ]

    @Test func `the first sixteen bytes tell the protocol`() {
        for (bytes, guess) in Self.texts.map({ (Array($0.utf8), $1 as String?) }) + Self.bytes {
            let sentence = WireGuess.sentence(bytes[...], expected: "expected")
            let end = guess.map { "look like \($0), not the expected wire form" }
            #expect(sentence.hasSuffix(end ?? "do not look like the expected wire form"), "\(sentence)")
        }
    }

    @Test(arguments: [
        (0, "; the bytes  do not"), (1, "; the bytes 0f do not"),
        (8, "; the bytes 0f 1e 2d 3c 4b 5a 69 78 do not"),
        (9, "; the bytes 0f 1e 2d 3c 4b 5a 69 78 … do not"),
    ]) func `the first eight bytes are shown`(count: Int, beginning: String) {
        let bytes: [UInt8] = [0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87]
        let sentence = WireGuess.sentence(bytes.prefix(count), expected: "framed")
        #expect(sentence == beginning + " look like the framed wire form")
    }

    @Test func `bytes of the expected wire form do not look like another one`() {
        let sentence = WireGuess.sentence([1, 0, 0, 0, 0], expected: "framed")
        #expect(sentence.contains("do not look like the framed"))
    }
}
