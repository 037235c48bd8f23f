import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("Signals", .timeLimit(.minutes(5)))
struct InterruptionTests {
    @Test(
        "end listen, and nothing else is printed",
        arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)]
    )
    func listen(signal: Int32, exitCode: Int32) async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", codec: .unframed)
        _ = try await listener.listeningAddress()
        listener.signal(signal)
        #expect(try await listener.exit() == exitCode)
        #expect(try await listener.output.rest() == [])
        #expect(try await listener.errors.rest() == [])
    }

    @Test("end the connections of listen in order")
    func peersSeeAnOrderlyEnd() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", codec: .unframed)
        let address = try await listener.listeningAddress()
        let dialer = try ToolProcess("dial", address, codec: .unframed)
        #expect(try await dialer.output.next() == "connected to \(address)")
        _ = try await listener.output.first(endingWith: " connected")
        listener.signal(SIGINT)
        #expect(try await listener.exit() == 130)
        #expect(try await dialer.exit() == 0)
    }

    @Test("end dial")
    func dial() async throws {
        let peer = try await ScriptedPeer.listening { try ToolProcess("dial", $0, codec: .unframed) }
        #expect(try await peer.tool.output.next() == "connected to \(peer.transport.address)")
        peer.tool.signal(SIGTERM)
        #expect(try await peer.tool.exit() == 143)
        #expect(try await peer.tool.errors.rest() == [])
        await peer.close()
    }

    @Test("end receive, which removes what is incomplete and tells the sender")
    func receive() async throws {
        let directory = try TemporaryDirectory()
        let receiver = try ToolProcess(
            "receive",
            "--listen",
            "127.0.0.1:0",
            "--into",
            directory.url.path,
            codec: .unframed
        )
        let sender = try await ScriptedPeer.dialing(receiver)
        #expect(try await sender.offer("half", size: 1_000_000) == "ready")
        try await sender.peer.openStream().write([UInt8](repeating: 1, count: 500_000))
        receiver.signal(SIGINT)
        #expect(try await sender.nextMessage() == "failed the receiver was stopped")
        #expect(try await receiver.exit() == 130)
        #expect(try directory.names == [])
        await sender.close()
    }

    @Test("end send")
    func send() async throws {
        let directory = try TemporaryDirectory()
        try directory.makeFile("file", byteCount: 10)
        let receiver = try await ScriptedPeer.listening {
            try ToolProcess("send", directory.path(of: "file"), "--to", $0, codec: .unframed)
        }
        #expect(try await receiver.nextMessage() == "parley-file 1\n10\nfile")
        receiver.tool.signal(SIGINT)
        #expect(try await receiver.tool.exit() == 130)
        #expect(try await receiver.tool.errors.rest() == [])
        await receiver.close()
    }
}
