import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("A receiver and senders that mean harm, or break off", .timeLimit(.minutes(5)))
struct HostileSenderTests {
    private let outside: TemporaryDirectory
    private let inside: URL

    init() throws {
        outside = try TemporaryDirectory()
        inside = outside.url.appending(path: "inside")
        try FileManager.default.createDirectory(at: inside, withIntermediateDirectories: false)
    }

    private var namesInside: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: inside.path).sorted() }
    }

    private func connect(_ more: String..., codec: Codec = .framed) async throws -> ScriptedPeer {
        try await .dialing(
            ToolProcess(
                executable: ToolProcess.executable,
                ["receive", "--listen", "127.0.0.1:0", "--into", inside.path, "--codec", codec.rawValue]
                    + more
            ),
            codec: codec
        )
    }

    @Test("A sender that aborts is not refused, and its line says why", arguments: [false, true])
    func abortedIsNotRefused(hasBegun: Bool) async throws {
        let sender = try await connect()
        if hasBegun {
            let stream = try await sender.begin(byteCount: 10)
            // Until then the abort may overtake what was sent.
            while let line = try await sender.tool.output.next(), !line.hasPrefix("receiving ") {}
            await stream.abort(reason: "the sender was stopped")
        } else {
            let stream = try await sender.peer.openStream(header: TransferRecord.title[...])
            await stream.abort(reason: "the sender was stopped")
        }
        let line = try #require(try await sender.tool.errors.next())
        let place = hasBegun ? " after 0 of 10 bytes" : ""
        let end = " broke off\(place): the remote side aborted the stream: the sender was stopped"
        #expect(line.hasSuffix(end), "\(line)")
        #expect(hasBegun || line.hasPrefix("parley: the transfer from 127.0.0.1:"))
        await sender.close()
    }

    @Test(
        "A path that leads elsewhere is refused, and the next transfer is taken",
        arguments: ["../x", "/etc/x", "a/../../x", "", ".", "..", "a\0b", String(repeating: "n", count: 256)]
    )
    func hostilePath(path: String) async throws {
        let sender = try await connect()
        let answers = try await sender.send(path, [UInt8](repeating: 7, count: 2_000_000))
        #expect(answers.count == 2)
        if case .refused(0, let reason) = answers[0] {
            #expect(reason.hasPrefix("the name \""))
        } else {
            Issue.record("the answer is \(answers)")
        }
        #expect(answers.last == .stored(entries: 0, byteCount: 0))
        let line = try await sender.tool.errors.next()
        #expect(line?.hasPrefix("parley: refused a file from 127.0.0.1:") == true)
        #expect(line?.unicodeScalars.allSatisfy(\.isPrintable) == true)
        #expect(try await sender.send("good", [5]) == [.stored(entries: 1, byteCount: 1)])
        #expect(try outside.names == ["inside"])
        #expect(try namesInside == ["good"])
        await sender.close()
    }

    @Test("What is there already is never replaced, nor written through")
    func existing() async throws {
        try outside.makeFile("target", byteCount: 4)
        try outside.makeFile("inside/file", byteCount: 5)
        let manager = FileManager.default
        for (link, target) in [("link", "../target"), ("dangling", "../new"), ("way", "..")] {
            try manager.createSymbolicLink(
                atPath: inside.appending(path: link).path,
                withDestinationPath: target
            )
        }
        try manager.createDirectory(
            at: inside.appending(path: "directory"),
            withIntermediateDirectories: false
        )

        let sender = try await connect()
        for (name, kind) in [
            ("file", "a file"), ("directory", "a directory"), ("link", "a symbolic link"),
            ("dangling", "a symbolic link"),
        ] {
            #expect(
                try await sender.send(name, [1])
                    == [
                        .refused(entry: 0, "\"\(name)\" exists already, as \(kind)"),
                        .stored(entries: 0, byteCount: 0),
                    ]
            )
            let line = try await sender.tool.errors.next()
            #expect(line?.hasPrefix("parley: refused \(name) from 127.0.0.1:") == true)
            #expect(line?.hasSuffix(": \"\(name)\" exists already, as \(kind)") == true)
        }
        // No link is a way to somewhere else.
        for path in ["way/target", "way/new", "directory/../../new"] {
            let answers = try await sender.send(path, [1])
            #expect(answers.last == .stored(entries: 0, byteCount: 0))
        }
        #expect(try outside.names == ["inside", "target"])
        #expect(try outside.contents(of: "target").count == 4)
        #expect(try outside.contents(of: "inside/file").count == 5)
        await sender.close()
    }

    @Test("A link that the sender sends is no way out for what follows")
    func linkThenFile() async throws {
        let sender = try await connect()
        let stream = try await sender.begin(files: 3)
        for target in ["..", "."] {
            let link = TransferEntry(
                kind: .link(target: Array(target.utf8)),
                path: Array("l".utf8),
                metadata: nil
            )
            try await stream.write(.entry(link))
        }
        try await stream.write(.file("l/x", 0))
        try await stream.write(.endOfFile)
        try await stream.write(.end)
        #expect(try await sender.next().stream)
        #expect(
            try await sender.nextAnswer()
                == .refused(entry: 0, "the link \"l\" leads to \"..\", which is outside")
        )
        // The second link is harmless and is made; nothing is stored through it.
        #expect(
            try await sender.nextAnswer()
                == .refused(entry: 2, "\"l/x\" has no folder to lie in: not a directory")
        )
        #expect(try await sender.nextAnswer() == .stored(entries: 1, byteCount: 0))
        #expect(try namesInside == ["l"])
        await sender.close()
    }

    @Test("--overwrite replaces files and links, not folders, and does not write through links")
    func overwriting() async throws {
        try outside.makeFile("target", byteCount: 4)
        try outside.makeFile("inside/file", byteCount: 5)
        try FileManager.default.createSymbolicLink(
            atPath: inside.appending(path: "link").path,
            withDestinationPath: "../target"
        )
        try FileManager.default.createDirectory(
            at: inside.appending(path: "directory"),
            withIntermediateDirectories: false
        )
        let sender = try await connect("--overwrite")
        for name in ["file", "link"] {
            #expect(try await sender.send(name, [1]) == [.stored(entries: 1, byteCount: 1)])
            #expect(try outside.contents(of: "inside/\(name)") == Data([1]))
        }
        #expect(
            try await sender.send("directory", [1]).first
                == .refused(entry: 0, "\"directory\" exists already, as a directory")
        )
        #expect(try outside.contents(of: "target").count == 4)
        await sender.close()
    }

    @Test("What appears under the name during the transfer is not replaced either")
    func appears() async throws {
        let sender = try await connect()
        let stream = try await sender.begin()
        try await stream.write(.file("file", 1))
        #expect(try await sender.next().stream)
        try await eventually { try namesInside.count == 1 }
        try outside.makeFile("inside/file", byteCount: 5)
        try await stream.write(TransferRecord.data(byteCount: 1).encoded + [1])
        try await stream.write(.endOfFile)
        #expect(try await sender.nextAnswer() == .failed(entry: 0, "\"file\" exists already, as a file"))
        #expect(try namesInside == ["file"])
        #expect(try outside.contents(of: "inside/file").count == 5)
        await sender.close()
    }

    @Test("The announced size is checked both ways", arguments: Codec.allCases)
    func sizes(codec: Codec) async throws {
        for (announced, reason) in [
            (2, "more than the 2 announced bytes came"), (4, "only 3 of 4 announced bytes came"),
        ] {
            let sender = try await connect(codec: codec)
            #expect(
                try await sender.send("file", [1, 2, 3], announcing: announced)
                    == [
                        .failed(entry: 0, reason),
                        .stored(entries: 0, byteCount: 3 - (announced == 2 ? 3 : 0)),
                    ]
            )
            #expect(try namesInside == [])
            await sender.close()
        }
    }

    @Test("A transfer that breaks off leaves nothing", arguments: [0, 1, 700_000])
    func breaksOff(byteCount: Int) async throws {
        let sender = try await connect()
        let stream = try await sender.begin(byteCount: 1_000_000)
        try await stream.write(.file("file", 1_000_000))
        if byteCount > 0 {
            let bytes = [UInt8](repeating: 1, count: byteCount)
            try await stream.write(TransferRecord.data(byteCount: byteCount).encoded + bytes)
        }
        try await eventually { try namesInside.count == 1 }
        await sender.close()
        _ = try await sender.tool.errors.first(endingWith: "the connection ended inside a stream")
        #expect(try namesInside == [])
        withExtendedLifetime(stream) {}
    }

    @Test("The folders of a transfer that breaks off have the modes that were sent")
    func breaksOffInFolder() async throws {
        let sender = try await connect()
        let stream = try await sender.begin(files: 2, byteCount: 1_000_000)
        let metadata = Metadata(mode: 0o557, modified: Timestamp(seconds: 5, nanoseconds: 0))
        let folder = TransferEntry(kind: .folder, path: Array("d".utf8), metadata: metadata)
        try await stream.write(.entry(folder))
        try await stream.write(.file("d/file", 1_000_000))
        let made = LocalPath(bytes: Array(inside.appending(path: "d").path.utf8))
        try await eventually {
            try namesInside == ["d"] && FileManager.default.contentsOfDirectory(atPath: made.shown).count == 1
        }
        await sender.close()
        _ = try await sender.tool.errors.first(endingWith: "the connection ended inside a stream")
        // Its owner may write to it: another attempt has to.
        #expect(try made.status(following: false).st_mode & 0o7777 == 0o757)
        withExtendedLifetime(stream) {}
    }

    @Test("A stream that is aborted leaves nothing, and its reason is shown")
    func aborted() async throws {
        let sender = try await connect()
        let stream = try await sender.begin(byteCount: 10)
        try await stream.write(.file("file", 10))
        try await stream.write(TransferRecord.data(byteCount: 10).encoded + [1, 2])
        await stream.abort(reason: "changed my mind")
        #expect(try await sender.next().stream)
        if case .gaveUp(let reason) = try await sender.nextAnswer() {
            #expect(reason.contains("changed my mind"))
        } else {
            Issue.record("no reason")
        }
        #expect(try namesInside == [])
        await sender.close()
    }

    @Test("Who is out of step is told so, and nothing is kept")
    func outOfStep() async throws {
        let sender = try await connect()
        let stream = try await sender.begin()
        try await stream.write(.file("file", 1))
        try await stream.write(.file("other", 1))
        #expect(try await sender.next().stream)
        #expect(try await sender.nextAnswer() == .gaveUp("the sender is out of step"))
        #expect(try namesInside == [])
        await sender.close()
    }

    @Test("--max-bytes is told to a sender that has more")
    func tooMuch() async throws {
        let sender = try await connect("--max-bytes", "2k")
        let stream = try await sender.begin(byteCount: 2_001)
        #expect(try await sender.next().stream)
        #expect(
            try await sender.nextAnswer()
                == .gaveUp("2001 bytes are too many: at most 2000 are taken here")
        )
        withExtendedLifetime(stream) {}
        await sender.close()
    }

    @Test("Those that offer nothing give way to others, the first ones first")
    func silent() async throws {
        // With so few descriptors 16 may be silent.
        let receiver = try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            [
                "-c", "ulimit -n 128; exec \"$@\"", "sh", ToolProcess.executable.path, "receive", "--listen",
                "127.0.0.1:0", "--into", inside.path, "--plain",
            ]
        )
        let address = try await receiver.listeningAddress()
        let transport = TCPTransport(TransportOptions())
        var peers: [any Peer] = []
        // An answer comes after the receiver has noted who came; a question offers nothing.
        for _ in 0..<40 {
            let peer = try await transport.dial(address)
            peers.append(peer)
            try await peer.send(message: "?")
            let answer = try await withDeadline(ToolProcess.deadline, failingWith: Failure("no answer")) {
                await transport.consume().first { $0.peer === peer }
            }
            #expect(answer != nil)
        }
        for peer in peers.prefix(24) {
            let end = try await withDeadline(ToolProcess.deadline, failingWith: Failure("it is kept")) {
                try await peer.untilClosed()
            }
            #expect(end.code == .endOfStream || end.code == .connectionReset)
        }
        try outside.makeFile("file", byteCount: 5)
        let sender = try ToolProcess("send", outside.path(of: "file"), "--to", address, "--plain")
        #expect(try await sender.exit() == 0)
        #expect(try namesInside == ["file"])
        await transport.close()
    }

    @Test("What is no transfer is refused; other versions hear which one this is")
    func noTransfer() async throws {
        let sender = try await connect()
        try await sender.peer.send(message: "hello?")
        #expect(try await sender.nextMessage() == "refused expected files from parley send")
        try await sender.peer.withStream(header: [1, 2]) { try await $0.write([1]) }
        #expect(try await sender.nextMessage() == "refused expected files from parley send")
        try await sender.peer.withStream(header: Array("parley-file 2\n1\nx".utf8)[...]) {
            try await $0.write([1])
        }
        #expect(
            try await sender.nextMessage()
                == "refused version 2 of the file transfer is not known here, only 3; use the same version "
                + "of parley at both ends"
        )
        #expect(try await sender.send("good", [5]) == [.stored(entries: 1, byteCount: 1)])
        await sender.close()
    }

    @Test("A stream of something else ends a connection whose streams have no end")
    func strangeStream() async throws {
        let sender = try await connect(codec: .unframed)
        try await sender.peer.send([2] + Array("GET / HTTP/1.1".utf8))
        #expect(try await sender.nextMessage() == "refused expected files from parley send")
        #expect(try await sender.peer.read(upTo: 1) == nil)
        #expect(try namesInside == [])
        await sender.close()
    }
}
