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
/// and at once. A thread of ``OutputQueue`` writes.
///
/// On a terminal, status lines can be shown; they are redrawn below each printed line. A question takes their
/// place. With `--json`, events take the place of results.
enum Console {
    private struct LastLine {
        /// The status lines; empty when there are none.
        var status = ""
        /// The question that somebody is to answer.
        var prompt: String?

        var text: String { prompt ?? status }

        /// What removes the text from a terminal.
        var eraser: String {
            String(repeating: "\r\u{1B}[K\u{1B}[A", count: text.count { $0 == "\n" }) + "\r\u{1B}[K"
        }
    }

    private static let lastLine = Mutex(LastLine())
    /// What standard output carries.
    private enum Output { case results, events, files }

    private static let output = Mutex(Output.results)

    /// From now on results go to standard error: standard output carries a file.
    static func sendResultsToStandardError() { output.withLock { $0 = .files } }

    /// From now on standard output carries events, and results go nowhere.
    static func showEvents() { output.withLock { $0 = .events } }

    /// Whether a status line can be shown: standard error is a terminal that can erase a line.
    static let hasStatusLine =
        isatty(STDERR_FILENO) == 1 && TerminalWidth.canErase(kind: environmentVariable("TERM"))

    /// Prints a result, on standard output unless that is in use.
    static func line(_ text: String) {
        switch output.withLock({ $0 }) {
        case .results: print(text, to: STDOUT_FILENO)
        case .events: break
        case .files: print(text, to: STDERR_FILENO)
        }
    }

    /// Prints a text of the tool's own on standard output, of several lines.
    static func text(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }

    /// Prints an event, if events are wanted.
    static func event(_ event: @autoclosure () -> Event) {
        if output.withLock({ $0 == .events }) { print(event().json.text, to: STDOUT_FILENO) }
    }

    /// Prints an error on standard error, and as an event.
    static func error(_ sentence: String) {
        event(.error(sentence))
        print("parley: \(sentence)", to: STDERR_FILENO)
    }

    /// Prints what is worth a line on standard error, and is no error.
    static func notice(_ sentence: String) { print("parley: \(sentence)", to: STDERR_FILENO) }

    /// Prints a log line on standard error, unless much is not written yet.
    static func log(_ text: String) { print(text, to: STDERR_FILENO, limit: OutputQueue.roomBytes / 2) }

    /// Waits while the reader of the results is far behind. Between the lines of whoever has many of them.
    static func waitForRoom() async { await OutputQueue.results.waitForRoom() }

    /// Shows `text` as the status, of one line or more; an empty one removes it. Does nothing where there is
    /// no terminal.
    static func setStatus(_ text: String) {
        // A terminal that is slow gets the next one.
        guard hasStatusLine, text.isEmpty || !OutputQueue.errors.isBusy else { return }
        lastLine.withLock { lastLine in
            guard lastLine.status != text else { return }
            let eraser = lastLine.eraser
            lastLine.status = text
            if lastLine.prompt == nil { write(eraser + text, to: STDERR_FILENO) }
        }
    }

    /// Shows a question on standard error, which is a terminal: a line that says what it is about, and below
    /// it the prompt, behind which the answer is typed. Nil removes the prompt.
    static func setQuestion(_ text: String?, prompt: String = "") {
        lastLine.withLock { lastLine in
            let erase = hasStatusLine ? lastLine.eraser : ""
            lastLine.prompt = text.map { _ in prompt }
            let above = text.map { $0.printable + "\n" } ?? ""
            write(erase + above + lastLine.text, to: STDERR_FILENO)
        }
    }

    /// The width of a line at this moment.
    static var columns: Int {
        var size = winsize()
        let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0
        return TerminalWidth.columns(
            variable: environmentVariable("COLUMNS"),
            terminal: isKnown ? Int(size.ws_col) : 0
        )
    }

    /// Writes out what was printed, before the process ends. After a signal it does not wait for a reader
    /// that takes nothing.
    static func flush() {
        OutputQueue.results.flush()
        OutputQueue.errors.flush()
    }

    /// From now on nothing waits for a reader: the process is to end.
    static func stopWaiting() {
        OutputQueue.results.stopWaiting()
        OutputQueue.errors.stopWaiting()
    }

    private static func print(
        _ text: String,
        to descriptor: Int32,
        limit: Int = OutputQueue.mostBytes
    ) {
        lastLine.withLock { lastLine in
            let isShown = !lastLine.text.isEmpty
            if isShown { write(hasStatusLine ? lastLine.eraser : "\n", to: STDERR_FILENO) }
            write(text.printable + "\n", to: descriptor, limit: limit)
            if isShown { write(lastLine.text, to: STDERR_FILENO) }
        }
    }

    private static func write(
        _ text: String,
        to descriptor: Int32,
        limit: Int = OutputQueue.mostBytes
    ) {
        let queue = descriptor == STDOUT_FILENO ? OutputQueue.results : .errors
        queue.add(Array(text.utf8), to: descriptor, limit: limit)
    }
}
