import Testing

@testable import Parley

/// Sending without waiting.
@Suite(.timeLimit(.minutes(10))) struct TrySendTests {
    @Test(arguments: Kind.allCases)
    func `trySend accepts or refuses a whole message and never waits`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            let client = nodes.make {
                $0.decoder = .framed
                $0.sendHighWaterBytes = 100_000
            }
            let peer = try await client.dial(server.address)
            let writer = try await peer.openStream()
            #expect(try !peer.trySend(message: "inside the stream"))
            try await writer.finish()

            let message = [UInt8](repeating: 7, count: 10_000)
            var accepted = 0
            // Nothing consumes, so that the buffers on the way fill up.
            while try peer.trySend(message: message) {
                accepted += 1
                try #require(accepted < 100_000)
            }
            let waits = peer.statistics.traffic.sendWaits
            #expect(waits == 2)
            async let last: Void = peer.send(message: "last")

            let stream = try await server.nextRPC()
            #expect(stream.stream)
            stream.peer.closeStream()
            for _ in 0..<accepted { #expect(try await server.nextRPC().payload.count == message.count) }
            #expect(try await server.nextRPC().text == "last")
            try await last

            await peer.close()
            #expect(throws: ParleyError.self) { try peer.trySend(message: "too late") }
        }
    }

    @Test(arguments: Kind.allCases)
    func `raw bytes are refused after the handshake where they would be taken for frames`(kind: Kind)
        async throws
    {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.handshake = { peer in
                    let first = try await peer.read(exactly: 1)
                    #expect(first == [7])
                }
            }
            let inOnPeer = Events<ParleyError>()
            let client = nodes.make {
                $0.handshake = { peer in try await peer.send([7]) }
                $0.onPeer = { peer in inOnPeer.add(try await error { try await peer.send([8]) }) }
            }
            let peer = try await client.dial(server.address)
            #expect(try await inOnPeer.next().code == .unsupported)
            let refusal = try await error { try await peer.send([8]) }
            #expect(refusal.code == .unsupported)
            #expect(refusal.message.contains("would break the framed wire form"))
            #expect(try await error { try await peer.write([8]) }.code == .unsupported)
            #expect(try await error { _ = try peer.trySend([8]) }.code == .unsupported)
            try await peer.send(message: "whole")
            #expect(try await server.nextRPC().text == "whole")
        }
    }

    @Test(arguments: Kind.allCases) func `raw bytes are accepted or refused whole`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            #expect(try peer.trySend([1]))
            #expect(try peer.trySend(Array("hello".utf8)))
            #expect(try await server.nextRPC().peer.remoteAddress == peer.localAddress)
        }
    }

    @Test func `a send that waits for room is not overtaken by trySend`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make {
                $0.decoder = .framed
                $0.sendHighWaterBytes = 100_000
                $0.sendLowWaterBytes = 50_000
            }
            let peer = try #require(try await client.dial(server.address) as? Connection)
            let message = patterned(10_000)[...]
            let held = await HeldLoop(client.eventLoop)
            defer { held.letGo() }
            while try peer.trySend(message: message) {}
            // A sender that waits, and has not been scheduled since it was woken.
            let refusal = try #require(try peer.submit(message: message))
            #expect(refusal.wait == .room)
            _ = peer.beginWait(refusal)
            held.letGo()
            try await eventually { peer.statistics.unsentBytes == 0 }
            for _ in 0..<100 { #expect(try !peer.trySend(message: message)) }
            #expect(try peer.submit(message: message, waited: refusal) == nil)
            #expect(try peer.trySend(message: message))
        }
    }
}
