import Parley

// A node that counts words: it answers each text with the number of its words.

/// Answers every message until the transport is closed.
func serve(_ transport: TCPTransport) async {
    for await rpc in transport.consume() where !rpc.stream {
        let words = String(decoding: rpc.payload, as: UTF8.self).split(separator: " ").count
        // A peer that has disconnected meanwhile gets no answer.
        try? await rpc.peer.send(message: "\(words)")
    }
}

/// Sends each text to the node at `address` and prints the answer.
func ask(about texts: [String], at address: String) async throws {
    let transport = TCPTransport()
    let peer = try await transport.dial(address)
    var answers = transport.consume().makeAsyncIterator()
    for text in texts {
        try await peer.send(message: text)
        guard let answer = await answers.next() else { break }
        print("\"\(text)\" has \(String(decoding: answer.payload, as: UTF8.self)) words")
    }
    await transport.close()
}

let server = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0"))
try await server.listenAndAccept()
async let serving: Void = serve(server)
try await ask(about: ["to be or not to be", "that is the question"], at: server.address)
await server.close()
await serving
