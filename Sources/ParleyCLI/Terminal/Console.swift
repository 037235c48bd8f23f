import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The tool's two outputs. Each line is one write, so a script that reads a pipe gets it at once and whole.
///
/// On a terminal there may be a status line below, which is redrawn under whatever is printed.
enum Console {
    /// What the last line of the terminal shows.
    private static let status = Mutex("")

    /// Whether a status line can be shown: standard error is a terminal that understands how to erase one.
    static let hasStatusLine =
        isatty(STDERR_FILENO) == 1 && getenv("TERM").map { String(cString: $0) } != "dumb"

    /// A line of results on standard output.
    static func line(_ text: String) {
        let isWritten = print(text, to: STDOUT_FILENO)
        if !isWritten { Interruption.standardOutputClosed() }
    }

    /// A line about what went wrong on standard error.
    static func error(_ sentence: String) { _ = print("parley: \(sentence)", to: STDERR_FILENO) }

    /// A line of the log on standard error.
    static func log(_ text: String) { _ = print(text, to: STDERR_FILENO) }

    /// Shows `text` as the status line; an empty one removes it. Does nothing where there is no terminal.
    static func setStatus(_ text: String) {
        guard hasStatusLine else { return }
        status.withLock { status in
            guard status != text else { return }
            status = text
            _ = write(eraseLine + text, to: STDERR_FILENO)
        }
    }

    /// How wide the terminal is; 80 columns where it does not say.
    static var columns: Int {
        var size = winsize()
        let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return isKnown ? Int(size.ws_col) : 80
    }

    private static let eraseLine = "\r\u{1B}[K"

    private static func print(_ text: String, to descriptor: Int32) -> Bool {
        status.withLock { status in
            if !status.isEmpty { _ = write(eraseLine, to: STDERR_FILENO) }
            defer { if !status.isEmpty { _ = write(status, to: STDERR_FILENO) } }
            return write(text.printable + "\n", to: descriptor)
        }
    }

    private static func write(_ text: String, to descriptor: Int32) -> Bool {
        (try? writeAll(Array(text.utf8), to: descriptor)) != nil
    }
}
