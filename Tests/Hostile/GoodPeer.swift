import Gauges
import Parley

/// A peer that behaves: a message a millisecond, and how long each one's way there and back took.
final class GoodPeer: Sendable {
    private let transport: TCPTransport
    private let peer: any Peer
    private let state = Lock(State())

    private struct State {
        var samples = Samples()
        var failure: String?
        var isOver = false
    }

    private static let pause = Duration.milliseconds(1)

    static func connect(to address: String) async throws -> GoodPeer {
        var options = TransportOptions(decoder: .framed)
        options.handshake = Greeting.handshake
        let transport = TCPTransport(options)
        return GoodPeer(transport, try await transport.dial(address))
    }

    private init(_ transport: TCPTransport, _ peer: any Peer) {
        self.transport = transport
        self.peer = peer
        Task(executorPreference: transport.executor) { [self] in await measure() }
    }

    /// The samples since the last call.
    func takeSamples() -> Samples {
        state.withLock { state in
            defer { state.samples = Samples() }
            return state.samples
        }
    }

    /// Why it could not go on; nil while all is well.
    var failure: String? { state.withLock { $0.failure } }

    func close() async {
        state.withLock { $0.isOver = true }
        await transport.close()
    }

    private func measure() async {
        var answers = transport.consume().makeAsyncIterator()
        var number = 0
        while state.withLock({ !$0.isOver }) {
            number += 1
            let sent = ContinuousClock.now
            do {
                try await peer.send(message: "ping \(number)")
            } catch {
                return state.withLock { if !$0.isOver { $0.failure = "\(error)" } }
            }
            guard let answer = await answers.next() else {
                return state.withLock { if !$0.isOver { $0.failure = "its connection has ended" } }
            }
            let isRight = answer.payload == ArraySlice("ping \(number)".utf8)
            state.withLock { state in
                state.samples.add(sent.duration(to: .now))
                if !isRight { state.failure = "a wrong answer" }
            }
            try? await Task.sleep(for: Self.pause)
        }
    }
}
