import ForeignProcess
import Foundation

/// A Go node in a process of its own: commands go in as lines, events come out as lines (see go/main.go).
final class GoNode: Sendable {
    private let process: Process
    private let commands: FileHandle
    private let events: AsyncStream<String>

    init(_ executable: String, _ arguments: [String] = []) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        let (events, lines) = AsyncStream<String>.makeStream()
        try process.run()
        self.process = process
        self.events = events
        commands = input.fileHandleForWriting
        Thread.detachNewThread {
            var rest = ""
            while case let data = output.fileHandleForReading.availableData, !data.isEmpty {
                rest += String(decoding: data, as: UTF8.self)
                var pieces = rest.split(separator: "\n", omittingEmptySubsequences: false)
                rest = String(pieces.removeLast())
                for line in pieces { lines.yield(String(line)) }
            }
            lines.finish()
        }
    }

    deinit { kill() }

    static func listening(_ executable: String) async throws -> (GoNode, String) {
        let node = try GoNode(executable, ["-listen", "127.0.0.1:0"])
        return (node, try await node.expect("listening").first ?? "")
    }

    func tell(_ command: String) throws { try commands.write(contentsOf: Data((command + "\n").utf8)) }

    /// The words behind the next event, which has to be a `name`, or one of those that do not matter here.
    func expect(_ name: String, passing others: Set<String> = ["sent", "expecting"]) async throws -> [String]
    {
        for await line in events {
            let words = line.split(separator: " ").map(String.init)
            if words.first == name { return Array(words.dropFirst()) }
            guard let first = words.first, others.contains(first) else {
                throw Failure("expected the Go node to say \"\(name) …\", it said \"\(line)\"")
            }
        }
        throw Failure("the Go node ended before it said \"\(name) …\"")
    }

    func kill() {
        if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }
}
