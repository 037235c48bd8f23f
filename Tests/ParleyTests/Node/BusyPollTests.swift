import Testing

@testable import Parley

/// Loops that poll for a while before they block.
@Suite(.timeLimit(.minutes(10))) struct BusyPollTests {
    /// Longer than any test.
    private static let forEver = Duration.seconds(3_600)

    private func connected(
        _ nodes: Nodes,
        _ busyPoll: Duration?,
        _ change: (inout TransportOptions) -> Void = { _ in }
    ) async throws -> (server: any Transport, client: any Transport, peer: any Peer) {
        let server = try await nodes.listening {
            $0.busyPoll = busyPoll
            change(&$0)
        }
        let client = nodes.make { $0.busyPoll = busyPoll }
        return (server, client, try await client.dial(server.address))
    }

    @Test(arguments: Kind.allCases) func `messages go both ways while both ends poll`(kind: Kind) async throws
    {
        try await withNodes(kind) { nodes in
            let (server, client, peer) = try await connected(nodes, Self.forEver)
            for number in 0..<200 {
                try await peer.send(message: "\(number)")
                let rpc = try await server.nextRPC()
                #expect(rpc.text == "\(number)")
                try await rpc.peer.send(message: rpc.payload)
                #expect(try await client.nextRPC().text == "\(number)")
            }
        }
    }

    @Test func `a loop polls after an event and blocks when its polling time is over`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, _, peer) = try await connected(nodes, .milliseconds(200))
            for _ in 0..<3 {
                let polls = server.eventLoop.emptyPolls
                // On a busy machine the whole time may pass between two polls: try again.
                while server.eventLoop.emptyPolls == polls {
                    try await peer.send(message: "hello")
                    _ = try await server.nextRPC()
                    try await eventually { !server.eventLoop.isBusyPolling }
                }
            }
        }
    }

    @Test func `it polls as long as the option says`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, _, _) = try await connected(nodes, Self.forEver)
            try await eventually { server.eventLoop.isBusyPolling }
            let polls = server.eventLoop.emptyPolls
            try await eventually { server.eventLoop.emptyPolls > polls + 1_000 }
            #expect(server.eventLoop.isBusyPolling)
        }
    }

    @Test(arguments: [nil, Duration.zero]) func `without the option the loop never polls`(busyPoll: Duration?)
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let (server, client, peer) = try await connected(nodes, busyPoll)
            for _ in 0..<100 {
                try await peer.send(message: "hello")
                _ = try await server.nextRPC()
                #expect(!server.eventLoop.isBusyPolling && !client.eventLoop.isBusyPolling)
            }
            #expect(server.eventLoop.emptyPolls == 0)
        }
    }

    @Test func `submissions wake the loop only while it does not poll`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, _, _) = try await connected(nodes, Self.forEver)
            let loop = server.eventLoop
            try await eventually { loop.isBusyPolling }
            let wakes = loop.wakes
            // Each submission runs before the next is made.
            for _ in 0..<100 { _ = await loop.countHandles() }
            #expect(loop.wakes == wakes)
        }
        // A loop without sockets, whose traffic would be events too. The first check may come before the loop
        // polls, and the next submission while it polls.
        let loop = EventLoop(busyPoll: .milliseconds(1))
        for _ in 0..<10 {
            _ = await loop.countHandles()
            try await eventually { !loop.isBusyPolling }
        }
        #expect(loop.wakes > 1)
        await loop.stop()
    }

    @Test func `submissions made while the loop is about to block are not lost`() async throws {
        let loop = EventLoop(busyPoll: .nanoseconds(1))
        let (threads, each) = (2, 50_000)
        let run = Lock(0)
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<threads {
                group.addTask {
                    for number in 0..<each {
                        loop.execute { run.withLock { $0 += 1 } }
                        // At varying distances from the end of the loop's turn.
                        for _ in 0..<(number &* (thread + 7)) % 50 { _ = MonotonicTime.nanosecondsNow }
                    }
                }
            }
        }
        // A submission whose wake was lost would block all later ones.
        try await eventually { run.withLock { $0 } == threads * each }
        await loop.stop()
        #expect(loop.hasEndedCleanly == true)
    }

    @Test func `timers fire while the loop polls`() async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let (server, _, _) = try await connected(nodes, Self.forEver) {
                $0.timeouts.idle = .milliseconds(50)
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            #expect(try await ends.next().code == .idle)
            #expect(server.eventLoop.isBusyPolling)
        }
    }

    @Test func `timers are no events, and the loop blocks while only timers fire`() async throws {
        let loop = EventLoop(busyPoll: .milliseconds(100))
        let fired = Events<Void>()
        let polls = Lock(0)
        loop.execute {
            // Make the last event, which is this submission, appear long ago.
            loop.turn.pointee.hasHadEvent = false
            loop.lastEvent = 0
            polls.withLock { $0 = loop.emptyPolls }
            Self.fire(on: loop, 5, fired)
        }
        _ = try await fired.next()
        #expect(loop.emptyPolls == polls.withLock { $0 })
        await loop.stop()
    }

    /// Lets a timer fire `count` times, one millisecond apart.
    private static func fire(on loop: EventLoop, _ times: Int, _ fired: Events<Void>) {
        let timer = LoopTimer(on: loop)
        timer.start(after: .milliseconds(1)) {
            timer.close()
            if times == 1 { fired.add(()) } else { fire(on: loop, times - 1, fired) }
        }
    }

    @Test func `jobs run while the loop polls`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, _, _) = try await connected(nodes, Self.forEver)
            try await eventually { server.eventLoop.isBusyPolling }
            for _ in 0..<100 {
                #expect(await Task(executorPreference: server.eventLoop) { server.eventLoop.isCurrent }.value)
            }
        }
    }
}
