import Foundation
import Parley
import Testing

@testable import ParleyCLI

/// Transfers whose streams have a header and an end: nothing is agreed before, and nothing is promised.
@Suite("A receiver of framed streams", .timeLimit(.minutes(5)))
struct FramedTransferTests {
    private let target: TemporaryDirectory

    init() throws { target = try TemporaryDirectory() }

    private func connect() async throws -> ScriptedPeer {
        let tool = try ToolProcess(
            "receive",
            "--listen",
            "127.0.0.1:0",
            "--into",
            target.url.path,
            codec: .framed
        )
        return try await .dialing(tool, codec: .framed)
    }

    @Test("A stream is stored until its end, whatever size was claimed", arguments: [0, 3, 1_000_000])
    func end(claimed: Int) async throws {
        let sender = try await connect()
        #expect(try await sender.stream("file", [1, 2, 3], claiming: claimed) == "stored 3")
        #expect(try Array(target.contents(of: "file")) == [1, 2, 3])
        await sender.close()
    }

    @Test(
        "A hostile name is refused, its stream is skipped, and the next one is stored",
        arguments: ["../x", "/etc/x", "a/b", "", "..", "a\0b", "\u{1B}c"]
    )
    func hostileName(name: String) async throws {
        let sender = try await connect()
        let content = [UInt8](repeating: 7, count: 2_000_000)
        #expect(try await sender.stream(name, content).hasPrefix("refused the name "))
        #expect(try await sender.stream("good", [5]) == "stored 1")
        #expect(try target.names == ["good"])
        await sender.close()
    }

    @Test("An existing file is never replaced")
    func existing() async throws {
        try target.makeFile("file", byteCount: 4)
        let sender = try await connect()
        #expect(try await sender.stream("file", [1]) == "refused \"file\" exists already, as a file")
        #expect(try target.contents(of: "file").count == 4)
        await sender.close()
    }

    @Test("A stream that is aborted, or cut off, leaves nothing")
    func aborted() async throws {
        let sender = try await connect()
        let offer = FileOffer(version: .header, size: 10, name: Array("file".utf8))
        let writer = try await sender.peer.openStream(header: offer.encoded[...])
        try await writer.write([1, 2])
        await writer.abort(reason: "changed my mind")
        #expect(try await sender.nextMessage().contains("changed my mind"))
        #expect(try target.names == [])
        await sender.close()

        let other = try await connect()
        let unfinished = try await other.peer.openStream(header: offer.encoded[...])
        try await unfinished.write([1, 2])
        await other.close()
        withExtendedLifetime(unfinished) {}
        _ = try await other.tool.errors.first(endingWith: "the connection ended inside a stream")
        #expect(try target.names == [])
    }

    @Test("A message, and a header that offers no file, are refused")
    func noOffer() async throws {
        let sender = try await connect()
        try await sender.peer.send(message: "hello?")
        #expect(try await sender.nextMessage() == "refused expected the stream of a file")
        try await sender.peer.withStream(header: [1, 2]) { try await $0.write([1]) }
        #expect(try await sender.nextMessage() == "refused expected the offer of a file")
        await sender.close()
    }
}
