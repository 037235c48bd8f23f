import Parley

/// Eight bytes go and eight come back before a connection counts as greeted.
private let greeting = Array("greeting".utf8)

func options(_ role: String) -> TransportOptions {
    var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
    if role == "accept" {
        options.handshake = { peer in try await peer.send(peer.read(exactly: greeting.count)) }
    } else if role == "dial" {
        options.handshake = { peer in
            try await peer.send(greeting)
            _ = try await peer.read(exactly: greeting.count)
        }
    }
    return options
}

func echo(_ transport: TCPTransport) async throws {
    for await rpc in transport.consume() { try await rpc.peer.send(message: rpc.payload) }
}

/// Receives `count` messages and answers the last one, so that the sender knows that all were consumed.
func receive(_ count: Int, _ transport: TCPTransport) async throws {
    var messages = 0
    var bytes = 0
    for await rpc in transport.consume() {
        messages += 1
        bytes += rpc.payload.count
        if messages == count { try await rpc.peer.send(message: "\(bytes)") }
    }
}

/// The same in batches.
func receiveBatches(_ count: Int, _ transport: TCPTransport) async throws {
    var messages = 0
    var bytes = 0
    for await batch in transport.consume().batches {
        messages += batch.count
        for rpc in batch { bytes += rpc.payload.count }
        if messages == count { try await batch.first!.peer.send(message: "\(bytes)") }
    }
}

/// Sends `count` messages to each peer that asks for them with a message.
func send(_ count: Int, _ transport: TCPTransport) async throws {
    let message = [UInt8](repeating: UInt8(ascii: "x"), count: 64)[...]
    for await rpc in transport.consume() {
        let peer = rpc.peer
        for _ in 0..<count { try await peer.send(message: message) }
    }
}

/// Connects, greets and closes, `count` times.
func dial(_ count: Int, _ address: String, _ transport: TCPTransport) async throws {
    for _ in 0..<count { await (try transport.dial(address)).close() }
}
