import Gauges
import Parley

/// The node under attack: it answers pings, and counts everything else.
final class Target: Sendable {
    let transport: TCPTransport
    private let state: Lock<State>

    struct State {
        var messages = 0
        var ends: [ParleyError.Code: Int] = [:]
    }

    init() async throws {
        let state = Lock(State())
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
        options.handshake = Greeting.handshake
        options.handshakeTimeout = .seconds(5)
        options.closeTimeout = .seconds(1)
        options.onDisconnect = { _, reason in state.withLock { $0.ends[reason.code, default: 0] += 1 } }
        self.state = state
        transport = TCPTransport(options)
        try await transport.listenAndAccept()
        Task(executorPreference: transport.executor) { [self] in await serve() }
    }

    var counts: State { state.withLock { $0 } }

    private func serve() async {
        let ping = ArraySlice("ping".utf8)
        for await rpc in transport.consume() {
            if rpc.payload.starts(with: ping) {
                try? await rpc.peer.send(message: rpc.payload)
            } else {
                state.withLock { $0.messages += 1 }
            }
        }
    }
}
