import Dispatch
import Testing

@testable import Parley

/// Tasks on a loop's thread that run its turns while they wait, instead of suspending.
@Suite(.timeLimit(.minutes(5))) struct WorkingTests {
    /// Something to wait for.
    private final class Bell: Sendable {
        private struct State {
            var waiters = WaitQueue()
            var hasRung = false
        }

        private let state = Lock(State())

        var isAwaited: Bool { state.withLock { !$0.waiters.isEmpty } }

        func ring() {
            state.withLock { state in
                state.hasRung = true
                return state.waiters.wakeAll()
            }.resume()
        }

        /// Waits until it has rung; false when the task is cancelled.
        func wait() async -> Bool { await state.wait(in: \.waiters, unless: { $0.hasRung }) }
    }

    private func jobs(_ loop: EventLoop) -> UInt64 { loop.turn.pointee.jobsRun }

    /// Whether a task waits while the loop works.
    private func isWorking(_ loop: EventLoop) async -> Bool {
        await withCheckedContinuation { done in
            loop.execute { done.resume(returning: loop.turn.pointee.wait != nil) }
        }
    }

    /// Waits on the loop until its task may work when it waits the next time. Short waits are what it takes.
    private func waitUntilItMayWork(on loop: EventLoop) async {
        while EventLoop.working == nil {
            let bell = Bell()
            loop.execute { bell.ring() }
            _ = await bell.wait()
        }
    }

    @Test func `a task that waits for what the loop does is not suspended`() async throws {
        try await withLoop { loop in
            await Task(executorPreference: loop) {
                #expect(EventLoop.working == nil, "it may be inside of somebody's Task.immediate")
                // A task that has to wait for the core for too long is suspended all the same.
                var isSuspended = true
                for _ in 0..<20 where isSuspended {
                    await waitUntilItMayWork(on: loop)
                    let before = jobs(loop)
                    for _ in 0..<100 {
                        let bell = Bell()
                        loop.execute { bell.ring() }
                        #expect(await bell.wait())
                    }
                    isSuspended = jobs(loop) != before
                }
                #expect(!isSuspended)
            }.value
        }
    }

    @Test func `another thread ends the wait`() async throws {
        try await withLoop { loop in
            await Task(executorPreference: loop) {
                for _ in 0..<100 {
                    await waitUntilItMayWork(on: loop)
                    let bell = Bell()
                    Task.detached { bell.ring() }
                    #expect(await bell.wait())
                }
            }.value
        }
    }

    @Test func `other tasks of the loop go on meanwhile`() async throws {
        try await withLoop { loop in
            await Task(executorPreference: loop) {
                for number in 0..<100 {
                    await waitUntilItMayWork(on: loop)
                    let bell = Bell()
                    if number.isMultiple(of: 2) {
                        // It runs before the wait.
                        Task(executorPreference: loop) { bell.ring() }
                    } else {
                        // It comes during the wait.
                        Task.detached {
                            while !bell.isAwaited { await Task.yield() }
                            await Task(executorPreference: loop) { bell.ring() }.value
                        }
                    }
                    #expect(await bell.wait())
                }
            }.value
        }
    }

    @Test func `a task that is cancelled does not begin to work`() async throws {
        try await withLoop { loop in
            await Task(executorPreference: loop) {
                await waitUntilItMayWork(on: loop)
                withUnsafeCurrentTask { $0?.cancel() }
                #expect(EventLoop.working == nil)
                #expect(await Bell().wait() == false)
            }.value
        }
    }

    @Test func `a task that is cancelled while it works is told`() async throws {
        try await withLoop { loop in
            for _ in 0..<20 {
                let bell = Bell()
                let waiting = Task(executorPreference: loop) {
                    await waitUntilItMayWork(on: loop)
                    return await bell.wait()
                }
                while !bell.isAwaited { await Task.yield() }
                waiting.cancel()
                #expect(await waiting.value == false)
            }
        }
    }

    @Test func `a task that waits for long is suspended, and the loop's thread sleeps`() async throws {
        try await withLoop { loop in
            let bell = Bell()
            let waiting = Task(executorPreference: loop) {
                await waitUntilItMayWork(on: loop)
                let before = jobs(loop)
                #expect(await bell.wait())
                return jobs(loop) &- before
            }
            while !bell.isAwaited { await Task.yield() }
            // Only a suspended task has a job to come.
            try await eventually { await !isWorking(loop) }
            bell.ring()
            let suspensions = await waiting.value
            #expect(suspensions == 1)
        }
    }

    private actor Counter {
        private(set) var count = 0

        func add() { count += 1 }

        /// Waits as part of this actor; whoever rings needs the actor too.
        func wait(_ bell: Bell, _ meanwhile: @escaping @Sendable () async -> Void) async -> Bool {
            Task.detached { [self] in
                while !bell.isAwaited { await Task.yield() }
                await meanwhile()
                await add()
                bell.ring()
            }
            return await bell.wait()
        }
    }

    @Test func `an actor is free while its task waits on the loop`() async throws {
        try await withLoop { loop in
            let counter = Counter()
            await Task(executorPreference: loop) {
                await waitUntilItMayWork(on: loop)
                for _ in 0..<20 {
                    let isWoken = await counter.wait(Bell()) { #expect(await !isWorking(loop)) }
                    #expect(isWoken)
                }
            }.value
            #expect(await counter.count == 20)
        }
    }

    @Test func `the caller of Task-immediate does not wait for it`() async throws {
        try await withLoop { loop in
            await Task(executorPreference: loop) {
                await waitUntilItMayWork(on: loop)
                let bell = Bell()
                let hasReturned = Lock(false)
                let inner = Task.immediate(executorPreference: loop) {
                    #expect(EventLoop.working == nil)
                    _ = await bell.wait()
                    return hasReturned.withLock { $0 }
                }
                hasReturned.withLock { $0 = true }
                bell.ring()
                #expect(await inner.value)
            }.value
        }
    }

    @Test func `jobs that never end leave time for the sockets, and the rest of them runs`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let isOver = Lock(false)
            let busy = (0..<2).map { _ in
                Task(executorPreference: server.eventLoop) {
                    var yields = 0
                    while !isOver.withLock({ $0 }) {
                        await Task.yield()
                        yields += 1
                    }
                    return yields
                }
            }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            for number in 0..<20 {
                try await peer.send(message: "\(number)")
                #expect(try await server.nextRPC().text == "\(number)")
            }
            isOver.withLock { $0 = true }
            for task in busy { #expect(await task.value > 0) }
            // With no socket to wake the loop either.
            try await withLoop { loop in
                await Task(executorPreference: loop) { for _ in 0..<20_000 { await Task.yield() } }.value
            }
        }
    }

    @Test func `a loop that stops leaves no task working that another thread has to wake`() async throws {
        let loop = EventLoop()
        let bell = Bell()
        let released = DispatchSemaphore(value: 0)
        let work = loop.offload { released.wait() }
        let waiting = Task(executorPreference: loop) {
            await waitUntilItMayWork(on: loop)
            return await bell.wait()
        }
        while !bell.isAwaited { await Task.yield() }
        // The work that is left keeps the thread alive.
        let stopping = Task { await loop.stop() }
        try await eventually { !loop.execute {} }
        bell.ring()
        #expect(await waiting.value)
        released.signal()
        try await work.value
        await stopping.value
        #expect(loop.hasEndedCleanly == true)
    }

    private enum Local {
        @TaskLocal static var value = "none"
    }

    @Test(arguments: [Kind.tcp, .securedMultiplexed])
    func `what the transport starts meanwhile has none of the task's local values`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let seen = Events<String>()
            let ended = Events<String>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.onPeer = { _ in seen.add(Local.value) }
                $0.onDisconnect = { _, _ in ended.add(Local.value) }
            }
            if kind.isMultiplexed { try server.accept("look") { _ in seen.add(Local.value) } }
            let loop = server.eventLoop
            let isOver = Lock(false)
            // Most turns of the loop run inside of this task.
            let working = Local.$value.withValue("the task's") {
                Task(executorPreference: loop) {
                    while !isOver.withLock({ $0 }) {
                        let bell = Bell()
                        loop.execute { bell.ring() }
                        _ = await bell.wait()
                    }
                    #expect(Local.value == "the task's")
                }
            }
            for _ in 0..<20 {
                let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
                #expect(try await seen.next() == "none")
                if kind.isMultiplexed {
                    let stream = try await peer.openStream(protocol: "look")
                    try await stream.write(Array("!".utf8)[...])
                    #expect(try await seen.next() == "none")
                }
                await peer.close()
                #expect(try await ended.next() == "none")
            }
            isOver.withLock { $0 = true }
            await working.value
        }
    }

    // MARK: Consumers

    /// Answers everything with itself, on a loop.
    private func echo(_ server: any Transport, on loop: EventLoop) -> Task<Void, any Error> {
        Task(executorPreference: loop) {
            for await rpc in server.consume() { try await rpc.peer.send(message: rpc.payload) }
        }
    }

    /// Sends bursts of messages to a server that echoes, and checks that each message comes back once.
    private func expectEchoes(
        of server: any Transport,
        to client: any Transport,
        inOrder: Bool,
        bursts: [Int]
    ) async throws {
        let peer = try await client.dial(server.address)
        var answers = client.consume().makeAsyncIterator()
        for (round, burst) in bursts.enumerated() {
            let sent = (0..<burst).map { "\(round) \($0)" }
            for message in sent { try await peer.send(message: message) }
            var got: [String] = []
            for _ in sent { got.append(try #require(await answers.next()).text) }
            #expect((inOrder ? got : got.sorted()) == sent)
        }
        await server.close()
    }

    @Test(arguments: [Kind.tcp, .memory, .secured])
    func `a consumer on the loop is handed each message once, in order`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let consumer = echo(server, on: server.eventLoop)
            let bursts = (0..<500).map { 1 + $0 % 4 }
            try await expectEchoes(
                of: server,
                to: nodes.make { $0.decoder = .framed },
                inOrder: true,
                bursts: bursts
            )
            try await consumer.value
        }
    }

    @Test(arguments: [Kind.tcp, .memory, .loops, .secured])
    func `consumers on loops lose nothing that they are handed, beside an ordinary one`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let consumers = server.eventLoops.map { echo(server, on: $0) }
            let ordinary = Task.detached {
                for await rpc in server.consume() { try await rpc.peer.send(message: rpc.payload) }
            }
            try await expectEchoes(
                of: server,
                to: nodes.make { $0.decoder = .framed },
                inOrder: false,
                bursts: (0..<500).map { $0 % 4 == 3 ? 3 : 1 }
            )
            for consumer in consumers { try await consumer.value }
            try await ordinary.value
        }
    }

    @Test func `consumers on the loops of two nodes share what one of them receives`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let other = try await nodes.listening()
            let consumers = [server, other].map { echo(server, on: $0.eventLoop) }
            try await expectEchoes(
                of: server,
                to: nodes.make { $0.decoder = .framed },
                inOrder: false,
                bursts: (0..<1_000).map { 1 + $0 % 3 }
            )
            for consumer in consumers { try await consumer.value }
        }
    }

    @Test func `a batch holds all that came while its consumer worked`() async throws {
        try await withLoop { loop in
            let inbox = Inbox(capacity: 100)
            let peer = NoPeer()
            try await Task(executorPreference: loop) {
                // A task that has to wait for the core for too long is suspended all the same.
                var isSuspended = true
                for _ in 0..<20 where isSuspended {
                    await waitUntilItMayWork(on: loop)
                    loop.execute {
                        for text in ["one", "two", "three"] {
                            var decoded = DecodedRuns()
                            decoded.append(Array(text.utf8)[...], .messages)
                            _ = inbox.offer(&decoded, from: peer, to: 0)
                        }
                    }
                    let batch = try #require(await inbox.nextBatch())
                    #expect(batch.map(\.text) == ["one", "two", "three"])
                    isSuspended = EventLoop.working == nil
                }
                #expect(!isSuspended)
            }.value
        }
    }

    @Test(arguments: [Kind.tcp, .memory, .secured])
    func `one consumer on the loop has messages, requests and streams in order`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let seen = Events<String>()
            let consumer = Task(executorPreference: server.eventLoop) {
                for await rpc in server.consume() {
                    if rpc.stream { rpc.peer.closeStream() }
                    if rpc.request != nil { try await rpc.reply(with: rpc.payload) }
                    seen.add(rpc.text)
                }
            }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            for round in 0..<300 {
                switch round % 5 {
                case 3:
                    let stream = try await peer.openStream(header: Array("\(round)".utf8)[...])
                    try await stream.write(Array("bytes".utf8))
                    try await stream.finish()
                case 4:
                    let answer = try await peer.request("\(round)")
                    #expect(String(decoding: answer, as: UTF8.self) == "\(round)")
                default: try await peer.send(message: "\(round)")
                }
                #expect(try await seen.next() == "\(round)")
            }
            await server.close()
            try await consumer.value
        }
    }

    // MARK: Requests

    @Test(arguments: [Kind.tcp, .memory, .secured])
    func `a task on the loop asks, and is cancelled while it waits for an answer`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let asked = Events<Void>()
            let server = try await nodes.listening { $0.decoder = .framed }
            let answering = Task.detached {
                for await rpc in server.consume() {
                    if rpc.text == "never" { asked.add(()) } else { try await rpc.reply(with: rpc.payload) }
                }
            }
            let client = nodes.make { $0.decoder = .framed }
            let peer = try await client.dial(server.address)
            let asking = Task(executorPreference: client.eventLoop) {
                for number in 0..<300 {
                    let answer = try await peer.request("\(number)")
                    #expect(String(decoding: answer, as: UTF8.self) == "\(number)")
                }
                await waitUntilItMayWork(on: client.eventLoop)
                return try await error { _ = try await peer.request("never") }
            }
            try await asked.next()
            asking.cancel()
            #expect(try await asking.value.code == .cancelled)

            // One that is told while it is suspended, after it worked for too long.
            let waiting = Task(executorPreference: client.eventLoop) {
                await waitUntilItMayWork(on: client.eventLoop)
                return try await error { _ = try await peer.request("never", timeout: .seconds(600)) }
            }
            try await asked.next()
            try await eventually { await !isWorking(client.eventLoop) }
            await server.close()
            #expect(try await waiting.value.code != .cancelled)
            try await answering.value
        }
    }
}
