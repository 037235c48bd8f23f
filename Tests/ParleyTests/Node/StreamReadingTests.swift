import Testing

@testable import Parley

/// Streams on sockets: they are read into blocks that the reader keeps.
@Suite(.timeLimit(.minutes(10))) struct StreamReadingTests {
    @Test(arguments: [false, true])
    func `a stream arrives whole and in order, in pieces of any size that stay intact`(
        isFramed: Bool
    ) async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = isFramed ? .framed : .unframed }
            let client = nodes.make { $0.decoder = isFramed ? .framed : .unframed }
            let peer = try await client.dial(server.address)
            // Sizes from one byte to several blocks, so that blocks are copied, filled and handed over whole.
            let sizes = [1, 700, 70_000, 1_000_000]
            let pieces = (0..<60).map { patterned(sizes[$0 % 4] + $0, seed: UInt64($0)) }
            let size = pieces.reduce(0) { $0 + $1.count }
            let writing = Task {
                try await peer.withStream { stream in
                    for piece in pieces { try await stream.write(piece) }
                }
                try await peer.send(message: "after")
            }
            let opening = try await server.nextRPC()
            var kept: [ArraySlice<UInt8>] = []
            var count = 0
            while count < size, let bytes = try await opening.peer.read(upTo: min(1 << 20, size - count)) {
                kept.append(bytes)
                count += bytes.count
            }
            #expect(same(joined(kept), joined(pieces)))
            opening.peer.closeStream()
            #expect(try await server.nextRPC().text == "after")
            try await writing.value
        }
    }

    @Test func `a stream's end is reported after its last bytes, also when the connection ends`() async throws
    {
        try await withNodes(.tcp, .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let writer = try await peer.openStream()
            let closing = Task {
                try await writer.write(patterned(3_000_000))
                try await writer.finish()
                await peer.close()
            }
            let opening = try await server.nextRPC()
            var received: [UInt8] = []
            while let bytes = try await opening.peer.read(upTo: 1 << 20) { received += bytes }
            #expect(same(received, patterned(3_000_000)))
            try await closing.value
        }
    }

    @Test(arguments: [true, false])
    func `the body of a stream that was closed has nothing to do with the next stream`(
        isFramed: Bool
    ) async throws {
        try await withNodes(.tcp, isFramed ? .framed : .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            var closed: [PeerStream] = []
            for number in UInt8(1)...3 {
                let writer = try await peer.openStream()
                try await writer.write([number, number])
                try await writer.finish()
                let rpc = try await server.nextRPC()
                for body in closed {
                    body.close()
                    body.abort(code: 0)
                    let thrown = try await error { _ = try await body.read(upTo: 1) }
                    #expect(thrown.code == .closed)
                }
                let body = try #require(rpc.body)
                #expect(try await body.read(exactly: 2) == [number, number])
                for body in [body, try #require(rpc.body)] {
                    body.close()
                    closed.append(body)
                }
            }
        }
    }

    @Test(arguments: [true, false], [true, false])
    func `an exact read ends with its stream, and takes nothing of the next one`(
        isFramed: Bool,
        beginsFirst: Bool
    ) async throws {
        try await withNodes(.tcp, isFramed ? .framed : .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            try await eventually { server.peers.count == 1 }
            let reader = try #require(server.peers.first as? Connection)
            func startReading() -> Task<ArraySlice<UInt8>, any Error> {
                Task { try await reader.read(exactly: 4) }
            }
            let early = beginsFirst ? startReading() : nil
            if beginsFirst { try await untilReaderWaits(of: reader, after: 0) }
            let first = try await peer.openStream()
            try await first.write([1, 1])
            _ = try await server.nextRPC()
            let reading = early ?? startReading()
            try await untilReaderWaits(of: reader, after: isFramed ? 12 : 3)
            reader.closeStream()
            try await first.finish()
            let second = try await peer.openStream()
            try await second.write([2, 2])
            try await second.finish()
            #expect(try await error { _ = try await reading.value }.code == .closed)
            let next = try await server.nextRPC()
            #expect(next.stream)
            #expect(try await next.peer.read(exactly: 2) == [2, 2])
        }
    }

    @Test func `what a read had collected is there again after its deadline`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            let writer = try await peer.openStream()
            try await writer.write([1, 2, 3])
            let reader = try await server.nextRPC().peer
            // By the first deadlines the bytes may not have arrived; such a read has collected nothing.
            for milliseconds in [20, 200, 1_000] {
                reader.setReadDeadline(.now + .milliseconds(milliseconds))
                let error = await #expect(throws: ParleyError.self) { try await reader.read(exactly: 5) }
                #expect(error?.code == .timedOut)
            }
            reader.setReadDeadline(nil)
            try await writer.write([4, 5])
            #expect(try await reader.read(exactly: 5) == [1, 2, 3, 4, 5])
        }
    }
}
