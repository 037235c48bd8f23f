import Foundation
import Parley
import Testing

@testable import ParleyCLI

/// The progress of a transfer at a real terminal.
@Suite("A status line", .timeLimit(.minutes(5)))
struct StatusLineTests {
    private let target: TemporaryDirectory

    init() throws { target = try TemporaryDirectory() }

    /// Starts a receiver at a terminal, and a sender that sends little by little until `body` has returned.
    private func receive(
        at terminal: Terminal,
        _ environment: [String: String] = [:],
        _ body: (ToolProcess) async throws -> Void
    ) async throws {
        // What the tests themselves are told about terminals is not for the tool.
        let environment = ["COLUMNS": "", "NO_COLOR": ""].merging(environment) { _, new in new }
        let receiver = try ToolProcess(
            ["receive", "--listen", "127.0.0.1:0", "--into", target.url.path],
            environment: environment,
            at: terminal
        )
        let sender = try await ScriptedPeer.dialing(receiver)
        let stream = try await sender.begin(byteCount: 900_000)
        try await stream.write(.file("file", 900_000))
        let sending = Task {
            // So many that the announced bytes do not suffice for them: the test ends before.
            while !Task.isCancelled {
                try await stream.write(TransferRecord.data(byteCount: 1).encoded + [1])
                try await Task.sleep(for: .milliseconds(1))
            }
        }
        try await body(receiver)
        sending.cancel()
        _ = await sending.result
        await sender.close()
        receiver.signal(SIGTERM)
        #expect(try await receiver.exit() == 143)
    }

    @Test("is as wide as the terminal, also after that has become narrower or wider")
    func resized() async throws {
        let terminal = try Terminal(columns: 80)
        try await receive(at: terminal) { _ in
            for columns in [80, 70, 76, 68] {
                try terminal.resize(columns: columns)
                try await terminal.showsStatus(columns: columns - 1)
            }
        }
    }

    @Test("is as wide as COLUMNS says, whatever the terminal does")
    func columns() async throws {
        let terminal = try Terminal(columns: 120)
        try await receive(at: terminal, ["COLUMNS": "70"]) { _ in
            try await terminal.showsStatus(columns: 69)
            try terminal.resize(columns: 80)
            try await terminal.showsStatus(columns: 69)
        }
    }

    @Test("is 80 columns wide on a terminal that does not say how wide it is")
    func unknown() async throws {
        let terminal = try Terminal()
        try await receive(at: terminal) { _ in try await terminal.showsStatus(columns: 79) }
    }

    @Test("has a line above it when the receiver does not answer: a person there may be asked")
    func waiting() async throws {
        let terminal = try Terminal(columns: 120)
        let file = try TemporaryDirectory()
        try file.makeFile("file", byteCount: 10)
        let peer = try await ScriptedPeer.listening { address in
            try ToolProcess(["send", file.path(of: "file"), "--to", address], at: terminal)
        }
        let label = "\(ToolProcess.identity.id)@\(peer.transport.address)"
        try await terminal.shows("waiting for an answer of \(label); perhaps somebody is asked there")
        peer.tool.signal(SIGTERM)
        #expect(try await peer.tool.exit() == 143)
        await peer.close()
    }

    @Test("is not shown on a dumb terminal, which gets no control characters", arguments: ["dumb", ""])
    func dumb(kind: String) async throws {
        let terminal = try Terminal(columns: 80)
        try await receive(at: terminal, ["TERM": kind]) { receiver in
            let line = try #require(try await receiver.output.next())
            #expect(line.hasPrefix("receiving 1 file, 900000 bytes, from "))
        }
        let shown = try await terminal.rest()
        #expect(shown.hasPrefix("parley: 1 file from 127.0.0.1:"))
        #expect(!shown.contains("\u{1B}") && !shown.contains("ETA"))
    }

    @Test("has no colours, with NO_COLOR or without it", arguments: ["", "1"])
    func colours(noColour: String) async throws {
        let terminal = try Terminal(columns: 80)
        var shown = ""
        try await receive(at: terminal, ["NO_COLOR": noColour]) { _ in
            for _ in 0..<3 { shown += try await terminal.shows(Terminal.eraser) }
        }
        shown += try await terminal.rest()
        #expect(shown.contains("["))
        #expect(!shown.replacing(Terminal.eraser, with: "").contains("\u{1B}"))
    }
}
