import Gauges
import Parley

/// Streams of a good peer beside its messages: one is opened every few milliseconds, says something, hears it
/// again, and ends. Measured is how long that takes.
///
/// As with the messages, a stream does not wait for the one before.
final class StreamEcho: Sendable {
    static let name = "/echo/1.0.0"

    private let peer: any Peer
    private let state = Lock(State())

    private struct State {
        var samples = PhasedSamples()
        var failure: String?
        var isOver = false
    }

    private static let interval = Duration.milliseconds(5)
    private static let deadline = Duration.seconds(60)

    /// - Parameter executor: where it runs.
    init(on peer: any Peer, executor: any TaskExecutor) {
        self.peer = peer
        Task(executorPreference: executor) { [self] in await run(executor) }
    }

    /// From now on streams count for a phase of their own.
    func beginPhase() { state.withLock { $0.samples.beginPhase() } }

    /// Ends the phase, and waits for the end of its streams.
    ///
    /// - Returns: how long they took.
    func endPhase() async -> WindowedSamples {
        let deadline = ContinuousClock.now + Self.deadline
        // One at least, also where the machine stood still for all of a short phase. A stream begins without
        // the node.
        while state.withLock({ $0.failure == nil && !$0.samples.hasBegun }), ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
        let phase = state.withLock { $0.samples.endPhase() }
        while state.withLock({ $0.failure == nil && !$0.samples.isComplete(phase) }) {
            guard ContinuousClock.now < deadline else {
                fail("a stream did not end within \(Self.deadline)")
                break
            }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return state.withLock { $0.samples.take(phase) }
    }

    /// Why it could not go on; nil while all is well.
    var failure: String? { state.withLock { $0.failure } }

    func stop() { state.withLock { $0.isOver = true } }

    private func fail(_ what: String) {
        state.withLock { if !$0.isOver, $0.failure == nil { $0.failure = what } }
    }

    private func run(_ executor: any TaskExecutor) async {
        var number: UInt64 = 0
        var next = ContinuousClock.now
        while state.withLock({ !$0.isOver && $0.failure == nil }) {
            number += 1
            Task(executorPreference: executor) { [self, number] in await echo(number) }
            next = max(.now, next + Self.interval)
            try? await Task.sleep(until: next, tolerance: .zero, clock: .continuous)
        }
    }

    private func echo(_ number: UInt64) async {
        let beginning = state.withLock { $0.samples.begin() }
        let said = Array("stream \(number)".utf8)
        do {
            let stream = try await peer.openStream(protocol: Self.name)
            try await stream.write(said)
            try await stream.finish()
            var heard: [UInt8] = []
            for try await bytes in stream.chunks() { heard += bytes }
            guard heard == said else { return fail("stream \(number) heard \(heard.count) other bytes") }
        } catch { return fail("stream \(number): \(error)") }
        state.withLock { $0.samples.end(beginning) }
    }
}
