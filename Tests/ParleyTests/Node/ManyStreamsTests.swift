import Foundation
import Testing

@testable import Parley

@Suite("Many streams at once")
struct ManyStreamsTests {
    private static let echo = "/echo/1.0.0"

    /// A server that echoes streams, and a connected client.
    private func withEcho(
        _ kind: Kind,
        _ change: (inout TransportOptions) -> Void = { _ in },
        _ body: (_ server: any Transport, _ peer: any Peer) async throws -> Void
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.timeouts.streamIdle = nil
                change(&$0)
            }
            try server.accept(Self.echo) { stream in
                for try await bytes in stream.chunks() { try await stream.write(bytes) }
                try await stream.finish()
            }
            let client = nodes.make { $0.timeouts.write = nil }
            try await body(server, client.dial(server.address))
        }
    }

    @Test(arguments: Kind.multiplexing) func `what is written comes back, and then the end`(
        kind: Kind
    ) async throws {
        try await withEcho(kind) { _, peer in
            for count in [0, 1, 1_000, 100_000, 3 << 20] {
                let stream = try await peer.openStream(protocol: Self.echo)
                #expect(stream.protocolName == Self.echo)
                let sent = patterned(count)
                async let writing: Void = {
                    try await stream.write(sent)
                    try await stream.finish()
                }()
                var received: [UInt8] = []
                for try await bytes in stream.chunks() { received += bytes }
                try await writing
                #expect(same(received, sent))
            }
            try await eventually { peer.statistics.openStreams == 0 }
        }
    }

    @Test(arguments: Kind.multiplexing) func `a hundred streams go on side by side, beside messages`(
        kind: Kind
    ) async throws {
        try await withEcho(kind) { server, peer in
            try await withThrowingTaskGroup { group in
                for number in 0..<100 {
                    group.addTask {
                        let stream = try await peer.openStream(protocol: Self.echo)
                        let sent = patterned(50_000, seed: UInt64(number))
                        try await stream.write(sent)
                        try await stream.finish()
                        var received: [UInt8] = []
                        for try await bytes in stream.chunks() { received += bytes }
                        #expect(same(received, sent))
                    }
                }
                for number in 0..<100 { try await peer.send(message: "\(number)") }
                for number in 0..<100 { #expect(try await server.nextRPC().text == "\(number)") }
                try await group.waitForAll()
            }
        }
    }

    @Test(arguments: Kind.multiplexing) func `a name that nobody takes is refused to the first read`(
        kind: Kind
    ) async throws {
        try await withEcho(kind) { server, peer in
            let stream = try await peer.openStream(protocol: "/nothing/1.0.0")
            // The refusal may be here already.
            do { try await stream.write([1, 2, 3]) } catch let early as ParleyError {
                #expect(early.code == .unsupported)
            }
            let thrown = try await error { _ = try await stream.read(upTo: 1) }
            #expect(thrown.code == .unsupported && thrown.message.contains("/nothing/1.0.0"))
            #expect(try await error { try await stream.write([1]) }.code == .unsupported)
            // The connection is not affected.
            try await peer.send(message: "hello")
            #expect(try await server.nextRPC().text == "hello")
        }
    }

    @Test(arguments: Kind.multiplexing) func `an abort has a code`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let ends = Events<ParleyError>()
            try server.accept(Self.echo) { stream in
                try await stream.write([1])
                do { _ = try await stream.read(exactly: 10) } catch let error as ParleyError {
                    ends.add(error)
                }
            }
            let peer = try await nodes.make().dial(server.address)
            let stream = try await peer.openStream(protocol: Self.echo)
            try await stream.write([1, 2, 3])
            #expect(try await stream.read(exactly: 1) == [1])
            stream.abort(code: 77)
            let end = try await ends.next()
            #expect(end.code == .streamAborted && end.remoteCode == 77)
            #expect(try await error { _ = try await stream.read(upTo: 1) }.code == .streamAborted)
        }
    }

    @Test(arguments: Kind.multiplexing) func `a handler that throws resets its stream`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            try server.accept(Self.echo) { _ in throw CancellationError() }
            let peer = try await nodes.make().dial(server.address)
            let stream = try await peer.openStream(protocol: Self.echo)
            #expect(try await error { _ = try await stream.read(upTo: 1) }.code == .streamAborted)
        }
    }

    @Test(arguments: Kind.multiplexing) func `a stream that is released is reset`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let ends = Events<ParleyError.Code>()
            try server.accept(Self.echo) { stream in
                try await stream.write([1])
                do { while try await stream.read(upTo: 10) != nil {} } catch let error as ParleyError {
                    ends.add(error.code)
                }
            }
            let peer = try await nodes.make().dial(server.address)
            do {
                let stream = try await peer.openStream(protocol: Self.echo)
                try await stream.write([1, 2, 3])
                #expect(try await stream.read(exactly: 1) == [1])
            }
            #expect(try await ends.next() == .streamAborted)
            try await eventually { peer.statistics.openStreams == 0 }
        }
    }

    @Test(arguments: Kind.multiplexing) func `a stream with a header is an RPC, whose body is read`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let writers = try await (
                peer.openStream(header: [1]), peer.openStream(header: [2]), peer.openStream()
            )
            try await writers.1.write([22])
            try await writers.1.finish()
            try await writers.0.write(patterned(500_000).prefix(100_000))
            try await writers.0.finish()
            try await writers.2.finish()
            for _ in 0..<3 {
                let rpc = try await server.nextRPC()
                #expect(rpc.stream && rpc.request == nil)
                let body = try #require(rpc.body)
                var received: [UInt8] = []
                for try await bytes in body.chunks() { received += bytes }
                switch Array(rpc.payload) {
                case [1]: #expect(same(received, patterned(100_000)))
                case [2]: #expect(received == [22])
                default: #expect(rpc.payload.isEmpty && received.isEmpty)
                }
                // The other direction is there too.
                try await body.finish()
            }
            try await eventually { peer.statistics.openStreams == 0 }
        }
    }

    @Test(arguments: Kind.everyRoad) func `a body is read on every road`(
        kind: Kind
    ) async throws {
        try await withFrames(kind) { server, _, peer in
            try await peer.withStream(header: [7]) { try await $0.write([1, 2, 3]) }
            try await peer.send(message: "behind it")
            var texts: Set<String> = []
            for _ in 0..<2 {
                let rpc = try await server.nextRPC()
                if let body = rpc.body {
                    #expect(try await body.read(exactly: 3) == [1, 2, 3])
                    #expect(try await body.read(upTo: 1) == nil)
                    body.close()
                }
                texts.insert(rpc.stream ? "stream" : rpc.text)
            }
            #expect(texts == ["stream", "behind it"])
        }
    }

    @Test(arguments: Kind.multiplexing) func `files go over streams`(kind: Kind) async throws {
        try await withFolder { folder in
            let bytes = patterned(700_000)
            try Data(bytes).write(to: folder.appending(path: "sent"))
            try await withNodes(kind) { nodes in
                let server = try await nodes.listening()
                let peer = try await nodes.make().dial(server.address)
                async let sending = peer.sendStream(
                    contentsOf: folder.appending(path: "sent").path,
                    header: [9]
                )
                let rpc = try await server.nextRPC()
                let received = try await #require(rpc.body).receive(
                    into: folder.appending(path: "received").path
                )
                #expect(try await sending == bytes.count && received == bytes.count)
                #expect(try same(contents(of: folder.appending(path: "received")), bytes))
            }
        }
    }

    @Test(arguments: Kind.multiplexing) func `who sends a file hears whether it was kept`(
        kind: Kind
    ) async throws {
        try await withFolder { folder in
            let bytes = patterned(300_000)
            let sent = folder.appending(path: "sent").path
            let kept = folder.appending(path: "kept")
            try Data(bytes).write(to: folder.appending(path: "sent"))
            try await withNodes(kind) { nodes in
                let server = try await nodes.listening()
                try server.accept("/keep/1") { stream in
                    try await stream.receive(into: kept.path)
                    try await stream.write([1])
                }
                let peer = try await nodes.make().dial(server.address)
                func send() async throws -> ArraySlice<UInt8>? {
                    let stream = try await peer.openStream(protocol: "/keep/1")
                    try await stream.write(contentsOf: sent)
                    try await stream.finish()
                    return try await stream.read(upTo: 2)
                }
                #expect(try await send() == [1])
                #expect(try same(contents(of: kept), bytes))
                // There is a file of that name now.
                #expect(try await error { _ = try await send() }.code == .streamAborted)
            }
        }
    }

    @Test(arguments: Kind.multiplexing) func `a reader that sleeps holds back its stream alone`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.timeouts.streamIdle = nil }
            let asleep = Events<PeerStream>()
            try server.accept("/sleep/1") { stream in
                asleep.add(stream)
                _ = try await stream.peer.untilClosed()
            }
            try server.accept(Self.echo) { stream in
                for try await bytes in stream.chunks() { try await stream.write(bytes) }
                try await stream.finish()
            }
            let peer = try await nodes.make { $0.timeouts.write = nil }.dial(server.address)
            let sleeper = try await peer.openStream(protocol: "/sleep/1")
            let writing = Task { try await sleeper.write(patterned(4 << 20)) }
            let sleeping = try await asleep.next()
            try await eventually { sleeping.peer.statistics.unreadBytes >= 200_000 }
            try await withThrowingTaskGroup { group in
                for number in 0..<99 {
                    group.addTask {
                        let stream = try await peer.openStream(protocol: Self.echo)
                        let sent = patterned(300_000, seed: UInt64(number))
                        async let sending: Void = {
                            try await stream.write(sent)
                            try await stream.finish()
                        }()
                        var received: [UInt8] = []
                        for try await bytes in stream.chunks() { received += bytes }
                        try await sending
                        #expect(same(received, sent))
                    }
                }
                for _ in 0..<100 {
                    try await peer.send(message: "beside it")
                    #expect(try await server.nextRPC().text == "beside it")
                }
                try await group.waitForAll()
            }
            #expect(sleeping.peer.statistics.unreadBytes <= 512 << 10)
            // It wakes up, and everything is there.
            let all = try await sleeping.read(exactly: 4 << 20)
            try await writing.value
            #expect(same(all, patterned(4 << 20)))
            sleeping.close()
            sleeper.close()
        }
    }

    @Test(.timeLimit(.minutes(1)), arguments: Kind.multiplexing)
    func `a write that finds no room for too long throws, and the peer is kept`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            // Otherwise the end of the unread stream would wake the writer, a minute later.
            let server = try await nodes.listening { $0.timeouts.streamIdle = nil }
            let asleep = Events<PeerStream>()
            try server.accept("/sleep/1") { stream in
                asleep.add(stream)
                _ = try await stream.peer.untilClosed()
            }
            let peer = try await nodes.make { $0.timeouts.write = .milliseconds(300) }.dial(server.address)
            let stream = try await peer.openStream(protocol: "/sleep/1")
            _ = try await asleep.next()
            let refusal = try await error { try await stream.write(patterned(4 << 20)) }
            #expect(refusal.code == .timedOut)
            #expect(refusal.message == "there was no room to write to a stream for 300 ms")
            try await peer.send(message: "still a peer")
            #expect(try await server.nextRPC().text == "still a peer")
        }
    }

    @Test(arguments: Kind.multiplexing) func `a full inbox stops no stream`(kind: Kind) async throws {
        try await withEcho(kind, { $0.inboxCapacity = 4 }) { server, peer in
            // Nobody consumes. The messages fill the inbox, their window, and what waits to be sent.
            let flood = Task {
                for _ in 0..<2_000 { try await peer.send(message: patterned(4_000)) }
            }
            try await eventually { server.statistics.pausedPeers == 1 }
            for number in 0..<10 {
                let stream = try await peer.openStream(protocol: Self.echo)
                let sent = patterned(200_000, seed: UInt64(number))
                try await stream.write(sent)
                try await stream.finish()
                var received: [UInt8] = []
                for try await bytes in stream.chunks() { received += bytes }
                #expect(same(received, sent))
            }
            for _ in 0..<2_000 { #expect(try await server.nextRPC().payload.count == 4_000) }
            try await flood.value
        }
    }

    /// As in rust-yamux#227, where each side waited for the other one to read, and answered no ping.
    @Test(arguments: Kind.multiplexing) func `two sides that only write go on as soon as one reads`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let (count, byteCount) = (16, 1 << 20)
            let arrived = Events<PeerStream>()
            func keeps(_ options: inout TransportOptions) {
                (options.timeouts.streamIdle, options.timeouts.write) = (nil, nil)
            }
            let server = try await nodes.listening(keeps)
            try server.accept("/both/1") { stream in
                arrived.add(stream)
                _ = try await stream.peer.untilClosed()
            }
            let client = nodes.make(keeps)
            let peer = try await client.dial(server.address)
            var (mine, theirs): ([PeerStream], [PeerStream]) = ([], [])
            for _ in 0..<count {
                mine.append(try await peer.openStream(protocol: "/both/1"))
                theirs.append(try await arrived.next())
            }
            let writing = Task { [mine, theirs] in
                try await withThrowingTaskGroup { group in
                    for (number, stream) in (mine + theirs).enumerated() {
                        group.addTask { try await stream.write(patterned(byteCount, seed: UInt64(number))) }
                    }
                    try await group.waitForAll()
                }
            }
            // All windows are used up, in both directions.
            let other = theirs[0].peer
            try await eventually {
                min(peer.statistics.unreadBytes, other.statistics.unreadBytes) >= count * 200_000
            }
            try await peer.send(message: "there")
            #expect(try await server.nextRPC().text == "there")
            try await other.send(message: "and back")
            #expect(try await client.nextRPC().text == "and back")
            for number in 0..<count {
                let all = try await mine[number].read(exactly: byteCount)
                #expect(same(all, patterned(byteCount, seed: UInt64(count + number))))
            }
            for number in 0..<count {
                let all = try await theirs[number].read(exactly: byteCount)
                #expect(same(all, patterned(byteCount, seed: UInt64(number))))
            }
            try await writing.value
        }
    }

    @Test func `what a stream holds is as old as the last read of it`() async throws {
        try await withNodes(.tcp, .multiplexed) { nodes in
            let server = try await nodes.listening()
            let arrived = Events<PeerStream>()
            let done = Events<Bool>()
            try server.accept("/held") { stream in
                arrived.add(stream)
                _ = try await done.next()
            }
            defer { done.add(true) }
            let client = try await nodes.make().dial(server.address)
            let stream = try await client.openStream(protocol: "/held")
            try await stream.write(patterned(1_000)[...])
            let read = try await arrived.next()
            let link = try #require(read.connection?.multiplexed)
            try await eventually { link.heldBytes == 1_000 }
            let late = MonotonicTime.millisecondsNow + 1_000_000
            func since() -> UInt64 { late + 1 - link.weight(at: late) / UInt64(max(1, link.heldBytes)) }
            let began = since()
            try await eventually { MonotonicTime.millisecondsNow > began + 1 }
            try await stream.write(patterned(1_000)[...])
            try await eventually { link.heldBytes == 2_000 }
            #expect(since() == began, "more of it is no progress")
            _ = try await read.read(exactly: 500)
            #expect(link.heldBytes == 1_500 && since() > began + 1)
        }
    }

    @Test func `openings that wait for a full inbox are bounded, also when their streams are gone`()
        async throws
    {
        try await withNodes(.tcp, .multiplexed) { nodes in
            let server = try await nodes.listening {
                $0.inboxCapacity = 4
                $0.limits.maxStreamsPerPeer = 9
            }
            let raw = try RawSocket(connectingTo: server.address)
            defer { raw.close() }
            var lines = WireBuffer()
            for line in [Multistream.header, Multiplexed.stream] { Multistream.write(line, into: &lines) }
            let opening = lines.contiguous + Multiplexed.prefix(ofHeader: 1_000) + patterned(1_000)
            for id in (0..<200 as Range<UInt32>).map({ 2 * $0 + 1 }) {
                try raw.write(data(id, opening, .syn) + update(id, 0, .rst))
            }
            // Nobody consumes. Four are in the inbox, and as many wait as there may be streams, and messages.
            try await eventually { server.peers.first?.statistics.refusedStreams == 200 - 4 - 10 }
            try await eventually { server.itsNode.heldBytes.load(ordering: .relaxed) == 10 * 1_000 }
            for _ in 0..<14 { #expect(try await server.nextRPC().payload.count == 1_000) }
            try await eventually { server.itsNode.heldBytes.load(ordering: .relaxed) == 0 }
        }
    }

    @Test func `a stream's opening among the messages ends the connection`() async throws {
        try await withNodes(.tcp, .multiplexed) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { _, reason in ends.add(reason) } }
            let raw = try RawSocket(connectingTo: server.address)
            defer { raw.close() }
            var lines = WireBuffer()
            for line in [Multistream.header, Multiplexed.messages] { Multistream.write(line, into: &lines) }
            let opening = [FramedDecoder.FrameType.streamOpening.rawValue, 0, 0, 0, 0]
            try raw.write(data(1, lines.contiguous + opening, .syn))
            let reason = try await ends.next()
            #expect(reason.code == .protocolViolation)
            #expect(reason.message.contains("among the messages of a multiplexed connection"), "\(reason)")
        }
    }

    @Test func `many small frames are all handled, also those before the end`() async throws {
        try await withNodes(.tcp, .multiplexed) { nodes in
            let counts = Events<Int>()
            let server = try await nodes.listening()
            try server.accept(Self.echo) { stream in
                var count = 0
                for try await bytes in stream.chunks() { count += bytes.count }
                counts.add(count)
            }
            let raw = try RawSocket(connectingTo: server.address)
            defer { raw.close() }
            var lines = WireBuffer()
            for line in [Multistream.header, Self.echo] { Multistream.write(line, into: &lines) }
            let bytes = (0..<5_000).flatMap { _ in data(1, [7]) }
            try raw.write(data(1, lines.contiguous, .syn) + bytes + data(1, [], .fin))
            raw.finish()
            #expect(try await counts.next() == 5_000)
        }
    }

    @Test(arguments: Kind.multiplexing) func `streams come and go by the thousand`(
        kind: Kind
    ) async throws {
        try await withEcho(kind) { server, peer in
            for _ in 0..<20 {
                try await withThrowingTaskGroup { group in
                    for number in 0..<100 {
                        group.addTask {
                            let stream = try await peer.openStream(protocol: Self.echo)
                            try await stream.write([UInt8(number)])
                            #expect(try await stream.read(exactly: 1) == [UInt8(number)])
                            try await stream.finish()
                            #expect(try await stream.read(upTo: 1) == nil)
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await eventually { peer.statistics.openStreams == 0 }
            try await eventually { server.peers[0].statistics.openStreams == 0 }
            // Libp2p nodes identify each other on one more.
            #expect(peer.statistics.traffic.streamsSent == (kind == .libp2p ? 2_001 : 2_000))
            #expect(server.itsNode.streamCount.load(ordering: .relaxed) == 0)
        }
    }

    @Test(arguments: Kind.multiplexing) func `streams over a limit are reset, and counted`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            for change in [{ $0.limits.maxStreamsPerPeer = 2 }, { $0.limits.maxStreams = 2 }]
                as [(inout TransportOptions) -> Void]
            {
                let server = try await nodes.listening(change)
                try server.accept(Self.echo) { stream in
                    for try await bytes in stream.chunks() { try await stream.write(bytes) }
                }
                let peer = try await nodes.make().dial(server.address)
                var streams: [PeerStream] = []
                var failures: [ParleyError.Code] = []
                for _ in 0..<5 {
                    let stream = try await peer.openStream(protocol: Self.echo)
                    do {
                        try await stream.write([1])
                        _ = try await stream.read(exactly: 1)
                        streams.append(stream)
                    } catch let error as ParleyError { failures.append(error.code) }
                }
                #expect(failures.allSatisfy { $0 == .streamAborted })
                // A libp2p node asks who it is on a stream of its own, which takes a place for a while.
                let asked = kind == .libp2p ? 1 : 0
                #expect((2 - asked...2).contains(streams.count))
                let refused = Int(server.peers[0].statistics.refusedStreams)
                #expect((5 - streams.count...5 - streams.count + asked).contains(refused))
                for stream in streams { stream.close() }
            }
        }
    }

    @Test(arguments: Kind.multiplexing) func `a stream that nobody reads is reset in time`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.timeouts.streamIdle = .milliseconds(300) }
            let taken = Events<PeerStream>()
            try server.accept(Self.echo) { stream in
                taken.add(stream)
                _ = try await stream.peer.untilClosed()
            }
            let peer = try await nodes.make().dial(server.address)
            let stream = try await peer.openStream(protocol: Self.echo)
            let unread = try await taken.next()
            // Its time begins with the first unread byte, long after the stream was opened.
            try await eventually { unread.peer.statistics.silence >= .milliseconds(700) }
            try await stream.write([1])
            #expect(try await error { _ = try await stream.read(upTo: 1) }.code == .streamAborted)
            #expect(try await error { _ = try await unread.read(upTo: 1) }.code == .timedOut)
        }
    }

    @Test func `a stream that proposes nothing is reset in time`() async throws {
        try await withNodes(.multiplexed) { nodes in
            let server = try await nodes.listening { $0.handshakeTimeout = .seconds(60) }
            let peer = try await nodes.make().dial(server.address)
            let link = try #require((peer as? Connection)?.multiplexed)
            _ = try link.change { (channels, now) throws(ParleyError) in try channels.session.open(at: now) }
            // The client has no channel for it, and would count none.
            try await eventually { server.peers.first?.statistics.openStreams == 1 }
            let connection = try #require(server.peers.first as? Connection)
            await connection.look(behind: 50_000)
            #expect(connection.statistics.openStreams == 1)
            await connection.look(behind: 61_000)
            try await eventually { connection.statistics.openStreams == 0 }
        }
    }

    /// A side that waits no longer for an answer to its goodbye closes, and what the other one then writes
    /// fails.
    @Test func `a goodbye that is still to be read makes the end an orderly one`() async throws {
        try await withNodes(.multiplexed) { nodes in
            let ends = Events<ParleyError>()
            // The end waits for nothing: the failed write is over.
            let server = try await nodes.listening(ends) { $0.timeouts.close = .seconds(600) }
            let client = nodes.make { $0.timeouts.close = .milliseconds(50) }
            let peer = try await client.dial(server.address)
            try await peer.send(message: "hello")
            let answering = try #require(try await server.nextRPC().peer as? Connection)
            let held = await HeldLoop(server.eventLoop)
            // It is written before anything is read, to a connection that has ended by then.
            try await answering.send(message: "and you")
            server.eventLoop.execute {
                answering.flush()
                answering.multiplexed?.flush()
            }
            async let closing: Void = client.close()
            _ = try await peer.untilClosed()
            held.letGo()
            await closing
            #expect(try await ends.next().code == .endOfStream)
        }
    }

    /// The other side answers a ping by itself. A socket that is closed by then would reset the connection,
    /// and what is not read of it would be lost.
    @Test(arguments: Kind.multiplexing)
    func `what was sent before a close arrives, whatever the other side writes`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends)
            let client = nodes.make()
            for round in 0..<30 {
                let peer = try await client.dial(server.address)
                for number in 0..<3 { try await peer.send(message: "\(round) \(number)") }
                await peer.close()
            }
            var received: Set<String> = []
            for _ in 0..<90 { received.insert(try await server.nextRPC().text) }
            #expect(received.count == 90)
            for _ in 0..<30 { #expect(try await ends.next().code == .endOfStream) }
        }
    }

    /// Its answer would be the first message of its own, which has no stream yet and gets none any more.
    @Test(arguments: Kind.multiplexing)
    func `a consumer that answers a peer that has gone still gets all that it has sent`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) { $0.inboxCapacity = 8 }
            let peer = try await nodes.make().dial(server.address)
            for number in 0..<200 { try await peer.send(message: "\(number)") }
            await peer.close()
            for number in 0..<200 {
                let rpc = try await server.nextRPC()
                #expect(rpc.text == "\(number)")
                try? await rpc.peer.send(message: "answer")
            }
            #expect(try await ends.next().code == .endOfStream)
        }
    }

    @Test func `a peer that is refused gets to no handler, whatever it still sends`() async throws {
        struct Refused: Error {}
        try await withNodes(.tcp) { nodes in
            let (ends, refuses, taken) = (Events<ParleyError>(), Events<Bool>(), Events<Bool>())
            let server = try await nodes.listening {
                $0.decoder = .multiplexed(maxMessageBytes: 1 << 20)
                $0.onDisconnect = { _, reason in ends.add(reason) }
                $0.onPeer = { _ in
                    _ = try await refuses.next()
                    throw Refused()
                }
            }
            try server.itsNode.accept(Self.echo) { stream in
                taken.add(true)
                stream.close()
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write(update(1, 0, .syn))
            refuses.add(true)
            // The server waits for the answer to its last ping.
            var pings: [UInt32] = []
            while true {
                var header = try await socket.read(exactly: 12)[...]
                var partial = PartialYamuxHeader()
                let frame = try #require(try partial.take(&header))
                if frame.type == .goAway { break }
                if frame.type == .ping { pings.append(frame.length) }
                if frame.type == .data { _ = try await socket.read(exactly: Int(frame.length)) }
            }
            var lines: [UInt8] = []
            for line in ["/multistream/1.0.0", Self.echo] {
                lines += [UInt8(line.utf8.count + 1)] + Array("\(line)\n".utf8)
            }
            try socket.write(data(1, lines) + pong(try #require(pings.last)))
            #expect(try await ends.next().code == .peerRefused)
            #expect(taken.soFar.isEmpty)
        }
    }

    @Test(arguments: Kind.multiplexing) func `an answer that is sent before a close arrives`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let answering = Task {
                for await rpc in server.consume() {
                    try await rpc.reply(with: patterned(100_000))
                    await rpc.peer.close()
                }
            }
            let client = nodes.make()
            for _ in 0..<20 {
                let peer = try await client.dial(server.address)
                #expect(try await same(peer.request("?"), patterned(100_000)))
            }
            await server.close()
            try await answering.value
        }
    }

    @Test(arguments: Kind.multiplexing) func `the end of the connection ends its streams`(
        kind: Kind
    ) async throws {
        try await withEcho(kind) { server, peer in
            let stream = try await peer.openStream(protocol: Self.echo)
            try await stream.write([1])
            #expect(try await stream.read(exactly: 1) == [1])
            let reading = Task { try await stream.read(upTo: 1) }
            await server.peers[0].close()
            let thrown = try await error { _ = try await reading.value }
            #expect(thrown.code == .truncated || thrown.code == .endOfStream, "\(thrown)")
            _ = try await peer.untilClosed()
            _ = try await error { try await stream.write([1]) }
            _ = try await error { _ = try await peer.openStream(protocol: Self.echo) }
        }
    }

    @Test(arguments: Kind.multiplexing) func `what was written is sent before the connection closes`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let received = Events<Int>()
            try server.accept(Self.echo) { stream in
                var count = 0
                for try await bytes in stream.chunks() { count += bytes.count }
                received.add(count)
            }
            let peer = try await nodes.make().dial(server.address)
            let stream = try await peer.openStream(protocol: Self.echo)
            try await stream.write(patterned(200_000))
            try await stream.finish()
            await peer.close()
            #expect(try await received.next() == 200_000)
        }
    }

    @Test(arguments: Kind.multiplexing) func `reads and writes can be cancelled`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            try server.accept(Self.echo) { stream in _ = try await stream.peer.untilClosed() }
            let peer = try await nodes.make().dial(server.address)
            let stream = try await peer.openStream(protocol: Self.echo)
            let reading = Task { try await stream.read(upTo: 1) }
            reading.cancel()
            #expect(try await error { _ = try await reading.value }.code == .cancelled)
            let writing = Task { try await stream.write(patterned(4 << 20)) }
            // Nobody reads there. The proposal of the protocol took a few bytes of the window; once the rest
            // is full, the write waits.
            let window = Int(YamuxHeader.initialWindowBytes) - 1_024
            try await eventually { server.statistics.unreadBytes >= window }
            writing.cancel()
            #expect(try await error { try await writing.value }.code == .cancelled)
            // A part was accepted, so the stream is no use any more.
            #expect(try await error { try await stream.write([1]) }.code == .streamAborted)
        }
    }

    @Test(arguments: Kind.multiplexing) func `an exact read that is cancelled loses no byte`(
        kind: Kind
    ) async throws {
        try await withEcho(kind) { _, peer in
            let stream = try await peer.openStream(protocol: Self.echo)
            try await stream.write([1, 2, 3])
            #expect(try await stream.read(exactly: 1) == [1])
            let reading = Task { try await stream.read(exactly: 5) }
            guard case .channel(let channel, let link) = stream.source else { return }
            try await eventually {
                link.channels.withLock { _ in channel.waiters.count == 1 && channel.received.isEmpty }
            }
            reading.cancel()
            #expect(try await error { _ = try await reading.value }.code == .cancelled)
            #expect(try await stream.read(exactly: 2) == [2, 3])
        }
    }

    /// What a handler of streams refers to. Its end uses the node.
    private final class Holder: Sendable {
        private let transport: any Transport

        init(_ transport: any Transport) { self.transport = transport }

        deinit { try? transport.accept("/other", nil) }
    }

    @Test func `what a handler refers to may use the node when it is let go`() async throws {
        try await withNodes(.tcp, .multiplexed) { nodes in
            let node = nodes.make()
            for name in ["/removed", "/closed"] {
                let holder = Holder(node)
                try node.accept(name) { _ in withExtendedLifetime(holder) {} }
            }
            try node.accept("/removed", nil)
            await node.close()
        }
    }

    @Test(arguments: Kind.multiplexing) func `peer.read says where to read`(kind: Kind) async throws {
        try await withEcho(kind) { _, peer in
            let thrown = try await error { _ = try await peer.read(upTo: 1) }
            #expect(thrown.code == .unsupported && thrown.message.contains("body"))
        }
    }

    @Test func `names need the multiplexed wire form, and a valid name`() async throws {
        try await withFrames(.tcp) { server, _, peer in
            let accepting = try await error { try server.accept("/x/1") { _ in } }
            let opening = try await error { _ = try await peer.openStream(protocol: "/x/1") }
            #expect(accepting.code == .unsupported && opening.code == .unsupported)
        }
        try await withEcho(.multiplexed) { server, peer in
            for name in ["", "na", "ls", "a\nb", "/multistream/1.0.0", Multiplexed.messages] {
                let accepting = try await error { try server.accept(name) { _ in } }
                let opening = try await error { _ = try await peer.openStream(protocol: name) }
                #expect(accepting.code == .invalidArgument && opening.code == .invalidArgument)
            }
        }
    }
}
