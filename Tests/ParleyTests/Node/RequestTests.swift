import Testing

@testable import Parley

/// Requests and their answers.
@Suite(.timeLimit(.minutes(10))) struct RequestTests {
    /// A server that answers each request with `answer`, in a task for each, and a peer that asks it.
    private func withServer(
        _ kind: Kind,
        _ change: @escaping (inout TransportOptions) -> Void = { _ in },
        answer: @escaping @Sendable (RPC) async throws -> Void,
        _ body: (_ server: any Transport, _ peer: any Peer) async throws -> Void
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let consumer = Task {
                try await withThrowingTaskGroup { group in
                    for await rpc in server.consume() { group.addTask { try await answer(rpc) } }
                    try await group.waitForAll()
                }
            }
            let client = nodes.make(change)
            try await body(server, client.dial(server.address))
            await client.close()
            await server.close()
            try await consumer.value
        }
    }

    @Test(arguments: Kind.everyRoad)
    func `each caller gets its own answer, in whatever order they come`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            // Answers the last of eight requests first.
            let consumer = Task {
                var waiting: [RPC] = []
                for await rpc in server.consume() {
                    #expect(rpc.request != nil && !rpc.stream)
                    waiting.append(rpc)
                    guard waiting.count == 8 else { continue }
                    while let rpc = waiting.popLast() { try await rpc.reply(with: Array(rpc.payload) + [7]) }
                }
            }
            try await withThrowingTaskGroup { group in
                for caller in UInt8(0)..<64 {
                    group.addTask {
                        let answer = try await peer.request([caller] + patterned(Int(caller) * 100))
                        #expect(same(answer, [caller] + patterned(Int(caller) * 100) + [7]))
                    }
                }
                try await group.waitForAll()
            }
            let statistics = peer.statistics
            #expect(statistics.openRequests == 0 && statistics.traffic.requestsSent == 64)
            #expect(statistics.traffic.lateAnswers == 0)
            #expect(server.statistics.traffic.requestsReceived == 64)
            #expect(server.statistics.unansweredRequests == 0)
            // Each is a message too.
            #expect(statistics.traffic.messagesSent == 64 && statistics.traffic.messagesReceived == 64)
            await server.close()
            try await consumer.value
        }
    }

    @Test(arguments: Kind.everyRoad)
    func `requests and messages keep their order, and both sides may ask`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            try await peer.send(message: "before")
            async let answer = peer.request("the question")
            var seen: [String] = []
            for _ in 0..<2 {
                let rpc = try await server.nextRPC()
                seen.append(rpc.text)
                guard rpc.request != nil else { continue }
                // The other side asks back before it answers.
                async let back = rpc.peer.request("and you?")
                let asked = try await client.nextRPC()
                #expect(asked.text == "and you?")
                try await asked.reply(with: "fine")
                #expect(try await back == Array("fine".utf8)[...])
                try await rpc.reply(with: "the answer")
            }
            #expect(seen == ["before", "the question"])
            #expect(try await answer == Array("the answer".utf8)[...])
        }
    }

    @Test(arguments: Kind.everyRoad)
    func `a refusal is thrown with its code and reason`(kind: Kind) async throws {
        try await withServer(
            kind,
            answer: { try await $0.refuse(code: 404, reason: "no such\u{1b} file") }
        ) { server, peer in
            let refusal = try await error { _ = try await peer.request("which?") }
            #expect(refusal.code == .requestRefused && refusal.remoteCode == 404)
            let sentence = "\(peer.remoteAddress) refused the request (code 404): no such\\x1b file"
            #expect(refusal.message == sentence)
            #expect(peer.statistics.openRequests == 0)
        }
    }

    @Test(arguments: Kind.everyRoad)
    func `a request that times out or is cancelled ends once, and its late answer is dropped and counted`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let timedOut = try await error { _ = try await peer.request("one", timeout: .milliseconds(20)) }
            #expect(timedOut.code == .timedOut)
            let cancelled = Task { try await peer.request("two") }
            let (one, two) = (try await server.nextRPC(), try await server.nextRPC())
            cancelled.cancel()
            #expect(try await error { _ = try await cancelled.value }.code == .cancelled)
            #expect(peer.statistics.openRequests == 2, "the other side has not answered them")
            #expect(server.statistics.unansweredRequests == 2)

            try await two.reply(with: "late")
            try await one.refuse(reason: "late")
            async let answer = peer.request("three")
            try await server.nextRPC().reply(with: "in time")
            #expect(try await answer == Array("in time".utf8)[...])
            #expect(peer.statistics.openRequests == 0)
            #expect(peer.statistics.traffic.lateAnswers == 2)
            let before = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                _ = try await peer.request("never sent")
            }
            #expect(try await error { try await before.value }.code == .cancelled)
            #expect(peer.statistics.traffic.requestsSent == 3)
        }
    }

    @Test(arguments: Kind.everyRoad, [false, true])
    func `each request ends with the reason of its connection's end`(kind: Kind, isOwn: Bool) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let callers = (0..<4).map { _ in Task { try await peer.request("?") } }
            var sender: (any Peer)?
            for _ in callers { sender = try await server.nextRPC().peer }
            if isOwn { await peer.close() } else { await sender?.close() }
            for caller in callers {
                let reason = try await error { _ = try await caller.value }
                #expect(reason.code == (isOwn ? .closed : .endOfStream))
            }
            let after = try await error { _ = try await peer.request("?") }
            #expect(after.code == (isOwn ? .closed : .endOfStream))
            #expect(peer.statistics.openRequests == 0)
        }
    }

    @Test(arguments: Kind.everyRoad)
    func `only a request has an answer, and only one`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            try await peer.send(message: "hello")
            let message = try await server.nextRPC()
            let none = try await error { try await message.reply(with: "?") }
            #expect(none.code == .invalidArgument && none.message.contains("a message from"))
            #expect(try await error { try await message.refuse(reason: "?") }.code == .invalidArgument)

            async let answer = peer.request("?")
            let request = try await server.nextRPC()
            try await request.reply(with: "first")
            #expect(try await answer == Array("first".utf8)[...])
            let second = try await error { try await request.reply(with: "second") }
            #expect(second.code == .invalidArgument && second.message.contains("answered already"))
            #expect(try await error { try await request.refuse(reason: "?") }.code == .invalidArgument)
            #expect(peer.statistics.traffic.lateAnswers == 0)

            let tooLong = [UInt8](repeating: 1, count: FramedDecoder.defaultMaxMessageBytes + 1)
            #expect(try await error { _ = try await peer.request(tooLong) }.code == .messageTooLong)
            #expect(peer.statistics.openRequests == 0)
            async let other = peer.request("?")
            let again = try await server.nextRPC()
            #expect(try await error { try await again.reply(with: tooLong) }.code == .messageTooLong)
            // It can still be answered.
            try await again.reply(with: "short")
            #expect(try await other == Array("short".utf8)[...])
        }
    }

    @Test(arguments: [WireForm.unframed, .gob()], [Kind.tcp, .memory])
    func `wire forms without requests say so`(form: WireForm, kind: Kind) async throws {
        try await withNodes(kind, form) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let refusal = try await error { _ = try await peer.request("?") }
            #expect(refusal.code == .unsupported && refusal.message.hasSuffix("wire form has no requests"))
        }
    }

    @Test(arguments: Kind.everyRoad)
    func `at the limit of open requests the next one waits, and its time-out counts`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make { $0.limits.maxOpenRequests = 2 }.dial(server.address)
            let callers = (0..<2).map { number in Task { try await peer.request("\(number)") } }
            let first = try await server.nextRPC()
            let second = try await server.nextRPC()
            let late = try await error { _ = try await peer.request("none", timeout: .milliseconds(20)) }
            #expect(late.code == .timedOut && late.message.contains("no request could be sent"))
            let waits = peer.statistics.traffic.sendWaits
            let third = Task { try await peer.request("third") }
            try await eventually { peer.statistics.traffic.sendWaits > waits }
            try await first.reply(with: first.payload)
            let waited = try await server.nextRPC()
            #expect(waited.text == "third")
            try await waited.reply(with: "3")
            #expect(try await third.value == [0x33])
            try await second.reply(with: second.payload)
            for (number, caller) in callers.enumerated() {
                #expect(try await caller.value == Array("\(number)".utf8)[...])
            }
            #expect(peer.statistics.traffic.requestsSent == 3)
        }
    }

    @Test(arguments: Kind.allCases)
    func `requests and answers wait behind an open stream`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            let writer = try await peer.openStream()
            let late = try await error { _ = try await peer.request("none", timeout: .milliseconds(20)) }
            #expect(late.code == .timedOut)
            async let answer = peer.request("behind")
            try await writer.finish()
            let stream = try await server.nextRPC()
            stream.peer.closeStream()
            let request = try await server.nextRPC()
            #expect(request.text == "behind")
            let own = try await request.peer.openStream()
            async let replied: Void = request.reply(with: "yes")
            try await own.finish()
            try await replied
            let opened = try await client.nextRPC()
            opened.peer.closeStream()
            #expect(try await answer == Array("yes".utf8)[...])
        }
    }

    @Test(arguments: Kind.everyRoad)
    func `an answer arrives though the inbox is full, unless messages of its sender wait before it`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let client = try await nodes.listening { $0.inboxCapacity = 1 }
            let (quiet, loud) = (try await nodes.listening(), try await nodes.listening())
            let toQuiet = try await client.dial(quiet.address)
            let toLoud = try await client.dial(loud.address)
            try await toLoud.send(message: "begin")
            let fromClient = try await loud.nextRPC().peer
            // As many loops as there are, each has an inbox of its own.
            for _ in 0..<8 { try await fromClient.send(message: "full") }
            try await eventually { client.statistics.pausedPeers == 1 }

            let large = patterned(200_000)
            for size in [0, 5, 200_000] {
                async let answer = toQuiet.request("?")
                try await quiet.nextRPC().reply(with: Array(large.prefix(size)))
                #expect(same(try await answer, large.prefix(size)))
            }
            let late = try await error { _ = try await toLoud.request("?", timeout: .milliseconds(20)) }
            #expect(late.code == .timedOut)
            let behind = Task { try await toLoud.request("!") }
            for _ in 0..<2 {
                let rpc = try await loud.nextRPC()
                try await rpc.reply(with: rpc.payload)
            }
            #expect(client.statistics.pausedPeers == 1)
            for _ in 0..<8 { #expect(try await client.nextRPC().text == "full") }
            #expect(try await behind.value == Array("!".utf8)[...])
        }
    }

    @Test(arguments: [Kind.tcp, .loops])
    func `who asks and half-closes gets the answer, when it comes`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) { $0.closeTimeout = .seconds(60) }
            let requests = Events<RPC>()
            let consumer = Task { for await rpc in server.consume() { requests.add(rpc) } }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([8, 0, 0, 0, 5, 0, 0, 0, 9, 1] + [8, 0, 0, 0, 4, 0, 0, 0, 10])
            let (first, second) = (try await requests.next(), try await requests.next())
            socket.finish()
            let connection = try #require(first.peer as? Connection)
            try await eventually { connection.isHalfClosed }
            #expect(try await error { _ = try await first.peer.request("?") }.code == .endOfStream)
            try await second.refuse(code: 1, reason: "")
            #expect(try await socket.read(exactly: 13) == [10, 0, 0, 0, 8, 0, 0, 0, 10, 0, 0, 0, 1])
            #expect(ends.soFar.isEmpty, "one is not answered")
            try await first.reply(with: [2])
            #expect(try await socket.read(exactly: 10) == [9, 0, 0, 0, 5, 0, 0, 0, 9, 2])
            #expect(await socket.read()?.isEmpty == true)
            #expect(try await ends.next().code == .endOfStream)
            await server.close()
            await consumer.value
        }
    }

    @Test func `a request that waits for a place hears that no answer comes any more`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.limits.maxOpenRequests = 1
                $0.closeTimeout = .seconds(600)
            }
            let taken = Events<RPC>()
            let consumer = Task {
                for await rpc in server.consume() {
                    taken.add(rpc)
                    try? await Task.sleep(for: .seconds(3_600))
                }
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([1, 0, 0, 0, 1, 7])
            // While the consumer is not done with it, the connection stays half-closed.
            let connection = try #require(try await taken.next().peer as? Connection)
            let requests = (0..<2).map { _ in Task { try await connection.request("?") } }
            try await eventually {
                connection.outbound.withLock { $0.openRequests.count == 1 && $0.sendWaiters.count == 1 }
            }
            socket.finish()
            for request in requests {
                #expect(try await error { _ = try await request.value }.code == .endOfStream)
            }
            consumer.cancel()
            socket.reset()
        }
    }

    @Test func `a peer that uses a number twice, or has too many open, is dropped`() async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) { $0.inboxCapacity = 10_000 }
            let twice = try RawSocket(connectingTo: server.address)
            try twice.write([8, 0, 0, 0, 4, 0, 0, 0, 9] + [8, 0, 0, 0, 4, 0, 0, 0, 9])
            let reason = try await ends.next()
            #expect(reason.code == .protocolViolation)
            #expect(reason.message.contains("a request has the number 9"))

            let many = try RawSocket(connectingTo: server.address)
            let frames = (0...Limits.mostOpenRequests).flatMap { number -> [UInt8] in
                [8, 0, 0, 0, 4, 0, 0, UInt8(number >> 8), UInt8(number & 255)]
            }
            try many.write(frames)
            let tooMany = try await ends.next()
            #expect(tooMany.code == .protocolViolation)
            #expect(tooMany.message.contains("more than 4096 requests are not answered"))
            #expect(server.statistics.traffic.requestsReceived == UInt64(1 + Limits.mostOpenRequests))
        }
    }

    @Test func `a peer that is a program's own may have requests`() async throws {
        let peer = NoPeer()
        let inbox = Inbox(capacity: 1)
        inbox.offer([RPC(peer: peer, payload: [1], request: 5)])
        let rpc = try #require(await inbox.next())
        #expect(rpc.request == 5)
        try await rpc.reply(with: [2, 3])
        #expect(try await peer.replies.next() == [5, 2, 3])
        #expect(try await error { try await rpc.refuse(reason: "") }.code == .unsupported)
        #expect(try await error { _ = try await peer.request([1]) }.code == .unsupported)
    }
}
