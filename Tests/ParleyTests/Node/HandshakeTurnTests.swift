import Testing

@testable import Parley

/// A flood of handshakes must not starve the peers of a loop.
@Suite(.timeLimit(.minutes(2))) struct HandshakeTurnTests {
    /// Takes what may be done in a turn.
    private func take(_ queue: inout HandshakeQueue<Int>, in turn: UInt64, isWork: Bool = true) -> [Int] {
        var taken: [Int] = []
        while let next = queue.next(in: turn) {
            taken.append(next)
            if isWork { queue.countStep() }
        }
        return taken
    }

    @Test(arguments: [1, 4, 100])
    func `a turn makes so many steps, in order, and the rest wait for the next`(limit: Int) {
        var queue = HandshakeQueue<Int>(stepsPerTurn: limit)
        for number in 0..<300 { queue.add(number) }
        var all: [Int] = []
        var turn: UInt64 = 7
        while !queue.isEmpty {
            turn += 1
            let taken = take(&queue, in: turn)
            #expect(taken.count == min(limit, 300 - all.count))
            #expect(take(&queue, in: turn).isEmpty && queue.hasRoom(in: turn) == (taken.count < limit))
            all += taken
        }
        #expect(all == Array(0..<300))
    }

    @Test func `whoever has made a step waits behind the others`() {
        var queue = HandshakeQueue<Int>(stepsPerTurn: 2)
        for number in 0..<3 { queue.add(number) }
        var all: [Int] = []
        for turn in 1...6 {
            for number in take(&queue, in: UInt64(turn)) {
                all.append(number)
                queue.add(number)
            }
        }
        #expect(all == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
    }

    @Test func `those that are gone take no room`() {
        var queue = HandshakeQueue<Int>(stepsPerTurn: 2)
        for number in 0..<100 { queue.add(number) }
        #expect(take(&queue, in: 1, isWork: false).count == 100)
        for number in 0..<3 { queue.add(number) }
        #expect(take(&queue, in: 1) == [0, 1])
        #expect(take(&queue, in: 2) == [2])
    }

    /// The steps of all handshakes: in which turn, and of which link.
    private final class Steps: LinkSecurity {
        let id: PeerID
        let made = Lock<[(turn: UInt64, link: ObjectIdentifier)]>([])

        init() throws { id = try PeerID(publicKey: [UInt8](repeating: 1, count: 32)) }

        func makeSession(
            isInitiator: Bool,
            expecting expected: PeerID?,
            offering streamMuxers: [String]
        ) -> any SecureSession { Session(self) }

        /// Its handshake takes any three messages.
        private final class Session: SecureSession {
            private let steps: Steps
            private var messages = 0

            init(_ steps: Steps) { self.steps = steps }

            func begin(into output: inout [UInt8]) {}

            func advance(_ message: [UInt8], into output: inout [UInt8]) -> ShownIdentity? {
                let turn = EventLoop.current?.turnNumber ?? 0
                steps.made.withLock { $0.append((turn, ObjectIdentifier(self))) }
                // More than a turn may take for what it does again and again.
                let end = ContinuousClock.now + .microseconds(200)
                while ContinuousClock.now < end {}
                messages += 1
                return messages == 3 ? ShownIdentity(id: steps.id) : nil
            }

            func seal(_ bytes: Span<UInt8>, into output: inout [UInt8]) {}
            func open(_ buffer: inout [UInt8], at start: Int, count: Int) -> Range<Int> { start..<start }
        }
    }

    @Test func `a turn of the loop makes a few steps, and then serves the sockets`() async throws {
        try await withNodes(.tcp) { nodes in
            let steps = try Steps()
            let server = try await nodes.listening {
                $0.security = Security(steps, allow: .everyone)
            }
            let sockets = try (0..<40).map { _ in try RawSocket(connectingTo: server.address) }
            try await eventually { server.statistics.handshaking == 40 }
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            for socket in sockets { for _ in 0..<3 { try socket.write([0, 1, 7]) } }
            try await eventually { sockets.allSatisfy(\.hasArrived) }
            held.letGo()
            try await eventually { server.statistics.peers == 40 }
            let made = steps.made.withLock { $0 }
            #expect(made.count == 120)
            let turns = Dictionary(grouping: made, by: \.turn)
            #expect(turns.values.allSatisfy { $0.count <= HandshakeTurns.stepsPerTurn })
            #expect(turns.count >= 120 / HandshakeTurns.stepsPerTurn)
            // Nobody makes a second step before all that were waiting have made their first.
            #expect(Set(made.prefix(40).map(\.link)).count == 40)
        }
    }
}
