import Testing

@testable import Parley

/// A peer that leaves in any state ends once, with its reason, and nothing incomplete is delivered.
@Suite(.timeLimit(.minutes(10))) struct EndTests {
    @Test(arguments: [false, true])
    func `a peer that leaves inside a message has its complete messages delivered`(
        isReset: Bool
    ) async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends)
            let socket = try RawSocket(connectingTo: server.address)
            // Two whole messages, then the header and half the payload of a third.
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
    func `a peer that leaves inside a stream gives its reader the bytes and then the reason`(
        isReset: Bool
    ) async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends)
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

    @Test func `onPeer does not begin for a connection that has ended`() async throws {
        try await withNodes(.tcp) { nodes in
            let begins = Events<Bool>()
            let server = try await nodes.listening {
                $0.handshake = { peer in
                    guard let connection = peer as? Connection else { return }
                    connection.fail(ParleyError(.banned, "it was banned"))
                    begins.add(connection.onPeerBegins())
                }
            }
            _ = try RawSocket(connectingTo: server.address)
            #expect(try await begins.next() == false)
            try await eventually { server.statistics.handshaking == 0 }
        }
    }

    @Test(arguments: [false, true])
    func `a peer that leaves in the handshake is not announced`(isReset: Bool) async throws {
        try await withNodes(.tcp) { nodes in
            let (ends, begun) = (Events<ParleyError>(), Events<Bool>())
            let server = try await nodes.listening(ends) {
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

    @Test func `a half-close ends the peer after its messages, and answers are still sent`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) {
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

    @Test(arguments: Kind.everyRoad)
    func `untilClosed returns the reason of onDisconnect to every waiter`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends)
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
