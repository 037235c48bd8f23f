import Foundation
import Testing

@testable import Parley

/// Lengths over the limit are refused at every door.
@Suite(.timeLimit(.minutes(10))) struct LengthTests {
    @Test(arguments: Kind.allCases)
    func `what is too long is refused before it is copied, and the peer stays`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.limits.maxMessageBytes = 100_000 }
            let client = nodes.make { $0.limits.maxMessageBytes = 100_000 }
            let peer = try await client.dial(server.address)
            let (bytes, text) = (patterned(100_001), String(repeating: "x", count: 100_001))
            let attempts: [() async throws -> Void] = [
                { try await peer.send(message: bytes) }, { try await peer.send(message: text) },
                { _ = try peer.trySend(message: bytes) }, { _ = try peer.trySend(message: text) },
                { _ = try await peer.openStream(header: bytes[...]) },
                { throw try #require(client.broadcast(message: bytes).failures.first).error },
                { throw try #require(client.broadcast(message: text).failures.first).error },
            ]
            for attempt in attempts {
                let refused = try await error(attempt)
                #expect(refused.code == .messageTooLong)
                #expect(refused.message.contains("100001"))
            }
            try await peer.send(message: patterned(100_000))
            #expect(try await server.nextRPC().payload.count == 100_000)
        }
    }

    @Test(arguments: Kind.allCases)
    func `raw bytes that no send buffer can hold are refused`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make {
                $0.limits.sendBufferBytes = 100_000
                $0.sendHighWaterBytes = 50_000
            }
            let peer = try await client.dial(server.address)
            let refused = try await error { try await peer.send(patterned(100_001)) }
            #expect(refused.code == .messageTooLong)
            #expect(refused.message.contains("100001") && refused.message.contains("100000"))
            try await peer.send([1, 7])
            #expect(try await server.nextRPC().payload == [7])
        }
    }

    @Test func `memory that cannot be had is an error`() {
        let refused = #expect(throws: ParleyError.self) {
            try AvailableMemory.check(1 << 60, for: "a frame")
        }
        #expect(refused?.code == .outOfMemory)
        #expect(refused?.message == "there is no memory for a frame of \(1 << 60) bytes")
        #expect(throws: Never.self) { try AvailableMemory.check(1 << 21, for: "a frame") }
    }

    /// Only the system knows how much of its address space a process uses.
    #if os(Linux)
        @Test func `memory that was tried is given back`() throws {
            func pages() throws -> Int {
                let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
                return try #require(text.split(separator: " ").first.flatMap { Int($0) })
            }
            let before = try pages()
            for _ in 0..<100 { try AvailableMemory.check(256 << 20, for: "a frame") }
            // Other tests take some meanwhile, but not 12 GiB.
            #expect(try pages() - before < 12 << 30 / 4_096)
        }
    #endif
}
