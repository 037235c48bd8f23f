import Testing

@testable import Parley

#if canImport(Glibc)
    import Glibc
#endif

/// Behaviour of real sockets: raw bytes from strangers, resets, addresses, name resolution.
@Suite(.timeLimit(.minutes(10))) struct TCPTransportTests {
    // MARK: Strangers' bytes

    @Test func `an unknown type byte drops the peer with an error that names the byte`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { gone.add($1) } }
            let stranger = try RawSocket(connectingTo: server.address)
            try stranger.write([0x1] + Array("fine".utf8))
            #expect(try await server.nextRPC().text == "fine")
            try stranger.write([0x7f, 1, 2, 3])
            let reason = try await gone.next()
            #expect(reason.code == .protocolViolation)
            #expect(reason.message.contains("0x7f"))
            #expect(await stranger.read()?.isEmpty != false)
        }
    }

    @Test func `a type byte and its payload may arrive in two segments`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let server = try await nodes.listening()
            let stranger = try RawSocket(connectingTo: server.address)
            try stranger.write([0x1])
            try await eventually { server.peers.count == 1 }
            try stranger.write(Array("late".utf8))
            #expect(try await server.nextRPC().text == "late")
        }
    }

    @Test func `the handshake reads bytes that arrive one at a time`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let server = try await nodes.listening {
                $0.handshake = { peer in
                    #expect(try await Array(peer.read(exactly: 20)) == patterned(20))
                    try await peer.send([42])
                }
            }
            let stranger = try RawSocket(connectingTo: server.address)
            for byte in patterned(20) { try stranger.write([byte]) }
            #expect(try await stranger.read(exactly: 1) == [42])
            try stranger.write([0x1, 7])
            #expect(try await server.nextRPC().payload == [7])
        }
    }

    @Test func `a peer that half-closes during the handshake is still answered`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.handshake = { try await $0.send(patterned(500_000)) }
            }
            let stranger = try RawSocket(connectingTo: server.address)
            stranger.finish()
            #expect(same(try await stranger.read(exactly: 500_000), patterned(500_000)))
            #expect(await stranger.read()?.isEmpty == true, "and then the connection is closed")
        }
    }

    // MARK: Ends

    @Test func `an orderly end is endOfStream, or truncated in the middle of a message`()
        async throws
    {
        try await withNodes(.tcp, .unframed) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { gone.add($1) } }
            let polite = try RawSocket(connectingTo: server.address)
            try polite.write([0x1, 5])
            polite.close()
            #expect(try await server.nextRPC().payload == [5])
            #expect(try await gone.next().code == .endOfStream)

            let hasty = try RawSocket(connectingTo: server.address)
            try hasty.write([0x1])
            hasty.close()
            #expect(try await gone.next().code == .truncated)
        }
    }

    @Test func `a reset in any state ends the peer once with connectionReset`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let gone = Events<ParleyError>()
            let begun = Events<Bool>()
            let server = try await nodes.listening {
                $0.handshake = { peer in
                    begun.add(true)
                    guard try await peer.read(exactly: 1) == [1] else { return }
                }
                $0.onDisconnect = { gone.add($1) }
            }
            // In the handshake.
            var stranger = try RawSocket(connectingTo: server.address)
            _ = try await begun.next()
            stranger.reset()
            #expect(try await gone.next().code == .connectionReset)
            // Between messages, and in one.
            for bytes in [[1, 0x1, 9], [1, 0x1, 9, 0x1]] as [[UInt8]] {
                stranger = try RawSocket(connectingTo: server.address)
                try stranger.write(bytes)
                _ = try await server.nextRPC()
                stranger.reset()
                #expect(try await gone.next().code == .connectionReset)
            }
            // In a stream that is being read: the reader gets the bytes that arrived, then the reason.
            stranger = try RawSocket(connectingTo: server.address)
            try stranger.write([1, 0x2, 7])
            let stream = try await server.nextRPC()
            #expect(try await stream.peer.read(exactly: 1) == [7])
            let more = Task { try await stream.peer.read(upTo: 1) }
            stranger.reset()
            let thrown = await #expect(throws: ParleyError.self) { _ = try await more.value }
            #expect(thrown?.code == .connectionReset)
            #expect(try await gone.next().code == .connectionReset)
            #expect(gone.soFar.count == 4)
        }
    }

    @Test func `a reset before or right after accept does not disturb other peers`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening()
            for _ in 0..<200 { try RawSocket(connectingTo: server.address).reset() }
            let peer = try await nodes.make().dial(server.address)
            try await peer.send(message: "still here")
            #expect(try await server.nextRPC().text == "still here")
        }
    }

    @Test func `a reset while we write is thrown to the writer`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { gone.add($1) } }
            let stranger = try RawSocket(connectingTo: server.address)
            try await eventually { server.peers.count == 1 }
            let peer = server.peers[0]
            let writing = Task { while true { try await peer.send(patterned(65_536)) } }
            _ = try await stranger.read(exactly: 100_000)
            stranger.reset()
            let thrown = await #expect(throws: ParleyError.self) { try await writing.value }
            #expect(thrown?.code == .connectionReset)
            #expect(try await gone.next().code == .connectionReset)
        }
    }

    @Test func `complete RPCs are delivered after the sender resets`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = WireForm { LineDecoder() }
                $0.inboxCapacity = 4
            }
            let stranger = try RawSocket(connectingTo: server.address)
            try stranger.write(Array(String(repeating: "line\n", count: 1_000).utf8))
            #expect(try await server.nextRPC().text == "line")
            stranger.reset()
            for _ in 1..<1_000 { #expect(try await server.nextRPC().text == "line") }
        }
    }

    @Test func `a reset after unread bytes is reported as a reset`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { gone.add($1) } }
            let stranger = try RawSocket(connectingTo: server.address)
            try stranger.write([0x2])
            let stream = try await server.nextRPC()
            // Nothing reads yet: all bytes wait in the socket.
            try stranger.write(patterned(10_000))
            stranger.reset()
            var received = 0
            let thrown = try await error {
                while let bytes = try await stream.peer.read(upTo: 65_536) { received += bytes.count }
            }
            #expect(thrown.code == .connectionReset)
            #expect(received == 10_000)
            #expect(try await gone.next().code == .connectionReset)
        }
    }

    @Test func `a deadline set while the connection ends does not delay the end`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            let writer = try await peer.openStream()
            let executor = (client as? TCPTransport)?.executor
            await Task(executorPreference: executor) {
                await writer.abort(reason: "x")
                peer.setReadDeadline(.now + .seconds(3_600))
            }.value
            await client.close()
        }
    }

    @Test func `an abort in a wire form without one resets the connection, and no message follows`()
        async throws
    {
        try await withNodes(.tcp, .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let writer = try await peer.openStream()
            try await writer.write([1, 2, 3])
            let stream = try await server.nextRPC()
            #expect(try await stream.peer.read(exactly: 3) == [1, 2, 3])
            let message = Task { try await peer.send(message: [9, 9, 9]) }
            await writer.abort(reason: "changed my mind")
            let sent = await #expect(throws: ParleyError.self) { try await message.value }
            #expect(sent?.code == .streamAborted)
            #expect(try await error { _ = try await stream.peer.read(upTo: 9) }.code == .connectionReset)
        }
    }

    @Test func `a peer that breaks the wire form inside a stream is dropped`() async throws {
        try await withNodes(.tcp) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.onDisconnect = { gone.add($1) }
            }
            let stranger = try RawSocket(connectingTo: server.address)
            try stranger.write([2, 0, 0, 0, 0, 9, 9, 9, 9, 9])
            let stream = try await server.nextRPC()
            #expect(try await error { _ = try await stream.peer.read(upTo: 9) }.code == .protocolViolation)
            #expect(try await gone.next().code == .protocolViolation)
            stream.peer.closeStream()
        }
    }

    @Test(
        arguments: [
            (KeepAlive(), [1, 1, 15, 15, 9]),
            (KeepAlive(idle: .seconds(2), interval: .seconds(1), count: 3), [1, 1, 2, 1, 3]),
            (nil, [1, 0]),
        ] as [(KeepAlive?, [Int32])]
    )
    func `TCP_NODELAY and keep-alive are on, as in Go, and keep-alive can be set`(
        keepAlive: KeepAlive?,
        expected: [Int32]
    ) async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.keepAlive = keepAlive }
            let dialed = try await nodes.make { $0.keepAlive = keepAlive }.dial(server.address)
            try await eventually { server.peers.count == 1 }
            let tcp = Int32(IPPROTO_TCP)
            let names = [
                (tcp, TCP_NODELAY), (SOL_SOCKET, SO_KEEPALIVE), (tcp, TCP_KEEPIDLE), (tcp, TCP_KEEPINTVL),
                (tcp, TCP_KEEPCNT),
            ]
            for peer in [dialed, server.peers[0]] {
                let handle = try #require((peer as? Connection)?.link as? TCPHandle)
                for (index, value) in expected.enumerated() {
                    var found: Int32 = -1
                    var size = socklen_t(MemoryLayout<Int32>.size)
                    getsockopt(try #require(handle.descriptor), names[index].0, names[index].1, &found, &size)
                    #expect(found == value, "\(peer), option \(index)")
                }
            }
        }
    }

    @Test func `close does not wait for a peer that never closes its side`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let server = try await nodes.listening { $0.closeTimeout = .seconds(600) }
            let stranger = try RawSocket(connectingTo: server.address)
            try await eventually { server.peers.count == 1 }
            try await server.peers[0].send([1, 2, 3])
            await server.close()
            #expect(try await stranger.read(exactly: 3) == [1, 2, 3])
            #expect(await stranger.read()?.isEmpty == true)
        }
    }

    @Test func `close stops waiting for a peer that does not read after closeTimeout`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let server = try await nodes.listening {
                $0.closeTimeout = .milliseconds(100)
                $0.sendHighWaterBytes = 64 << 20
            }
            let stranger = try RawSocket(connectingTo: server.address)
            try await eventually { server.peers.count == 1 }
            try await server.peers[0].send([UInt8](repeating: 1, count: 32 << 20))
            await server.close()
            withExtendedLifetime(stranger) {}
        }
    }

    // MARK: Dialing

    @Test func `an unresolvable name is an error that names it`() async throws {
        try await withNodes(.tcp) { nodes in
            // However long the name servers take.
            let client = nodes.make { $0.dialTimeout = .seconds(300) }
            let failure = try await error { try await client.dial("no-such-host.invalid:3000") }
            #expect(failure.code == .nameNotResolved)
            #expect(failure.message.contains("no-such-host.invalid"))
            let listening = nodes.make { $0.listenAddress = "no-such-host.invalid:3000" }
            let unresolved = try await error { try await listening.listenAndAccept() }
            #expect(unresolved.code == .nameNotResolved)
        }
    }

    @Test func `listening on an address of another host fails`() async throws {
        try await withNodes(.tcp) { nodes in
            let listening = nodes.make { $0.listenAddress = "192.0.2.1:0" }
            let failure = try await error { try await listening.listenAndAccept() }
            #expect(failure.code == .addressNotAvailable)
        }
    }

    @Test func `an address without a route is unreachable`() async throws {
        try await withNodes(.tcp) { nodes in
            // The kernel refuses to connect to the broadcast address before anything is sent.
            let failure = try await error { try await nodes.make().dial("255.255.255.255:9") }
            #expect(failure.code == .unreachable)
            #expect(failure.message.contains("255.255.255.255:9"))
        }
    }

    @Test func `a dial that nobody answers times out, or is cancelled, or closed`() async throws {
        try await withNodes(.tcp) { nodes in
            let hole = try BlackHole()
            let impatient = nodes.make { $0.dialTimeout = .milliseconds(100) }
            let late = try await error { try await impatient.dial(hole.address) }
            #expect(late.code == .timedOut)
            #expect(late.message.contains(hole.address))

            let client = nodes.make()
            let dialing = Task { try await client.dial(hole.address) }
            dialing.cancel()
            let cancelled = await #expect(throws: ParleyError.self) { try await dialing.value }
            #expect(cancelled?.code == .cancelled)

            let closing = Task { try await client.dial(hole.address) }
            await Task.yield()
            await client.close()
            let closed = await #expect(throws: ParleyError.self) { try await closing.value }
            #expect(closed?.code == .closed)
        }
    }

    @Test func `a name is dialed by one kind of its addresses`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.listenAddress = "127.0.0.1:0" }
            let port = try SocketAddress(server.address).port
            try await nodes.make().dial("/dns/localhost/tcp/\(port)")
            try await nodes.make().dial("/dns4/localhost/tcp/\(port)")
            let failure = try await error { try await nodes.make().dial("/dns6/localhost/tcp/\(port)") }
            // Where the name has an IPv6 address, nobody listens at it, or the host has no such address.
            let codes: [ParleyError.Code] = [
                .nameNotResolved, .connectionRefused, .addressNotAvailable, .timedOut,
            ]
            #expect(codes.contains(failure.code), "\(failure)")
            try await eventually { server.statistics.accepted == 2 }
        }
    }

    @Test(.enabled(if: Self.hasIPv6, "this host has no ::1"))
    func `localhost is dialed whichever family it listens on`() async throws {
        try await withNodes(.tcp) { nodes in
            let v4 = try await nodes.listening { $0.listenAddress = "127.0.0.1:0" }
            let port = try SocketAddress(v4.address).port
            try await nodes.make().dial("localhost:\(port)")
            try await nodes.make().dial(":\(port)")
            let v6 = try await nodes.listening { $0.listenAddress = "[::1]:0" }
            #expect(v6.address.hasPrefix("[::1]:"))
            let peer = try await nodes.make().dial(v6.address)
            #expect(peer.remoteAddress.description == v6.address)
            try await nodes.make().dial(":\(try SocketAddress(v6.address).port)")
        }
    }

    @Test(.enabled(if: Self.hasIPv6, "this host has no ::1"))
    func `a wildcard listener accepts both families and shows IPv4 as IPv4`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.listenAddress = ":0" }
            let port = try SocketAddress(server.address).port
            let v4 = try await nodes.make().dial("127.0.0.1:\(port)")
            try await v4.send(message: "four")
            let rpc = try await server.nextRPC()
            #expect(rpc.from == v4.localAddress.description)
            #expect(rpc.from.hasPrefix("127.0.0.1:"))
            #expect(rpc.peer.localAddress.host == "127.0.0.1")
            let v6 = try await nodes.make().dial("[::1]:\(port)")
            try await v6.send(message: "six")
            #expect(try await server.nextRPC().from == v6.localAddress.description)
        }
    }

    @Test func `the second address is tried 300 ms after a first that hangs`() async throws {
        let hole = try BlackHole()
        let listener = try RawListener()
        let loop = EventLoop()
        let addresses = [hole.address, listener.address].map { try! SocketAddress($0) }
        let started = ContinuousClock.now
        let remote = try await loop.wait {
            (loop, finish: @escaping (Result<SocketAddress, ParleyError>) -> Void) in
            let dialer = Dialer(to: addresses[0], timeout: .seconds(60), on: loop) { result in
                finish(
                    result.map { connected in
                        connected.handle.close(abortively: false)
                        return connected.address
                    }
                )
            }
            dialer.start(
                trying: addresses.compactMap { RawSocketAddress(numericHost: $0.host, port: $0.port) }
            )
            return { dialer.cancel($0) }
        }
        #expect(remote == addresses[1])
        // A timer of the loop counts from the beginning of its turn, in whole milliseconds.
        #expect(started.duration(to: .now) >= .milliseconds(298))
        await loop.stop()
        #expect(loop.hasEndedCleanly == true)
    }

    @Test func `when every address fails, the error is the first failure and counts the others`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let closed = try RawListener().port
            let failure = try await error { try await nodes.make().dial(":\(closed)") }
            #expect(failure.code == .connectionRefused)
            #expect(failure.message.contains("127.0.0.1:\(closed)"))
            #expect(failure.message.contains("1 more address"))
        }
    }

    @Test func `many concurrent dials all connect`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask { try await client.dial(server.address).send(message: "\(number)") }
                }
                var seen: Set<String> = []
                for _ in 0..<200 { seen.insert(try await server.nextRPC().text) }
                #expect(seen.count == 200)
                try await group.waitForAll()
            }
            #expect(client.peers.count == 200)
        }
    }

    private static var hasIPv6: Bool { (try? RawListener(host: "::1")) != nil }
}

/// A port whose connections neither succeed nor fail: its backlog is full, and nothing accepts.
private final class BlackHole: Sendable {
    private let listener: RawListener
    private let fill: [Int32]
    var address: String { listener.address }

    init() throws {
        listener = try RawListener(backlog: 0)
        let target = try #require(RawSocketAddress(numericHost: "127.0.0.1", port: listener.port))
        fill = (0..<4).map { _ in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
            _ = target.withSockaddr { connect(descriptor, $0, $1) }
            return descriptor
        }
    }

    deinit { for descriptor in fill { close(descriptor) } }
}
