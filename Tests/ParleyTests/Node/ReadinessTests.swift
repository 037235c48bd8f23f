import Testing

@testable import Parley

/// Being called when a read or a send may be tried, instead of waiting for it.
@Suite(.timeLimit(.minutes(10))) struct ReadinessTests {
    @Test(arguments: [Kind.tcp, .memory])
    func `a stream's writer is called for room although a message waits for its turn`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make {
                $0.decoder = .framed
                $0.sendHighWaterBytes = 100_000
                $0.sendLowWaterBytes = 50_000
            }
            let peer = try #require(try await client.dial(server.address) as? Connection)
            let writer = try peer.openStream(header: [], .none)
            let opening = try await server.nextRPC()
            var written = 0
            func fill() throws {
                let refused = #expect(throws: ParleyError.self) {
                    while true {
                        try writer.write(patterned(10_000)[...], .none)
                        written += 10_000
                    }
                }
                #expect(refused?.code == .wouldBlock)
            }
            let calls = Events<String>()

            // The call comes when there is room …
            try fill()
            try peer.whenWritable { calls.add("room") }
            #expect(try !peer.trySend(message: "behind the stream"))
            #expect(try await opening.peer.read(exactly: written).count == written)
            try await eventually { calls.soFar == ["room"] }

            // … and at once when there is some already.
            written = 0
            try fill()
            #expect(try await opening.peer.read(exactly: written - 1).count == written - 1)
            try await eventually { peer.statistics.unsentBytes == 0 }
            #expect(try !peer.trySend(message: "behind the stream"))
            try peer.whenWritable { calls.add("room again") }
            try await eventually { calls.soFar.last == "room again" }
            try writer.write([1], .none)

            // Of several refused sends, the first that may be tried again counts, …
            func refuseMessage() throws {
                let refused = #expect(throws: ParleyError.self) {
                    try peer.send(message: [1], .none)
                }
                #expect(refused?.code == .wouldBlock)
            }
            written = 2
            try fill()
            try refuseMessage()
            try peer.whenWritable { calls.add("either") }
            #expect(try await opening.peer.read(exactly: written).count == written)
            try await eventually { calls.soFar.last == "either" }
            try await eventually { peer.statistics.unsentBytes == 0 }

            // … and a message's turn has come when the stream has ended, whatever else may not wait.
            try refuseMessage()
            let nothing = #expect(throws: ParleyError.self) { _ = try peer.read(upTo: 1, .none) }
            #expect(nothing?.code == .wouldBlock)
            try peer.whenWritable { calls.add("turn") }
            #expect(calls.soFar.count == 3)
            try writer.finishNow()
            try await eventually { calls.soFar.last == "turn" }
            opening.peer.closeStream()
            #expect(try peer.trySend(message: "behind the stream"))
            #expect(try await server.nextRPC().text == "behind the stream")
        }
    }

    @Test(arguments: Kind.allCases)
    func `whenReadable takes nothing: the next read of a stream gets all that is there`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            let writer = try await peer.openStream()
            let opening = try await server.nextRPC()
            let reader = try #require(opening.peer as? Connection)
            let calls = Events<Int>()
            for number in 1...3 {
                let bytes = patterned(1_000, seed: UInt64(number))
                // Called later, and at once. The first call asks for the stream, which is then read ahead.
                if number == 1 { try reader.whenReadable { calls.add(number) } }
                try await writer.write(bytes)
                try await eventually { reader.statistics.unreadBytes >= 1_000 }
                if number > 1 { try reader.whenReadable { calls.add(number) } }
                #expect(try await calls.next() == number)
                let read = try #require(try await reader.read(upTo: 65_536))
                #expect(same(read, bytes))
            }
            try await writer.finish()
            opening.peer.closeStream()
        }
    }

    @Test func `whenReadable takes nothing of a handshake`() async throws {
        try await withNodes(.tcp) { nodes in
            let reads = Events<[UInt8]>()
            let server = try await nodes.listening {
                $0.handshake = { peer in
                    guard let peer = peer as? Connection else { return }
                    try await eventually { peer.statistics.unreadBytes == 5 }
                    let calls = Events<Void>()
                    try peer.whenReadable { calls.add(()) }
                    try await calls.next()
                    reads.add(Array(try await peer.read(upTo: 65_536) ?? []))
                }
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([1, 2, 3, 4, 5])
            #expect(try await reads.next() == [1, 2, 3, 4, 5])
        }
    }
}
