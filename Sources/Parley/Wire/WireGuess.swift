/// Guesses from the first bytes of a connection what the other side speaks, for error messages only.
enum WireGuess {
    /// The end of an error message: `; the bytes 47 45 54 20 … look like HTTP, not the framed wire form`.
    static func sentence(_ bytes: ArraySlice<UInt8>, expected: String) -> String {
        let start = bytes.prefix(8).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
        let shown = start.joined(separator: " ") + (bytes.count > 8 ? " …" : "")
        guard let guess = guess(bytes), guess != expected else {
            return "; the bytes \(shown) do not look like the \(expected) wire form"
        }
        return "; the bytes \(shown) look like \(guess), not the \(expected) wire form"
    }

    private static func guess(_ bytes: ArraySlice<UInt8>) -> String? {
        let start = Array(bytes.prefix(16))
        guard let first = start.first else { return nil }
        if start.starts(with: [0x16, 0x03]) { return "TLS" }
        if start.starts(with: Array("SSH-".utf8)) { return "SSH" }
        for verb in ["GET ", "POST ", "HEAD ", "PUT ", "OPTIONS ", "CONNECT ", "HTTP/"]
        where start.starts(with: verb.utf8) {
            return "HTTP"
        }
        // Frames begin with a small type and, below 16 MiB, a zero length byte.
        if FramedDecoder.FrameType(rawValue: first) != nil, start.count >= 5, start[1] == 0 {
            return "framed"
        }
        // Gob begins with a type definition: a length, then a type id below -64.
        if start.count >= 3, first > 3, first < 0x80, start[1] == 0xff, start[2] & 1 == 1 { return "gob" }
        if start.allSatisfy({ (0x20..<0x7f).contains($0) || $0 == 0x0a || $0 == 0x0d || $0 == 0x09 }) {
            return "text"
        }
        if (1...2).contains(first) { return "unframed" }
        return nil
    }
}
