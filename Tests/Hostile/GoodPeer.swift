import Gauges
import Parley

/// A peer that behaves: a message a millisecond, and how long each one's way there and back took.
///
/// It does not wait for an answer before it sends the next message: while the node is held up, every message
/// that it would have answered meanwhile counts as late, and not just one.
final class GoodPeer: Sendable {
    private let transport: TCPTransport
    private let peer: any Peer
    private let state = Lock(State())

    private struct State {
        var phase = 0
        var phaseBegan = ContinuousClock.now
        var samples: [Int: WindowedSamples] = [:]
        /// Not answered yet.
        var sent: [Int: Message] = [:]
        var failure: String?
        var isOver = false
    }

    private struct Message {
        let sentAt = ContinuousClock.now
        var phase: Int
        /// Of the phase.
        var second: Int
    }

    private static let interval = Duration.milliseconds(1)

    static func connect(to address: String) async throws -> GoodPeer {
        var options = TransportOptions(decoder: .framed)
        options.handshake = Greeting.handshake
        let transport = TCPTransport(options)
        let peer = try await transport.dial(address)
        // Not where the node is: what counts is how long the node keeps it waiting, and not how long it waits
        // for the core behind the node.
        _ = await Task(executorPreference: transport.executor) { pin(toCore: 1) }.value
        return GoodPeer(transport, peer)
    }

    private init(_ transport: TCPTransport, _ peer: any Peer) {
        self.transport = transport
        self.peer = peer
        Task(executorPreference: transport.executor) { [self] in await send() }
        Task(executorPreference: transport.executor) { [self] in await receive() }
    }

    /// From now on messages count for a phase of their own.
    func beginPhase() {
        state.withLock {
            $0.phase += 1
            $0.phaseBegan = .now
        }
    }

    /// Ends the phase, and waits for the answers to its messages.
    ///
    /// - Returns: how long they took.
    func endPhase() async -> WindowedSamples {
        let phase = state.withLock { state in
            defer { state.phase += 1 }
            return state.phase
        }
        let deadline = ContinuousClock.now + .seconds(10)
        while state.withLock({ $0.failure == nil && $0.sent.values.contains { $0.phase == phase } }) {
            guard ContinuousClock.now < deadline else {
                fail("a message was not answered within 10 s")
                break
            }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return state.withLock { $0.samples.removeValue(forKey: phase) ?? WindowedSamples() }
    }

    /// Why it could not go on; nil while all is well.
    var failure: String? { state.withLock { $0.failure } }

    func close() async {
        state.withLock { $0.isOver = true }
        await transport.close()
    }

    private func fail(_ what: String) {
        state.withLock { if !$0.isOver, $0.failure == nil { $0.failure = what } }
    }

    private func send() async {
        var number = 0
        var next = ContinuousClock.now
        while state.withLock({ !$0.isOver && $0.failure == nil }) {
            number += 1
            state.withLock { [number] in
                let second = Int(seconds(since: $0.phaseBegan))
                $0.sent[number] = Message(phase: $0.phase, second: second)
            }
            do { try await peer.send(message: "ping \(number)") } catch { return fail("\(error)") }
            next = max(.now, next + Self.interval)
            try? await Task.sleep(until: next, tolerance: .zero, clock: .continuous)
        }
    }

    private func receive() async {
        for await answer in transport.consume() {
            let now = ContinuousClock.now
            let text = String(decoding: answer.payload, as: UTF8.self)
            let isKnown = state.withLock { state in
                guard let number = Int(text.dropFirst(5)), let sent = state.sent.removeValue(forKey: number)
                else { return false }
                let time = sent.sentAt.duration(to: now)
                state.samples[sent.phase, default: WindowedSamples()].add(time, window: sent.second)
                return true
            }
            if !isKnown { return fail("a wrong answer: \(text)") }
        }
        fail("its connection has ended")
    }
}
