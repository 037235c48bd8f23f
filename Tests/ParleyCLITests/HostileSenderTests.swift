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

    private func connect() async throws -> ScriptedPeer {
        try await .dialing(
            ToolProcess("receive", "--listen", "127.0.0.1:0", "--into", inside.path, codec: .unframed)
        )
    }

    @Test(
        "A name that leads elsewhere is refused, and the next offer is heard",
        arguments: [
            "../x", "/etc/x", "a/b", "", ".", "..", "a\0b", "a\nb", "\u{1B}c",
            String(repeating: "n", count: 256),
        ]
    )
    func hostileName(name: String) async throws {
        let sender = try await connect()
        let answer = try await sender.offer(name, size: 1)
        #expect(answer.hasPrefix("refused the name "))
        let line = try await sender.tool.errors.next()
        #expect(line?.hasPrefix("parley: refused 127.0.0.1:") == true)
        #expect(line?.unicodeScalars.allSatisfy(\.isPrintable) == true)
        #expect(try await sender.offer("good", size: 0) == "ready")
        #expect(try outside.names == ["inside"])
        await sender.close()
    }

    @Test("What is there already is never replaced, nor written through")
    func existing() async throws {
        try outside.makeFile("target", byteCount: 4)
        try outside.makeFile("inside/file", byteCount: 5)
        let manager = FileManager.default
        for (link, target) in [("link", "../target"), ("dangling", "../new")] {
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
            #expect(try await sender.offer(name, size: 1) == "refused \"\(name)\" exists already, as \(kind)")
        }
        #expect(try outside.names == ["inside", "target"])
        #expect(try outside.contents(of: "target").count == 4)
        #expect(try outside.contents(of: "inside/file").count == 5)
        await sender.close()
    }

    @Test("What appears under the name during the transfer is not replaced either")
    func appears() async throws {
        let sender = try await connect()
        #expect(try await sender.offer("file", size: 1) == "ready")
        try outside.makeFile("inside/file", byteCount: 5)
        try await sender.peer.openStream().write([1])
        #expect(try await sender.nextMessage() == "failed \"file\" exists already, as a file")
        #expect(try namesInside == ["file"])
        #expect(try outside.contents(of: "inside/file").count == 5)
        await sender.close()
    }

    @Test("A transfer that breaks off leaves nothing", arguments: [0, 1, 700_000])
    func breaksOff(byteCount: Int) async throws {
        let sender = try await connect()
        #expect(try await sender.offer("file", size: 1_000_000) == "ready")
        #expect(try namesInside.count == 1)
        let stream = try await sender.peer.openStream()
        try await stream.write([UInt8](repeating: 1, count: byteCount))
        await sender.close()
        _ = try await sender.tool.errors.first(endingWith: " bytes missing")
        #expect(try namesInside == [])
    }

    @Test("An offer that nothing follows leaves nothing")
    func offerOnly() async throws {
        let sender = try await connect()
        #expect(try await sender.offer("file", size: 1_000_000) == "ready")
        await sender.close()
        _ = try await sender.tool.errors.first(
            endingWith: "broke off after 0 of 1000000 bytes: the sender went away"
        )
        #expect(try namesInside == [])
    }

    @Test("A message instead of the file breaks the transfer off")
    func outOfTurn() async throws {
        let sender = try await connect()
        #expect(try await sender.offer("file", size: 1) == "ready")
        #expect(
            try await sender.offer("other", size: 1) == "failed the sender sent a message instead of the file"
        )
        #expect(try namesInside == [])
        await sender.close()
    }

    @Test("A stream without an offer ends the connection")
    func streamWithoutOffer() async throws {
        let sender = try await connect()
        // In one write: the tool ends the connection as soon as it has the opening.
        try await sender.peer.send([2, 1, 2, 3])
        _ = try await sender.tool.errors.first(endingWith: " opened a stream without offering a file")
        #expect(try await sender.peer.read(upTo: 1) == nil)
        #expect(try namesInside == [])
        await sender.close()
    }

    @Test("What is no offer is refused")
    func noOffer() async throws {
        let sender = try await connect()
        try await sender.peer.send(message: "hello?")
        #expect(try await sender.nextMessage() == "refused expected the offer of a file")
        await sender.close()
    }
}
