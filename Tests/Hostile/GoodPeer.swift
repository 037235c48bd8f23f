import Gauges
import Parley

/// A peer that behaves: a message a millisecond, and how long each one's way there and back took; with many
/// streams at once, a stream every few milliseconds as well.
///
/// It does not wait for an answer before it sends the next message: while the node is held up, every message
/// that it would have answered meanwhile counts as late, and not just one.
final class GoodPeer: Sendable {
    private let transport: TCPTransport
    private let peer: any Peer
    /// Nil where there is one stream at a time.
    private let streams: StreamEcho?
    private let state = Lock(State())

    private struct State {
        var samples = PhasedSamples()
        /// Not answered yet.
        var sent: [Int: PhasedSamples.Beginning] = [:]
        var failure: String?
        var isOver = false
    }

    private static let interval = Duration.milliseconds(1)

    static func connect(to address: String, _ kind: NodeKind = .plain) async throws -> GoodPeer {
        let transport = TCPTransport(.good(kind))
        let peer = try await transport.dial(address)
        // Not where the node is: what counts is how long the node keeps it waiting, and not how long it waits
        // for the core behind the node.
        _ = await Task(executorPreference: transport.executor) { pin(toCore: 1) }.value
        return GoodPeer(transport, peer, kind)
    }

    private init(_ transport: TCPTransport, _ peer: any Peer, _ kind: NodeKind) {
        self.transport = transport
        self.peer = peer
        streams = kind.isMultiplexed ? StreamEcho(on: peer, executor: transport.executor) : nil
        Task(executorPreference: transport.executor) { [self] in await send() }
        Task(executorPreference: transport.executor) { [self] in await receive() }
    }

    /// From now on messages count for a phase of their own.
    func beginPhase() {
        state.withLock { $0.samples.beginPhase() }
        streams?.beginPhase()
    }

    /// Ends the phase, and waits for the answers to its messages and the ends of its streams.
    ///
    /// - Returns: how long they took.
    func endPhase() async -> (messages: WindowedSamples, streams: WindowedSamples?) {
        async let streams = streams?.endPhase()
        return await (endMessages(), streams)
    }

    private func endMessages() async -> WindowedSamples {
        let deadline = ContinuousClock.now + .seconds(60)
        // One at least, also where the machine stood still for all of a short phase. No node can hold up the
        // beginning of a message: so few bytes always have room in the kernel.
        while state.withLock({ $0.failure == nil && !$0.samples.hasBegun }), ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
        let phase = state.withLock { $0.samples.endPhase() }
        while state.withLock({ $0.failure == nil && !$0.samples.isComplete(phase) }) {
            guard ContinuousClock.now < deadline else {
                fail("a message was not answered within 60 s")
                break
            }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return state.withLock { $0.samples.take(phase) }
    }

    /// Why it could not go on; nil while all is well.
    var failure: String? { state.withLock { $0.failure } ?? streams?.failure }

    func close() async {
        state.withLock { $0.isOver = true }
        streams?.stop()
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
            state.withLock { [number] in $0.sent[number] = $0.samples.begin() }
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
                state.samples.end(sent, at: now)
                return true
            }
            if !isKnown { return fail("a wrong answer: \(text)") }
        }
        fail("its connection has ended")
    }
}
