import ForeignProcess
import Parley
import ParleyNoise

/// The foreign node of a Python script.
func foreignNode(_ python: String, _ script: String, _ arguments: [String]) throws -> ForeignProcess {
    try ForeignProcess(python, [script] + arguments)
}

/// Connects the two, compares what both say of each other, and sends messages, which come back.
func meet(_ python: String, _ script: String, foreignDials: Bool) async throws {
    let identity = Identity()
    var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
    options.security = .noise(identity)
    options.handshakeTimeout = .seconds(60)
    let (arrivals, arrived) = AsyncStream<any Peer>.makeStream()
    options.onPeer = { arrived.yield($0) }
    let parley = TCPTransport(options)
    let foreign: ForeignProcess
    let foreignID: String
    if foreignDials {
        try await parley.listenAndAccept()
        let port = try SocketAddress(parley.address).port
        foreign = try foreignNode(python, script, ["dial", "127.0.0.1", "\(port)"])
    } else {
        foreign = try foreignNode(python, script, ["listen"])
        let words = try foreign.expect("listening")
        try await parley.dial("\(words[1])@127.0.0.1:\(words[0])")
    }
    defer { foreign.kill() }
    let secured = try foreign.expect("secured")
    foreignID = secured[1]
    try check(secured[0] == "\(identity.id)", "it takes \(identity.id) for \(secured[0])")
    var peers = arrivals.makeAsyncIterator()
    guard let peer = await peers.next() else { throw Failure("no peer arrived") }
    let found = peer.id?.description ?? "nobody"
    try check(found == foreignID, "\(foreignID) arrived as \(found)")

    var rpcs = parley.consume().makeAsyncIterator()
    // Around the most that one sealed message holds, with the five bytes before each framed message.
    for size in [0, 1, 100, 65_513, 65_514, 65_515, 131_033, 1_000_000] {
        let message = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) }
        try await peer.send(message: message)
        guard let rpc = await rpcs.next() else { throw Failure("the answer of \(size) bytes is missing") }
        try check(Array(rpc.payload) == message, "a message of \(size) bytes came back as another one")
    }
    await parley.close()
    _ = try foreign.expect("ended")
}

/// Dials the foreign node by another id than it has.
func mismatch(_ python: String, _ script: String) async throws {
    var options = TransportOptions()
    options.security = .noise(Identity())
    let parley = TCPTransport(options)
    let foreign = try foreignNode(python, script, ["listen"])
    defer { foreign.kill() }
    let words = try foreign.expect("listening")
    do {
        try await parley.dial("\(Identity().id)@127.0.0.1:\(words[0])")
        throw Failure("it was taken for another node")
    } catch let error as ParleyError {
        try check(error.code == .identityMismatch && error.message.contains(words[1]), "\(error)")
    }
    // It has seen the end instead of the last message, so it does not know who dialed.
    _ = try foreign.expect("ended")
    await parley.close()
}
