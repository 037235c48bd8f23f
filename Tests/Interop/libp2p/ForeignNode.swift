import ForeignProcess
import Foundation

/// What a foreign node has no means for. The case is not passed, and it is no failure of Parley's.
struct Skipped: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A node of another make in a process of its own, which does what commands.py understands.
final class ForeignNode: Sendable {
    let id: String
    let port: String
    /// Whether it can reset streams.
    let canReset: Bool
    private let process: ForeignProcess

    init(_ maker: Maker) throws {
        // What it logs of refused streams is no news.
        let isVerbose = ProcessInfo.processInfo.environment["VERBOSE"] != nil
        process = try ForeignProcess(maker.program, maker.arguments, isQuiet: !isVerbose)
        let words = try process.expect("listening")
        guard words.count >= 2 else { throw Failure("it listens at \(words)") }
        (id, port) = (words[0], words[1])
        canReset = !words.contains("cannot-reset")
    }

    /// Where Parley dials it.
    var address: String { "/ip4/127.0.0.1/tcp/\(port)/p2p/\(id)" }

    /// Tells it to do something, and waits for its answer. Returns the words behind `ok`. Blocks.
    ///
    /// - Throws: ``Skipped`` when it cannot do that.
    @discardableResult
    func told(_ command: String) throws -> [String] {
        process.tell(command)
        let words = try process.nextLine()
        try check(words.first == "ok", "told to \(command.prefix(60)), it \(words.joined(separator: " "))")
        guard words.dropFirst().first != "skipped" else {
            throw Skipped(words.dropFirst(2).joined(separator: " "))
        }
        return Array(words.dropFirst())
    }

    func kill() { process.kill() }
}
