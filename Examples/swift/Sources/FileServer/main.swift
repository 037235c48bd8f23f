import Foundation
import ParleyNoise

// Three nodes, each of which is connected to the other two, and lets no other node in.
let home = FileManager.default.temporaryDirectory.appending(path: "parley-files-\(UUID())")
defer { try? FileManager.default.removeItem(at: home) }
let identities = (1...3).map { _ in Identity() }
let friends = identities.map(\.id)
let nodes = try zip(1..., identities).map { number, identity in
    try FileNode(folder: home.appending(path: "node\(number)"), identity: identity, friends: friends)
}
for node in nodes { try await node.start() }
let answering = nodes.map { node in Task { await node.answer() } }
try await nodes[0].transport.dial(nodes[1].address)
try await nodes[0].transport.dial(nodes[2].address)
try await nodes[1].transport.dial(nodes[2].address)

let poem = Data(String(repeating: "so much depends upon a red wheel barrow\n", count: 10_000).utf8)
print("stored, with \(try await nodes[0].store("poem", poem)) replicas")

// A node that has lost its file gets it from another one.
try FileManager.default.removeItem(at: home.appending(path: "node2/poem"))
print("node 2 got \(try await nodes[1].get("poem").count) bytes")

try await nodes[2].delete("poem")
let left = nodes.indices.filter { FileManager.default.fileExists(atPath: home.path + "/node\($0 + 1)/poem") }
print("after the deletion \(left.count) nodes have it")

for node in nodes { await node.transport.close() }
for task in answering { await task.value }
