extension String {
    /// Untrusted bytes as one line of text that is safe on a terminal.
    ///
    /// In UTF-8 text, control characters are escaped (`\n`, `\x1b`, `\u{202e}`). Of bytes that are not UTF-8,
    /// printable ASCII is shown and all others are escaped (`\xff`).
    package init(printable bytes: some Collection<UInt8>) {
        if let text = String(validating: bytes, as: UTF8.self) {
            self = text.printable
        } else {
            self = bytes.map { byte in
                byte < 0x80 ? Unicode.Scalar(byte).printable : escape(byte)
            }.joined()
        }
    }

    /// The text with its control characters escaped. An escaped text does not change.
    package var printable: String {
        // Most texts are ASCII without controls. Contiguous storage is much faster than the view, and the end
        // of every connection comes through here.
        let isPlain = utf8.withContiguousStorageIfAvailable { $0.allSatisfy { (0x20..<0x7f).contains($0) } }
        if isPlain == true { return self }
        return unicodeScalars.contains { !$0.isPrintable } ? unicodeScalars.map(\.printable).joined() : self
    }
}

extension Unicode.Scalar {
    /// Whether a terminal only shows it. False for controls, line breaks and characters that reorder text.
    package var isPrintable: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .surrogate: false
        // Emoji and several scripts need zero-width joiners. The other format characters hide or reorder
        // text.
        case .format: value == 0x200C || value == 0x200D
        default: true
        }
    }

    fileprivate var printable: String {
        if isPrintable { return String(self) }
        switch self {
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        default: return isASCII ? escape(UInt8(value)) : "\\u{\(String(value, radix: 16))}"
        }
    }
}

/// `\x1b`
private func escape(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16)
    return "\\x" + (digits.count == 1 ? "0" : "") + digits
}
