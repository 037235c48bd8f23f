/// The lines of multistream-select 1.0.0, by which two sides agree on the protocol of a connection or a
/// stream.
///
/// ```
/// length varint, unsigned LEB128 | text in UTF-8 | \n        the length counts the newline
///
/// /multistream/1.0.0    each side's first line
/// NAME                  the dialer proposes a protocol; the listener repeats the name to agree
/// na                    the listener does not speak it; the dialer may propose another
/// ```
///
/// `ls`, which asks for all names, is answered `na` like an unknown name, as newer implementations do: the
/// answer has no bound.
///
/// Source: <https://github.com/multiformats/multistream-select>,
/// <https://github.com/libp2p/specs/blob/master/connections/README.md>.
enum Multistream {
    static let header = "/multistream/1.0.0"
    static let notAvailable = "na"
    static let list = "ls"
    /// The longest line in bytes, with its newline. Names are chosen by programs and short.
    static let maxLineBytes = 1_024
    /// How many names a dialer may propose. Each is answered.
    static let maxProposals = 64

    /// Whether a name can be proposed.
    static func isName(_ name: String) -> Bool {
        (1..<maxLineBytes).contains(name.utf8.count) && !name.utf8.contains(newline)
            && ![header, notAvailable, list].contains(name)
    }

    /// The error for a name that a program cannot give its protocol.
    static func impossible(_ name: String) -> ParleyError {
        ParleyError(.invalidArgument, "\"\(name)\" cannot be the name of a stream's protocol")
    }

    static let newline = UInt8(ascii: "\n")

    /// Appends a line.
    static func write(_ text: String, into output: inout WireBuffer) {
        let bytes = Array(text.utf8)
        var length = bytes.count + 1
        while length > 0x7f {
            output.append(UInt8(length & 0x7f | 0x80))
            length >>= 7
        }
        output.append(UInt8(length))
        output.append(bytes)
        output.append(newline)
    }
}

/// Takes lines from bytes that arrive in any pieces.
struct MultistreamReader: Sendable {
    /// The beginning of a line, with its length. At most a line.
    private var part: [UInt8] = []
    /// Where the current line begins, for error messages.
    private var position = 0
    /// The length of the line that was returned last.
    private var lastLineBytes = 0

    /// Takes the next line from the front of `input`, without its newline; nil when all of `input` is used.
    ///
    /// - Throws: `protocolViolation`.
    mutating func next(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> ArraySlice<UInt8>? {
        position += lastLineBytes
        lastLineBytes = 0
        while let byte = input.first {
            guard let (length, lengthBytes) = try length() else {
                part.append(byte)
                input.removeFirst()
                continue
            }
            let missing = lengthBytes + length - part.count
            part.append(contentsOf: input.prefix(missing))
            input = input.dropFirst(missing)
            guard part.count == lengthBytes + length else { return nil }
            let line = part[lengthBytes...]
            try check(line)
            lastLineBytes = part.count
            part = []
            return line.dropLast()
        }
        // The length alone may have arrived, and be wrong.
        _ = try length()
        return nil
    }

    /// The length of the line, and how many bytes it takes; nil while it is incomplete.
    private func length() throws(ParleyError) -> (length: Int, bytes: Int)? {
        guard let first = part.first else { return nil }
        guard first & 0x80 != 0 else { return try (checked(Int(first)), 1) }
        guard part.count >= 2 else { return nil }
        let second = part[1]
        guard second & 0x80 == 0 else {
            throw violation("a line longer than \(Multistream.maxLineBytes) bytes")
        }
        guard second != 0 else { throw violation("a length with more bytes than it needs") }
        return try (checked(Int(first & 0x7f) | Int(second) << 7), 2)
    }

    private func checked(_ length: Int) throws(ParleyError) -> Int {
        guard length > 0 else { throw violation("an empty line") }
        guard length <= Multistream.maxLineBytes else {
            throw violation("a line of \(length) bytes, allowed are \(Multistream.maxLineBytes)")
        }
        return length
    }

    private func check(_ line: ArraySlice<UInt8>) throws(ParleyError) {
        guard line.last == Multistream.newline else { throw violation("a line without a newline") }
        guard line.firstIndex(of: Multistream.newline) == line.endIndex - 1 else {
            throw violation("a newline inside a line")
        }
    }

    func violation(_ what: String) -> ParleyError {
        ParleyError(.protocolViolation, "multistream: \(what), at byte \(position) of the negotiation")
    }

    /// Takes the other side's first line.
    func checkHeader(_ line: ArraySlice<UInt8>) throws(ParleyError) {
        guard line.elementsEqual(Multistream.header.utf8) else {
            throw violation(
                "\"\(String(printable: line.prefix(64)))\" instead of \(Multistream.header)"
            )
        }
    }
}
