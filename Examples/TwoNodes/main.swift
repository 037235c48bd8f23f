import Parley

// A node that listens on a port that the system chooses, and prints connections and disconnections.
var options = TransportOptions(listenAddress: "127.0.0.1:0")
options.onPeer = { peer in print("connected to \(peer.remoteAddress)") }
options.onDisconnect = { peer, reason in print("\(peer.remoteAddress) disconnected: \(reason.message)") }
let server = TCPTransport(options)
try await server.listenAndAccept()

// Another node dials it and sends a message.
let client = TCPTransport()
let peer = try await client.dial(server.address)
try await peer.send(message: "hello")

// Messages and streams of all peers arrive in one sequence. Answers go to the peer that an RPC came from.
for await rpc in server.consume() {
    print("\(rpc.from) says \(String(decoding: rpc.payload, as: UTF8.self))")
    try await rpc.peer.send(message: "hello yourself")
    break
}
for await rpc in client.consume() {
    print("\(rpc.from) answers \(String(decoding: rpc.payload, as: UTF8.self))")
    break
}

await client.close()
await server.close()
