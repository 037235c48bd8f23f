import Foundation

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

func check(_ condition: Bool, _ complaint: @autoclosure () -> String) throws {
    if !condition { throw Failure(complaint()) }
}

/// A node of another make in a process of its own, which does what commands.py understands.
final class ForeignNode: @unchecked Sendable {
    private(set) var id = ""
    private(set) var port = ""
    /// Whether it can reset streams.
    private(set) var canReset = true
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var rest = Data()

    init(_ maker: Maker) throws {
        process.executableURL = URL(fileURLWithPath: maker.program)
        process.arguments = maker.arguments
        process.standardInput = input
        process.standardOutput = output
        // What it logs of refused streams is no news.
        let isVerbose = ProcessInfo.processInfo.environment["VERBOSE"] != nil
        if !isVerbose { process.standardError = FileHandle.nullDevice }
        try process.run()
        let words = try nextLine()
        guard words.count >= 3, words[0] == "listening" else { throw Failure("it said \(words)") }
        (id, port) = (words[1], words[2])
        canReset = !words.contains("cannot-reset")
    }

    /// Where Parley dials it.
    var address: String { "/ip4/127.0.0.1/tcp/\(port)/p2p/\(id)" }

    /// Tells it to do something, and waits for its answer. Returns the words behind `ok`. Blocks.
    @discardableResult
    func told(_ command: String) throws -> [String] {
        input.fileHandleForWriting.write(Data("\(command)\n".utf8))
        let words = try nextLine()
        try check(words.first == "ok", "told to \(command.prefix(60)), it \(words.joined(separator: " "))")
        return Array(words.dropFirst())
    }

    private func nextLine() throws -> [String] {
        while !rest.contains(UInt8(ascii: "\n")) {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Failure("it has ended") }
            rest += more
        }
        let line = rest.prefix { $0 != UInt8(ascii: "\n") }
        rest = Data(rest.dropFirst(line.count + 1))
        return String(decoding: line, as: UTF8.self).split(separator: " ").map(String.init)
    }

    func kill() {
        if process.isRunning { _ = Foundation.kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }
}
