import Bench
import Parley

/// What a stream is for.
private enum Purpose {
    /// Its bytes are counted.
    static let sink = "/bench/sink/1.0.0"
    /// One byte is sent back, and that is its end.
    static let echo = "/bench/echo/1.0.0"
    /// One byte is sent back; then it stays open.
    static let hold = "/bench/hold/1.0.0"
}

extension Bench {
    /// The handler of a stream runs in an ordinary task, unless the door says otherwise.
    fileprivate func handle(
        on transport: TCPTransport,
        _ body: @escaping @Sendable (PeerStream) async throws -> Void
    ) -> @Sendable (PeerStream) async throws -> Void {
        guard door == "loop" else { return body }
        return { stream in
            try await withTaskExecutorPreference(transport.executor) { try await body(stream) }
        }
    }
}

/// Takes streams of each purpose, and sends messages back.
func streamsServe(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options(.multiplexed))
    try transport.accept(
        Purpose.sink,
        bench.handle(on: transport) { stream in
            while let bytes = try await stream.read(upTo: 1 << 20) { Bench.addShared(0, bytes: bytes.count) }
        }
    )
    try transport.accept(
        Purpose.echo,
        bench.handle(on: transport) { stream in
            try await sendBackOneByte(stream)
        }
    )
    try transport.accept(
        Purpose.hold,
        bench.handle(on: transport) { stream in
            try await sendBackOneByte(stream)
            _ = try await stream.read(upTo: 1)
        }
    )
    try await transport.begin()
    try await bench.consume(transport) { rpcs in
        for await rpc in rpcs { try? await rpc.peer.send(message: rpc.payload) }
    }
}

private func sendBackOneByte(_ stream: PeerStream) async throws {
    guard let byte = try await stream.read(upTo: 1) else { return }
    try await stream.write(byte)
    Bench.addShared(1, bytes: 0)
}

/// Writes for ever to as many streams at once as the options say.
func streamsBulk(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options(.multiplexed))
    let peer = try await transport.dial(bench.dialAddress())
    Bench.ready()
    try await bench.run(on: transport) {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<bench.streams { group.addTask { try await fill(bench, peer) } }
            try await group.waitForAll()
        }
    }
}

/// Writes one stream for ever.
private func fill(_ bench: Bench, _ peer: any Peer) async throws {
    let chunk = [UInt8](repeating: 0, count: bench.chunk)[...]
    let stream = try await peer.openStream(protocol: Purpose.sink)
    while true {
        try await stream.write(chunk)
        Bench.addShared(0, bytes: chunk.count)
    }
}

/// Round trips of messages, and from `go` on a stream beside them that is always full.
func streamsBeside(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options(.multiplexed))
    let peer = try await transport.dial(bench.dialAddress())
    let message = bench.message(.echo)[...]
    Bench.ready()
    try await bench.run(on: transport) {
        var answers = transport.consume().makeAsyncIterator()
        while true {
            if Bench.wasTold {
                Task {
                    do { try await bench.run(on: transport) { try await fill(bench, peer) } } catch {
                        Bench.fail("\(error)")
                    }
                }
            }
            let begun = Bench.now
            try await peer.send(message: message)
            guard await answers.next() != nil else { break }
            Bench.roundTrip(since: begun)
        }
    }
    Bench.fail("the server is gone")
}

/// Opens a stream, sends a byte, gets it back, and closes; again and again, as many streams at once as the
/// options say.
func streamsOpen(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options(.multiplexed))
    let peer = try await transport.dial(bench.dialAddress())
    Bench.ready()
    try await bench.run(on: transport) {
        guard bench.streams > 1 else {
            while true {
                let begun = Bench.now
                try await exchangeByte(peer)
                Bench.roundTrip(since: begun)
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<bench.streams {
                group.addTask {
                    while true {
                        try await exchangeByte(peer)
                        Bench.addShared(1, bytes: 0)
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

private func exchangeByte(_ peer: any Peer) async throws {
    let stream = try await peer.openStream(protocol: Purpose.echo)
    try await stream.write([0])
    _ = try await stream.read(exactly: 1)
    stream.close()
}

/// Opens more streams to each of its peers whenever it is told to, and holds them without a task.
func streamsHold(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options(.multiplexed))
    var peers: [any Peer] = []
    for n in 0..<bench.peers { peers.append(try await transport.dial(bench.dialAddress(n))) }
    Bench.ready()
    var held: [PeerStream] = []
    while true {
        Bench.waitForGo()
        for peer in peers {
            let before = held.count
            for _ in 0..<bench.streams {
                let stream = try await peer.openStream(protocol: Purpose.hold)
                try await stream.write([0])
                held.append(stream)
            }
            for stream in held[before...] { _ = try await stream.read(exactly: 1) }
        }
        Bench.say("SENT")
    }
}
