import Testing

@testable import Parley

/// Streams where a thread blocks, or a function is called, in place of a suspended task.
@Suite(.timeLimit(.minutes(10))) struct BlockingStreamTests {
    private static let name = "/test/1"

    /// Two ends of one stream, which a queue has accepted.
    private func withStream(
        _ kind: Kind,
        _ body: (_ opened: PeerStream, _ accepted: PeerStream) async throws -> Void
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let queue = AcceptQueue(Self.name)
            try server.itsNode.accept(Self.name) { queue.add($0) }
            let peer = try #require(try await nodes.make().dial(server.address) as? Connection)
            let opened = try peer.openStream(protocol: Self.name, .none)
            try await body(opened, queue.next(Self.deadline))
        }
    }

    private static var deadline: WaitLimit { .until(.now + .seconds(30)) }

    @Test(arguments: Kind.multiplexing) func `a read and a write wait until their limit`(
        kind: Kind
    ) async throws {
        try await withStream(kind) { opened, accepted in
            let soon = WaitLimit.until(.now + .milliseconds(10))
            #expect(throws: ParleyError.self) { try accepted.read(upTo: 1, .none) }
            #expect(try await error { _ = try accepted.read(upTo: 1, .none) }.code == .wouldBlock)
            #expect(try await error { _ = try accepted.read(upTo: 1, soon) }.code == .timedOut)
            let sent = patterned(100_000)
            #expect(try opened.write(sent.count, .none) { sent[$0] } == sent.count)
            try opened.finishNow()
            var received: [UInt8] = []
            while let bytes = try accepted.read(upTo: 65_536, Self.deadline) { received += bytes }
            #expect(same(received, sent))
        }
    }

    @Test(arguments: Kind.multiplexing) func `a write is told how much had room`(kind: Kind) async throws {
        try await withStream(kind) { opened, accepted in
            let sent = patterned(4 << 20)
            var written = 0
            let refused = try await error {
                while true {
                    let rest = sent.count - written
                    let start = written
                    written += try opened.write(rest, .none) { piece in
                        sent[start + piece.lowerBound..<start + piece.upperBound]
                    }
                }
            }
            #expect(refused.code == .wouldBlock && written >= 256 << 10 && written < sent.count)
            var received: [UInt8] = []
            while received.count < written {
                received += try #require(try accepted.read(upTo: 65_536, Self.deadline))
            }
            #expect(same(received, Array(sent.prefix(written))))
        }
    }

    @Test(arguments: Kind.multiplexing) func `a function is called when a read or a write may be tried again`(
        kind: Kind
    ) async throws {
        try await withStream(kind) { opened, accepted in
            let calls = Events<String>()
            try opened.whenWritable { calls.add("room already") }
            #expect(try await calls.next() == "room already")
            try accepted.whenReadable { calls.add("bytes") }
            _ = try opened.write(1, .none) { _ in [1] }
            #expect(try await calls.next() == "bytes")
            #expect(try accepted.read(upTo: 2, .none) == [1])
            _ = try opened.write(1, .none) { _ in [2] }
            try await eventually { accepted.peer.statistics.unreadBytes == 1 }
            try accepted.whenReadable { calls.add("bytes already") }
            #expect(try await calls.next() == "bytes already")
            #expect(try accepted.read(upTo: 2, .none) == [2])
            try accepted.whenReadable { calls.add("end") }
            #expect(calls.soFar.count == 3)
            try opened.finishNow()
            #expect(try await calls.next() == "end")

            let large = patterned(4 << 20)
            _ = try accepted.write(large.count, .none) { large[$0] }
            try accepted.whenWritable { calls.add("room") }
            var read = 0
            while read < 1 << 20, let bytes = try opened.read(upTo: 1 << 20, Self.deadline) {
                read += bytes.count
                if calls.soFar.last == "room" { break }
            }
            #expect(try await calls.next() == "room")
        }
    }

    @Test(arguments: [Kind.multiplexed, .securedMultiplexed])
    func `a header that may have to wait opens no stream where waiting is not allowed`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try #require(try await nodes.make().dial(server.address) as? Connection)
            let most = Multiplexed.longestHeaderAtOnce
            let long = patterned(most + 1)[...]
            let refused = try await error { _ = try peer.announceStream(header: long, .none) }
            #expect(refused.code == .messageTooLong && refused.message.contains("\(most)"))
            let limit = Self.deadline
            let onLoop = Task(executorPreference: peer.loop) {
                _ = try peer.announceStream(header: long, limit)
            }
            #expect(try await error { try await onLoop.value }.code == .wouldDeadlock)
            #expect(peer.statistics.traffic.streamsSent == 0)
            let streams = [
                try peer.announceStream(header: long.dropLast(), .none),
                try peer.announceStream(header: long, limit),
            ]
            for count in [most, most + 1] {
                let rpc = try await server.nextRPC()
                #expect(rpc.stream && same(rpc.payload, long.prefix(count)))
            }
            for stream in streams { stream.close() }
        }
    }

    @Test func `a write waits its own time, however long there was no room before it`() async throws {
        try await withNodes(.multiplexed) { nodes in
            let server = try await nodes.listening()
            let queue = AcceptQueue(Self.name)
            try server.itsNode.accept(Self.name) { queue.add($0) }
            let client = nodes.make { $0.timeouts.write = .seconds(600) }
            let peer = try #require(try await client.dial(server.address) as? Connection)
            let opened = try peer.openStream(protocol: Self.name, .none)
            let accepted = try queue.next(Self.deadline)
            let sent = patterned(4 << 20)
            guard case .channel(let channel, let link) = opened.source else { throw Misuse() }
            // Until the window is used up too.
            var refusals = 0
            while refusals < 5 {
                refusals = (try? opened.write(sent.count, .none) { sent[$0] }) == nil ? refusals + 1 : 0
                await Task(executorPreference: link.loop) {}.value
            }
            // As if that had been long ago.
            link.channels.withLock { _ in channel.blockedSince = 0 }
            let writing = Task.detached { try opened.write(1, Self.deadline) { _ in [1] } }
            try await eventually { link.channels.withLock { _ in channel.waiters.count } == 1 }
            // A check wakes those who have waited for too long.
            _ = link.checkTimeouts(at: MonotonicTime.millisecondsNow)
            try await eventually { link.channels.withLock { _ in channel.waiters.count } == 1 }
            var read = 0
            while read < 300_000, let bytes = try accepted.read(upTo: 1 << 20, Self.deadline) {
                read += bytes.count
            }
            #expect(try await writing.value == 1)
        }
    }

    private struct Misuse: Error {}

    @Test func `a peer that opens many streams does not keep the streams of others out`() async throws {
        try await withNodes(.multiplexed) { nodes in
            let server = try await nodes.listening()
            let queue = AcceptQueue(Self.name)
            try server.itsNode.accept(Self.name) { queue.add($0) }
            let loud = try #require(try await nodes.make().dial(server.address) as? Connection)
            var streams: [PeerStream] = []
            for _ in 0..<AcceptQueue.capacity {
                streams.append(try loud.openStream(protocol: Self.name, Self.deadline))
            }
            let quiet = try #require(try await nodes.make().dial(server.address) as? Connection)
            let opened = try quiet.openStream(protocol: Self.name, Self.deadline)
            // The loud peer's newest stream is reset.
            let last = try #require(streams.last)
            #expect(try await error { _ = try last.read(upTo: 1, Self.deadline) }.code == .streamAborted)
            #expect(server.statistics.streamRefusals.notTaken == 1)
            let accepted = try (0..<AcceptQueue.capacity).map { _ in try queue.next(.none) }
            for stream in accepted { _ = try stream.write(1, .none) { _ in [7] } }
            #expect(try opened.read(upTo: 1, Self.deadline) == [7])
            #expect(try streams[0].read(upTo: 1, Self.deadline) == [7])
        }
    }

    @Test func `a queue resets what it has no room for, and what is left at its end`() async throws {
        try await withNodes(.multiplexed) { nodes in
            let server = try await nodes.listening()
            let queue = AcceptQueue(Self.name)
            try server.itsNode.accept(Self.name) { queue.add($0) }
            let peer = try #require(try await nodes.make().dial(server.address) as? Connection)
            var streams: [PeerStream] = []
            for _ in 0...AcceptQueue.capacity {
                streams.append(try peer.openStream(protocol: Self.name, Self.deadline))
            }
            let last = try #require(streams.last)
            #expect(try await error { _ = try last.read(upTo: 1, Self.deadline) }.code == .streamAborted)
            #expect(server.statistics.streamRefusals.notTaken == 1)
            let first = try queue.next(.none)
            queue.end(ParleyError(.closed, "the end"))
            #expect(try await error { _ = try queue.next(.none) }.code == .closed)
            for stream in streams.dropFirst() {
                let ended = try await error { _ = try stream.read(upTo: 1, Self.deadline) }
                #expect(ended.code == .streamAborted)
            }
            #expect(server.statistics.streamRefusals.notTaken == UInt64(AcceptQueue.capacity))
            #expect(server.statistics.refusedStreams == UInt64(AcceptQueue.capacity))
            _ = try first.write(1, .none) { _ in [7] }
            #expect(try streams[0].read(upTo: 1, Self.deadline) == [7])
        }
    }
}
