extension String {
    /// Bytes that others chose, in a form that is safe on a terminal and stays on one line.
    ///
    /// UTF-8 text is shown as it is but for control characters (`\n`, `\x1b`, `\u{202e}`); bytes that are not
    /// UTF-8 are shown as ASCII where they are printable, and as `\xff` where not.
    init(printable bytes: some Collection<UInt8>) {
        if let text = String(validating: bytes, as: UTF8.self) {
            self = text.printable
        } else {
            self = bytes.map { byte in
                byte < 0x80 ? Unicode.Scalar(byte).printable : escape(byte)
            }.joined()
        }
    }

    /// The same text with its control characters escaped; a text that was escaped already does not change.
    var printable: String {
        unicodeScalars.contains { !$0.isPrintable } ? unicodeScalars.map(\.printable).joined() : self
    }
}

extension Unicode.Scalar {
    /// Whether a terminal shows it and does nothing else: no controls, no line breaks, nothing that reorders text.
    var isPrintable: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .surrogate: false
        // Zero-width joiners hold emoji and several scripts together; the others hide or turn text around.
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
