import Foundation
import Parley
import Synchronization
import Testing

@testable import ParleyCLI

@Suite("Events as JSON")
struct EventValueTests {
    @Test(
        "A text is what it was, whatever it is made of",
        arguments: ["", "plain", "a\"b\\c\nd\te\u{1}", "grüße 🎉", "\u{202E}evil", "\u{7F}\u{E000}\u{10FFFF}"]
    )
    func text(text: String) throws {
        let line = JSONObject([("a", .text(text))]).text
        #expect(!line.contains("\n") && line.printable == line)
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
        #expect(object == ["a": text])
    }

    @Test("Fields keep their order, and numbers their values")
    func object() {
        let fields: [(name: String, value: JSONObject.Value)] = [
            ("z", .number(-1)), ("a", .null), ("f", .decimal(1.25)),
        ]
        #expect(JSONObject(fields).text == #"{"z":-1,"a":null,"f":1.250}"#)
    }

    @Test("Progress is in bytes, of a total when that is known", arguments: [(9, "9"), (nil, "null")])
    func progress(total: Int?, text: String) {
        #expect(
            Event.progress(transfer: 1, bytes: 2, of: total).json.text
                == #"{"event":"progress","transfer":1,"bytes":2,"of":\#(text)}"#
        )
    }

    @Test("A path that is not text has its bytes beside it")
    func path() {
        #expect(
            Event.file(transfer: 1, path: [0x61, 0xFF], bytes: 2).json.text
                == #"{"event":"file","transfer":1,"path":"a\\xff","path_hex":"61ff","bytes":2}"#
        )
        #expect(
            Event.file(transfer: 1, path: Array("a".utf8), bytes: 2).json.text
                == #"{"event":"file","transfer":1,"path":"a","bytes":2}"#
        )
    }
}

@Suite("The event of an entry")
struct EntryEventTests {
    @Test(
        "has the target of a link as it has its path",
        arguments: [
            ([0x61, 0xFF], #""target":"a\\xff","target_hex":"61ff""#),
            (Array("grüße\n".utf8), #""target":"grüße\n""#),
        ] as [([UInt8], String)]
    )
    func target(target: [UInt8], fields: String) {
        let entry = TransferEntry(kind: .link(target: target), path: [0x6C], metadata: nil)
        let before = #""event":"entry","path":"l","kind":"link","bytes":null"#
        #expect(Event.entry(entry).json.text == "{\(before),\(fields)}")
    }
}

@Suite("--json", .timeLimit(.minutes(5)))
struct EventTests {
    private let source: TemporaryDirectory
    private let target: TemporaryDirectory

    init() throws {
        source = try TemporaryDirectory()
        target = try TemporaryDirectory()
        try source.makeFile("file", byteCount: 3)
    }

    private func run(_ arguments: String...) throws -> ToolProcess {
        try ToolProcess(executable: ToolProcess.executable, arguments + ["--json"])
    }

    private func nextEvent(of tool: ToolProcess) async throws -> [String: Any] {
        let line = try #require(try await tool.output.next())
        return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    private func address(of tool: ToolProcess) async throws -> String {
        let event = try await nextEvent(of: tool)
        #expect(event["event"] as? String == "listening")
        #expect(event["id"] as? String == ToolProcess.identity.id.description)
        return try #require(event["address"] as? String)
    }

    /// Both ends say the same about a transfer of the file.
    private func expectTransfer(_ tool: ToolProcess, _ direction: String) async throws {
        let begin = try await nextEvent(of: tool)
        #expect(begin["event"] as? String == "begin")
        #expect(begin["transfer"] as? Int == 1)
        #expect(begin["direction"] as? String == direction)
        #expect(begin["id"] as? String == ToolProcess.identity.id.description)
        #expect((begin["peer"] as? String)?.hasPrefix("127.0.0.1:") == true)
        #expect(begin["files"] as? Int == 1)
        #expect(begin["bytes"] as? Int == 3)
        let file = try await nextEvent(of: tool)
        #expect(file["event"] as? String == "file")
        #expect(file["path"] as? String == "file")
        #expect(file["bytes"] as? Int == 3)
        let end = try await nextEvent(of: tool)
        #expect(end["event"] as? String == "end")
        #expect(end["outcome"] as? String == "stored")
        #expect(end["bytes"] as? Int == 3)
    }

    @Test("send and receive say what happens, an object a line and nothing else")
    func transfer() async throws {
        let receiver = try run("receive", "--listen", "127.0.0.1:0", "--into", target.url.path)
        let address = try await address(of: receiver)
        for outcome in ["stored", "incomplete"] {
            let sender = try run("send", source.path(of: "file"), "--to", address)
            if outcome == "stored" {
                try await expectTransfer(sender, "sending")
                try await expectTransfer(receiver, "receiving")
                #expect(try await sender.output.rest() == [])
                #expect(try await sender.exit() == 0)
            } else {
                #expect(try await nextEvent(of: receiver)["event"] as? String == "begin")
                let error = try await nextEvent(of: receiver)
                #expect(error["event"] as? String == "error")
                let message = try #require(error["message"] as? String)
                #expect(message.hasSuffix("\"file\" exists already, as a file"))
                #expect(try await receiver.errors.next() == "parley: \(message)")
                let end = try await nextEvent(of: receiver)
                #expect(end["outcome"] as? String == "incomplete")
                #expect(end["transfer"] as? Int == 2)
                #expect(try await sender.exit() == 1)
            }
        }
    }

    @Test("serve, get and ls do, too")
    func serving() async throws {
        let server = try run("serve", source.url.path, "--listen", "127.0.0.1:0")
        let address = try await address(of: server)
        let list = try run("ls", address)
        let entry = try await nextEvent(of: list)
        #expect(entry["event"] as? String == "entry")
        #expect(entry["path"] as? String == "file")
        #expect(entry["kind"] as? String == "file")
        #expect(entry["bytes"] as? Int == 3)
        #expect(try await list.output.rest() == [])
        let getter = try run("get", address, "file", "--into", target.url.path)
        try await expectTransfer(getter, "receiving")
        try await expectTransfer(server, "sending")
        let failing = try run("get", address, "nothing", "--into", target.url.path)
        let error = try await nextEvent(of: failing)
        #expect((error["message"] as? String)?.hasSuffix("no such file or directory") == true)
        #expect(try await failing.exit() == 1)
    }

    @Test("A new identity is no error")
    func newIdentity() async throws {
        let home = try TemporaryDirectory()
        let server = try ToolProcess(
            ["serve", source.url.path, "--listen", "127.0.0.1:0", "--json"],
            environment: ["XDG_CONFIG_HOME": home.url.path]
        )
        #expect(try await nextEvent(of: server)["event"] as? String == "listening")
        let line = try await server.errors.next()
        #expect(line?.hasPrefix("parley: made a new identity in \(home.url.path)/") == true)
    }

    @Test("Standard output cannot carry both files and events")
    func standardOutput() async throws {
        let tool = try run("receive", "--into", "-")
        let line = "parley: --json and --into - cannot go together: both need standard output"
        #expect(try await tool.errors.rest() == [line])
        #expect(try await tool.exit() == 64)
    }
}

@Suite("The status at a terminal", .timeLimit(.minutes(5)))
struct StatusLinesTests {
    @Test(
        "The line of a file never fills the terminal's",
        arguments: [0, 1, 20, 40, 80],
        ["short", "長い名前長い名前長い名前長い名前長い名前長い名前長い名前長い名前長い名前.bin"]
    )
    func width(columns: Int, name: String) {
        let line = FileProgress(name: name, doneBytes: 5, totalBytes: 10).line(columns: columns)
        let wide = line.unicodeScalars.count { $0.value > 0x2E80 }
        #expect(line.unicodeScalars.count + wide < max(1, columns))
        guard columns == 80, name == "short" else { return }
        #expect(line == "short  50%  5 B of 10 B")
    }

    @Test("It has a line for the file and one for all of several files, and both are removed")
    func twoLines() async throws {
        let target = try TemporaryDirectory()
        let terminal = try Terminal()
        let receiver = try ToolProcess(
            ["receive", "--listen", "127.0.0.1:0", "--into", target.url.path],
            at: terminal
        )
        let sender = try await ScriptedPeer.dialing(receiver)
        let stream = try await sender.begin(files: 2, byteCount: 400)
        // Nobody knows how large the second one is.
        try await stream.write(.file("first", 200))
        let content = [UInt8](repeating: 1, count: 200)
        try await stream.write(TransferRecord.data(byteCount: content.count).encoded + content)
        try await stream.write(.endOfFile)
        try await stream.write(.file("second", nil))
        // Each byte is a change, and the lines are drawn again when enough time has passed. The first drawing
        // with two lines comes behind one line, each further one behind two.
        let drawing = Task { try await terminal.shows("\r\u{1B}[K\u{1B}[A\r\u{1B}[Ksecond  ") }
        let isDrawn = Mutex(false)
        let writing = Task {
            while !isDrawn.withLock({ $0 }) {
                try await stream.write(TransferRecord.data(byteCount: 1).encoded + [1])
            }
        }
        _ = try await drawing.value
        isDrawn.withLock { $0 = true }
        try await writing.value
        try await stream.write(.endOfFile)
        try await stream.write(.end)
        try await stream.finish()
        #expect(try await sender.next().stream)
        guard case .stored = try await sender.nextAnswer() else { throw Failure("it is not stored") }
        await sender.close()
        receiver.signal(SIGINT)
        #expect(try await receiver.exit() == 130)
        #expect(try await terminal.rest().contains("\r\u{1B}[K\u{1B}[A\r\u{1B}[K"))
    }
}
