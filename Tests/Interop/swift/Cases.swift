import ForeignProcess
import Foundation
import Parley

/// A Parley node and a Go node that are connected.
struct Pair {
    let go: GoNode
    let parley: TCPTransport
    let peer: any Peer
    /// How the Go node calls the connection.
    let goName: String
    let disconnects: AsyncStream<ParleyError>

    /// Connects the two; who dials is the whole difference.
    init(_ executable: String, goDials: Bool) async throws {
        let (disconnects, ended) = AsyncStream<ParleyError>.makeStream()
        let (arrivals, arrived) = AsyncStream<any Peer>.makeStream()
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .unframed) {
            arrived.yield($0)
        }
        options.onDisconnect = { _, reason in ended.yield(reason) }
        parley = TCPTransport(options)
        self.disconnects = disconnects
        if goDials {
            try await parley.listenAndAccept()
            go = try GoNode(executable)
            try go.tell("dial \(parley.address)")
        } else {
            let address: String
            (go, address) = try await GoNode.listening(executable)
            try await parley.dial(address)
        }
        goName = try await go.expect("peer").first ?? ""
        guard let peer = await first(arrivals) else { throw Failure("no peer arrived") }
        self.peer = peer
    }

    func end() async {
        go.kill()
        await parley.close()
    }

    func nextRPC() async throws -> RPC {
        var rpcs = parley.consume().makeAsyncIterator()
        guard let rpc = await rpcs.next() else { throw Failure("no RPC arrived") }
        return rpc
    }

    func disconnectReason() async throws -> ParleyError {
        guard let reason = await first(disconnects) else { throw Failure("onDisconnect was not called") }
        return reason
    }
}

private func first<Element: Sendable>(_ stream: AsyncStream<Element>) async -> Element? {
    var iterator = stream.makeAsyncIterator()
    return await iterator.next()
}

private let streamBytes = 64 << 20
private let sizes = [1, 2, 100, 1_027, 1_028]

/// What is tried in both directions of the dial.
let cases: [(name: String, run: @Sendable (Pair) async throws -> Void)] = [
    ("messages of \(sizes) bytes, Go to Parley", { for size in sizes { try await goSends(size, to: $0) } }),
    (
        "messages of \(sizes) bytes, Parley to Go",
        { for size in sizes { try await parleySends(size, from: $0) } }
    ),
    ("a stream of 64 MiB, Go to Parley, between messages", streamFromGo),
    ("a stream of 64 MiB, Parley to Go, between messages", streamToGo),
    ("Go is killed while it streams to Parley", goDiesStreaming),
    ("Go is killed while Parley streams to it", goDiesReading),
]

private func goSends(_ size: Int, to pair: Pair) async throws {
    try pair.go.tell("message \(pair.goName) \(size) \(size)")
    let rpc = try await pair.nextRPC()
    try check(Array(rpc.payload) == Content.bytes(size, seed: UInt64(size)), "\(size) bytes arrived changed")
    try check(rpc.from == pair.peer.remoteAddress.description, "the sender is \(rpc.from)")
}

private func parleySends(_ size: Int, from pair: Pair) async throws {
    let content = Content.bytes(size, seed: UInt64(size))
    try await pair.peer.send(message: content)
    let event = try await pair.go.expect("message")
    try check(Array(event.dropFirst()) == ["\(size)", try SHA256Tool.hash(content)], "Go got \(event)")
}

private func streamFromGo(_ pair: Pair) async throws {
    try await goSends(10, to: pair)
    try pair.go.tell("stream \(pair.goName) \(streamBytes) 7")
    let stream = try await pair.nextRPC()
    try check(stream.stream, "a message came instead of the stream")
    let hash = (try SHA256Tool(), try SHA256Tool())
    var content = Content(seed: 7)
    for try await chunk in stream.peer.chunks(byteCount: streamBytes) {
        try hash.0.update(chunk)
        try hash.1.update(content.next(chunk.count))
    }
    stream.peer.closeStream()
    let sums = (try hash.0.finish(), try hash.1.finish())
    try check(sums.0 == sums.1, "the stream arrived changed: \(sums)")
    // The Go node has nothing more to write until it hears this, so its next message stands alone.
    try await parleySends(20, from: pair)
    try await goSends(30, to: pair)
}

private func streamToGo(_ pair: Pair) async throws {
    try await parleySends(10, from: pair)
    try pair.go.tell("expect \(streamBytes)")
    _ = try await pair.go.expect("expecting")
    let hash = try SHA256Tool()
    var content = Content(seed: 9)
    let writer = try await pair.peer.openStream()
    for _ in 0..<streamBytes / 65_536 {
        let block = content.next(65_536)
        try hash.update(block)
        try await writer.write(block)
    }
    try await writer.finish()
    let event = try await pair.go.expect("streamed", passing: ["stream", "expecting"])
    try check(Array(event.dropFirst()) == ["\(streamBytes)", try hash.finish()], "Go got \(event)")
    try await parleySends(20, from: pair)
    try await goSends(30, to: pair)
}

private func goDiesStreaming(_ pair: Pair) async throws {
    try pair.go.tell("stream \(pair.goName) \(1 << 40) 1")
    let stream = try await pair.nextRPC()
    _ = try await stream.peer.read(exactly: 10_000_000)
    pair.go.kill()
    do {
        while try await stream.peer.read(upTo: 1 << 20) != nil {}
        stream.peer.closeStream()
    } catch {
        try check(error.code == .connectionReset, "\(error)")
    }
    let reason = try await pair.disconnectReason()
    try check([.endOfStream, .connectionReset, .protocolViolation].contains(reason.code), "\(reason)")
}

private func goDiesReading(_ pair: Pair) async throws {
    try pair.go.tell("expect \(1 << 40)")
    _ = try await pair.go.expect("expecting")
    let writer = try await pair.peer.openStream()
    let block = Content.bytes(65_536, seed: 1)
    for _ in 0..<100 { try await writer.write(block) }
    _ = try await pair.go.expect("stream")
    pair.go.kill()
    do {
        while true { try await writer.write(block) }
    } catch {
        let reason = try await pair.disconnectReason()
        try check([.connectionReset, .endOfStream].contains(reason.code), "\(reason)")
    }
}

/// The Parley side dies instead: a Parley node in a process of its own streams to Go until it is killed.
func parleyDies(_ executable: String) async throws {
    let (go, address) = try await GoNode.listening(executable)
    try go.tell("expect \(1 << 40)")
    _ = try await go.expect("expecting")
    let node = Process()
    node.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
    node.arguments = ["stream-to", address]
    try node.run()
    _ = try await go.expect("peer")
    _ = try await go.expect("stream")
    kill(node.processIdentifier, SIGKILL)
    node.waitUntilExit()
    _ = try await go.expect("stream-failed")
    _ = try await go.expect("dropped")
    go.kill()
}

/// What the process that ``parleyDies(_:)`` kills does.
func streamForEver(to address: String) async throws {
    let writer = try await TCPTransport(TransportOptions(decoder: .unframed)).dial(address).openStream()
    let block = Content.bytes(65_536, seed: 1)
    while true { try await writer.write(block) }
}
