import Bench
import Parley

#if canImport(Glibc)
    import Glibc
#endif

extension Bench {
    /// `raw`: a stream in the reference's wire form, bytes without a frame.
    fileprivate var streamWire: WireForm { door == "raw" ? .unframed : .framed }
}

func bulkServe(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options(bench.streamWire))
    try await transport.begin()
    for await rpc in transport.consume() where rpc.stream {
        while let bytes = try await rpc.peer.read(upTo: 1 << 20) { Bench.add(1, bytes: bytes.count) }
    }
}

func bulk(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options(bench.streamWire))
    let peer = try await transport.dial(bench.dialAddress())
    let chunk = [UInt8](repeating: 0, count: bench.chunk)[...]
    Bench.ready()
    let stream = try await peer.openStream()
    while true {
        try await stream.write(chunk)
        Bench.add(1, bytes: chunk.count)
    }
}

// MARK: - Files

func fileServe(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options())
    try await transport.begin()
    var files = 0
    for await rpc in transport.consume() where rpc.stream {
        let path = "\(bench.path)/received-\(files)"
        var counted = 0
        try await rpc.peer.receiveStream(into: path) { written in
            Bench.add(0, bytes: written - counted)
            counted = written
        }
        Bench.add(1, bytes: 0)
        files += 1
        try await rpc.peer.send(message: "!")
        unlink(path)
    }
}

func sendFile(_ bench: Bench) async throws {
    let transport = TCPTransport(bench.options())
    let peer = try await transport.dial(bench.dialAddress())
    var answers = transport.consume().makeAsyncIterator()
    Bench.ready()
    while true {
        let sent = try await peer.sendStream(contentsOf: bench.path)
        guard await answers.next() != nil else { Bench.fail("the server is gone") }
        Bench.add(1, bytes: sent)
    }
}

// MARK: - Connecting

func greetServe(_ bench: Bench) async throws {
    var options = bench.options()
    if bench.isSecured {
        // The secured handshake is what is measured.
        options.onPeer = { _ in Bench.addShared(1, bytes: 0) }
    } else {
        options.handshake = { peer in
            try await peer.send(peer.read(exactly: greeting.count))
            Bench.addShared(1, bytes: greeting.count)
        }
    }
    let transport = TCPTransport(options)
    try await transport.begin()
    for await _ in transport.consume() {}
}

func greet(_ bench: Bench) async throws {
    var options = bench.options()
    if !bench.isSecured {
        options.handshake = { peer in
            try await peer.send(greeting)
            _ = try await peer.read(exactly: greeting.count)
        }
    }
    let transport = TCPTransport(options)
    Bench.ready()
    try await bench.run(on: transport) {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for chain in 0..<bench.peers {
                group.addTask { try await greetInTurn(chain, bench, transport) }
            }
            try await group.waitForAll()
        }
    }
}

/// Connects, greets and closes, again and again.
private func greetInTurn(_ chain: Int, _ bench: Bench, _ transport: TCPTransport) async throws {
    var n = chain
    while true {
        let peer = try await transport.dial(bench.dialAddress(n))
        await peer.close()
        Bench.addShared(1, bytes: greeting.count)
        n += bench.peers
    }
}
