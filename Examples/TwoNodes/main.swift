import Parley
import ParleyNoise

// A node that listens on a port that the system chooses, and prints connections and disconnections. With an
// identity of its own, every connection is encrypted, and both sides know each other.
let identity = Identity()  // Identity.loadOrCreate(at:) keeps it in a file
var options = TransportOptions(listenAddress: "127.0.0.1:0")
options.security = .noise(identity)
options.onPeer = { peer in print("connected to \(peer.remoteAddress)") }
options.onDisconnect = { peer, reason in print("\(peer.remoteAddress) disconnected: \(reason.message)") }
let server = TCPTransport(options)
try await server.listenAndAccept()

// Another node dials it and sends two messages. The dial fails when any other node answers.
var clientOptions = TransportOptions()
clientOptions.security = .noise(Identity())
let client = TCPTransport(clientOptions)
let peer = try await client.dial("\(identity.id)@\(server.address)")
try await peer.send(message: "hello")
try await peer.send(message: "how are you?")

// Messages and streams of all peers arrive in one sequence. Answers go to the peer that an RPC came from.
for await rpc in server.consume().prefix(2) {
    let text = String(decoding: rpc.payload, as: UTF8.self)
    print("\(rpc.from) says \(text)")
    try await rpc.peer.send(message: "you said \(text)")
}
for await rpc in client.consume().prefix(2) {
    print("\(rpc.from) answers \(String(decoding: rpc.payload, as: UTF8.self))")
}

await client.close()
await server.close()
