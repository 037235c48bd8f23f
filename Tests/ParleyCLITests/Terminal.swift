import CLinux
import Foundation
import Synchronization

@testable import ParleyCLI

/// A pseudo-terminal, at which a test sits: it types, and reads the screen.
final class Terminal: Sendable {
    /// What a process opens.
    let path: String
    /// Writing is typing, reading is looking at the screen.
    let keyboard: FileHandle
    private let screen: AsyncStream<String>
    /// What came behind the text that was last waited for.
    private let unseen = Mutex("")

    /// - Parameter columns: how wide it is; nil when it does not say.
    init(columns: Int? = nil) throws {
        let descriptor = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)
        var name = [CChar](repeating: 0, count: 128)
        guard descriptor >= 0, grantpt(descriptor) == 0, unlockpt(descriptor) == 0,
            ptsname_r(descriptor, &name, name.count) == 0
        else { throw Failure("no pseudo-terminal: \(String(cString: strerror(errno)))") }
        path = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let keyboard = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        self.keyboard = keyboard
        let (screen, shown) = AsyncStream.makeStream(of: String.self)
        self.screen = screen
        Thread.detachNewThread {
            // It ends with an error when no process has the terminal open any more.
            while let block = try? readSome(4_096, from: keyboard.fileDescriptor), !block.isEmpty {
                shown.yield(String(decoding: block, as: UTF8.self))
            }
            shown.finish()
        }
        if let columns { try resize(columns: columns) }
    }

    /// Makes it wider or narrower, as a person does with a window: its processes hear SIGWINCH.
    func resize(columns: Int) throws {
        var size = winsize(ws_row: 24, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
        guard ioctl(keyboard.fileDescriptor, UInt(TIOCSWINSZ), &size) == 0 else {
            throw Failure("it cannot be resized: \(String(cString: strerror(errno)))")
        }
    }

    /// Types text as it is: a newline is the Enter key, U+0003 is Ctrl-C, U+0004 is Ctrl-D.
    func type(_ text: String) throws { try keyboard.write(contentsOf: Data(text.utf8)) }

    /// Waits until the screen shows `text` in what was not looked at yet, and returns that, up to the text.
    @discardableResult
    func shows(_ text: String) async throws -> String {
        var seen = unseen.withLock { $0 }
        while !seen.contains(text) {
            let failure = Failure("the screen does not show \"\(text)\", only: \(seen.debugDescription)")
            let next = try await withDeadline(ToolProcess.deadline, failingWith: failure) { [screen] in
                await screen.first { _ in true }
            }
            guard let next else { throw failure }
            seen += next
        }
        guard let place = seen.range(of: text) else { return seen }
        unseen.withLock { $0 = String(seen[place.upperBound...]) }
        return String(seen[..<place.upperBound])
    }

    /// Waits until a status line of that many characters was drawn, and erased by the next one.
    func showsStatus(columns: Int) async throws {
        var last = ""
        while last.count != columns {
            last = try await String(shows(Self.eraser).dropLast(Self.eraser.count))
        }
    }

    /// What removes a status line.
    static let eraser = "\r\u{1B}[K"

    /// Everything that was not looked at yet, until no process has the terminal open any more.
    func rest() async throws -> String {
        let failure = Failure("the terminal is not left")
        let rest = try await withDeadline(ToolProcess.deadline, failingWith: failure) { [screen] in
            await screen.reduce(into: "") { $0 += $1 }
        }
        return unseen.withLock { $0 } + rest
    }
}
