import Gauges
import Parley

/// A peer that behaves, and has something to say: a message of 1 MiB, again and again, and all of it has to
/// come back.
///
/// It never gives up: whatever fails is counted for the phase in which it failed, and the next message goes
/// over a new connection.
final class BulkPeer: Sendable {
    /// What happened to the messages of one phase.
    struct Tally: Sendable {
        var times = Samples()
        var failures: [String] = []

        /// Whether some arrived, and all that were sent.
        var isComplete: Bool { times.count > 0 && failures.isEmpty }

        /// Whether nothing is known of any message yet.
        var isEmpty: Bool { times.count == 0 && failures.isEmpty }

        /// `12 of 14 messages of 1 MiB came back, p50 3500 us, max 4000 us; the first failure: …`
        var summary: String {
            let (p50, max) = (Int(times.percentile(0.5)), Int(times.percentile(1)))
            let failure = failures.first.map { "; the first failure: \($0)" } ?? ""
            return "\(times.count) of \(times.count + failures.count) messages of 1 MiB came back, "
                + "p50 \(p50) us, max \(max) us\(failure)"
        }
    }

    private enum Event: Sendable {
        case piece(ObjectIdentifier, ArraySlice<UInt8>)
        case ended(ObjectIdentifier, ParleyError)
    }

    private struct State {
        var tally = Tally()
        /// Whether a message is on its way.
        var isAsking = false
        var isOver = false
    }

    private struct Failure: Error {
        var what: String
    }

    private let transport: TCPTransport
    private let address: String
    private let events: AsyncStream<Event>
    private let state = Lock(State())

    /// Rare enough that the round trips beside it, which wait for its megabytes now and then, do so in less
    /// than one case of a hundred.
    private static let pause = Duration.milliseconds(250)
    /// How long a message may take. In quiet it takes some milliseconds.
    private let deadline: Duration

    init(to address: String, _ kind: NodeKind = .plain, isMachineBusy: Bool) {
        self.address = address
        deadline = isMachineBusy ? .seconds(20) : .seconds(5)
        let (events, happened) = AsyncStream<Event>.makeStream()
        self.events = events
        var options = TransportOptions.good(kind)
        options.timeouts.dial = deadline
        options.timeouts.handshake = deadline
        options.timeouts.close = .seconds(1)
        options.onDisconnect = { happened.yield(.ended(ObjectIdentifier($0), $1)) }
        let transport = TCPTransport(options)
        self.transport = transport
        Task(executorPreference: transport.executor) {
            // Where the attacker gives way to it, and not where the node is.
            _ = pin(toCore: 1)
            for await rpc in transport.consume() {
                happened.yield(.piece(ObjectIdentifier(rpc.peer), rpc.payload))
            }
            happened.finish()
        }
        Task(executorPreference: transport.executor) { [self] in await run() }
    }

    /// From now on messages count for a phase of their own.
    func beginPhase() { state.withLock { $0.tally = Tally() } }

    /// Waits for the message that is on its way, and ends the phase.
    func endPhase() async -> Tally {
        // Each has a deadline of its own. There is one at least, also where the machine stood still for all
        // of a short phase.
        while state.withLock({ $0.isAsking || $0.tally.isEmpty }) {
            try? await Task.sleep(for: .milliseconds(5))
        }
        return state.withLock { state in
            defer { state.tally = Tally() }
            return state.tally
        }
    }

    func close() async {
        state.withLock { $0.isOver = true }
        await transport.close()
    }

    private func run() async {
        var peer: (any Peer)?
        var number = 0
        while !state.withLock({ $0.isOver }) {
            number += 1
            state.withLock { $0.isAsking = true }
            do {
                let current: any Peer
                if let peer { current = peer } else { current = try await transport.dial(address) }
                peer = current
                let time = try await ask(current, number)
                state.withLock { $0.tally.times.add(time) }
            } catch {
                let what = (error as? Failure)?.what ?? "\(error)"
                state.withLock { if !$0.isOver { $0.tally.failures.append(what) } }
                await peer?.close()
                peer = nil
            }
            state.withLock { $0.isAsking = false }
            try? await Task.sleep(for: Self.pause)
        }
    }

    /// Sends a message and waits until the whole of it is back.
    private func ask(_ peer: any Peer, _ number: Int) async throws -> Duration {
        let began = ContinuousClock.now
        let isLate = Lock(false)
        let watch = Task {
            try await Task.sleep(for: deadline)
            isLate.withLock { $0 = true }
            // That ends the waiting below.
            await peer.close()
        }
        defer { watch.cancel() }
        let message = Self.message(number)
        var back = 0
        do {
            try await peer.send(message: message)
            for await event in events {
                switch event {
                case .piece(let sender, let piece) where sender == ObjectIdentifier(peer):
                    guard piece == message[back...].prefix(piece.count) else {
                        throw Failure(what: "something else came back behind byte \(back)")
                    }
                    back += piece.count
                    if back == message.count { return began.duration(to: .now) }
                case .ended(let sender, let reason) where sender == ObjectIdentifier(peer): throw reason
                // A connection that is given up already.
                case .piece, .ended: continue
                }
            }
            throw Failure(what: "the transport was closed")
        } catch {
            guard isLate.withLock({ $0 }) else { throw error }
            throw Failure(what: "\(back) bytes came back within \(deadline)")
        }
    }

    private static func message(_ number: Int) -> [UInt8] {
        (0..<Request.pieces).flatMap { piece in
            [UInt8](repeating: UInt8(truncatingIfNeeded: number &+ piece), count: Request.pieceBytes)
        }
    }
}
