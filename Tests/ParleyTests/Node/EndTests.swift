import Testing

@testable import Parley

/// However a peer leaves, and in the middle of what: one end, with its reason, and nothing half.
@Suite(.timeLimit(.minutes(2))) struct EndTests {
    private func listening(
        _ nodes: Nodes,
        _ ends: Events<ParleyError>,
        _ change: @escaping (inout TransportOptions) -> Void = { _ in }
    ) async throws -> any Transport {
        try await nodes.listening {
            $0.decoder = .framed
            $0.onDisconnect = { _, reason in ends.add(reason) }
            change(&$0)
        }
    }

    @Test(arguments: [false, true])
    func `in the middle of a message, what was complete is delivered and the rest is not`(
        isReset: Bool
    ) async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await listening(nodes, ends)
            let socket = try RawSocket(connectingTo: server.address)
            // Two whole messages, the head and half the body of a third.
            try socket.write([1, 0, 0, 0, 1, 7, 1, 0, 0, 0, 1, 8, 1, 0, 0, 0, 4, 9, 9])
            #expect(try await server.nextRPC().payload == [7])
            #expect(try await server.nextRPC().payload == [8])
            if isReset { socket.reset() } else { socket.close() }
            #expect(try await ends.next().code == (isReset ? .connectionReset : .truncated))
            try await eventually { server.statistics.peers == 0 }
            #expect(server.statistics.traffic.messagesReceived == 2 && server.statistics.inboxRPCs == 0)
            #expect(ends.soFar.count == 1)
        }
    }

    @Test(arguments: [false, true])
    func `in the middle of a stream, its reader gets what had come and then the reason`(
        isReset: Bool
    ) async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await listening(nodes, ends)
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([2, 0, 0, 0, 0, 3, 0, 0, 0, 3, 1, 2])
            let opening = try await server.nextRPC()
            #expect(try await opening.peer.read(exactly: 2) == [1, 2])
            if isReset { socket.reset() } else { socket.close() }
            let code: ParleyError.Code = isReset ? .connectionReset : .truncated
            #expect(try await error { _ = try await opening.peer.read(upTo: 1) }.code == code)
            opening.peer.closeStream()
            #expect(try await ends.next().code == code)
            try await eventually { server.statistics.peers == 0 }
            #expect(ends.soFar.count == 1)
        }
    }

    @Test(arguments: [false, true])
    func `in the middle of a handshake, nobody is announced`(isReset: Bool) async throws {
        try await withNodes(.tcp) { nodes in
            let (ends, begun) = (Events<ParleyError>(), Events<Bool>())
            let server = try await listening(nodes, ends) {
                $0.onPeer = { _ in Issue.record("a peer without a handshake was announced") }
                $0.handshake = { peer in
                    begun.add(try await peer.read(exactly: 1) == [1])
                    _ = try await peer.read(exactly: 10)
                }
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([1])
            #expect(try await begun.next())
            if isReset { socket.reset() } else { socket.close() }
            #expect(try await ends.next().code == (isReset ? .connectionReset : .handshakeFailed))
            try await eventually { server.statistics.handshaking == 0 }
            #expect(server.statistics.handshakesFailed == 1 && ends.soFar.count == 1)
        }
    }

    @Test func `a half-close ends the peer behind what it had sent, and what it asked for still goes out`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await listening(nodes, ends) {
                $0.onPeer = { peer in try await peer.send(message: patterned(500_000)) }
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([1, 0, 0, 0, 1, 7])
            socket.finish()
            #expect(try await server.nextRPC().payload == [7])
            #expect(same(try await socket.read(exactly: 500_005).dropFirst(5), patterned(500_000)))
            #expect(await socket.read()?.isEmpty == true)
            #expect(try await ends.next().code == .endOfStream)
            #expect(ends.soFar.count == 1)
        }
    }

    @Test(arguments: Kind.allCases)
    func `untilClosed tells everybody who waits the reason that onDisconnect gets`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await listening(nodes, ends)
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            try await peer.send(message: "hello")
            let rpc = try await server.nextRPC()
            let waiting = (0..<3).map { _ in Task { try await rpc.peer.untilClosed().code } }
            let cancelled = Task { try await rpc.peer.untilClosed() }
            cancelled.cancel()
            #expect(try await error { _ = try await cancelled.value }.code == .cancelled)
            await peer.close()
            #expect(try await peer.untilClosed().code == .closed)
            for task in waiting { #expect(try await task.value == .endOfStream) }
            #expect(try await ends.next().code == .endOfStream)
        }
    }
}
