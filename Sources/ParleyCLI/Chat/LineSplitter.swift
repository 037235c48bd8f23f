/// One line of input, without its newline.
enum InputLine: Equatable {
    case text([UInt8])
    /// The line is longer than allowed. Its bytes are not kept, because it may have any length.
    case tooLong(byteCount: Int)
}

/// Splits blocks of bytes into lines. It keeps at most one line of the allowed length.
struct LineSplitter {
    let maxBytes: Int
    private var kept: [UInt8] = []
    private var byteCount = 0

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// The lines that `block` completes.
    mutating func feed(_ block: [UInt8]) -> [InputLine] {
        var lines: [InputLine] = []
        var rest = block[...]
        while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
            append(rest[..<newline])
            lines.append(takeLine())
            rest = rest[(newline + 1)...]
        }
        append(rest)
        return lines
    }

    /// The rest at the end of the input: a last line without a newline. Nil when there is none.
    mutating func finish() -> InputLine? { byteCount > 0 ? takeLine() : nil }

    private mutating func append(_ bytes: ArraySlice<UInt8>) {
        byteCount += bytes.count
        kept.append(contentsOf: bytes.prefix(max(0, maxBytes - kept.count)))
    }

    private mutating func takeLine() -> InputLine {
        defer {
            kept = []
            byteCount = 0
        }
        return byteCount > maxBytes ? .tooLong(byteCount: byteCount) : .text(kept)
    }
}
