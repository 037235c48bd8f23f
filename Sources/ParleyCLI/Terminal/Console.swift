import Parley
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Standard output and standard error. Each line is one write, so a script that reads a pipe gets it whole
/// and at once.
///
/// On a terminal, a status line can be shown; it is redrawn below each printed line.
enum Console {
    /// The text of the status line; empty when there is none.
    private static let status = Mutex("")

    /// Whether a status line can be shown: standard error is a terminal that can erase a line.
    static let hasStatusLine =
        isatty(STDERR_FILENO) == 1 && getenv("TERM").map { String(cString: $0) } != "dumb"

    /// Prints a result on standard output.
    static func line(_ text: String) {
        let isWritten = print(text, to: STDOUT_FILENO)
        if !isWritten { Interruption.standardOutputClosed() }
    }

    /// Prints an error on standard error.
    static func error(_ sentence: String) { _ = print("parley: \(sentence)", to: STDERR_FILENO) }

    /// Prints a log line on standard error.
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

    /// The width of the terminal; 80 columns when it is unknown.
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
