import Testing

@testable import Parley

/// A flood of handshakes must not starve the peers of a loop.
@Suite(.timeLimit(.minutes(10))) struct HandshakeTurnTests {
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
            #expect(turns.values.allSatisfy { $0.count <= SecuredLink.stepsPerTurn })
            #expect(turns.count >= 120 / SecuredLink.stepsPerTurn)
            // Nobody makes a second step before all that were waiting have made their first.
            #expect(Set(made.prefix(40).map(\.link)).count == 40)
        }
    }

    /// Its handshake says more at once than a link takes: 80 messages, which are answered by one.
    private final class Talkative: LinkSecurity {
        static let message = [0x0f, 0xfe] + [UInt8](repeating: 7, count: 0x0ffe)
        let id: PeerID

        init() throws { id = try PeerID(publicKey: [UInt8](repeating: 2, count: 32)) }

        func makeSession(
            isInitiator: Bool,
            expecting expected: PeerID?,
            offering streamMuxers: [String]
        ) -> any SecureSession { Session(id: id, awaited: isInitiator ? 1 : 80) }

        private final class Session: SecureSession {
            let id: PeerID
            private let isInitiator: Bool
            private var awaited: Int

            init(id: PeerID, awaited: Int) {
                self.id = id
                self.awaited = awaited
                isInitiator = awaited == 1
            }

            func begin(into output: inout [UInt8]) {
                guard isInitiator else { return }
                for _ in 0..<80 { output += Talkative.message }
            }

            func advance(_ message: [UInt8], into output: inout [UInt8]) -> ShownIdentity? {
                awaited -= 1
                guard awaited == 0 else { return nil }
                if !isInitiator { output += Talkative.message }
                return ShownIdentity(id: id)
            }

            func seal(_ bytes: Span<UInt8>, into output: inout [UInt8]) {}
            func open(_ buffer: inout [UInt8], at start: Int, count: Int) -> Range<Int> { start..<start }
        }
    }

    @Test func `a handshake waits until what it says is written`() async throws {
        try await withNodes(.memory) { nodes in
            let security = Security(try Talkative(), allow: .everyone)
            let server = try await nodes.listening { $0.security = security }
            _ = try await nodes.make { $0.security = security }.dial(server.address)
            try await eventually { server.statistics.peers == 1 }
        }
    }

    @Test func `a handshake begins where its connection arrives, not in a later turn`() async throws {
        try await withNodes(.tcp) { nodes in
            let begun = Events<Bool>()
            let handshake: @Sendable (any Peer) async throws -> Void = { _ in
                begun.add(EventLoop.current?.turn.pointee.isPolling == true)
            }
            let server = try await nodes.listening { $0.handshake = handshake }
            _ = try await nodes.make { $0.handshake = handshake }.dial(server.address)
            for _ in 0..<2 { #expect(try await begun.next(), "it runs in a callback of libuv") }
        }
    }

    @Test func `the task of a handshake that is over is not kept`() {
        let task = Task {}
        var handshake = Node.Handshake.notBegun
        handshake.runs(in: task)
        guard case .running(task) = handshake else {
            Issue.record("it runs")
            return
        }
        handshake = .over
        handshake.runs(in: task)
        guard case .over = handshake else {
            Issue.record("it is over before its task is known")
            return
        }
    }
}
