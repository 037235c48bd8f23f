import Foundation
import Testing

@testable import ParleyCLI

@Suite("Small values of the tool")
struct SmallValueTests {
    @Test(
        "A number of bytes has a unit of a thousand, or none",
        arguments: [
            ("0", 0), ("1500", 1_500), ("20k", 20_000), ("4.5M", 4_500_000), ("2G", 2_000_000_000),
            ("1T", 1_000_000_000_000), ("", nil), ("k", nil), ("-1", nil), ("1.5", nil), ("1e3", nil),
            ("5 M", nil),
            ("0x10", nil), ("99999999T", nil), ("nan", nil), ("1.2.3k", nil), ("5MB", nil),
        ] as [(String, Int?)]
    )
    func byteCount(text: String, bytes: Int?) { #expect(ByteCount(argument: text)?.bytes == bytes) }

    @Test(
        "A line is as wide as COLUMNS says, or the terminal, or 80 columns",
        arguments: [
            (nil, 0, 80), (nil, 120, 120), ("100", 120, 100), ("0", 120, 120), ("wide", 120, 120),
            ("", 0, 80),
            ("-3", 0, 80), ("99999", 70, 70),
        ] as [(String?, Int, Int)]
    )
    func width(variable: String?, terminal: Int, columns: Int) {
        #expect(TerminalWidth.columns(variable: variable, terminal: terminal) == columns)
    }

    /// Whoever started the tool may have set O_NONBLOCK on them.
    @Test("Descriptors that do not block are waited for")
    func nonblocking() async throws {
        let pipe = Pipe()
        for end in [pipe.fileHandleForReading, pipe.fileHandleForWriting] {
            let flags = fcntl(end.fileDescriptor, F_GETFL)
            try #require(fcntl(end.fileDescriptor, F_SETFL, flags | O_NONBLOCK) == 0)
        }
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        let (results, result) = AsyncStream.makeStream(of: [UInt8]?.self)
        Thread.detachNewThread {
            var all: [UInt8] = []
            while all.count < 1 << 20,
                let some = try? readSome(4_096, from: pipe.fileHandleForReading.fileDescriptor)
            { all += some }
            result.yield(all)
        }
        try writeAll(bytes, to: pipe.fileHandleForWriting.fileDescriptor)
        let isSame = await results.first { _ in true } == bytes
        #expect(isSame)
    }

    @Test("A terminal of no kind, or a dumb one, erases nothing")
    func kinds() {
        #expect(!TerminalWidth.canErase(kind: nil))
        #expect(!TerminalWidth.canErase(kind: ""))
        #expect(!TerminalWidth.canErase(kind: "dumb"))
        #expect(TerminalWidth.canErase(kind: "xterm"))
    }

    @Test(
        "A disk that takes nothing ends a transfer, a file that it does not take does not",
        arguments: [
            (ENOSPC, .untilThereIsRoom), (EDQUOT, .untilThereIsRoom), (EROFS, .transfer), (EIO, .transfer),
            (EFBIG, .entry), (EACCES, .entry), (ENAMETOOLONG, .entry),
        ] as [(Int32, Refusal.Scope)]
    )
    func disks(code: Int32, scope: Refusal.Scope) {
        let refusal = Refusal.system("the file cannot be written", SystemError(code: code))
        #expect(refusal.scope == scope)
        #expect(refusal.reason == "the file cannot be written: \(SystemError(code: code).reason)")
    }

    @Test("An error of the system is spelled as the library's are, in the middle of a sentence")
    func systemErrors() {
        #expect(SystemError(code: ENOENT).reason == "no such file or directory")
        #expect(SystemError(code: EIO).reason == "input/output error")
    }

    @Test("A single byte is one", arguments: [(0, "0 bytes"), (1, "1 byte"), (2, "2 bytes")])
    func bytes(count: Int, text: String) {
        #expect(count.inBytes == text)
        let progress = Progress(doneBytes: Double(count), totalBytes: nil, seconds: 1)
        #expect(progress.summary.hasPrefix("\(text) in 1.00 s "))
    }

    @Test("Who has been silent longest gives way")
    func silence() {
        var queue = SilentQueue<String>(capacity: 2)
        #expect(queue.add("a") == nil)
        #expect(queue.add("b") == nil)
        #expect(queue.add("c") == "a")
        queue.remove("b")
        #expect(queue.add("d") == nil)
        #expect(queue.add("e") == "c")
        for name in ["a", "x", "d", "e"] { queue.remove(name) }
        #expect(queue.add("f") == nil)
        #expect(queue.add("g") == nil)
        #expect(queue.add("h") == "f")
    }
}
